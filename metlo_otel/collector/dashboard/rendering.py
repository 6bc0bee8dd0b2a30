"""Templates into pages: every value is escaped, and text shows what would be invisible in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from metlo_otel.collector.dashboard import words
from metlo_otel.collector.dashboard.text import json_text, visible
from metlo_otel.collector.dashboard.times import PRESETS
from metlo_otel.collector.queries.filters import MOST_COUNTED

_PACKAGE = "metlo_otel.collector.dashboard"
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_STATIC = ("dashboard.css", "dashboard.js", "icon.svg")


class Statics:
    """The style sheet, the script and the icon, in memory; their names change with their content."""

    def __init__(self) -> None:
        found = {name: (files(_PACKAGE) / "static" / name).read_bytes() for name in _STATIC}
        self._names = {name: f"{hashlib.sha256(raw).hexdigest()[:10]}.{name}" for name, raw in found.items()}
        self._content = {self._names[name]: (raw, _TYPES[name.rpartition(".")[2]]) for name, raw in found.items()}

    def url(self, name: str) -> str:
        """Where a file is found."""
        return f"/dashboard/static/{self._names[name]}"

    def answer(self, name: str) -> Response | None:
        """The file under its changing name, None where there is none."""
        if name not in self._content:
            return None
        raw, kind = self._content[name]
        return Response(raw, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})


class Pages:
    """Renders the templates."""

    def __init__(self, statics: Statics) -> None:
        self._environment = make_environment(statics)

    def render(self, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """The template `name` as an answer."""
        return HTMLResponse(self._environment.get_template(name).render(values), status)


def make_environment(statics: Statics) -> Environment:
    """Jinja2, with autoescape for everything and errors for what is missing."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        exact=escape,
        brief=brief,
        number=number,
        short=short_number,
        duration=duration,
        instant=instant,
        clock=clock,
        json=json_text,
        iso=iso,
        size=size,
        ticked=ticked,
        total=total,
        moment_input=moment_input,
    )
    environment.globals.update(static=statics.url, query=query, link=link, words=words, PRESETS=tuple(PRESETS))
    return environment


def brief(text: str, longest: int = 200) -> str:
    """The beginning of a text."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def number(value: float) -> str:
    """With separators between thousands: 4,310."""
    return f"{value:,}"


def short_number(value: float) -> str:
    """At most four digits: 12,345 as 12.3k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.1f}".removesuffix(".0") + unit
    return f"{value:,}"


def size(value: int) -> str:
    """Bytes in the unit that suits them."""
    return (
        f"{value:,} B" if value < 10_240 else f"{value / 1024:,.0f} kB" if value < 10_485_760 else f"{value >> 20:,} MB"
    )


def duration(microseconds: int) -> str:
    """A span of time in the unit that suits it."""
    if microseconds < 1000:
        return f"{microseconds} µs"
    return f"{microseconds / 1000:,.1f} ms" if microseconds < 1_000_000 else f"{microseconds / 1e6:,.1f} s"


def instant(milliseconds: int) -> str:
    """A point in time, in UTC; the page's script shows the reader's own time."""
    return _moment(milliseconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(milliseconds: int) -> str:
    """The same in short, for the axis of a chart."""
    return _moment(milliseconds).strftime("%m-%d %H:%M")


def moment_input(milliseconds: int | None) -> str:
    """The same as a field for a moment has it."""
    return "" if milliseconds is None else _moment(milliseconds).strftime("%Y-%m-%dT%H:%M")


def iso(milliseconds: int) -> str:
    """The same for machines."""
    return _moment(milliseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def query(parameters: Mapping[str, Any], **changed: Any) -> str:
    """A link's query: `parameters` with some changed; empty ones are left out."""
    return "?" + urlencode(
        [(key, str(value)) for key, value in {**parameters, **changed}.items() if value not in (None, "")]
    )


@pass_context
def link(context: Context, url: str, parameters: Mapping[str, Any] | None = None, **changed: Any) -> str:
    """A link to another page, which shows the time that this one shows; macros are imported with their context."""
    found = query({**(parameters or {}), **context["span"].carried}, **changed)
    return url + (found if len(found) > 1 else "")


def total(value: int) -> str:
    """How many there are; of very many that there are more."""
    return f"{MOST_COUNTED:,}+" if value > MOST_COUNTED else f"{value:,}"


def ticked(text: str) -> Markup:
    """A sentence with the names in backticks as code."""
    parts = visible(text).split("`")
    shown = [Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)]
    return Markup("").join(shown)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
