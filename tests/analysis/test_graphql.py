"""GraphQL: fields, arguments and answers under the schema's names, and bounds on hostile queries."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("graphql", reason="the graphql extra is not installed")

from graphql.language.parser import Parser

from metlo_otel.analysis.graphql import GraphQL, GraphQLFields
from metlo_otel.core.record import Record
from metlo_otel.reading.fields import data_types, read_fields
from tests.analysis.records import json_record, message, record


def read(given: Record, graphql: GraphQL | None = None) -> GraphQLFields:
    return (graphql or GraphQL()).read(given, read_fields(given))


def types(found: GraphQLFields) -> dict[str, list[str]]:
    return {key: kinds for key, kinds in data_types(found.fields, 200).items() if "Headers" not in key}


def ask(query: str, answer: Any = None, **more: Any) -> GraphQLFields:
    return read(json_record({"query": query, **more}, answer, path="/graphql"))


def test_arguments_and_aliases() -> None:
    """Arguments stand under their field, aliases give way to names, variables and their defaults are filled in."""
    found = ask(
        "query Q($id: ID!, $n: Int = 3, $gone: Int)"
        " { u: user(id: $id, o: {a: [1, $n]}, e: ENUM, gone: $gone) { n: name } }",
        {"data": {"u": {"n": "x", "more": 1}}, "errors": [{"message": "m"}]},
        variables={"id": "7"},
        operationName="Q",
    )
    assert found.paths == ("reqBody.query.user",)
    assert types(found) == {
        "reqBody.query.user.__args.id": ["string"],
        "reqBody.query.user.__args.o.a.[]": ["number"],
        "reqBody.query.user.__args.e": ["string"],
        "resBody.query.user.name": ["string"],
        "resBody.query.user.more": ["number"],
        "resBody.errors.[].message": ["string"],
    }


def test_fragments() -> None:
    """Fields behind fragments, also at the top and around each other, count as the fields that they are."""
    found = ask(
        "query { ...Top ... on Query { other } } fragment Top on Query { user { ...U } }"
        " fragment U on User { mail: email(kind: 1) ...V } fragment V on User { id ...U }",
        {"data": {"user": {"mail": "bob@example.com", "id": 1}, "other": None}},
    )
    assert found.paths == ("reqBody.query.user", "reqBody.query.other")
    assert types(found) == {
        "reqBody.query.user.email.__args.kind": ["number"],
        "resBody.query.user.email": ["string"],
        "resBody.query.user.id": ["number"],
        "resBody.query.other": ["null"],
    }


def test_mutations_and_chosen_operations() -> None:
    """The answer belongs to the operation that operationName chooses; it comes first."""
    found = ask(
        "query A { a } mutation B($x: In) { save(x: $x) { ok } }",
        {"data": {"save": {"ok": True}}},
        operationName="B",
        variables={"x": {"mail": "bob@example.com"}},
    )
    assert found.paths == ("reqBody.mutation.save", "reqBody.query.a")
    assert types(found) == {
        "reqBody.mutation.save.__args.x.mail": ["string"],
        "resBody.mutation.save.ok": ["boolean"],
    }


def test_batches() -> None:
    """Each call of a batch is read, and each answer belongs to its call."""
    found = read(
        json_record([{"query": "{a(x: 1)}"}, {"query": "{z: b}"}, 3], [{"data": {"a": 1}}, {"data": {"z": "t"}}])
    )
    assert found.paths == ("reqBody.query.a", "reqBody.query.b")
    assert types(found) == {
        "reqBody.query.a.__args.x": ["number"],
        "resBody.query.a": ["number"],
        "resBody.query.b": ["string"],
    }


def test_persisted_queries() -> None:
    """A persisted query is known by its hash once its text was seen, and not by a wrong hash."""
    graphql, text = GraphQL(), "query P($id: ID) { user(id: $id) { id } }"
    digest = hashlib.sha256(text.encode()).hexdigest()

    def call(**more: Any) -> tuple[str, ...]:
        return read(json_record({"variables": {"id": 1}, **more}), graphql).paths

    by_hash = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}}
    assert call(**by_hash) == ()
    assert call(query="{ wrong }", **by_hash) == ("reqBody.query.wrong",)
    assert call(**by_hash) == ()
    assert call(query=text, **by_hash) == ("reqBody.query.user",)
    assert call(**by_hash) == ("reqBody.query.user",)


def test_get_requests() -> None:
    """A query in the URL is read with its variables; other parameters stay."""
    found = read(
        record(
            method="GET",
            path="/graphql",
            query=(("query", "query($i: Int) { user(id: $i) { id } }"), ("variables", '{"i": 7}'), ("debug", "1")),
        )
    )
    assert found.paths == ("reqQuery.query.user",)
    assert types(found) == {"reqQuery.debug": ["string"], "reqQuery.query.user.__args.id": ["number"]}


def test_query_text_as_body() -> None:
    """`application/graphql` with the query itself as its body is read."""
    assert read(record(message("{ a(x: 1) }", "application/graphql"))).paths == ("reqBody.query.a",)


def test_introspection() -> None:
    """Introspection shows as its own top field."""
    found = ask("{ __schema { types { name } } }")
    assert found.paths == ("reqBody.query.__schema",)
    assert ("reqBody.query.__schema", "") in found.fields.sent_texts()


def test_what_a_query_does_not_use_is_still_looked_at() -> None:
    """Variables without use and queries that cannot be read have no types, and are there for classes and attacks."""
    found = ask("{ a }", variables={"x": "<script>"})
    assert ("reqBody.variables.x", "<script>", None) in found.fields.request.fields
    broken = ask("} nope")
    assert broken.fields.request.fields == (("reqBody.query", "} nope", None),)


def test_cut_and_broken_queries() -> None:
    """Of a query that is cut or broken, the top fields before the fault are known."""
    cut = "query Q($a: In = {b: 1}) { u: user(id: {c: 1}) @skip(if: $a) { name } other { x } ... on T { y } la"
    assert ask(cut).paths == ("reqBody.query.user", "reqBody.query.other")
    assert ask("fragment F on T { no } mutation { yes } }").paths == ("reqBody.mutation.yes",)


HOSTILE = {
    "aliases": "{" + " ".join(f"a{number}: user(id: {number}) {{ id }}" for number in range(10_000)) + "}",
    "deep": "{a" * 5000 + "}" * 5000,
    "deep lists": "{a(x: " + "[" * 5000 + "]" * 5000 + ")}",
    "fragments": "{...f0}" + "".join(f"fragment f{n} on T {{...f{n + 1} ...f{n + 1} a{n}}}" for n in range(60)),
    "cycle": "{...f} fragment f on T { a ...f }",
    "arguments": "{a(" + " ".join(f"x{number}: 1" for number in range(10_000)) + ")}",
    "braces": "{" * 100_000,
    "text": '{a(x: "' + "x" * 1_000_000,
    "block text": '{a(x: """' + "x\n" * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_queries_are_bounded(name: str) -> None:
    """Ten thousand aliases, deep nesting, fragments that double: bounded time and fields; top fields as far as read."""
    started = time.process_time()
    found = ask(HOSTILE[name], {"data": {"a": 1}})
    assert time.process_time() - started < 1.0
    assert len(found.fields.request.fields) <= 1000
    assert len(found.paths) <= 500
    if name == "aliases":
        assert found.paths == ("reqBody.query.user",)


