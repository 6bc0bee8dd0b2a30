"""The commands that read and change what a collector keeps, run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import update

from metlo_otel.cli import main
from metlo_otel.cli.filters import moment
from metlo_otel.collector.actions import put_rule
from metlo_otel.collector.configuration import configure, read_document
from metlo_otel.collector.queries.filters import LARGEST_PAGE
from metlo_otel.collector.rules import list_rules
from metlo_otel.collector.schema import RULES
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from tests.collector.client import KEY, make_trace

Run = Callable[..., tuple[int, str, str]]
_HOSTILE = "/\x1b[2J\x1b]0;owned\x07<b>"
_RULES = """
- name: no bots
  block: true
  header: {User-Agent: {contains: BadBot}}
- name: logins
  limit: 5 per minute
  by: ip
  path: /login
"""


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with some traces."""
    where = str(tmp_path / "cli.db")
    store = Store(where, duties=False)
    found = {"attackDetections": {"reqQuery.q": ["SQLI"]}, "block": True}
    hostile = make_trace(_HOSTILE, 403, processedTraceData=found)
    store.add([read_trace(item, 2) for item in (make_trace(), make_trace("/other", 500), hostile)]).result()
    store.close()
    return where


@pytest.fixture
def run(database: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the database: exit code, output, errors."""

    def run(*arguments: str, store: bool = True) -> tuple[int, str, str]:
        code = main([*arguments, *(["--db", database] if store else [])])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_endpoints(run: Run) -> None:
    """A table for people, a line of JSON for each endpoint for programs; filters narrow down."""
    code, table, _ = run("endpoints")
    assert code == 0
    assert "/items/{param1}" in table
    assert "shop.example" in table
    listed = _lines(run("endpoints", "--json")[1])
    assert {item["path"] for item in listed} >= {"/items/{param1}", "/other"}
    assert [item["path"] for item in _lines(run("endpoints", "--json", "--path", "other")[1])] == ["/other"]


def test_traces_and_attacks(run: Run) -> None:
    """What attackers sent is shown, but nothing in it that a terminal would obey."""
    for command in ("traces", "attacks"):
        code, table, _ = run(command)
        assert code == 0
        assert "owned" in table
        assert "\x1b" not in table
        assert "\x07" not in table
    assert len(_lines(run("traces", "--json")[1])) == 3
    assert len(_lines(run("traces", "--json", "--status", "5xx")[1])) == 1
    (blocked,) = _lines(run("traces", "--json", "--blocked")[1])
    assert blocked["path"] == _HOSTILE
    (attack,) = _lines(run("attacks", "--json")[1])
    assert (attack["category"], attack["blocked"]) == ("SQLI", True)


def test_following(database: str) -> None:
    """--follow goes on with what another process stores, each trace once."""
    command = [sys.executable, "-m", "metlo_otel.cli", "traces", "--follow", "--json", "--db", database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            seen = [json.loads(process.stdout.readline())["path"] for _ in range(3)]
            store = Store(database, duties=False)
            for path in ("/new/1", "/new/2"):
                store.add([read_trace(make_trace(path), 2)]).result()
            store.close()
            assert [json.loads(process.stdout.readline())["path"] for _ in range(2)] == ["/new/1", "/new/2"]
            assert len(set(seen)) == 3
        finally:
            process.kill()


def test_rules(run: Run, tmp_path: Path, database: str) -> None:
    """A file of rules is checked, added as a whole or not at all, listed in its order, and removed by a beginning."""
    file = tmp_path / "rules.yaml"
    file.write_text(_RULES)
    assert run("rules", "check", str(file), store=False)[:2] == (0, "2 right, 0 mistakes\n")
    code, _, said = run("rules", "add", str(file))
    assert (code, "no bots: would have blocked 0 of 3" in said, "--yes" in said) == (2, True, True)
    assert run("rules", "list")[1] == "There are no rules.\n"
    assert run("rules", "add", str(file), "--yes")[0] == 0
    listed = _lines(run("rules", "list", "--json")[1])
    assert [(rule["name"], rule["enabled"], rule["mode"]) for rule in listed] == [
        ("no bots", True, "block"),
        ("logins", True, "block"),
    ]
    code, table, _ = run("rules", "list")
    assert code == 0
    assert "no bots" in table
    assert run("rules", "rm", listed[0]["id"][:8])[:2] == (0, f"Removed: {listed[0]['id']} (no bots).\n")
    assert [rule["name"] for rule in _lines(run("rules", "list", "--json")[1])] == ["logins"]
    assert _lines(run("rules", "rm", "--json", listed[1]["id"])[1]) == [
        {**listed[1], "enabled": False, "removed": True}
    ]
    code, _, said = run("rules", "rm", "nonsense")
    assert (code, "nonsense" in said) == (2, True)


def test_rules_on_and_off(run: Run, tmp_path: Path) -> None:
    """Rules are switched by the beginning of an id; a wrong one changes nothing."""
    file = tmp_path / "rules.yaml"
    file.write_text(_RULES)
    run("rules", "add", str(file), "--off")
    first, second = (rule["id"] for rule in _lines(run("rules", "list", "--json")[1]))
    assert run("rules", "on", "--yes", first[:8], "nonsense")[0] == 2
    assert "would have blocked" in run("rules", "on", first[:8])[2]
    for action, wanted in (("on --yes", [True, False]), ("off", [False, False])):
        assert run("rules", *action.split(), first[:8])[0] == 0
        assert [rule["enabled"] for rule in _lines(run("rules", "list", "--json")[1])] == wanted
    assert second


def test_an_older_rule_for_everybody(run: Run, tmp_path: Path, database: str) -> None:
    """A rule without a condition that an older version stored can be switched off, and not on again."""
    file = tmp_path / "rules.yaml"
    file.write_text(_RULES)
    run("rules", "add", str(file), "--yes")
    rule = _lines(run("rules", "list", "--json")[1])[0]
    text = json.dumps({**rule["rule"], "conditionGroups": []})
    store = Store(database, duties=False)
    store.change(
        lambda found: found.execute(update(RULES).where(RULES.c.id == rule["id"]).values(document=text))
    ).result()
    store.close()
    assert run("rules", "off", rule["id"])[0] == 0
    for yes in ([], ["--yes"]):
        code, _, said = run("rules", "on", rule["id"], *yes)
        assert (code, "path: '*' means every request" in said) == (2, True)
    assert [each["enabled"] for each in _lines(run("rules", "list", "--json")[1])] == [False, True]


def test_watching_everything(run: Run, tmp_path: Path, database: str) -> None:
    """While everything is watched agents are served no rule that they would enforce; off is as it was before."""
    file = tmp_path / "rules.yaml"
    file.write_text(_RULES + "- {name: seen, tag: seen}\n")
    run("rules", "add", str(file), "--yes")

    def served(own: bool) -> list[tuple[str, str | None]]:
        store = Store(database, duties=False)
        try:
            document, _ = store.read(partial(read_document, own=own))
        finally:
            store.close()
        return [(rule["ruleType"], rule.get("mode")) for rule in json.loads(document)["wafConfig"]]

    before = [served(own) for own in (True, False)]
    assert run("rules", "watch", "on")[:2] == (0, "All rules only watch.\n")
    assert served(own=True) == [("block", "monitor"), ("rate_limit", "monitor"), ("tag", "monitor")]
    assert served(own=False) == [("tag", None)]
    assert run("rules", "watch", "off")[0] == 0
    assert [served(own) for own in (True, False)] == before


def test_help_names_the_largest_limit(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The most that `--limit` takes is what its help says."""
    with pytest.raises(SystemExit):
        main(["traces", "--help"])
    assert f"from 1 to {LARGEST_PAGE} " in capsys.readouterr().out
    assert run("traces", "--limit", str(LARGEST_PAGE))[0] == 0


def test_rules_with_mistakes(run: Run, tmp_path: Path, database: str) -> None:
    """Each mistake is told with its line; nothing of such a file is stored."""
    file = tmp_path / "rules.yaml"
    file.write_text(_RULES + "- name: wrong\n  block: true\n  path: {like: x}\n")
    code, said, _ = run("rules", "check", str(file), store=False)
    assert code == 1
    assert f"{file}:11: path" in said
    found = json.loads(run("rules", "check", "--json", str(file), store=False)[1])
    assert (found["rules"], len(found["problems"])) == (2, 1)
    code, _, said = run("rules", "add", str(file))
    assert code == 2
    assert "path" in said
    assert run("rules", "list")[1] == "There are no rules.\n"


def test_openapi(run: Run, tmp_path: Path) -> None:
    """The description as YAML or JSON, and what a written one says otherwise, with diff's exit codes."""
    code, text, _ = run("openapi", "shop.example")
    assert code == 0
    described = json.loads(run("openapi", "SHOP.example", "--json")[1])
    assert yaml.safe_load(text) == described
    assert "/items/{param1}" in described["paths"]
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(described))
    assert run("openapi", "shop.example", "--diff", str(file))[:2] == (0, "No difference.\n")
    del described["paths"]["/other"]
    file.write_text(json.dumps(described))
    code, differences, _ = run("openapi", "shop.example", "--diff", str(file), "--json")
    assert code == 1
    assert _lines(differences) == [
        {"method": "GET", "path": "/other", "place": "", "what": "was called, but is not described"}
    ]
    assert "shop.example" in run("openapi")[1]
    assert run("openapi", "nobody.example")[0] == 2


