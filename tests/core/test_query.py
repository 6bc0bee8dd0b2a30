"""A query is read as Flask, Django and Starlette read it: what they find is found."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import pytest
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from werkzeug.wrappers import Request as WerkzeugRequest

from metlo_otel.core.query import codec
from metlo_otel.core.request import EnvironRequest, ScopeRequest
from tests.contract.apps import django_site

django_site.set_up()
CHARSETS = ["", "utf-8", "latin-1", "utf-16", "utf-7", "cp037", "unicode_escape", "rot13", "hex", "idna", "no such"]
PIECES = st.binary(max_size=6).map(quote_from_bytes) | st.sampled_from(
    ["&", "=", ";", "+", "%", "%zz", "%u0061", "q", "q=1", "+ADw-", "\\u0061", "%ff", "\xff", "\xc3\xa9", "&&", "=x"]
)
QUERIES = st.lists(PIECES, max_size=8).map("".join)


def flask(query: str, charset: str) -> list[tuple[str, str]]:
    environ = {"QUERY_STRING": query, "REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "SERVER_NAME": "x"}
    return list(WerkzeugRequest({**environ, "SERVER_PORT": "80"}).args.items(multi=True))


def django(query: str, charset: str) -> list[tuple[str, str]]:
    found = QueryDict(query.encode("latin-1"), encoding=charset or None)
    return [(name, str(value)) for name, values in found.lists() for value in values]


def starlette(query: str, charset: str) -> list[tuple[str, str]]:
    return QueryParams(query.encode("latin-1")).multi_items()


@pytest.mark.parametrize("read", [flask, django, starlette])
@given(query=QUERIES, charset=st.sampled_from(CHARSETS))
@example(query="q=%ff", charset="")
@example(query="q=+ADw-script+AD4-", charset="utf-7")
@example(query="q=\\u0061", charset="unicode_escape")
def test_as_frameworks_read_it(read: object, query: str, charset: str) -> None:
    """Each name and value that a framework makes of a query is in one of our readings."""
    assert callable(read)
    try:
        expected = read(query, charset)
    except (UnicodeError, LookupError, Warning, SuspiciousOperation):  # the framework answers with an error
        return
    environ = {"QUERY_STRING": query, "CONTENT_TYPE": f'text/plain; charset="{charset}"' if charset else ""}
    request = ScopeRequest({"query_string": query.encode("latin-1")}) if read is starlette else EnvironRequest(environ)
    if charset and charset != "no such" and read is django and not codec(charset):
        return  # a codec that takes too long on purpose
    assert set(expected) <= {pair for pairs in request.queries() for pair in pairs}


def test_no_slow_codec() -> None:
    """A client cannot name a codec whose time is quadratic."""
    assert [codec(name) for name in ("idna", "punycode", "x\0y", "", "utf8")] == ["", "", "", "", "utf-8"]
