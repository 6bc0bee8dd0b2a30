"""An exception of the app goes where it went without us, and is told with the status that the client got."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.contract.apps import script
from tests.contract.http import get
from tests.contract.shop import Shop, essence, told

RAISED = f"RuntimeError: {script.ERROR}"


def test_exception(shop: Shop) -> None:
    """A view that raises is a 500, and the exception reaches whom it reached without us."""
    call = get("/boom")
    answer, trace = shop.exchange(call)
    assert answer.status == 500
    assert answer.raised == (RAISED if shop.way.propagates else None)
    if shop.way.propagates:  # what the client gets is made outside of us
        outside: dict[str, Any] = {"response_headers": [], "response_body": "", "responseBodySize": 0}
        assert essence(trace) == told(shop.way, call, answer, route="/boom", **outside)
    else:
        assert essence(trace) == told(shop.way, call, answer, route="/boom")


@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")  # Django's own, of the request's body
def test_exception_in_a_stream(shop: Shop) -> None:
    """A stream that breaks is told with the status it began with and what came of it."""
    call = get("/late-boom")
    answer, trace = shop.exchange(call)
    grouped = "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)"  # Starlette before 0.37, by itself
    assert (answer.status, answer.body) == (200, b"so far so good\n")
    assert answer.raised in (RAISED, grouped)
    assert essence(trace) == told(shop.way, call, answer, route="/late-boom")
    gc.collect()