def test_import_and_export(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A HAR is analysed like what agents send; what is exported can be imported again; what is wrong is told."""
    entry = {
        "startedDateTime": "2024-01-01T00:00:00.000Z",
        "request": {
            "method": "POST",
            "url": "https://api.example/pay/7?id=1%27%20OR%201=1--",
            "headers": [{"name": "Content-Type", "value": "application/json"}, {"name": ":path", "value": "/"}],
            "postData": {"mimeType": "application/json", "text": '{"email": "anna@shop.example"}'},
        },
        "response": {
            "status": 201,
            "headers": [{"name": "Content-Type", "value": "application/json"}],
            "content": {"text": "eyJvayI6IHRydWV9", "encoding": "base64", "mimeType": "application/json"},
        },
    }
    har = tmp_path / "x.har"
    har.write_text(json.dumps({"log": {"version": "1.2", "entries": [entry, {"request": {}, "response": {}}, 7]}}))
    code, said, _ = run("import", str(har), "--json")
    assert code == 1
    assert (json.loads(said)["accepted"], json.loads(said)["rejected"]) == (1, 2)
    (endpoint,) = _lines(run("endpoints", "--json", "--host", "api.example")[1])
    assert (endpoint["path"], endpoint["classes"]) == ("/pay/{param1}", ["Email"])
    assert [item["category"] for item in _lines(run("attacks", "--json", "--path", "pay")[1])] == ["SQLI"]
    again = tmp_path / "again.har"
    assert run("export", "--host", "api.example", "-o", str(again))[0] == 0
    other = str(tmp_path / "other.db")
    assert main(["import", str(again), "--db", other]) == 0
    capsys.readouterr()
    assert main(["endpoints", "--json", "--db", other]) == 0
    (found,) = _lines(capsys.readouterr().out)
    assert (found["path"], found["classes"]) == ("/pay/{param1}", ["Email"])
    (document,) = _lines(run("export", "--json", "--host", "api.example")[1])
    assert document["response"]["body"] == '{"ok": true}'
    har.write_text("[]")
    assert run("import", str(har))[0] == 2


@pytest.mark.parametrize("command", ["endpoints", "traces", "attacks", "export"])
def test_no_such_database(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database that is not there is said so, and none is made."""
    assert main([command, "--db", str(tmp_path / "none.db")]) == 2
    assert "none.db" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wrong_filters(run: Run) -> None:
    """A filter's wrong value is named."""
    code, _, said = run("traces", "--status", "many")
    assert code == 2
    assert "status is 'many'" in said


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("endpoints --host nobody.example", "shop.example"),
        ("traces --attack SQLLI", "SQLI, XSS"),
        ("attacks --category nonsense", "SQLI, XSS"),
        ("endpoints --flag opened", "public, open"),
        ("traces --method FETCH", "GET"),
        ("export --host nobody.example", "shop.example"),
    ],
)
def test_values_of_which_there_is_none(run: Run, asked: str, known: str) -> None:
    """A value that there is not is an error with those that there are, not an empty list."""
    code, out, said = run(*asked.split())
    assert (code, out) == (2, "")
    assert f"is {asked.split()[-1]!r}, of which there is none" in said
    assert known in said


