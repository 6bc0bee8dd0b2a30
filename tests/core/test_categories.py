"""Every category has a place wherever categories are told of."""

from __future__ import annotations

from pathlib import Path

import pytest

import metlo_otel
from metlo_otel.core.categories import ATTACKS, ON_THE_WIRE, known_detections, own_detections

BACKEND = ("SQLI", "XSS", "COMMAND_EXECUTION", "SSRF", "NULL_BYTES", "DIRECTORY_TRAVERSAL", "GRAPHQL_INTROSPECTION")
PAGE = Path(metlo_otel.__file__).parent.parent / "docs" / "explanation" / "detection.md"


@pytest.mark.parametrize("category", ATTACKS)
def test_the_original_backend_is_told_what_it_knows(category: str) -> None:
    """A category is one of the backend's own, or has the nearest of its own, or is known to have none."""
    assert (category in BACKEND) != (category in ON_THE_WIRE)
    told = known_detections({"reqBody.a": [category]})
    assert set(told.get("reqBody.a", [])) <= set(BACKEND)
    assert bool(told) == (ON_THE_WIRE.get(category, category) is not None)


def test_several_that_are_one_to_it() -> None:
    """What is the same to the backend is told once."""
    assert known_detections({"a": ["SSTI", "SSI", "XSS"], "b": ["SCANNER"]}) == {"a": ["COMMAND_EXECUTION", "XSS"]}


def test_ours_where_they_are_told() -> None:
    """Our own categories are read where an agent sent them, else what the wire knows."""
    assert own_detections({"attackDetections": {"a": ["SQLI"]}}) == {"a": ["SQLI"]}
    both = {"attackDetections": {"a": ["SQLI"]}, "attackCategories": {"a": ["NOSQLI"], "b": ["SCANNER"]}}
    assert own_detections(both) == {"a": ["NOSQLI"], "b": ["SCANNER"]}


@pytest.mark.parametrize("category", ATTACKS)
def test_the_readme_names_it(category: str) -> None:
    """A category that can be switched is one that a user can read of."""
    assert f"`{category}`" in PAGE.read_text("utf-8")
