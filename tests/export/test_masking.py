"""Masked values never leave, wherever the body is cut."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import read_settings
from metlo_otel.export.masking import MASKED, mask
from metlo_otel.export.span_reading import record_of
from metlo_otel.export.spans import span_of
from metlo_otel.export.wire import encode, trace_of

NAMES = frozenset({"password", "api_key", "ключ"})
SETTINGS = read_settings({"api_key": "k", "host": "http://127.0.0.1"}, {})
OPEN = AgentConfig(full_capture=True)
SECRET = "S3CRET"

masked_names = st.sampled_from(["password", "PassWord", "api_key", "API-Key", "apikey", "ключ", "КЛЮЧ"])
plain_names = st.text(max_size=5).filter(lambda name: name not in NAMES)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_names, inner, max_size=3), max_leaves=6
)
secrets = st.sampled_from([SECRET, [SECRET, 1], {"a": [SECRET]}, {"x": {"y": SECRET}}, f'a"}}{SECRET}', f"\\{SECRET}"])


def record(body: bytes = b"", media: str = "", cut: int | None = None, **more: Any) -> Record:
    """A record of a request with this body, cut."""
    message = Message((("Content-Type", media), *more.pop("headers", ())), body[:cut], len(body))
    base = {"method": "POST", "scheme": "http", "host": "h", "path": "/p", "query": (), "status": 200}
    base |= {"source": ("1.2.3.4", 1), "destination": ("1.2.3.5", 2), "response": message, "request": message}
    return Record(**{**base, **more})


def sent(item: Record, names: frozenset[str] = NAMES) -> str:
    """All that could leave of a record: its trace and its span's attributes."""
    hidden = mask(item, names)
    return encode(trace_of(hidden, OPEN, SETTINGS)).decode() + repr(dict(span_of(hidden).attributes or {}))


