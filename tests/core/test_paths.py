"""A path is seen in every spelling that a server, a framework or an app may take it for, and in no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.core.request import DecodedRequest, EnvironRequest, Request, ScopeRequest

SAME = [
    *("/admin\n", "/adm\tin", "/\r/admin", "/admin#x", "/admin?x"),
    *("/admin", "/admin/", "//admin", "///admin//", "/./admin", "/admin/.", "/x/../admin", "/../admin", "/x/..//admin"),
    *("/%61dmin", "/%2561dmin", "/%2e/admin", "/x/%2e%2e/admin", "/%252e/admin", "%2fadmin", "/%2fadmin"),
    *("http://shop.example/admin", "HTTP://shop.example//admin", "/a/./b/../../admin"),
]
OTHERS = [
    *("/", "", "/admi", "/admins", "/Admin", "/admin/x", "/x/admin", "/admin;x", "/admin.", "/.admin", "/...admin"),
    *("/admin%", "/%6admin", "/%u0061dmin", "/admin/..", "/admin/../x", "/adm\N{LATIN SMALL LETTER DOTLESS I}n"),
]


def requests(path: str, mount: str = "") -> list[Request]:
    """The request as WSGI and ASGI servers hand it over, the path decoded once."""
    raw = path.encode("utf-8", "surrogateescape").decode("latin-1")
    return [
        EnvironRequest({"PATH_INFO": raw, "SCRIPT_NAME": mount}),
        ScopeRequest(
            {"path": mount + path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), "root_path": mount}
        ),
    ]


def is_seen(path: str, request: Request) -> bool:
    plain = request.plain_path()
    seen = request.paths()
    assert plain is None or seen == ((plain,),), "a path that is plain has one spelling"
    return any(path in paths for paths in seen)


@pytest.mark.parametrize("path", SAME)
def test_spellings_of_one_path(path: str) -> None:
    """Slashes, dot segments, encodings and a target in absolute form do not hide a path."""
    for request in requests(path):
        assert is_seen("/admin", request), request.paths()


@pytest.mark.parametrize("path", OTHERS)
def test_other_paths(path: str) -> None:
    """What no server, framework or app takes for a path is none of its spellings."""
    for request in requests(path):
        assert not is_seen("/admin", request), request.paths()


@pytest.mark.parametrize("mount", ["/api", "/api/v1"])
def test_mount_point(mount: str) -> None:
    """A path is seen with its mount point and without, also where the server leaves the mount point out."""
    left_out = ScopeRequest({"path": "/admin", "root_path": mount})
    for request in [*requests("/admin", mount), left_out]:
        assert is_seen("/admin", request)
        assert is_seen(mount + "/admin", request)
    assert not is_seen("x/admin", ScopeRequest({"path": mount + "x/admin", "root_path": mount}))


def test_one_bad_byte() -> None:
    """A byte that is no UTF-8 leaves the others as they are: replaced, or percent-encoded as Django has it."""
    request = EnvironRequest({"PATH_INFO": "/caf\xc3\xa9/\xff"})
    assert request.path == "/caf\xe9/\ufffd"
    for path in ("/caf\xe9/\ufffd", "/caf\xe9/%FF", "/caf\xc3\xa9/\xff"):
        assert is_seen(path, request)


def test_path_that_is_decoded() -> None:
    """A framework that decodes the environ's path, as Django does, is taken at its word."""
    request = DecodedRequest({"PATH_INFO": "/caf\xe9//x"})
    assert request.path == "/caf\xe9//x"
    assert is_seen("/caf\xe9/x", request)


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        ({"PATH_INFO": "/a b", "REQUEST_URI": "/a%20b?c=%2f"}, "/a%20b"),
        ({"PATH_INFO": "/a/b", "RAW_URI": "/a%2fb"}, "/a%2Fb"),
        ({"PATH_INFO": "/a b"}, "/a%20b"),
        ({"PATH_INFO": "/a", "REQUEST_URI": "http://shop.example/%61"}, "/%61"),
    ],
)
def test_as_sent(environ: dict[str, str], sent: str) -> None:
    """The path as it was sent is known from the target, else it is encoded anew."""
    assert sent in EnvironRequest(environ).sent_paths()


@given(st.text("/.%2e aé\xff\\;:", max_size=40), st.sampled_from(["", "/api"]))
def test_any_path(path: str, mount: str) -> None:
    """Any path is read, in few spellings, and its own is the first."""
    for request in requests(path, mount):
        seen = request.paths()
        assert 1 <= len(seen) <= 36
        assert (request.path.rstrip("/") if request.path != "/" else "") in seen[0]
