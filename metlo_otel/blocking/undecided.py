"""What is said, once, of rules that requests pass because something that they ask for is not known."""

from __future__ import annotations

from collections.abc import Callable

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.view import ADDRESS, SPARED, USER, Client
from metlo_otel.core.addresses import FORWARDED, UNIX, X_FORWARDED_FOR, Proxies
from metlo_otel.core.request import Request

Warn = Callable[[str], None]

_MOST = 1000  # things said that are remembered
_SHOWN = 5  # rules that one message names
_PROXY_HEADERS = (X_FORWARDED_FOR, FORWARDED, "x-real-ip", "cf-connecting-ip", "true-client-ip")

_NO_ADDRESS = (
    f"ask for the client's address, which a request on a Unix socket has not, and match nobody. Add `{UNIX}` to "
    "TRUSTED_PROXIES, and let the proxy set TRUSTED_PROXY_HEADER"
)
_UNTOLD = (
    "ask for the client's address, but the proxy on the Unix socket sent no {}, and match nobody. Let it set that "
    "header, or name the one that it sets as TRUSTED_PROXY_HEADER"
)
_NO_USER = "ask for the user, but there is no GET_USER, and match nobody"
_LATE_USER = (
    "ask for the user, who is known only after your view: they cannot reject, and limits count each request when it is "
    "answered. Let GET_USER find the user before the view, or put this middleware behind the one that does"
)
_FORWARDS = (
    "ALLOWED_IPS holds {}, which forwards requests of others and is not in TRUSTED_PROXIES: nothing that comes through "
    "it is ever rejected"
)


class Undecided:
    """Told of each client of whom something was missing; warns of each rule once.

    `asks` says whether there is GET_USER.
    """

    def __init__(self, proxies: Proxies, asks: bool, warn: Warn) -> None:
        self._proxies = proxies
        self._asks = asks
        self._warn = warn
        self._said: set[tuple[str, str]] = set()
        self._policies: dict[str, Policy] = {}  # of which all has been said, by what was missing

    def note(self, policy: Policy, request: Request, client: Client) -> None:
        """What a decision found missing; `client` is the one that it was made for."""
        if ADDRESS in client.notes:
            self._say(ADDRESS, policy, "ip_address", self._no_address)
        if USER in client.notes and not self._asks:
            self._say(USER, policy, "user", lambda: _NO_USER)
        if SPARED in client.notes:
            self._spared(request, client.ip or "")

    def late(self, policy: Policy) -> None:
        """The user was not known when the rules were asked, and is now."""
        self._say("late", policy, "user", lambda: _LATE_USER)

    def _no_address(self) -> str:
        return _UNTOLD.format(self._proxies.header) if self._proxies.unix else _NO_ADDRESS

    def _spared(self, request: Request, address: str) -> None:
        """An allowed address that forwards for others, whose word on them is not taken."""
        key = (SPARED, address)
        if self._proxies.trusts(address) or key in self._said:
            return
        if any(request.header(name) for name in {self._proxies.header, *_PROXY_HEADERS}):
            self._remember(key)
            self._warn(_FORWARDS.format(address))

    def _say(self, about: str, policy: Policy, field: str, told: Callable[[], str]) -> None:
        if self._policies.get(about) is policy:
            return
        self._policies[about] = policy
        fresh = [rule for rule in policy.asking(field) if (about, rule.id) not in self._said]
        for rule in fresh:
            self._remember((about, rule.id))
        if fresh:
            names = ", ".join(repr(rule.name or rule.id) for rule in fresh[:_SHOWN])
            more = f" and {len(fresh) - _SHOWN} more" if len(fresh) > _SHOWN else ""
            self._warn(f"rules that cannot be decided: {names}{more} {told()}")

    def _remember(self, key: tuple[str, str]) -> None:
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said.add(key)
