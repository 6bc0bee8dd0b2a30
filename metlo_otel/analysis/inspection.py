"""The agent's analysis: an analyser for the configuration in force, attack detection by the settings, a budget."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metlo_otel.analysis.budget import Budget
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.exemptions import Exemptions
from metlo_otel.core.processed import Fragment, Processed, Session
from metlo_otel.core.query import unquoted
from metlo_otel.core.record import Record
from metlo_otel.core.settings import Settings
from metlo_otel.core.turns import Patience, Turn, Turns
from metlo_otel.reading.names import OTHER

if TYPE_CHECKING:  # the detectors' patterns take an app's start a quarter of a second: the worker imports them
    from metlo_otel.analysis.analyse import Analysed, Analyser
    from metlo_otel.analysis.detectors.finding import Finding
    from metlo_otel.analysis.suspicion import Suspicion
    from metlo_otel.core.exchange import Exchange
    from metlo_otel.reading.fields import Fields

_LOST = "\ufffd"  # what is no UTF-8 is read again by decoders that take it
_FORM = "application/x-www-form-urlencoded"
_TORN = "reqQuery." + OTHER
Findings = Mapping[str, "list[Finding]"]
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Threat:
    """An attack and the key of the field that it stands in, or None; `incomplete` says what could not be looked at."""

    key: str
    finding: Finding | None
    incomplete: tuple[str, ...] = ()


class Inspection:
    """`analyse` and `session` are for the worker alone; `threats` may be called by any thread."""

    def __init__(self, settings: Settings, warn: Warn, turns: Turn | None = None) -> None:
        self._turns = turns or Turns()
        self._settings = settings
        self._warn = warn
        self._budget = Budget(settings.analysis_budget / 100)
        self._key = session_secret(settings)
        self._modes = dict(settings.detection)
        self._exempt = Exemptions(settings.detection_except)
        self._findings: Findings = {}
        self._analyser: tuple[AgentConfig, Analyser] | None = None
        self._suspicion: Suspicion | None = None

    def prepare(self) -> None:
        """Import and compile what analysis takes; what needs it before does so itself."""
        import metlo_otel.analysis.analyse
        import metlo_otel.analysis.attacks  # noqa: F401 - for detect() and find()
        from metlo_otel.analysis.prefilter import searches
        from metlo_otel.analysis.suspicion import Suspicion

        searches()
        self._suspicion = Suspicion(any(mode != "off" for mode in self._modes.values()))

    def suspects(self, exchange: Exchange, coded: bool) -> bool:
        """Whether there is any sign of an attack in a request, and of any until prepare() is done; for any thread.

        `coded` says that it has a Content-Encoding.
        """
        return self._suspicion is None or self._suspicion(exchange, coded)

    def suspects_among(self, exchanges: Sequence[Exchange]) -> bool:
        """Whether suspects() may say so of any of several, which have no Content-Encoding."""
        return self._suspicion is None or self._suspicion.among(exchanges)

    def configure(self, config: AgentConfig) -> None:
        """Heed the places where the backend says that a finding does not count, beside those of the settings."""
        self._exempt = Exemptions((*self._settings.detection_except, *config.exemptions))

    def analyse(self, record: Record, config: AgentConfig) -> Processed:
        """Everything that is found out about a record, or only its attacks where there is no time for more.

        Of a suspected one attacks are looked for first: where there are none, nobody asks for the rest.
        """
        self._turns()
        began = time.thread_time()
        analyser = self._for(config)
        remarkable = record.verdict.blocked or record.verdict.would_block
        full = not record.suspected and self._budget.allows(_shape(record), _endpoint(record), remarkable)
        found = analyser.analyse(record) if full else analyser.count(record)
        if not full and found.attacks and self._budget.allows_remarkable():
            full, found = True, analyser.analyse(record)
        self._budget.spend(time.thread_time() - began, full)
        return self._processed(found, analyser, full)

    def session(self, record: Record, config: AgentConfig) -> Session:
        """Who sent a record, by the configured way to authenticate."""
        meta = self._for(config).session(record, self._key, show_user=True)
        return Session(
            meta["authenticationProvided"],
            meta["authenticationSuccessful"],
            meta["authType"],
            meta["uniqueSessionKey"],
            meta["user"],
        )

    def threat(self, record: Record) -> Threat:
        """The first thing in a request that is certainly an attack of a category that DETECTION says to block.

        What takes longer than 4.2 ms of CPU time for each started 64 KiB is left unread, and that is a reason.
        """
        from metlo_otel.analysis.attacks import find
        from metlo_otel.reading.fields import read_to_inspect

        patience = Patience(len(record.request.inspected) + len(record.raw_query))
        read = read_to_inspect(record, patience, self._settings.max_inspect)
        for key, finding in find(texts_of(record, read), patience):
            if finding.confidence != "high" or self._modes[finding.category] != "block":
                continue
            if not self._exempt.cover(record.path, key, finding.category):
                return Threat(key, finding, read.incomplete)
        return Threat("", None, (*read.incomplete, "time") if patience.is_over else read.incomplete)

    def _for(self, config: AgentConfig) -> Analyser:
        from metlo_otel.analysis.analyse import Analyser

        if self._analyser is None or self._analyser[0] is not config:
            self.configure(config)
            limit = self._settings.max_inspect
            self._analyser = config, Analyser(config, self._warn, detect=self._detect, turn=self._turns, limit=limit)
        return self._analyser[1]

    def _detect(self, record: Record, fields: Fields, _paths: tuple[str, ...]) -> dict[str, list[str]]:
        from metlo_otel.analysis.attacks import detect

        found = detect(texts_of(record, fields), self._turns)
        wanted = {key: [each for each in all_ if self._wants(record, key, each)] for key, all_ in found.items()}
        self._findings = {key: findings for key, findings in wanted.items() if findings}
        return {key: [finding.category for finding in findings] for key, findings in self._findings.items()}

    def _wants(self, record: Record, key: str, finding: Finding) -> bool:
        return self._modes[finding.category] != "off" and not self._exempt.cover(record.path, key, finding.category)

    def _processed(self, found: Analysed, analyser: Analyser, full: bool) -> Processed:
        return Processed(
            found.data_types,
            found.sensitive,
            found.attacks,
            found.graphql_paths,
            found.validation_errors,
            partial=not full,
            operations=found.operations,
            fragments=tuple(self._fragments()),
            incomplete=found.incomplete,
            hidden=tuple(_severe(found, analyser)) if self._settings.mask_sensitive else (),
        )

    def _fragments(self) -> Iterator[Fragment]:
        masked = self._settings.masked_fields
        for key, findings in self._findings.items():
            if not masked.intersection(key.lower().split(".")):
                for finding in findings:
                    yield Fragment(key, finding.category, finding.confidence, finding.fragment)


def session_secret(settings: Settings) -> bytes:
    """The key of session hashes: ENCRYPTION_KEY, else one that all workers with the same API_KEY have in common."""
    if settings.encryption_key:
        return settings.encryption_key.encode()
    return hashlib.sha256(b"metlo-otel sessions\0" + settings.api_key.encode()).digest()


def texts_of(record: Record, fields: Fields) -> Iterator[tuple[str, str]]:
    """Every text of a request, by the key that a finding in it is reported under."""
    yield "reqPath", record.path
    if any(key == _TORN for key, _, _ in fields.query):  # a name that is none: what stands there was torn at its `=`
        yield "reqQuery", unquoted(record.raw_query, "utf-8")
    if any(_LOST in value for _, value in record.query):
        yield "reqQuery", record.raw_query
    if fields.request.text and record.request.media_type == _FORM:
        if any(_LOST in value for _, value, _ in fields.request.fields if isinstance(value, str)):
            yield "reqBody", fields.request.text
        elif any(key == "reqBody." + OTHER for key, _, _ in fields.request.fields):
            yield "reqBody", unquoted(fields.request.text, "utf-8")
    for key, value, _ in fields.inspected:
        yield key, value if type(value) is str else ""


def _severe(found: Analysed, analyser: Analyser) -> Iterator[str]:
    """The values in which a class of high severity was found."""
    high = {name for name, severity in analyser.severities.items() if severity == "high"}
    severe = {key for key, names in found.sensitive.items() if not high.isdisjoint(names)}
    for key, value, _ in (*found.fields.sent, *found.fields.answered):
        if key in severe and isinstance(value, str) and value:
            yield value


def _endpoint(record: Record) -> tuple[str, str, str | None]:
    return record.host, record.method, record.route


def _shape(record: Record) -> tuple[object, ...]:
    """What makes a record worth a look of its own. A path without a route is anybody's invention: it makes none."""
    return (*_endpoint(record), record.status, record.request.media_type, record.response.media_type)
