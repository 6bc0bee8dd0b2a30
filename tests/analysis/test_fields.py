"""Fields, data types and the parsers below them: what every kind of body gives, within bounds, however broken."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.core.record import Message
from metlo_otel.reading.body import read_body
from metlo_otel.reading.fields import Fields, data_types, read_fields, read_request
from metlo_otel.reading.json_cut import Missing, close_cut
from metlo_otel.reading.json_prefix import parse_prefix
from metlo_otel.reading.multipart import read_parts
from metlo_otel.reading.nodes import MAX_NODES, Field, walk
from tests.analysis.records import json_record, message, record

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=5)),
    max_leaves=20,
)


def fields_of(body: bytes | str, content_type: str | None = None, **more: Any) -> tuple[Field, ...]:
    return read_body("reqBody", message(body, content_type, **more)).fields


def inspected(body: bytes | str, content_type: str | None = None) -> tuple[Field, ...]:
    """All that is looked at of a request's body."""
    return tuple(read_request(record(message(body, content_type))).inspected)


def types_of(body: bytes | str, content_type: str | None = None, **more: Any) -> dict[str, list[str]]:
    return data_types(Fields(request=read_body("reqBody", message(body, content_type, **more))), 200)


@given(DOCUMENTS)
def test_prefix_reads_whole_json_as_the_standard_library(document: Any) -> None:
    """A whole document is read as json.loads reads it."""
    found = parse_prefix(json.dumps(document))
    assert (found.value, found.found, found.cut, found.broken) == (document, True, False, False)


@given(DOCUMENTS, st.integers(0, 400), st.booleans())
def test_any_cut_of_json_gives_the_fields_before_it(document: Any, cut: int, ascii_only: bool) -> None:
    """However JSON is cut: no error, and all fields but the last are among those of the whole."""
    whole = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    cut = min(cut, len(whole) - 1)
    seen = fields_of(whole[:cut], "application/json", size=len(whole))
    known = [(key, kind) for key, _, kind in fields_of(whole, "application/json")]
    assert all((key, kind) in known for key, _, kind in seen[:-1])


@given(DOCUMENTS, st.integers(0, 400), st.booleans())
def test_closing_a_cut_reads_what_the_slow_reader_reads(document: Any, cut: int, ascii_only: bool) -> None:
    """Where a cut text can be closed, its fields are those that reading it piece by piece gives, but for the last."""
    text = json.dumps(document, ensure_ascii=ascii_only)[:cut]
    closed, prefix = close_cut(text), parse_prefix(text)
    if closed is not Missing:
        assert prefix.found
        assert not prefix.broken
        fast, slow = walk("reqBody", closed), walk("reqBody", prefix.value)
        assert len(slow) - 1 <= len(fast) <= len(slow)
        assert fast[:-1] == slow[: max(0, len(fast) - 1)]


@given(st.text(st.sampled_from('{}[]",:\\u0d8 1.e-truefalsn'), max_size=30))
def test_closing_never_takes_what_is_broken(text: str) -> None:
    """What closing a text makes of it, the piece by piece reader does not call broken."""
    assert close_cut(text) is Missing or not parse_prefix(text).broken


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            '{"a": 1, "b": {"c": "x", "d": [true, nul',
            {"reqBody.a": ["number"], "reqBody.b.c": ["string"], "reqBody.b.d.[]": ["boolean"]},
        ),
        ('{"a": "half a wo', {"reqBody.a": ["string"]}),
        ('{"a": "half an escape \\u00', {"reqBody.a": ["string"]}),
        ('{"a": 1, "half a ke', {"reqBody.a": ["number"]}),
        ('{"a": 12', {"reqBody.a": ["number"]}),
        ('[[1, 2], [{"x": null}', {"reqBody.[].[]": ["number"], "reqBody.[].[].x": ["null"]}),
        ('{"a": 12.', {"reqBody.a": ["number"]}),
        ('[{"a": 1.5e+', {"reqBody.[].a": ["number"]}),
        ('{"a":', {}),
        ("", {}),
    ],
)
def test_cut_json(text: str, wanted: dict[str, list[str]]) -> None:
    """Cut JSON has the types of what stood before the cut, a halved text included."""
    assert types_of(text, "application/json", size=100_000) == wanted


def test_a_halved_text_is_looked_at() -> None:
    """The value of a text that the cut halves is what there is of it, without half an escape."""
    assert fields_of('{"a": "<script \\u00', "application/json", size=999) == (("reqBody.a", "<script ", "string"),)
    assert fields_of('{"a": "back\\\\', "application/json", size=999) == (("reqBody.a", "back\\", "string"),)


