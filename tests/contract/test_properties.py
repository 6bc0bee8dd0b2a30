"""For any answer of the app and any cut of the bytes: clients see what they see without us, and we tell the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import MakeShop
from tests.contract.http import Call, get
from tests.contract.shop import Shop, essence
from tests.contract.test_faults import BREAKS

MAX_BODY = 5120

few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(lambda name: f"x-{name}")
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
headers = st.dictionaries(names, values, max_size=4).map(lambda found: tuple(found.items()))
statuses = st.sampled_from([200, 201, 202, 302, 400, 401, 404, 418, 500, 503])
pieces = st.lists(st.binary(max_size=60) | st.integers(0, 4000).map(lambda size: b"x" * size), max_size=6).map(tuple)


@st.composite
def cut_bodies(draw: st.DrawFn) -> tuple[bytes, ...]:
    """A text in UTF-8, cut anywhere."""
    body = draw(st.text(max_size=300)).replace("\0", "").encode() * draw(st.sampled_from([1, 1, 1, 40]))
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return tuple(body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True))


def script(status: int, headers: tuple[tuple[str, str], ...], pieces: tuple[bytes, ...], streamed: bool) -> None:
    """Have `/scripted` answer so."""
    SCRIPT.status, SCRIPT.headers, SCRIPT.pieces, SCRIPT.streamed = status, headers, pieces, streamed


@few
@given(status=statuses, headers=headers, pieces=pieces, streamed=st.booleans())
def test_any_answer_passes(
    shop: Shop, status: int, headers: tuple[tuple[str, str], ...], pieces: tuple[bytes, ...], streamed: bool
) -> None:
    """Any answer reaches the client piece by piece as without us, and is told with its status, headers and size."""
    script(status, headers, pieces, streamed)
    answer, trace = shop.exchange(get("/scripted"))
    body = b"".join(pieces)
    assert answer.body == body
    assert trace["response"]["status"] == status
    assert trace["meta"]["responseBodySize"] == len(body)
    assert trace["meta"]["responseBodyTruncated"] == (len(body) > MAX_BODY)
    found = {(pair["name"].lower(), pair["value"]) for pair in trace["response"]["headers"]}
    assert set(headers) <= found


@few
@given(pieces=cut_bodies(), chunked=st.booleans())
def test_any_cut_of_a_request_is_told_alike(shop: Shop, pieces: tuple[bytes, ...], chunked: bool) -> None:
    """However a request's body is cut on its way, the app reads the same and the same is told."""
    kind = (("Content-Type", "text/plain"),)
    whole, trace_of_whole = shop.exchange(Call("POST", "/echo", kind, (b"".join(pieces),), chunked))
    cut, trace_of_cut = shop.exchange(Call("POST", "/echo", kind, pieces, chunked))
    assert cut == whole
    assert essence(trace_of_cut) == essence(trace_of_whole)
    assert trace_of_cut["meta"]["requestBodySize"] in (len(b"".join(pieces)), 0 if chunked else -1)


@few
@given(pieces=cut_bodies())
def test_any_cut_of_a_response_is_told_alike(shop: Shop, pieces: tuple[bytes, ...]) -> None:
    """However a response's body is cut, the same is told of it."""
    kind = (("content-type", "text/plain"),)
    script(200, kind, (b"".join(pieces),), True)
    _, trace_of_whole = shop.exchange(get("/scripted"))
    script(200, kind, pieces, True)
    _, trace_of_cut = shop.exchange(get("/scripted"))
    assert essence(trace_of_cut) == essence(trace_of_whole)


@settings(few, max_examples=8)
@given(stage=st.sampled_from(BREAKS), status=statuses, headers=headers, pieces=pieces, streamed=st.booleans())
def test_any_answer_passes_a_broken_stage(
    make_shop: MakeShop,
    stage: Callable[..., None],
    status: int,
    headers: tuple[tuple[str, str], ...],
    pieces: tuple[bytes, ...],
    streamed: bool,
) -> None:
    """Whichever of our stages fails, any answer reaches the client as without us."""

    def fail(*arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError

    shop = make_shop(ENVIRONMENT=stage.__name__)  # under Django equal settings would share one agent
    stage(shop.agent, fail)
    script(status, headers, pieces, streamed)
    shop.same(get("/scripted"))
    shop.same(Call("POST", "/echo", (), pieces))
