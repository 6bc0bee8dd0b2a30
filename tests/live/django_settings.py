"""A Django site for `manage.py runserver`, with the agent as documented."""

SECRET_KEY = "tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.contract.apps.django_sync"
INSTALLED_APPS = ["metlo_otel.django.MetloConfig"]
MIDDLEWARE = ["metlo_otel.django.MetloDjango"]
METLO_CONFIG: dict[str, list[str]] = {"MASKED_FIELDS": []}
