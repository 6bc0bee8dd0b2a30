"""What our stand-ins are to an app that copies or pickles them: what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

_THE_ONE = itemgetter(0)


def as_itself(thing: Any) -> tuple[Callable[[tuple[Any]], Any], tuple[tuple[Any]]]:
    """What a stand-in's `__reduce__` gives, so that a copy, and what is made of a pickle, is a copy of `thing`."""
    return _THE_ONE, ((thing,),)
