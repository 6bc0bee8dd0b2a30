"""Scripts of the wire that end otherwise with the agent, and why that is right."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Server (a pattern), script (a pattern), modes, reason.
EXPLAINED: tuple[tuple[str, str, tuple[str, ...], str], ...] = ()


def explained(server: str, script: str, mode: str) -> str:
    """Why this differs rightly; empty where it must not."""
    found = (
        reason
        for servers, scripts, modes, reason in EXPLAINED
        if fnmatchcase(server, servers) and fnmatchcase(script, scripts) and mode in modes
    )
    return next(found, "")
