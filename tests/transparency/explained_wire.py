"""Scripts of the wire that end otherwise with the agent, and why that is right."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.transparency.wire import Seen


@dataclass(frozen=True)
class Explained:
    """A difference that is no fault, of servers and scripts whose names match; where `later`, of the time alone."""

    servers: str
    scripts: str
    reason: str
    later: bool = False
    modes: tuple[str, ...] = ("rule", "block")


_WAITS = "a rule on bodies waits up to READ_AHEAD_WAIT for a body that was promised; the same bytes come then"
_DRAINS = "werkzeug reads what is left until the client leaves, where all had come before the answer: so it does plain"
_LOSES = "uWSGI's read() of what never comes loses what came: the app's error is raised at its first read"
_SOCKET = "uWSGI's read() waits for its own socket-timeout, 4 s, where a rule looks at a body that does not come"
_THREAD = "granian keeps the connection while the body is read, which a thread of ours is, until the client leaves"
_ASKS = "waitress asks the app's iterable for its length, whose error is its 500: ours has none, and is served"

EXPLAINED = (
    Explained("*", "full duplex", _WAITS, later=True),
    Explained("werkzeug", "POST in two *", _DRAINS),
    Explained("uwsgi", "length, cut lines", _LOSES),
    Explained("uwsgi", "reset in the body lines", _LOSES),
    Explained("uwsgi", "hang up in the body lines", _LOSES),
    Explained("uwsgi", "early answer", _SOCKET),
    Explained("granian", "early answer", _THREAD),
    Explained("waitress", "GET len-raises", _ASKS, modes=("facade", "rule", "block")),
)


def explained(server: str, script: str, mode: str, plain: Seen, ours: Seen) -> str:
    """Why this differs rightly; empty where it must not."""
    for item in EXPLAINED:
        named = fnmatchcase(server, item.servers) and fnmatchcase(script, item.scripts) and mode in item.modes
        if named and (not item.later or ours.content == plain.content):
            return item.reason
    return ""
