"""The policy in force: compiled anew when the backend's rules or the local ones change, swapped in one step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from metlo_otel.core.addresses import in_ranges, parse_network
from metlo_otel.blocking.local_rules import RulesFile, rules_from_list
from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import Store
from metlo_otel.blocking.rules import RATE_LIMIT, Rule, merge_rules, parse_rules
from metlo_otel.blocking.storage import open_store
from metlo_otel.blocking.users import BlockedUsers
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.settings import Settings

Warn = Callable[[str], None]


class Control:
    """Holds `policy`. Made at start; afterwards the worker alone changes it, any thread may read it."""

    def __init__(self, settings: Settings, warn: Warn) -> None:
        self._settings = settings
        self._warn = warn
        self._allowed = tuple(parse_network(str(network)) for network in settings.allowed_ips)
        self._store: Store | None = None
        self._remote: tuple[Rule, ...] = ()
        self._local: tuple[Rule, ...] = ()
        self._file: RulesFile | None = None
        self.users = BlockedUsers()
        self._read_local()
        self.policy = self._compile()

    def _read_local(self) -> None:
        rules = self._settings.rules
        if isinstance(rules, Path):
            self._file = RulesFile(rules, self._warn)
            self._file.load_if_changed()
            self._local = self._file.rules
        elif rules is not None:
            self._local = rules_from_list(json.loads(rules), self._warn)

    def allows(self, address: str) -> bool:
        """Whether a client's address is among ALLOWED_IPS, which nothing rejects."""
        return bool(self._allowed) and in_ranges(address, self._allowed)

    def configure(self, config: AgentConfig) -> None:
        """Put the backend's rules in force, before the local ones."""
        self._remote = parse_rules(config.waf, self._warn)
        self.policy = self._compile()

    def reload(self) -> None:
        """Put the rules file in force again, if it has changed."""
        if self._file is not None and self._file.load_if_changed():
            self._local = self._file.rules
            self.policy = self._compile()

    def _compile(self) -> Policy:
        rules = merge_rules(self._remote, self._local, self._warn)
        if self._store is None and any(rule.kind == RATE_LIMIT for rule in rules):
            settings = self._settings
            self._store = open_store(settings.rate_limit_storage, settings.metlo_host, settings.api_key, self._warn)
        monitor = self._settings.mode == "monitor"
        return Policy(rules, self._store, monitor=monitor, allowed=self._allowed, users=self.users)
