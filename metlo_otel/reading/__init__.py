"""The one place where a request or a response is decoded: bounded, lazy, and as apps may read it."""
