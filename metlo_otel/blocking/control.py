"""The policy in force: compiled anew when the backend's rules or the local ones change, swapped in one step."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from metlo_otel.blocking.local_rules import RulesFile, rules_from_list
from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import Store
from metlo_otel.blocking.rules import RATE_LIMIT, Rule, merge_rules, parse_rules
from metlo_otel.blocking.storage import is_shared_already, look_after, open_store, open_users
from metlo_otel.blocking.users import BlockedUsers, UserBlocks
from metlo_otel.core.addresses import in_ranges
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.settings import Problem, Settings, SettingsError

Warn = Callable[[str], None]


def check_rules(settings: Settings) -> None:
    """Raise SettingsError where a rule of RULES is wrong, which is so at the start: later a wrong one is left out."""
    if isinstance(settings.rules, Path):
        _started(RulesFile(settings.rules, lambda _text: None).load())
    elif settings.rules is not None:
        _of_list(settings.rules)


def _of_list(document: str) -> tuple[Rule, ...]:
    rules, problems = rules_from_list(json.loads(document))
    _started([str(problem) for problem in problems])
    return rules


def _started(problems: list[str]) -> None:
    if problems:
        raise SettingsError([Problem("value", "RULES", text) for text in problems])


class Control:
    """Holds `policy`, which any thread may read. `configure` and `tick` are for the worker.

    Raises SettingsError where a rule of RULES is wrong at the start. The store is opened when the first limit or the
    first blocked user needs it, so that who has neither has no file and no connection; a worker finds the file that
    another one has made by itself.
    """

    def __init__(self, settings: Settings, warn: Warn) -> None:
        self._settings = settings
        self._where = settings.rate_limit_storage, settings.metlo_host, settings.api_key
        self._warn = warn
        self._changing = threading.RLock()
        self._store: Store | None = None
        self._users: UserBlocks = BlockedUsers()
        self._remote: tuple[Rule, ...] = ()
        self._local: tuple[Rule, ...] = ()
        self._file: RulesFile | None = None
        if isinstance(settings.rules, Path):
            self._file = RulesFile(settings.rules, warn)
            _started(self._file.load())
            self._local = self._file.rules
        elif settings.rules is not None:
            self._local = _of_list(settings.rules)
        self.policy = self._compile()

    def allows(self, address: str) -> bool:
        """Whether a client's address is among ALLOWED_IPS, which nothing rejects."""
        return bool(self._settings.allowed_ips) and in_ranges(address, self._settings.allowed_ips)

    def block_user(self, user: str, seconds: float, now: float) -> None:
        """Reject every request of `user`, as policy's users say it."""
        self._share()
        self._users.block(user, seconds, now)

    def unblock_user(self, user: str) -> bool:
        """Let `user` pass again; whether they were blocked."""
        return self._users.unblock(user)

    def configure(self, config: AgentConfig) -> None:
        """Put the backend's rules in force, before the local ones."""
        with self._changing:
            self._remote = parse_rules(config.waf, self._warn)
            self.policy = self._compile()

    def tick(self) -> None:
        """Put the rules file in force again, if it has changed; see users that other workers have blocked; try a
        store again that failed.
        """
        if self._file is not None and self._file.load_if_changed():
            with self._changing:
                self._local = self._file.rules
                self.policy = self._compile()
        if self._store is not None:
            look_after(self._store)
        elif is_shared_already(*self._where):
            self._share()

    def _share(self) -> None:
        """Open the store, unless it is open, and keep blocked users where it says."""
        with self._changing:
            if self._store is None:
                self._open()
                self.policy = self._compile()

    def _open(self) -> None:
        self._store = open_store(*self._where, self._warn)
        self._users = open_users(self._store)

    def _compile(self) -> Policy:
        rules = merge_rules(self._remote, self._local, self._warn)
        if self._store is None and any(rule.kind == RATE_LIMIT for rule in rules):
            self._open()
        users = self._users if self._store is not None else None  # opened before the first is blocked
        settings = self._settings
        return Policy(
            rules,
            self._store,
            monitor=settings.mode == "monitor",
            allowed=settings.allowed_ips,
            users=users,
            ipv6_prefix=settings.client_ipv6_prefix,
        )
