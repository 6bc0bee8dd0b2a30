"""Django alone: what it and its apps do to requests and responses, with the agent among the middlewares."""
