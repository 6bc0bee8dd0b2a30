"""The routes of the Django shop with async views."""

from tests.contract.apps.django_views import as_coroutine, patterns

urlpatterns = patterns(as_coroutine)