@given(st.dictionaries(plain_names, values, max_size=3), masked_names, secrets, st.integers(0, 300), st.data())
def test_json_under_a_masked_name_never_leaves(
    around: dict[str, Any], name: str, secret: Any, cut: int, data: st.DataObject
) -> None:
    """Whatever stands around, however deep, escaped or not, and wherever the body is cut."""
    document = {**around, name: secret, "last": around}
    document = data.draw(st.sampled_from([document, [document], {"deep": [1, document]}]))
    text = json.dumps(document, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    if data.draw(st.booleans()):
        text = text + "\n" + text
    body = text.encode("utf-8", "replace")
    media = data.draw(st.sampled_from(["application/json", "application/x-ndjson", "text/plain", "", "a/b+json"]))
    assert SECRET not in sent(record(body, media, min(cut, len(body))))
    assert SECRET not in sent(record(body, media))


@given(st.dictionaries(plain_names, scalars, max_size=3))
def test_the_rest_stays_byte_for_byte(around: dict[str, Any]) -> None:
    """Only the masked value is replaced."""
    first, last = json.dumps(around)[:-1], json.dumps(around)
    joint = ", " if around else ""
    text = f'{first}{joint}"password": {{"a": ["x"]}}, "b": {last}}}'
    masked = mask(record(text.encode(), "application/json"), NAMES).request.body.decode()
    assert masked == f'{first}{joint}"password": "[masked]", "b": {last}}}'


@given(st.dictionaries(plain_names, st.text(max_size=5), max_size=3), masked_names, st.integers(0, 200), st.booleans())
def test_form_fields_never_leave(around: dict[str, str], name: str, cut: int, nested: bool) -> None:
    """In forms, cut anywhere, and as a part of `user[password]`."""
    pairs = [*around.items(), (f"user[{name}]" if nested else name, SECRET), *around.items()]
    body = urlencode(pairs, errors="replace").encode()
    for media in ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"):
        assert SECRET not in sent(record(body, media, min(cut, len(body))))


@given(st.lists(st.tuples(plain_names, st.binary(max_size=20)), max_size=3), masked_names, st.integers(0, 400))
def test_multipart_fields_and_files_never_leave(around: list[tuple[str, bytes]], name: str, cut: int) -> None:
    """Masked fields and the content of files, wherever the form is cut; files by name and size only."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{SECRET}\r\n'.encode(),
        f'Content-Type: a/b\r\ncontent-disposition: form-data; name="f"; filename="a.txt"\r\n\r\n{SECRET}'.encode(),
    ]
    fields = [b"Content-Disposition: form-data; name=plain\r\n\r\n" + value for _, value in around]
    body = b"".join(b"--BOUND\r\n" + part + b"\r\n" for part in [*fields, *parts]) + b"--BOUND--\r\n"
    for media in (
        "multipart/form-data; boundary=BOUND",
        'multipart/form-data; boundary="BOUND"',
        "multipart/form-data",
    ):
        assert SECRET not in sent(record(body, media, min(cut, len(body))))
        assert SECRET not in sent(record(body, media))


def test_files_are_told_by_name_and_size() -> None:
    """The text of a multipart trace has the fields, and of a file its name and how large it is."""
    body = (
        b'--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n--B\r\n'
        b'Content-Disposition: form-data; name="doc"; filename="a.bin"\r\n\r\n\x00\x01\xff\r\n--B--\r\n'
    )
    trace = trace_of(record(body, "multipart/form-data; boundary=B"), OPEN, SETTINGS)
    assert "\r\n\r\nhello\r\n" in trace["request"]["body"]
    assert 'filename="a.bin"\r\n\r\n[file, 3 bytes]\r\n--B--' in trace["request"]["body"]
    again = record_of(span_of(record(body, "multipart/form-data; boundary=B")))
    assert again is not None
    assert trace_of(again, OPEN, SETTINGS)["request"]["body"] == trace["request"]["body"]


@given(masked_names)
def test_headers_cookies_queries_and_urls(name: str) -> None:
    """Headers by their name, cookies by theirs, query parameters, also in the URLs that headers hold."""
    ascii_name = name if name.isascii() else "password"
    headers = (
        (ascii_name, SECRET),
        ("Cookie", f'a=b; {ascii_name}="{SECRET};x"; c=d'),
        ("Set-Cookie", f"{ascii_name}={SECRET}; Path=/"),
        ("Referer", f"https://h/?a=1&{ascii_name}={SECRET}#{ascii_name}={SECRET}"),
        ("Location", f"/next?pass%77ord={SECRET}&b=2"),
        ("X-Data", f"{ascii_name}={SECRET}"),
        ("X-Data", f'a="1", {ascii_name}="{SECRET}"'),
        ("Origin", f"https://bob:{SECRET}@h"),
    )
    text = sent(record(headers=headers, query=((name, SECRET), ("a", "1"), (f"x.{name}", SECRET))))
    assert SECRET not in text
    assert "c=d" in text
    assert "b=2" in text


def test_without_names_nothing_is_masked() -> None:
    """The empty list of masked fields is a value: everything stays."""
    item = record(b'{"password":"x"}', "application/json", headers=(("Authorization", "y"),))
    assert mask(item, frozenset()) is item


@given(
    st.binary(max_size=300),
    st.sampled_from(
        ["application/json", "", "text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]
    ),
)
def test_any_bytes_can_be_masked(body: bytes, media: str) -> None:
    """Masking fails for no body at all, and keeps the mark that it was cut."""
    item = record(body, media)
    hidden = mask(item, NAMES)
    assert hidden.request.truncated == item.request.truncated
    assert hidden.request.size == len(body)
    sent(item)


WITHIN = [
    (
        "multipart/form-data; boundary=B",
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n{"password": "%s"}\r\n--B--',
    ),
    ("application/x-www-form-urlencoded", b'\xef\xbb\xbf{"password":"%s"}'),
    ("application/x-www-form-urlencoded", b'data={"password":"%s"}&x=%%7B%%22password%%22%%3A%%22%s%%22%%7D'),
    ("application/x-www-form-urlencoded", b"a=1;password=%s&b=2"),
    ("application/json", b'{"query":"mutation { login(user: \\"a\\", password: \\"%s\\") { id } }"}'),
    ("application/graphql", b'mutation { login(user: "a", Api_Key: "%s") { id } }'),
    ("application/json", b'{"query":"mutation { login(password: \\"a\\\\\\"%s\\") { id } }","n":1}'),
    ("application/json", b'{"query":"mutation { login(password: \\u0022%s\\u0022) { id } }"}'),
    ("application/json", b'{"query":"{ login(password: \\"\\"\\"%s\\"\\"\\") { id } }"}'),
    ("application/json", b'{"query":"mutation { login(password: \\"%s'),
    ("application/json", b'{"n":1,"event":"{\\"user\\":\\"a\\",\\"password\\":\\"%s\\"}"}'),
    ("application/json", b'["[{\\u0022Api-Key\\u0022: \\u0022%s\\u0022}]"]'),
    ("application/json", b'{"a":" {\\"b\\":\\"{\\\\\\"password\\\\\\":\\\\\\"%s\\\\\\"}\\"}"}'),
    ("application/json", b'{"a":"{\\"b\\":{\\"password\\":\\"%s'),
    ("text/plain", b'{"a":"{\\"password\\":\\"\xff%s\\"}"}'),
    ("application/graphql", b'{ login(password: "a\\"%s") { id } }'),
    ("application/graphql", b'{ login(password: """a " %s""") { id } }'),
    ("application/x-www-form-urlencoded", b'query=mutation{login(password:"%s")}'),
    (
        "multipart/form-data; boundary=B",
        b'--B\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"{a(password:\\"%s\\")}"}\r\n--B--',
    ),
    ("text/html", b'<html><script>x = {"password":"%s"}</script>'),
    ("application/json", b'<!-- x -->{"password":"%s"}'),
    ("application/x-www-form-urlencoded", b"<=1&password=%s"),
    ("text/xml", b'<a><user>bob</user><n:Password kind="x">%s</n:Password><b api-key="%s" ok="1"/></a>'),
    ("application/xml", b"<?xml version='1.0'?><a><password>%s"),
    ("application/xml", b"<a><password><![CDATA[</password>%s]]></password></a>"),
    ("application/xml", b"<a><password><!--</password>-->%s</password></a>"),
    ("application/xml", b"<password><password>x</password><password/>%s</password>"),
    ("application/xml", b"<password><!-- %s"),
    ("application/json", b'{"a":1,"back":"https://h/cb?x=1&password=%s"}'),
    ("application/json", b'["password=%s","a=1&api_key=%s"]'),
    ("application/json", b'{"back":"https://h/cb#password=%s'),
    ("application/json", b'{"db":"postgres://bob:%s@db/shop"}'),
    ("text/plain", b"see https://bob:%s@h/ there"),
    (
        "multipart/form-data; boundary=B",
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx=1&password=%s\r\n--B--',
    ),
    (
        "multipart/form-data; boundary=B",
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n<b><password>%s</password></b>\r\n--B--',
    ),
]


