"""Rules files: friendly forms mean what they say, and every mistake is told with its line and field."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.blocking.local_rules import RulesFile, check_rules, load_rules, rules_from_list
from metlo_otel.blocking.located import load_json
from metlo_otel.blocking.rules import Condition, Group, RateLimit, Rule
from tests.blocking.exchanges import condition, every, parsed, wire, wire_limit
from tests.profiles import examples

yaml = pytest.importorskip("yaml", reason="pyyaml (extra `rules`) is not installed")

EXAMPLES = """\
# block a path
- name: Admin is closed
  block: true
  path: /admin/*

# block a header
- name: No scrapers
  block: true
  header: {User-Agent: {contains: scrapy}}

# limit login per IP
- name: Slow down login
  limit: 5 per minute
  by: ip
  for: 10 minutes
  path: /login
  method: POST
"""


def group(field: str, operator: str, value: str | int, key: str | None = None) -> Group:
    return Group("all", (Condition(field, operator, value, key),))


EXPECTED = (
    Rule("local:Admin is closed", "block", (group("path", "startswith", "/admin/"),), name="Admin is closed"),
    Rule(
        "local:No scrapers",
        "block",
        (group("request_header", "contains", "scrapy", "User-Agent"),),
        name="No scrapers",
    ),
    Rule(
        "local:Slow down login",
        "rate_limit",
        (group("path", "eq", "/login"), group("method", "eq", "POST")),
        identifiers=("ip",),
        limit=RateLimit(5, 60, 600),
        name="Slow down login",
    ),
)


def test_the_three_examples() -> None:
    """Block a path, block a header, limit login: alike from YAML, JSON, a list, and under a `rules` key."""
    items = yaml.safe_load(EXAMPLES)
    assert load_rules(EXAMPLES, "rules.yaml") == (EXPECTED, [])
    assert load_rules(json.dumps(items), "rules.json") == (EXPECTED, [])
    assert load_rules(json.dumps({"rules": items}), "rules.json") == (EXPECTED, [])
    assert rules_from_list(items) == (EXPECTED, [])


def test_the_wire_form() -> None:
    """Rules as the backend serves them are taken as they are."""
    items = [wire(every(condition("path", "eq", "/x"))), wire_limit(3, by=["ip"])]
    assert rules_from_list(items) == (parsed(*items), [])


def only(**fields: Any) -> Rule:
    ((rule,), _) = rules_from_list([fields])
    return rule


@pytest.mark.parametrize(
    ("fields", "groups"),
    [
        ({"path": "/a"}, (group("path", "eq", "/a"),)),
        ({"path": "/a*"}, (group("path", "startswith", "/a"),)),
        ({"path": "*.php"}, (group("path", "endswith", ".php"),)),
        ({"path": "*wp-*"}, (group("path", "contains", "wp-"),)),
        ({"path": "*"}, (group("path", "contains", ""),)),
        ({"path": {"is": "/a*"}}, (group("path", "eq", "/a*"),)),
        ({"path": {"starts with": "/a"}}, (group("path", "startswith", "/a"),)),
        (
            {"path": {"ends_with": "a", "is not": "/a"}},
            (group("path", "endswith", "a"), group("path", "nt_eq", "/a")),
        ),
        ({"body": {"does not contain": "x"}}, (group("request_body", "nt_contains", "x"),)),
        ({"body": {"does not start with": "x"}}, (group("request_body", "nt_startswith", "x"),)),
        ({"body": {"does not end with": "x"}}, (group("request_body", "nt_endswith", "x"),)),
        ({"method": "post"}, (group("method", "eq", "POST"),)),
        (
            {"method": ["PUT", "delete"]},
            (Group("one", (Condition("method", "eq", "PUT"), Condition("method", "eq", "DELETE"))),),
        ),
        (
            {"user": {"is not": ["bob", "eve"]}},
            (Group("all", (Condition("user", "nt_eq", "bob"), Condition("user", "nt_eq", "eve"))),),
        ),
        (
            {"header": {"X-A": "1", "X-B": 2}},
            (group("request_header", "eq", "1", "X-A"), group("request_header", "eq", "2", "X-B")),
        ),
        ({"parameter": {"id": {"contains": "'"}}}, (group("request_parameter", "contains", "'", "id"),)),
        ({"ip": "10.0.0.0/8"}, (group("ip_address", "eq", "10.0.0.0/8"),)),
        ({"session": {"starts with": "k"}}, (group("unique_session_key", "startswith", "k"),)),
        ({"header": {"Accept": {"is": "*/*"}}}, (group("request_header", "eq", "*/*", "Accept"),)),
    ],
)
def test_conditions(fields: dict[str, Any], groups: tuple[Group, ...]) -> None:
    """Each way to write a condition."""
    assert only(block=True, **fields).groups == groups


@pytest.mark.parametrize(
    ("status", "conditions"),
    [
        (401, (Condition("status_code", "eq", 401),)),
        ("4xx", (Condition("status_code", "gt", 399), Condition("status_code", "lt", 500))),
        ({"above": 399}, (Condition("status_code", "gt", 399),)),
        ({"is not": 200}, (Condition("status_code", "nt_eq", 200),)),
    ],
)
def test_status(status: Any, conditions: tuple[Condition, ...]) -> None:
    """A status, a class of them, or a comparison."""
    assert only(limit="5 per minute", status=status).groups == (Group("all", conditions),)


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ({"limit": "5 per minute"}, RateLimit(5, 60, 60)),
        ({"limit": "100 requests per 10 minutes"}, RateLimit(100, 600, 600)),
        ({"limit": "5/second", "for": 30}, RateLimit(5, 1, 30)),
        ({"limit": "1 in 90s", "for": "1 hour 30 minutes"}, RateLimit(1, 90, 5400)),
        ({"limit": "3 per hour", "for": "1h, 1 min and 1 sec"}, RateLimit(3, 3600, 3661)),
        ({"limit": "3 every day", "for": "2 days"}, RateLimit(3, 86400, 172800)),
    ],
)
def test_limits(written: dict[str, Any], limit: RateLimit) -> None:
    """Numbers of requests and spans of time in words; the duration is the interval where none is given."""
    assert only(**written).limit == limit


@pytest.mark.parametrize(
    ("by", "identifiers"),
    [("user", ("user",)), (["ip", "session", "ip"], ("ip", "session")), ("everyone", ()), (None, ("ip",))],
)
def test_by(by: Any, identifiers: tuple[str, ...]) -> None:
    """Who is counted: the address unless said otherwise."""
    assert only(limit="5 per minute", path="/a", **({"by": by} if by else {})).identifiers == identifiers


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2030-01-31T18:00:00Z", datetime(2030, 1, 31, 18, tzinfo=timezone.utc)),
        ("2030-01-31T18:00:00+02:00", datetime(2030, 1, 31, 16, tzinfo=timezone.utc)),
        ("2030-01-31 18:00", datetime(2030, 1, 31, 18, tzinfo=timezone.utc)),
        ("2030-01-31", datetime(2030, 1, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)),
    ],
)
def test_until(until: str, expected: datetime) -> None:
    """Times are UTC unless they say otherwise; a day ends with its end; YAML's own dates are the same."""
    rule = only(block=True, path="/a", until=until)
    assert rule.ends == expected.timestamp() * 1000
    (from_yaml,), _ = load_rules(f"- {{block: true, path: /a, until: {until}}}", "a.yml")
    assert from_yaml.ends == rule.ends


def test_mode_tag_and_id() -> None:
    """mode: monitor only watches; tag puts a tag; id names the rule."""
    rule = only(name="n", id="mine", tag="is-post", method="POST", mode="monitor")
    assert (rule.id, rule.name, rule.kind, rule.tag, rule.monitor) == ("mine", "n", "tag", "is-post", True)
    assert only(block=True, path="/a").id == "local:1"


MISTAKES = [
    ("blok: true\npath: /a", 1, "blok", "did you mean 'block'?"),
    ("block: true\npth: /a", 2, "pth", "did you mean 'path'?"),
    ("block: yes please\npath: /a", 1, "block", "is true or left out (mode: monitor only watches)"),
    ("path: /a", 1, "", "a rule needs one of block: true, limit: 5 per minute or tag: a name"),
    ("block: true", 1, "block", "needs one of path, method"),
    ("block: true\npath: a", 2, "path", "begins with / or *, like '/a', not 'a'"),
    ("block: true\npath: /a*b", 2, "path", "has a * in the middle"),
    ("block: true\npath: true", 2, "path", "is text, not True; put it in quotes"),
    ("block: true\npath: []", 2, "path", "is one value or a list of plain values"),
    ("block: true\npath: {}", 2, "path", "needs a comparison, like {contains: text}"),
    ("block: true\npath: {contain: a}", 2, "path", "did you mean 'contains'?"),
    ("block: true\npath:\n  contains: []", 3, "path.contains", "is an empty list"),
    ("block: true\npath:\n  contains: 1.5", 3, "path.contains", "is text, not 1.5; put it in quotes"),
    ("block: true\nheader: evil", 2, "header", "has names and values, like header: {Name: value}"),
    ("block: true\nheader:\n  X-A: '*bot*'", 3, "header.X-A", "write {contains: 'bot'}, or {is: '*bot*'}"),
    ("block: true\nip: 10.0.0.0/99", 2, "ip", "is an address or a range like 10.0.0.0/8"),
    ("block: true\nip: localhost", 2, "ip", "is an address or a range like 10.0.0.0/8"),
    ("block: true\nstatus: 401", 2, "status", "only rules with a limit may ask for it"),
    ("limit: 5\npath: /a", 1, "limit", "is a number of requests in a time, like '5 per minute', not 5"),
    ("limit: 0 per minute", 1, "limit", "its number of requests is a whole number of at least 1, not 0"),
    ("limit: -5 per minute", 1, "limit", "its number of requests is a whole number of at least 1, not -5"),
    ("limit: 5 per minuet", 1, "limit", "did you mean 'minute'?"),
    ("limit: 5 per 3 days", 1, "limit", "counts over at most a day"),
    ("limit: 5 per minute\nfor: ten minutes", 2, "for", "its unit is one of second"),
    ("limit: 5 per minute\nfor: 0", 2, "for", "is a time like '10 minutes'"),
    ("limit: 5 per minute\nfor: 10 !", 2, "for", "is a time like '10 minutes'"),
    ("limit: 5 per minute\nby: cookie", 2, "by", "is one of ip, user, session, everyone, not 'cookie'"),
    ("limit: 5 per minute\nby: [ip, everyone]", 2, "by", "several of these in a list, or everyone"),
    ("limit: 5 per minute\nstatus: 4yy", 2, "status", "is a status like 401 or a class like 4xx, not '4yy'"),
    ("limit: 5 per minute\nstatus: [4xx, 500]", 2, "status", "write {above: 399, below: 600}"),
    ("limit: 5 per minute\nstatus: {over: 1}", 2, "status", "is one of is, is not, above, below, not 'over'"),
    ("block: true\npath: /a\nfor: 10 minutes", 3, "for", "belongs to a limit"),
    ("tag: ''\npath: /a", 1, "tag", "is text of 1 to 1000 characters"),
    ("tag: t\nblock: true\npath: /a", 1, "tag", "is a rule of its own"),
    ("block: true\nlimit: 5 per minute\npath: /a", 1, "block", "does not go with limit"),
    ("block: true\npath: /a\nmode: watch", 3, "mode", "is one of block, monitor, not 'watch'"),
    ("block: true\npath: /a\nuntil: tomorrow", 3, "until", "is a day or a time like 2030-01-31"),
    ("block: true\npath: /a\nname: 7", 3, "name", "is text of 1 to 1000 characters, not 7"),
    ("block: true\nbody: " + "x" * 70000, 2, "body", "has 70000 characters, more than 65536"),
    ("uuid: u\nruleType: blok", 2, "ruleType", "did you mean 'block'?"),
    (
        "uuid: u\nruleType: block\nconditionGroups:\n- rule: all\n  conditions:\n  - field: path\n    operator: eqq",
        7,
        "conditionGroups[0].conditions[0].operator",
        "did you mean 'eq'?",
    ),
]


@pytest.mark.parametrize(("text", "line", "field", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_in_yaml_and_json(text: str, line: int, field: str, message: str) -> None:
    """One mistake, one problem with its line, its field and what would be right; the other rules stay."""
    good = "- {name: good, block: true, path: /good}\n"
    lines = text.split("\n")
    rules, problems = load_rules(good + "- " + "\n  ".join(lines), "rules.yaml")
    assert [rule.name for rule in rules] == ["good"]
    (problem,) = problems
    assert (problem.file, problem.line, problem.field) == ("rules.yaml", line + 1, field)
    assert message in problem.message
    assert str(problem).startswith(f"rules.yaml:{line + 1}: " + (f"{field}: " if field else ""))
    item = yaml.safe_load(text)
    if not any(isinstance(value, datetime) for value in item.values()):
        (same,) = check_rules(json.dumps([item]), "rules.json")
        assert (same.field, same.message) == (field, problem.message)


def test_all_mistakes_of_a_file_at_once() -> None:
    """Everything is told in one go, in the order of the lines."""
    text = "- path: a\n  until: never\n  blok: true\n- 7\n"
    text += "- name: x\n  block: true\n  path: /a\n- name: x\n  tag: t\n"
    assert [(problem.line, problem.field) for problem in check_rules(text, "rules.yaml")] == [
        (1, "path"),
        (2, "until"),
        (3, "blok"),
        (4, ""),
        (8, "name"),
    ]


@pytest.mark.parametrize(
    ("text", "name", "line", "message"),
    [
        ("[{\n  'a': 1}]", "a.json", 2, "is not JSON"),
        (
            '[\n{"block": true,\n"block": true}]',
            "a.json",
            3,
            "has the key 'block', which this object has already",
        ),
        ('[{"a": 1, "a": [2]}]', "a.json", 1, "has the key 'a'"),
        ('{"rulez": []}', "a.json", 1, "holds a list of rules"),
        ("[" * 100_000, "a.json", 1, "is not JSON"),
        ("[" * 60 + "]" * 60, "a.json", 1, "is nested too deep"),
        ("- a\n- block: ]", "a.yaml", 2, "is not YAML"),
        ("- block: true\n  block: true", "a.yaml", 2, "has the key 'block', which this object has already"),
        ("- [a, b]: 1", "a.yaml", 1, "has a key that is not text"),
        ("[" * 100_000, "a.yaml", 1, "is nested too deep"),
        ("- &a [*a]", "a.yaml", 1, "is nested too deep"),
        ("- block: 0b2", "a.yaml", 1, "is true or left out"),
        ("\0", "a.yaml", 1, "is not YAML"),
        ("just words", "a.yaml", 1, "holds a list of rules"),
    ],
)
def test_files_that_are_no_rules(text: str, name: str, line: int, message: str) -> None:
    """A text that cannot be read at all is told with the place where reading ended."""
    problems = check_rules(text, name)
    assert message in problems[0].message
    assert problems[0].line == line
    assert load_rules(text, name)[0] == ()


def test_an_alias_bomb_is_bounded() -> None:
    """A small YAML file that repeats itself without end is refused."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (problem,) = check_rules(text, "a.yaml")
    assert "repeats itself too often" in problem.message


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_no_rules_are_no_mistake(name: str) -> None:
    """An empty list, and in YAML an empty file, holds no rules."""
    assert load_rules("[]", name) == ((), [])
    assert load_rules("# nothing yet\n", "a.yaml") == ((), [])


def test_rules_of_the_settings_are_named_by_their_place() -> None:
    """A list in the settings has no lines, so the message names the place."""
    found, problems = rules_from_list([{"block": True, "path": "a"}, 5])
    messages = [str(problem) for problem in problems]
    assert found == ()
    assert messages[0] == "RULES[0]: path: begins with / or *, like '/a', not 'a'"
    assert messages[1].startswith("RULES[1]: a rule is an object with names and values, not 5")


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(200), deadline=None)
@given(documents, st.sampled_from([None, 1, 3]))
def test_json_is_read_as_it_is(document: Any, indent: int | None) -> None:
    """The reader that keeps lines reads what json.loads reads, and knows a line for each part."""
    text = json.dumps(document, indent=indent)
    located = load_json(text)
    assert located.value == document
    assert all(0 < line <= text.count("\n") + 1 for line in located.lines.values())


NAMES = [
    "name",
    "block",
    "limit",
    "tag",
    "by",
    "for",
    "path",
    "method",
    "header",
    "ip",
    "status",
    "until",
    "mode",
]


VALUES = documents | st.sampled_from([True, "5 per minute", "/a"])


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5), max_size=4))
def test_anything_is_a_rule_or_a_problem(items: list[Any]) -> None:
    """Whatever a file holds, each rule is taken or explained, and nothing raises."""
    rules, problems = load_rules(json.dumps(items), "rules.json")
    wrong = {problem.line for problem in problems}
    assert len(rules) <= len(items)
    assert wrong or len(rules) == len(items)


def test_no_rule_is_right_at_first(tmp_path: Path) -> None:
    """Where there were no rules before, a file without a right one says that none is in force."""
    path, messages = tmp_path / "rules.json", list[str]()
    path.write_text('[{"name": "a"}]')
    assert not RulesFile(path, messages.append).load_if_changed()
    assert messages[-1] == f"{path}: no rule in it is right; no rule is in force from it"


def test_reload(tmp_path: Path) -> None:
    """A changed file is read again, an unchanged one is not; a broken one leaves the previous in force."""
    path, messages = tmp_path / "rules.yaml", list[str]()
    file = RulesFile(path, messages.append)
    assert not file.load_if_changed()
    assert not file.load_if_changed()
    assert len(messages) == 1
    assert "cannot be read" in messages[0]
    path.write_text("- {name: a, block: true, path: /a}")
    assert file.load_if_changed()
    assert not file.load_if_changed()
    assert [rule.name for rule in file.rules] == ["a"]
    path.write_text("- {name: a, block: true, path: [")
    assert not file.load_if_changed()
    assert [rule.name for rule in file.rules] == ["a"]
    assert "the previous 1 stay in force" in messages[-1]
    path.write_text("- {name: b, block: true, path: /b}\n- {name: c}\n")
    assert file.load_if_changed()
    assert [rule.name for rule in file.rules] == ["b"]
    assert "1 rules without mistakes are in force" in messages[-1]
    before = len(messages)
    os.utime(path, ns=(1, 1))
    assert file.load_if_changed()
    assert len(messages) > before
    path.unlink()
    assert not file.load_if_changed()
    assert [rule.name for rule in file.rules] == ["b"]
    path.write_bytes(b"\xff\xfe")
    assert not file.load_if_changed()
    path.write_text("[]")
    assert file.load_if_changed()
    assert file.rules == ()


def test_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra a YAML file is refused with the extra's name; JSON works."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install 'metlo-otel\[rules\]'"):
        check_rules(EXAMPLES, "rules.yaml")
    path, messages = tmp_path / "rules.yaml", list[str]()
    path.write_text(EXAMPLES)
    assert not RulesFile(path, messages.append).load_if_changed()
    assert "metlo-otel[rules]" in messages[0]
    assert load_rules("[]", "rules.json") == ((), [])
