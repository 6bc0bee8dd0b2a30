"""The same for requests that nobody thought of: pieces of tricks in any order, values in any encoding."""

from __future__ import annotations

import gc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.differential.guarded import APPS
from tests.differential.in_process import asking
from tests.differential.judging import misses
from tests.differential.message import METHOD, PATH, WORD, Message, Trick, get, post
from tests.profiles import examples

pytestmark = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning")
Texts = st.SearchStrategy[bytes]


def encoded(text: str) -> Texts:
    """A text with any of its characters percent-encoded, in either case, once or twice."""
    ways = [
        st.sampled_from([char.encode(), b"%%%02x" % ord(char), b"%%%02X" % ord(char), b"%%25%02x" % ord(char)])
        for char in text
    ]
    return st.tuples(*ways).map(b"".join)


def noise(*pieces: bytes) -> Texts:
    """Some of these pieces, in any order."""
    return st.lists(st.sampled_from(pieces), max_size=5).map(b"".join)


STEPS = noise(
    *(
        b"/",
        b"/.",
        b"/..",
        b"/x",
        b"/%2e",
        b"/%2E%2e",
        b"%2f",
        b"/%00",
        b"/%ff",
        b"/%C3%A9",
        b"/%25",
        b"/;a",
        b"\\",
        b"%09",
        b"%0a",
    )
)
PAIRS = noise(
    *(b"&", b"=", b"a=1&", b"%&", b"%ff=%fe&", b"q=1&", b";", b"+&", b"?", b"#", b"\xff&", b"\xc3\xa9=1&", b"%00&")
)
ITEMS = noise(b",", b" ", b"user,", b"\t", b"a, b ,", b"\xe9,", b'"', b";")
CRUMBS = noise(b"a=1; ", b";", b" ", b'a="b"; ', b"=; ", b"\xe9=1; ", b"$Version=1; ")
TYPES = [
    b"application/x-www-form-urlencoded",
    b"application/json",
    b"text/plain",
    b"application/x-www-form-urlencoded; charset=ibm037",
    b"multipart/form-data; boundary=B",
    b"",
]

PATHS = st.builds(lambda *parts: get(b"/" + b"".join(parts)), STEPS, st.just(b"/"), encoded(PATH), STEPS)
QUERIES = st.builds(lambda *parts: get(b"/echo?" + b"".join(parts)), PAIRS, st.just(b"q="), encoded(WORD), PAIRS)
LISTS = st.builds(lambda *parts: get(b"/echo", (b"X-Role", b"".join(parts))), ITEMS, st.just(WORD.encode()), ITEMS)
COOKIES = st.builds(
    lambda *parts: get(b"/echo", (b"Cookie", b"".join(parts))), CRUMBS, st.just(b"q="), st.just(WORD.encode()), CRUMBS
)
METHODS = st.tuples(*[st.sampled_from([char, char.lower()]) for char in METHOD]).map(
    lambda chars: get(b"/echo", method="".join(chars).encode())
)
FORMS = st.builds(
    lambda before, value, after, kind: post(before + b"q=" + value + after, kind),
    PAIRS,
    encoded(WORD),
    PAIRS,
    st.sampled_from(TYPES),
)

PLACES = {"path": PATHS, "query": QUERIES, "header": LISTS, "cookie": COOKIES, "method": METHODS}


def seen(name: str, place: str, message: Message) -> bool:
    """Whether the rules saw what the app did."""
    return not misses(asking(name), Trick(place, "generated", lambda _: message, telling=True))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", APPS)
def test_generated_heads(name: str, place: str) -> None:
    """Whatever an app understood of path, query, headers, cookies and method, the rules have seen."""

    @settings(max_examples=examples(60))
    @given(PLACES[place])
    def check(message: Message) -> None:
        assert seen(name, place, message)

    check()


@pytest.mark.parametrize("name", APPS)
def test_generated_bodies(name: str) -> None:
    """Whatever an app understood of a form, the rules have seen."""

    @settings(max_examples=examples(60), database=None)
    @example(post(b"q=" + b"".join(b"%%%02x" % ord(char) for char in WORD), TYPES[0]))
    @given(FORMS)
    def check(message: Message) -> None:
        assert seen(name, "form", message)

    try:
        check()
    finally:
        gc.collect()