@pytest.mark.parametrize("command", ["endpoints", "traces", "attacks", "export"])
def test_every_list_knows_hosts_services_and_times(run: Run, command: str) -> None:
    """Each of them has something of this host and of the last hour, and nothing of before."""
    found = [
        _lines(run(command, "--json", *asked.split())[1])
        for asked in ("--host Shop.example", "--since 1h", "--until 1h")
    ]
    assert [bool(items) for items in found] == [True, True, False]
    assert run(command, "--service", "nobody")[0] in (0, 2)
    with pytest.raises(SystemExit):
        run(command, "--since", "yesterday")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("15m", 1_795_999_100), ("2h", 1_795_992_800), ("1w", 1_795_395_200), ("1970-01-02T00:00+00:00", 86_400)],
)
def test_moments(text: str, wanted: int) -> None:
    """How long ago, or a date: as milliseconds since 1970."""
    assert moment(text, now=1_796_000_000) == f"{wanted * 1000}"


def test_a_reader_that_has_had_enough(database: str) -> None:
    """Output into a pipe that is closed ends without a traceback."""
    command = f"{sys.executable} -m metlo_otel.cli traces --json --db '{database}' | head -c 1"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All that could keep an app from reporting is looked at; the exit code says whether anything does."""
    for name in [name for name in os.environ if name.startswith("METLO_")]:
        monkeypatch.delenv(name)
    with RunningCollector(str(tmp_path / "x.db"), KEY) as collector:
        rule = {"name": "x", "block": True, "path": "/x"}
        collector.store.change(partial(put_rule, item=rule, who="test")).result()
        collector.store.change(partial(configure, name="globalFullTraceCapture", value=True)).result()
        assert len(collector.store.read(list_rules)) == 1
        assert main(["check", "--json", "--host", collector.url, "--api-key", KEY]) == 0
        found = {each["what"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
        assert found["agent-config"]["detail"] == "1 rules; full capture of everything"
        assert found["Flask"]["state"] == "ok"
        assert found["extra collector"]["state"] == "ok"
        assert main(["check", "--host", collector.url, "--api-key", "guess"]) == 1
        said = capsys.readouterr().out
        assert "the key is not valid there" in said
        assert "guess" not in said
        url = collector.url
    assert main(["check", "--host", url, "--api-key", KEY]) == 1
    assert "cannot be reached" in capsys.readouterr().out
    assert main(["check", "--json"]) == 1
    found = {each["what"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["setting METLO_HOST"]["state"] == found["setting API_KEY"]["state"] == "wrong"
