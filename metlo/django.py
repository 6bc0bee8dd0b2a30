"""`metlo.django.MetloDjango`, as documented."""

from metlo_otel.django import MetloDjango

__all__ = ["MetloDjango"]
