"""A Django site that does not know of the agent."""

SECRET_KEY = "tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.live.unaware"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
