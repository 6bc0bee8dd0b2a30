"""How much property tests try: all of it once, a fifth where the same tests run again with other versions."""

from __future__ import annotations

from hypothesis import settings

_ONCE, _AGAIN = 100, 20  # examples of a test that says nothing else

settings.register_profile("once", max_examples=_ONCE, deadline=None)  # a machine with other work is no failure
settings.register_profile("again", max_examples=_AGAIN, deadline=None)


def examples(count: int) -> int:
    """So many of a test's own, or the profile's share of them."""
    return count * settings().max_examples // _ONCE
