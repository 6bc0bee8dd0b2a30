"""A Django project's settings, before anybody changes them."""

ROOT_URLCONF = "tests.otel.django_urls"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "for tests only"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
