"""What is a name, and what only stands in the place of one."""

from __future__ import annotations

import pytest

from metlo_otel.reading.names import is_name

PEOPLE = (
    *("bob@example.com", "b.o-b+x@mail.example.co.uk", "+49 151 1234567", "(030) 123-4567", "4111-1111-1111-1111"),
    *("4111111111111111", "123-45-6789", "2024-01-02", "1700000000000"),
)


@pytest.mark.parametrize("text", PEOPLE)
def test_who_somebody_is_is_no_name(text: str) -> None:
    """A map by address of e-mail, telephone or card tells none of them."""
    assert not is_name(text, "x")


@pytest.mark.parametrize("text", ["Name@odata.bind", "@type", "a@b", "12345", "v1.2.3", "line-2", "10.0.0.1", "x-1"])
def test_names(text: str) -> None:
    assert is_name(text, "x")