@pytest.mark.parametrize(
    "text", ['{"a":1}{"b":2}', "nope", '{"a":1e400}', '\ufeff{"a":1}', "{'a': 1}", '{"a":1,}', "[1 2]", "}"]
)
def test_broken_json_has_no_types_but_is_looked_at(text: str) -> None:
    """What is no JSON has no data types, and still all of its text is there for classes and attacks."""
    assert types_of(text, "application/json") == {}
    assert ("reqBody", text, None) in fields_of(text, "application/json")


def test_broken_json_is_decoded_as_far_as_it_goes() -> None:
    """Escapes before the fault do not hide a value."""
    assert ("reqBody.a", "<b>", None) in fields_of('{"a":"\\u003cb>", oops}', "application/json")


@pytest.mark.parametrize(
    ("text", "key", "value", "kind"),
    [
        ('{"a":NaN}', "reqBody.a", 0.0, "number"),
        ('{"a":"\\ud800x"}', "reqBody.a", "?x", "string"),
        ('{"a":"tab\there"}', "reqBody.a", "tab\there", "string"),
        ('{"a":123456789012345678901234567890}', "reqBody.a", 123456789012345678901234567890.0, "number"),
        ('{"a":1,"a":"last"}', "reqBody.a", "last", "string"),
        ('{"a":NaN,"a":"last"}', "reqBody.a", "last", "string"),
    ],
)
def test_odd_json_that_apps_read(text: str, key: str, value: Any, kind: str) -> None:
    """NaN, lone surrogates, control characters, huge numbers and repeated keys are read as Python apps read them."""
    assert fields_of(text, "application/json") == ((key, value, kind),)


def types_and_values(document: Any) -> list[Field]:
    return [each for each in fields_of(json.dumps(document), "application/json") if each[2] is not None]


def test_limits_of_json() -> None:
    """10 items an array, 500 nodes, 50 levels, keys bounded: whatever the document is."""
    assert len(types_and_values(list(range(100)))) == 10
    assert len(fields_of(json.dumps({str(number): number for number in range(2000)}), "application/json")) == MAX_NODES
    deep: Any = "bottom"
    for _ in range(60):
        deep = {"d": deep}
    assert fields_of(json.dumps(deep), "application/json") == ()
    assert len(fields_of(json.dumps({"k" * 5000: 1}), "application/json")[0][0]) <= 1024


def test_nothing_hides_behind_the_first_items() -> None:
    """Items of a request's arrays beyond the tenth have no types of their own, and are looked at all the same."""
    items = [1] * 10 + ["late", {"deep": ["x"] * 10 + ["<script>"]}]
    found = inspected(json.dumps({"a": items, "z": True}), "application/json")
    assert types_of(json.dumps({"a": items, "z": True}), "application/json") == {
        "reqBody.a.[]": ["number"],
        "reqBody.z": ["boolean"],
    }
    assert ("reqBody.a.[]", "late", None) in found
    nested = json.dumps({"a": [{"b": ["x"] * 10 + ["<script>"]}]})
    assert ("reqBody.a.[].b.[]", "<script>", None) in inspected(nested, "application/json")
    assert (
        read_body("resBody", message(json.dumps(items), "application/json")).fields
        == (("resBody.[]", 1, "number"),) * 10
    )


def test_texts_of_what_was_sent() -> None:
    """For attack detection every key comes with its value as text, whatever its type."""
    fields = read_fields(json_record({"a": "x", "b": {"$ne": None}, "c": True, "d": 1.5}, query=(("q", "1"),)))
    assert [pair for pair in fields.sent_texts() if "Headers" not in pair[0]] == [
        ("reqQuery.q", "1"),
        ("reqBody.a", "x"),
        ("reqBody.b.$ne", ""),
        ("reqBody.c", "true"),
        ("reqBody.d", "1.5"),
    ]


BOMBS = {
    "deep arrays": b"[" * 500_000,
    "deep objects": b'{"a":' * 200_000,
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(1_000_000)) + b"}",
    "long number": b'{"a":' + b"9" * 1_000_000 + b"}",
    "long text": b'{"a":"' + b"x" * 1_000_000 + b'"}',
    "escapes": b'{"a":"' + b"\\" * 999_999 + b'"}',
    "open quotes": b'"' * 500_001,
    "blanks": b" " * 1_000_000,
    "long array": b"[" + b"1," * 500_000 + b"1]",
}
KINDS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=a",
    "text/plain",
    "application/x-ndjson",
    "application/json; charset=utf-16",
    "application/problem+json",
    "application/octet-stream",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_bounded(name: str, kind: str) -> None:
    """A megabyte of the worst, whatever its type says, takes bounded time and gives a bounded number of fields."""
    started = time.process_time()
    found = fields_of(BOMBS[name], kind)
    assert time.process_time() - started < 1.0
    assert len(found) <= 2 * MAX_NODES


