"""The dashboard: pages rendered on the server for whoever may log in, which work without JavaScript."""
