"""Where findings go: a syslog server over TCP or TLS (RFC 5424, 5425, 6587), or a file of JSON lines."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from metlo_otel.collector.siem.cef import cef
from metlo_otel.collector.siem.findings import Finding
from metlo_otel.collector.siem.ocsf import ocsf

_PORTS = {"syslog": 514, "syslog+tls": 6514}
_LOCAL0 = 16  # syslog's facility
_LEVELS = {"low": 5, "medium": 4, "high": 3}  # notice, warning, error
_TIME = 10.0  # seconds to connect, and for each write


def _json(finding: Finding) -> str:
    told = {name: value for name, value in asdict(finding).items() if value not in (None, "", {})}
    return orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS).decode()


def _ocsf(finding: Finding) -> str:
    return orjson.dumps(ocsf(finding)).decode()


FORMATS: dict[str, Callable[[Finding], str]] = {"json": _json, "ocsf": _ocsf, "cef": cef}


class DestinationError(ValueError):
    """A destination that cannot be one; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL, read: where, in what format, and for TLS whose certificates are trusted."""

    name: str
    format: str
    where: tuple[str, int] | Path
    tls: ssl.SSLContext | None = None

    def send(self, findings: Sequence[Finding]) -> None:
        """Deliver all of these. Raises OSError."""
        lines = [(FORMATS[self.format](each), each) for each in findings]
        if isinstance(self.where, Path):
            _append(self.where, [line for line, _ in lines])
        else:
            self._write(self.where, b"".join(_framed(_syslog(line, each)) for line, each in lines))

    def _write(self, address: tuple[str, int], messages: bytes) -> None:
        with socket.create_connection(address, _TIME) as plain:
            if self.tls is None:
                plain.sendall(messages)
                plain.shutdown(socket.SHUT_WR)
                return
            with self.tls.wrap_socket(plain, server_hostname=address[0]) as secured:
                secured.sendall(messages)


def read_destination(url: str) -> Destination:
    """The destination of `syslog://host:514`, `syslog+tls://host:6514?ca=FILE` or `file:///path`; `format` is cef, ocsf
    or json (syslog: cef, files: json by default). Raises DestinationError.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        asked = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as problem:
        raise DestinationError(f"{url}: {problem}") from None
    if unknown := asked.keys() - {"format", "ca"}:
        raise DestinationError(f"{url}: format and ca are known, not {', '.join(sorted(unknown))}")
    form = asked.get("format", ["json" if parts.scheme == "file" else "cef"])[-1]
    if form not in FORMATS:
        raise DestinationError(f"{url}: format is one of {', '.join(FORMATS)}, not {form}")
    name = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parts.scheme == "file" and not host and parts.path.startswith("/"):
        return Destination(name, form, Path(unquote(parts.path)))
    if parts.scheme in _PORTS and host:
        tls = _context(url, asked.get("ca", [None])[-1]) if parts.scheme == "syslog+tls" else None
        return Destination(name, form, (host, port or _PORTS[parts.scheme]), tls)
    raise DestinationError(f"{url}: syslog://HOST:514, syslog+tls://HOST:6514 or file:///PATH is expected")


def _context(url: str, authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as problem:
        raise DestinationError(f"{url}: ca={authority} cannot be read: {problem}") from None


def _append(path: Path, lines: Sequence[str]) -> None:
    """Add lines to a file that only its owner reads; log rotation may move it away at any time."""
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(opened, "a", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def _syslog(line: str, finding: Finding) -> bytes:
    """An RFC 5424 message: priority, version, time, host, app, process, message id, no structured data, the text."""
    at = datetime.fromtimestamp(finding.at / 1000, timezone.utc).isoformat(timespec="milliseconds")
    host = socket.gethostname().encode("ascii", "replace").decode()[:255] or "-"
    priority = _LOCAL0 * 8 + _LEVELS.get(finding.severity, 5)
    return f"<{priority}>1 {at} {host} metlo-otel {os.getpid()} {finding.kind} - {line}".encode("utf-8", "replace")


def _framed(message: bytes) -> bytes:
    """Octet counting (RFC 6587, 3.4.1; RFC 5425, 4.3)."""
    return str(len(message)).encode() + b" " + message