@given(
    st.binary(max_size=300),
    st.sampled_from([*KINDS, "", "text/html; charset=koi8-r", "a/b; charset=hex"]),
    st.booleans(),
)
def test_any_bytes_are_read(body: bytes, kind: str, cut: bool) -> None:
    """No body raises, and every key belongs to its section and every text can be sent."""
    for key, value, kind_ in fields_of(body, kind, size=len(body) + cut):
        assert key == "reqBody" or key.startswith("reqBody.")
        assert kind_ in (None, "string", "number", "boolean", "null")
        assert not isinstance(value, str) or value.encode() is not None
        assert key.encode() is not None


@given(DOCUMENTS)
def test_data_types_are_complete_and_sorted(document: Any) -> None:
    """Types are sorted and without repetition, for exactly the keys that have typed fields."""
    fields = read_fields(json_record(document))
    found = data_types(fields, 200)
    assert {key for key, _, kind in fields.sent + fields.answered if kind} == set(found)
    assert all(types == sorted(set(types)) and types for types in found.values())


def test_errors_have_no_request_types() -> None:
    """From status 400 on only the response's side has types."""
    given_ = json_record({"a": 1}, {"b": 2}, query=(("q", "1"),))
    fields = read_fields(given_)
    assert {"reqBody.a", "reqQuery.q", "resBody.b"} <= set(data_types(fields, 399))
    assert set(data_types(fields, 400)) == {"resHeaders.Content-Type", "resBody.b"}


@pytest.mark.parametrize("kind", ["application/vnd.api+json", "application/problem+json; charset=utf-8"])
def test_json_suffix(kind: str) -> None:
    """`+json` is reported as text, as the contract has it, and looked at as JSON."""
    assert types_of('{"a":{"b":"x"}}', kind) == {"reqBody": ["string"]}
    assert ("reqBody.a.b", "x", None) in fields_of('{"a":{"b":"x"}}', kind)


def test_json_lines() -> None:
    """NDJSON is reported as text and looked at line by line, a cut last line included."""
    body = '{"a":"x"}\n\n[1]\n{"b":"y'
    found = fields_of(body, "application/x-ndjson", size=99)
    assert found == (
        ("reqBody", None, "string"),
        ("reqBody.[].a", "x", None),
        ("reqBody.[].[]", 1, None),
        ("reqBody.[].b", "y", None),
    )


def test_json_without_its_media_type() -> None:
    """JSON that does not say so is reported as text and looked at as JSON: some apps read it all the same."""
    assert types_of('{"a":"x"}', None) == {"reqBody": ["string"]}
    assert ("reqBody.a", "x", None) in fields_of('{"a":"x"}', "text/plain")


@pytest.mark.parametrize("kind", ["application/xml", "application/yaml", "text/html", "image/svg+xml"])
def test_other_text(kind: str) -> None:
    """XML, YAML and the rest are text; entities are never expanded."""
    bomb = '<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "&b;&b;">]><a>&b;</a>'
    assert fields_of(bomb, kind) == (("reqBody", bomb, "string"),)


def test_forms() -> None:
    """Form fields are decoded texts, by the form's charset; there are at most 500."""
    kind = "application/x-www-form-urlencoded"
    assert fields_of("a=1&a=%20x+y&c&&=d&e=%ff", kind) == (
        ("reqBody.a", "1", "string"),
        ("reqBody.a", " x y", "string"),
        ("reqBody.c", "", "string"),
        ("reqBody.", "d", "string"),
        ("reqBody.e", "\ufffd", "string"),
    )
    assert fields_of("n=%e9", kind + "; charset=latin-1") == (("reqBody.n", "é", "string"),)
    assert len(fields_of("a=1&" * 5000, kind)) == MAX_NODES


DISPOSITION = b"Content-Disposition: form-data; name="
PARTS = b"".join(
    [
        b"--XX\r\n" + DISPOSITION + b'"title"\r\n\r\nhello\r\n',
        b"--XX\r\nContent-Type: text/plain\r\n" + DISPOSITION.lower() + b'"doc"; filename="a.txt"\r\n\r\nfile text\r\n',
        b"--XX\r\n" + DISPOSITION + b"\"enc\"; filename*=UTF-8''n%C3%A9.txt\r\n\r\n\x00\xff\r\n--XX--\r\nrest",
    ]
)


