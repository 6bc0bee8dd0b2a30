"""What our stand-ins are to an app that copies or pickles them: what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

T = TypeVar("T")

_THE_ONE = itemgetter(0)


def as_itself(thing: Any) -> tuple[Callable[[tuple[Any]], Any], tuple[tuple[Any]]]:
    """What a stand-in's `__reduce__` gives, so that a copy, and what is made of a pickle, is a copy of `thing`."""
    return _THE_ONE, ((thing,),)


class Handed(partial[T]):
    """A partial in the place of its last argument, which is a function of the server's or the app's."""

    def __copy__(self) -> Any:
        return copy(self.args[-1])

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deepcopy(self.args[-1], memo)

    def __reduce__(self) -> Any:
        return as_itself(self.args[-1])
