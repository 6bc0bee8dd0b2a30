"""What may leave of an exchange, by the agent-config in force and the settings: all of it, its outline, or nothing."""

from __future__ import annotations

import re
from collections import defaultdict

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.matching import Patterns
from metlo_otel.core.record import Record
from metlo_otel.core.settings import Settings

_NAME = re.compile(r"\\\{\w+\\\}")


class Release:
    """Decides under one configuration."""

    def __init__(self, config: AgentConfig, settings: Settings) -> None:
        self._config = config
        self._everywhere = config.full_capture
        self._form = _form(config, settings)
        self._endpoints = _captured(config)
        self.key = config.encryption_key or ""

    def withheld(self, record: Record, path: str) -> str | None:
        """Why nothing at all may be told of this exchange; None where something may. `path` is its path as sent."""
        return self.withheld_host(record.host) or self.withheld_path(record.host, (path, record.path))

    def withheld_host(self, host: str) -> str | None:
        """Why nothing may be told of requests to this host; None where something may of some."""
        hosts = {host, self._config.map_host(host)}
        return "host_blocked" if any(map(self._config.blocked_hosts.found, hosts)) else None

    def narrows(self, host: str) -> bool:
        """Whether nothing may be told of some paths of this host."""
        hosts = {host, self._config.map_host(host)}
        return any(any(map(entry.host.found, hosts)) for entry in self._config.blocked_paths)

    def wanted(self, host: str, method: str) -> Patterns | None:
        """The paths of this host whose content is wanted."""
        return self._endpoints.get((self._config.map_host(host), method))

    def withheld_path(self, host: str, paths: tuple[str, str]) -> str | None:
        """Why nothing may be told of requests to this path, as it is and as sent."""
        hosts = {host, self._config.map_host(host)}
        for entry in self._config.blocked_paths:
            if any(map(entry.host.found, hosts)) and any(map(entry.paths.found, paths)):
                return "path_blocked"
        return None

    def content(self, record: Record, path: str) -> str:
        """How names, values and bodies leave: `plain`, `encrypted`, or not (`redacted`)."""
        if self._everywhere:
            return self._form
        patterns = self._endpoints.get((self._config.map_host(record.host), record.method.upper()))
        return self._form if patterns is not None and patterns.found(path) else "redacted"


def _form(config: AgentConfig, settings: Settings) -> str:
    """In clear only when asked for, or where it stays on this machine and nobody wants it encrypted."""
    if settings.disable_e2ee:
        return "plain"
    if config.encryption_key is not None:
        return "encrypted" if config.encryption_key else "redacted"
    return "plain" if settings.loopback else "redacted"


def _captured(config: AgentConfig) -> dict[tuple[str, str], Patterns]:
    """The paths of the endpoints whose content is wanted, by host and method."""
    found = defaultdict(list)
    for endpoint in config.endpoints:
        if endpoint.full_capture:
            path = _NAME.sub("[^/]+", re.escape(endpoint.path))
            found[endpoint.host, endpoint.method].append(rf"\A{path}\Z")
    return {where: Patterns(paths) for where, paths in found.items()}