def test_parts() -> None:
    """A multipart field is its text; a file is its name and size, never its content."""
    found = read_parts(PARTS, 'multipart/form-data; boundary="XX"')
    assert [(part.name, part.filename, PARTS[part.start : part.end]) for part in found] == [
        ("title", None, b"hello"),
        ("doc", "a.txt", b"file text"),
        ("enc", "né.txt", b"\x00\xff"),
    ]
    fields = read_body("reqBody", message(PARTS, "multipart/form-data; boundary=XX")).fields
    assert fields == (
        ("reqBody.title", "hello", "string"),
        ("reqBody.doc", "a.txt", "string"),
        ("reqBody.enc", "né.txt", "string"),
    )


@given(st.integers(0, len(PARTS)))
def test_any_cut_of_parts(cut: int) -> None:
    """However a multipart body is cut, the parts before the last are as in the whole."""
    kind = "multipart/form-data; boundary=XX"
    seen, whole = read_parts(PARTS[:cut], kind), read_parts(PARTS, kind)
    assert seen[:-1] == whole[: max(0, len(seen) - 1)]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--XX"),
        ("multipart/form-data; boundary=", PARTS),
        ("multipart/form-data; boundary=YY", PARTS),
        ("multipart/form-data; boundary=XX", b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--"),
        ("multipart/form-data; boundary=XX", b"--XX\r\nno header ever ends"),
    ],
)
def test_broken_parts(kind: str, body: bytes) -> None:
    """Broken multipart bodies have no types and cause no error."""
    assert types_of(body, kind) == {}


def test_a_coding_that_was_not_applied() -> None:
    """A body that is not compressed, though its header says so (it was captured before), is read as it is."""
    sent = message('{"a":1}', "application/json", (("Content-Encoding", "gzip"),))
    assert read_body("resBody", sent).fields == (("resBody.a", 1, "number"),)


@pytest.mark.parametrize(
    ("body", "kind", "wanted"),
    [
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é"),
        ("été".encode("latin-1"), "text/plain", "été"),
        ("привет".encode("koi8-r"), "text/html; charset=KOI8-R", "привет"),
        ("日本".encode("shift_jis"), 'text/plain; charset="Shift_JIS"', "日本"),
        ("é世".encode(), "text/plain; charset=nonsense", "é世"),
        ("é世".encode(), "text/plain; charset=punycode", "é世"),
        ("é".encode("utf-16"), "text/plain; charset=utf-16", "é"),
        ("a世".encode()[:-1], "text/plain", "a"),
    ],
)
def test_charsets(body: bytes, kind: str, wanted: str) -> None:
    """Text is decoded by its charset parameter, else as UTF-8, else as Latin-1; a halved last character is left out."""
    assert fields_of(body, kind, size=len(body) + 1) == (("reqBody", wanted, "string"),)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"])
def test_json_in_other_encodings(encoding: str) -> None:
    """JSON in UTF-16 or UTF-32, and in the charset it names, is read."""
    body = '{"a":"é"}'.encode(encoding)
    named = f"application/json; charset={encoding}"
    assert fields_of(body, named) == (("reqBody.a", "é", "string"),)


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "image/png", "application/json", "application/grpc", "text/plain"]
)
def test_binary_bodies(kind: str) -> None:
    """A binary body has no fields, whatever its type says; its size is known."""
    body = read_body("resBody", message(bytes(range(256)) * 4, kind, size=5000))
    assert (body.fields, body.size, body.cut) == ((), 5000, True)


def test_query_and_headers() -> None:
    """Query and header values are texts; header names keep their case; repeated ones stay."""
    sent = Message((("X-Ip", "10.0.0.1"), ("x-ip", "b")))
    fields = read_fields(record(sent, query=(("a.b", "1"), ("", ""))))
    assert fields.query == (("reqQuery.a.b", "1", "string"), ("reqQuery.", "", "string"))
    assert fields.request_headers == (("reqHeaders.X-Ip", "10.0.0.1", "string"), ("reqHeaders.x-ip", "b", "string"))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=30))
def test_queries_never_raise(query: list[tuple[str, str]]) -> None:
    """Any query gives a field for each pair."""
    assert sum(kind is not None for _, _, kind in read_fields(record(query=tuple(query))).query) == len(query)