@pytest.mark.parametrize(("media", "body"), WITHIN)
def test_fields_within_fields_never_leave(media: str, body: bytes) -> None:
    """JSON in a part, a form's value, a string of JSON or behind a byte order mark, pairs in a value, GraphQL, XML."""
    secret = SECRET.encode()
    body = body.replace(b"%s", secret).replace(b"%%", b"%")
    text = sent(record(body, media))
    assert SECRET not in text
    assert MASKED in unquote(text)


def test_query_values_with_fields_of_their_own() -> None:
    """A filter in JSON and pairs behind a semicolon are read too."""
    query = (("filter", f'{{"password":"{SECRET}"}}'), ("a", f"1;password={SECRET}"))
    assert SECRET not in sent(record(query=query))


@pytest.mark.parametrize(
    "body",
    [
        b'{"note":"the password: \\"x\\" is here (see query)"}',
        b'{"a":"{\\"secretary\\": \\"Ann\\", \\"no secret\\": 1}"}',
        b"<p>passwords</p>",
        b"a=b;c=d&e=%7B%7D",
    ],
)
def test_what_holds_no_masked_field_stays_byte_for_byte(body: bytes) -> None:
    """What only looks a little like one is left alone, but for words that could be an argument."""
    names = frozenset({"secret"})
    assert mask(record(body, "application/x-www-form-urlencoded"), names).request.body == body


def test_an_empty_xml_element_hides_nothing_after_it() -> None:
    """What closes itself holds nothing: the rest of the document stays byte for byte."""
    body = b'<u><password xsi:nil="true"/><name>Bob</name></u>'
    assert mask(record(body, "text/xml"), NAMES).request.body == body


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Cookie", "a=b;" + " " * 20_000 + "x"),
        ("Cookie", "=;" * 10_000),
        ("X-A", "?a=" * 5000),
        ("Cookie", '="' * 9000),
    ],
)
def test_hostile_headers_take_no_time(header: str, value: str) -> None:
    """No pattern goes over the same text again and again."""
    item = record(headers=((header, value),))
    began = time.process_time()
    mask(item, NAMES)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "piece",
    [
        b'"query":"',
        b'"{',
        b'"[\\"password',
        b'password:"',
        b"<password>",
        b'<a password="',
        b'\\"',
        b"{",
        b"(",
        b'password:"""',
    ],
)
@pytest.mark.parametrize("media", ["application/json", "application/graphql", "text/xml", "a/b"])
def test_hostile_bodies_take_little_time(media: str, piece: bytes) -> None:
    """The same for bodies, as long as MAX_BODY makes them by default, and longer."""
    item = record(piece * (40_000 // len(piece)), media)
    began = time.process_time()
    mask(item, NAMES)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"a": SECRET}])
def test_variables_of_masked_arguments_never_leave(value: Any) -> None:
    """Whatever a variable is called: where it is the value of a masked argument, its own and its default are masked."""
    query = f'mutation($p: String = "{SECRET}", $n: Int) {{ login(user: {{password: $p}}, n: $n) {{ id }} }}'
    item = record(json.dumps({"query": query, "variables": {"p": value, "n": 17}}).encode(), "application/json")
    assert SECRET not in sent(item)
    assert '"n": 17' in mask(item, NAMES).request.body.decode()
