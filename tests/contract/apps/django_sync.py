"""The routes of the Django shop with plain views."""

from tests.contract.apps.django_views import patterns

urlpatterns = patterns(lambda view: view)
