"""From closed exchanges to traces at the collector, off the request thread."""