@pytest.mark.parametrize("quote", ['"', '"""'])
def test_long_texts_comments_and_blanks(quote: str) -> None:
    """Of a long text the beginning is read, whatever escape the end falls into; comments and blanks say nothing."""
    for number in range(8):
        text = "x" * (4088 + number) + "\\u0041" * 500
        asked = ask(f'{{a(x: {quote}{text}{quote}, y: "#, 1") # user(id: "2")\n{" " * 50}b}}')
        values = {key: value for key, value, _ in asked.fields.request.fields}
        assert asked.paths == ("reqBody.query.a", "reqBody.query.b")
        assert str(values["reqBody.query.a.__args.x"]).startswith("x" * 4080)
        assert values["reqBody.query.a.__args.y"] == "#, 1"


WORDS = st.lists(
    st.sampled_from(
        'query mutation fragment on a b u: user ( ) { } [ ] $x : ! = ... @if 1 1.5 "s" null # , ENUM'.split()
    )
)


@settings(deadline=None)
@given(
    WORDS,
    st.dictionaries(
        st.sampled_from(["x", "id"]), st.one_of(st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=3))
    ),
)
def test_any_query_is_read(words: list[str], variables: dict[str, Any]) -> None:
    """No text raises, and every path names an operation's kind and a field."""
    for path in ask(" ".join(words), {"data": {"a": {"b": []}}}, variables=variables).paths:
        assert path.split(".")[1] in ("query", "mutation", "subscription")


@settings(deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text(max_size=4)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    ["query", "variables", "operationName", "extensions", "persistedQuery", "sha256Hash", "data", "a"]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=12,
    )
)
def test_any_document_is_read(document: Any) -> None:
    """No request or answer of any shape raises."""
    read(record(message(json.dumps(document), "application/json"), message(json.dumps(document), "application/json")))
    read(record(query=tuple((name, json.dumps(document)) for name in ("query", "variables", "extensions"))))


def test_queries_are_parsed_once() -> None:
    """The same text is not parsed again, whatever its variables are."""
    graphql = GraphQL()
    first = read(json_record({"query": "{ a(x: 1) }"}), graphql)
    kept = graphql._parsed["{ a(x: 1) }"]
    assert read(json_record({"query": "{ a(x: 1) }", "variables": {"y": 1}}), graphql).paths == first.paths
    assert graphql._parsed["{ a(x: 1) }"] is kept
    for number in range(300):
        read(json_record({"query": f"{{ a{number} }}"}), graphql)
    assert len(graphql._parsed) == 256


def test_a_graphql_core_without_a_limit_of_tokens_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app's own older graphql-core is told of like a missing one: the rest of a request is analysed all the same."""
    monkeypatch.delattr(Parser, "advance_lexer")
    with pytest.raises(ImportError, match=r"3\.2\.3"):
        ask("{ a }")
