"""The comparison: what the plain app understood, the guarded one must have rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.differential.apps.understood import Understood, read
from tests.differential.message import Message, Trick

Ask = Callable[[Message, bool], tuple[int, bytes]]  # guarded or not; status and body, 0 where there is no answer

RULE, ATTACK, HARMLESS = "rule", "attack", "harmless"
_WHERE = {"query": ("query",), "path": ("path",), "method": ("method",), "header": ("header",), "cookie": ("cookie",)}
_BODY = ("form", "file", "json", "get_json", "text")
AWAITED = Path(__file__).with_name("awaited.txt")


def misses(ask: Ask, trick: Trick) -> set[str]:
    """What went wrong: an understood value that no rule saw, an understood attack, a harmless value rejected."""
    word, harmless, attack = trick.values
    found = set()
    if _passes(ask, trick, word, exact=trick.place not in ("cookie", *_BODY)):
        found.add(RULE)
    if attack and _passes(ask, trick, attack, exact=False):
        found.add(ATTACK)
    if not trick.telling and ask(trick.build(harmless), True)[0] == 403:
        found.add(HARMLESS)
    return found


def _passes(ask: Ask, trick: Trick, value: str, exact: bool) -> bool:
    message = trick.build(value)
    status, answer = ask(message, False)
    heard = read(answer) if status == 200 else None
    if heard is None or not understood(heard, trick.place, value, exact):
        return False
    return ask(message, True)[0] != 403


def understood(heard: Understood, place: str, value: str, exact: bool) -> bool:
    """Whether an app found the value in this place."""
    texts = [text for part in _WHERE.get(place, _BODY) for text in heard.get(part, ())]
    if place == "path" and exact:
        return value in [text.strip("/") for text in texts]
    if place in _WHERE and exact:
        return value in texts
    return any(value in text for text in texts)


def awaited(app: str) -> dict[str, set[str]]:
    """What is known to go wrong with an app until bodies are read in one place: kinds by trick.

    Each line of the file is a trick, what goes wrong, and the apps.
    """
    found: dict[str, set[str]] = {}
    for line in AWAITED.read_text().splitlines() if AWAITED.exists() else ():
        trick, kind, *apps = line.split()
        if app in apps:
            found.setdefault(trick, set()).add(kind)
    return found


def judge(app: str, ask: Ask, tricks: Iterable[Trick], strict: bool = True) -> None:
    """Compare for all of these tricks: nothing may go wrong but what is awaited.

    Where it is `strict`, what is awaited must go wrong; a server may refuse a trick that the app would fall for.
    """
    tricks = list(tricks)
    wrong = {trick.id: kinds for trick in tricks if (kinds := misses(ask, trick))}
    known = awaited(app)
    expected = {trick.id: known[trick.id] for trick in tricks if trick.id in known}
    new = {f"{app} {name} {kind}" for name, kinds in wrong.items() for kind in kinds - expected.get(name, set())}
    mended = {f"{app} {name} {kind}" for name, kinds in expected.items() for kind in kinds - wrong.get(name, set())}
    assert not new, "the app understood what was not seen, or a harmless value was rejected:\n" + "\n".join(sorted(new))
    assert not (strict and mended), "this works now, take it out with `python -m tests.differential`:\n" + "\n".join(
        sorted(mended)
    )
    if expected:
        pytest.xfail(
            f"reading: {sum(map(len, expected.values()))} ways past rules and detection until bodies have one reading"
        )
