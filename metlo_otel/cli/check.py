"""`metlo-otel check`: whether an app in this environment would report, and what is missing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metlo_otel.cli.asking import Commands, add_command, add_json
from metlo_otel.cli.tables import write_json, write_table
from metlo_otel.core.version import __version__

if TYPE_CHECKING:
    from metlo_otel.core.settings import Settings

_FRAMEWORKS = {"Django": (4, 2), "Flask": (2, 3), "Starlette": (0, 36), "FastAPI": (0, 110)}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(\[[^]]*\])?.*;.*extra == ['\"]([a-z]+)['\"]")
_PATIENCE = 5.0  # seconds that each answer may take
_NOT_TOLD = ("all", "demo", "docs")  # extras that are only others together, or of no use to an app


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `state` is ok, wrong or note."""

    what: str
    state: str
    detail: str


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    about = "tell whether an app in this environment would report: settings, collector, key, frameworks, extras"
    command = add_command(commands, "check", about)
    command.add_argument("--host", help="the collector's URL (default: METLO_HOST)")
    command.add_argument("--api-key", help="its key (default: METLO_API_KEY or METLO_KEY)")
    command.add_argument(
        "--send",
        nargs="?",
        const="",
        metavar="MODULE:APP",
        help="send a marked request through that WSGI or ASGI app, or through one of our own, to the collector",
    )
    add_json(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    found = [*_of_settings(options), *_of_packages(), *_of_extras()]
    if options.send is not None and not any(each.state == "wrong" for each in found):
        found.append(_of_sending(options))
    if options.json:
        for each in found:
            write_json(asdict(each))
    else:
        write_table(("", "What", "Found"), [(each.state, each.what, each.detail) for each in found], "")
    return 1 if any(each.state == "wrong" for each in found) else 0


def _of_settings(options: argparse.Namespace) -> Iterator[Finding]:
    from metlo_otel.core.settings import SettingsError, misspelt, read_settings

    for text in misspelt(os.environ):
        yield Finding("variables", "note", text)
    try:
        settings = read_settings({"metlo_host": options.host, "api_key": options.api_key})
    except SettingsError as error:
        for problem in error.problems:
            yield Finding(f"setting {problem.name}", "wrong", problem.message)
        return
    yield Finding(
        "settings", "ok", "DISABLED is true: nothing is captured" if settings.disabled else "as they are read"
    )
    if settings.rules is not None:
        yield from _of_rules(settings.rules)
    if not settings.disabled and "metlo" in settings.export:
        yield from _of_services(settings)
    if "otlp" in settings.export:
        where = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "the exporters' own default, localhost"
        yield Finding("setting EXPORT", "ok", f"findings go by OTLP to {where}")


def _of_rules(given: Path | str) -> Iterator[Finding]:
    from metlo_otel.blocking.local_rules import load_rules, rules_from_list

    path = given if isinstance(given, Path) else "the list"
    try:
        if isinstance(given, Path):
            rules, problems = load_rules(given.read_text("utf-8"), str(given))
        else:
            rules, problems = rules_from_list(json.loads(given))
    except (OSError, UnicodeDecodeError, ImportError) as problem:
        yield Finding("setting RULES", "wrong", f"{path} cannot be read: {problem}")
        return
    for mistake in problems:
        yield Finding("setting RULES", "wrong", str(mistake))
    if not problems:
        yield Finding("setting RULES", "ok", f"{len(rules)} rules in {path}")


def _of_services(settings: Settings) -> Iterator[Finding]:
    from metlo_otel.core.agent_config import AgentConfigError, parse_agent_config
    from metlo_otel.export.client import Client

    yield _ask(f"backend {settings.backend_url}", settings.backend_url + "/api/v1", settings)
    verified = _ask(f"collector {settings.collector_url}", settings.collector_url + "/api/v1/verify", settings)
    yield verified
    if verified.state == "ok":
        client, complaints = Client(settings), list[str]()
        try:
            served = client.get_config()
            config = parse_agent_config(served.document, complaints.append)
            yield Finding("agent-config", "wrong" if complaints else "ok", "; ".join(complaints) or _told(config))
        except (ConnectionError, ValueError, AgentConfigError) as problem:
            yield Finding("agent-config", "wrong", str(problem))
        finally:
            client.close()


def _of_sending(options: argparse.Namespace) -> Finding:
    from metlo_otel.cli.sending import SendError, send

    try:
        told = send(options.send, {"metlo_host": options.host, "api_key": options.api_key})
    except SendError as problem:
        return Finding("a request", "wrong", str(problem))
    return Finding("a request", "ok", told)


def _told(config: Any) -> str:
    capture = (
        "everything" if config.full_capture else f"{sum(each.full_capture for each in config.endpoints)} endpoints"
    )
    return f"{len(config.waf)} rules; full capture of {capture}"


def _ask(what: str, url: str, settings: Settings) -> Finding:
    import requests

    try:
        answer = requests.get(
            url, headers={"Authorization": settings.api_key}, timeout=_PATIENCE, allow_redirects=False, stream=True
        )
    except requests.RequestException as problem:
        return Finding(what, "wrong", f"cannot be reached: {type(problem).__name__}; is it running, is the port right?")
    with answer:
        if answer.status_code == 200:
            return Finding(what, "ok", "answers")
        reason = "the key is not valid there" if answer.status_code in (401, 403) else "this is no Metlo, it seems"
        return Finding(what, "wrong", f"answers with status {answer.status_code}: {reason}")


def _of_packages() -> Iterator[Finding]:
    yield Finding("versions", "ok", f"metlo-otel {__version__}, Python {platform.python_version()}")
    if _version("metlo"):
        reason = "is installed too and provides the same package `metlo`: pip uninstall metlo, then install this again"
        yield Finding("metlo", "wrong", f"the original agent {_version('metlo')} {reason}")
    found = {name: version for name in _FRAMEWORKS if (version := _version(name))}
    for name, version in found.items():
        least = _FRAMEWORKS[name]
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if numbers < least:
            yield Finding(name, "wrong", f"{version}, but {least[0]}.{least[1]} or newer is supported")
        else:
            yield Finding(name, "ok", version)
    if not found:
        yield Finding("frameworks", "note", f"none of {', '.join(_FRAMEWORKS)} is installed here")


def _of_extras() -> Iterator[Finding]:
    missing: dict[str, list[str]] = {}
    for requirement in metadata.requires("metlo-otel") or ():
        parsed = _REQUIREMENT.match(requirement)
        if parsed and parsed[3] not in _NOT_TOLD and parsed[1] != "metlo-otel":
            missing.setdefault(parsed[3], []).extend([] if _version(parsed[1]) else [parsed[1]])
    for extra, names in sorted(missing.items()):
        if names:
            yield Finding(f"extra {extra}", "note", f"lacks {', '.join(names)}: pip install 'metlo-otel[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
