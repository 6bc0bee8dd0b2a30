"""PyYAML's safe loader without what makes a small document take long: whoever uploads one must not hold others up.

Numbers to the base 60 (`1:59:59`, YAML 1.1) are text, as in YAML 1.2: reading one takes the square of its length, 17 s
for 1 MB. What merge keys (`<<`) and aliases write out is counted while it is done.
"""

from __future__ import annotations

from typing import Any

MAX_EVENTS = 200_000
"""Parts of a document, as written; 1 MB of an OpenAPI description has some 90,000."""

MAX_MERGED = 100_000
"""Pairs that all merge keys of a document add together."""

_DEEPEST = 100


def check_events(yaml: Any, text: str, deepest: int = _DEEPEST) -> None:
    """Count parts and nesting before anything recurses or is kept: the C reader has no guard of its own. Raises
    yaml.MarkedYAMLError with the place.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_base(yaml))):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent")
        depth -= kind.endswith("EndEvent")
        if depth > deepest:
            raise yaml.MarkedYAMLError(problem="is nested too deep", problem_mark=event.start_mark)
        if number > MAX_EVENTS:
            raise yaml.MarkedYAMLError(problem=f"has more than {MAX_EVENTS:,} parts", problem_mark=event.start_mark)


def bounded_loader(yaml: Any) -> Any:
    """The loader's class, made of whichever reader is there."""

    class Bounded(_base(yaml)):  # type: ignore[misc]  # PyYAML is there or not, in C or not
        _merged = 0

        def flatten_mapping(self, node: Any) -> None:
            super().flatten_mapping(node)
            self._merged += len(node.value)
            if self._merged > MAX_EVENTS + MAX_MERGED:
                told = f"merges more than {MAX_MERGED:,} pairs"
                raise yaml.constructor.ConstructorError(problem=told, problem_mark=node.start_mark)

        def construct_yaml_int(self, node: Any) -> Any:
            return node.value if ":" in node.value else super().construct_yaml_int(node)

        def construct_yaml_float(self, node: Any) -> Any:
            return node.value if ":" in node.value else super().construct_yaml_float(node)

    Bounded.add_constructor("tag:yaml.org,2002:int", Bounded.construct_yaml_int)
    Bounded.add_constructor("tag:yaml.org,2002:float", Bounded.construct_yaml_float)
    return Bounded


def _base(yaml: Any) -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
