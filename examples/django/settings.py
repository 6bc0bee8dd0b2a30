# The settings of the example; run it with manage.py beside this file.
SECRET_KEY = "only-for-this-example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["metlo_otel.django.MetloConfig"]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "metlo_otel.django.MetloDjango",
]
METLO_CONFIG = {
    # API_KEY and METLO_HOST come from METLO_API_KEY and METLO_HOST in the environment.
    "GET_USER": "urls.get_user",
}
