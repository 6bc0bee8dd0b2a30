"""What the detectors find in one value: decoded, looked through for telling words and signs, and only then read.

Pure functions without state: any thread may call them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from metlo_otel.analysis.detectors import (
    code,
    documents,
    nosql,
    objects,
    paths,
    protocols,
    shell,
    shell_signs,
    sql,
    sql_signs,
    templates,
    tools,
    urls,
    xss,
)
from metlo_otel.analysis.detectors.decoding import base64_text, readings
from metlo_otel.analysis.detectors.finding import Finding, low
from metlo_otel.analysis.detectors.inert import without_inert
from metlo_otel.analysis.detectors.telling import pattern, words
from metlo_otel.analysis.nested import leaves
from metlo_otel.core.turns import Turn, no_turn

HEAD, TAIL = 4096, 1024  # characters: a value up to their sum is read at once
LONGEST = 131_072  # characters that are read of a value
_OVERLAP = 768  # characters that two windows have in common: an attack is shorter, once padding is closed up
_LOOSE = frozenset({"SSRF", "XSS", "SQLI", "RFI"})
_FILLED = 256  # times the same character
_PADDING = re.compile(r"\s{64,}|/\*[^*]{64,}\*/|[A-Za-z0-9]{256,}")

Tells = Callable[[str, list[str]], bool]
Find = Callable[[str, str, list[str]], Iterator[Finding]]
_BY_MARKS: tuple[tuple[frozenset[str], Tells, Find], ...] = (
    (sql.MARKS, sql_signs.tells, sql.find),
    (xss.MARKS, xss.tells, xss.find),
    (shell.MARKS, shell_signs.tells, shell.find),
    (templates.MARKS, templates.tells, templates.find),
    (documents.MARKS, documents.tells, documents.find),
    (nosql.MARKS, nosql.tells, nosql.find),
    (objects.MARKS, objects.tells, objects.find),
    (protocols.MARKS, protocols.tells, protocols.find),
    (tools.MARKS, tools.tells, tools.find),
)
_TELLING = (sql_signs, xss, shell_signs, templates, documents, nosql, paths, objects, protocols, tools)
_WORDS = frozenset[str]().union(*(detector.WORDS for detector in _TELLING))
_SIGNS = pattern(sign for detector in _TELLING for sign in detector.SIGNS)
_ENCODING = frozenset("%&\\+")
_WIDE = re.compile("[\u2000-\U0010ffff]")  # where the look-alikes of ASCII's signs are
_ADDED = frozenset("'\"[")  # in texts with these a plus may tell something by itself
_TELLING_BARE = frozenset("'\"`{|&=<>")  # one of these stands in what tells something without any word


SPECIAL = _ENCODING.union({"/"}, *(marks for marks, _, _ in _BY_MARKS[:6]))
_ODD_PATH = (
    "..", "etc/", "etc\\", "-inf", "/.", "\\.", "file:", "php:", "expect:", "zip:", "phar:", "data:", "glob:",
    "compress.", "convert.", "dir%", "root%", ".ini", ".config", ".asa", "wp-", "0x2", "0x5c", "\\\\", "%c0", "%c1",
    "%bg", "%u", "%%", "%25", "%2e", "%f8", "%fc", "%e0", "%f0", "2e2e", "?.", "??",
)  # fmt: skip
_SERIALIZED = ("ro0ab", "h4siaaa", "aced0005", "aaeaaad")
_ALONE = frozenset("whoami uname ifconfig ipconfig netstat sysinfo systeminfo".split())
_COMMANDS = (
    *_ALONE,
    "net ",
    "sleep ",
    "which ",
    "perl -e",
    "git clone",
    "ping -",
    "ping 127",
    "ls ",
    "arp -a",
    "route ",
    "ps ",
    "tasklist",
    "printenv",
    "dir ",
    "cat ",
    "type ",
)
_PLAINLY = (
    *_COMMANDS,
    "fuzz faster",
    "nuclei",
    "microsoft winrm",
    "convert.",
    "o:",
    "eyj",
    "bearer eyj",
    "class.",
    *_SERIALIZED,
    "0x2",
    "2e2e",
    "??",
    ".?",
)
_CODED = ("0x2", "0x5c", "%c0", "%c1", "%bg", "%f8", "%fc", "%e0", "%f0", "%%", "%25", "%2e", "%u", "2e2e", "convert.")
_FILES = (".xml", ".ini", ".asa")


def inspect(value: str, is_over: Turn = no_turn) -> tuple[Finding, ...]:
    """What the detectors find in one value: each category once, high confidence first.

    A value longer than `HEAD` + `TAIL` characters is read window by window, up to `LONGEST`, until `is_over`; an
    ordinary window ends with one look for signs.
    """
    if len(value) < 12 and value.isalnum():
        return tuple(shell.find(value, value.lower(), [])) if value.lower() in _ALONE else ()
    if len(value) > HEAD + TAIL or (len(value) > _FILLED and value.startswith(value[0] * _FILLED)):
        return strongest(_in_windows(value if len(value) <= LONGEST else _ends(value), is_over))
    if SPECIAL.isdisjoint(value) and value.isascii() and not _speaks(value.lower()) and not base64_text(value):
        return ()
    found = _inspected(value)
    return strongest(found) if found else ()


def in_header(value: str) -> list[Finding]:
    """What counts in a header of the app's own and in a cookie, and in the values inside them."""
    found = [*inspect(value), *(each for leaf in leaves(value) for each in inspect(leaf))]
    return [each for each in found if each.confidence == "high" or each.category not in _LOOSE]


def tells_in_header(value: str) -> bool:
    """Whether anything would count."""
    return bool(in_header(value))


def _ends(value: str) -> str:
    """What is read of a value that is too long: most of it from its beginning, the rest from its end."""
    return f"{value[: LONGEST - TAIL]} {value[-TAIL:]}"


def _in_windows(value: str, is_over: Turn) -> Iterator[Finding]:
    """Long padding closed up, then windows that overlap. Each begins and ends as the middle of a text does, so that
    where it was cut tells nothing.
    """
    filled = value[:1] * _FILLED
    value = _PADDING.sub(_closed, value)
    if value[:1] * _FILLED == filled and len(value) > 1 and not value.startswith(filled):
        rest = value[1:].lstrip()  # behind a single letter that was there again and again
        yield from _inspected(rest[: HEAD + TAIL])
    for start in range(0, max(len(value) - _OVERLAP, 1), HEAD):
        if is_over():
            return
        window = value[start : start + HEAD + _OVERLAP]
        before, behind = "x " if start else "", " x" if start + HEAD + _OVERLAP < len(value) else ""
        yield from _inspected(before + window + behind)


def _closed(match: re.Match[str]) -> str:
    """A blank for padding, or one letter where it is a single one again and again: a word may go on behind it."""
    first = match[0][0]
    if not first.isalnum():
        return " "
    return first if match[0].count(first) == len(match[0]) else match[0]


def _inspected(value: str) -> list[Finding]:
    found: list[Finding] = []
    if "</" in value:
        value = without_inert(value)
    encoded = "%" in value or "&" in value or "\\" in value or "+" in value
    encoded = encoded or (not value.isascii() and _WIDE.search(value) is not None)
    texts = readings(value) if encoded else (value,)
    for text in texts:
        lower = text.lower()
        said = words(lower)
        hidden = text is not value and not _climbs(value)
        if "+" in lower and " " not in lower and text is texts[-1] and (said or _more_than_a_sum(lower)):
            found += _plussed(text, lower, said, hidden, not _climbs(value))
        elif tells(lower, said) or lower.startswith(_SERIALIZED):
            found += _read(text, lower, said, hidden)
        elif "//" in lower or ":/" in lower:
            found += urls.find(text, lower)
    inside = None if " " in value else base64_text(value)
    if inside is not None:
        for text in readings(inside):
            lower = text.lower()
            found += _read(text, lower, words(lower))
    return found


def _more_than_a_sum(lower: str) -> bool:
    """Whether a text without words can tell anything once a plus is read as a blank; times cannot."""
    return not _TELLING_BARE.isdisjoint(lower) or ".." in lower


def _climbs(value: str) -> bool:
    return "../" in value or "..\\" in value


def _plussed(text: str, lower: str, said: list[str], hidden: bool, spaced_hidden: bool) -> Iterator[Finding]:
    """What is found in a text as it stands, and with blanks where a form would write a plus."""
    spaced = lower.replace("+", " ")
    told = tells(spaced, said)
    if told or (not _ADDED.isdisjoint(lower) and tells(lower, said)):
        yield from _read(text, lower, said, hidden)
    elif "//" in lower or ":/" in lower:
        yield from urls.find(text, lower)
    if told:
        yield from _read(text.replace("+", " "), spaced, said, spaced_hidden)


def tells(lower: str, said: list[str]) -> bool:
    """Whether any detector might find anything; ordinary values end here."""
    return (
        not _WORDS.isdisjoint(said)
        or _SIGNS.search(lower) is not None
        or ("=" in lower and xss.assigns(lower))
        or shell_signs.STARTS.match(lower) is not None
        or sql_signs.speaks(lower, said)
    )


def _read(text: str, lower: str, said: list[str], hidden: bool = False) -> Iterator[Finding]:
    """What all detectors that the text's characters may concern say of it."""
    marks = set(text)
    climbs = "/" in marks or "\\" in marks or ".." in lower or lower.endswith(_FILES) or _is_coded(lower)
    if climbs and paths.tells(lower, said) and _odd_path(lower):
        yield from paths.find(text, lower, hidden)
    if ("/" in marks and ("//" in lower or ":/" in lower)) or ("\\" in marks and ":\\\\" in lower):
        yield from urls.find(text, lower)
    if shell.MARKS.isdisjoint(marks):
        if lower.startswith(_COMMANDS) and code.is_reconnaissance(lower):
            yield low("COMMAND_EXECUTION", text)
        elif _commands(lower):
            yield from shell.find(text, lower, said)
    for own, telling, find in _BY_MARKS:
        if not own.isdisjoint(marks) and telling(lower, said):
            yield from find(text, lower, said)
    if objects.MARKS.isdisjoint(marks) and lower.startswith(_SERIALIZED):
        yield from objects.find(text, lower, said)
    if sql.MARKS.isdisjoint(marks) and ("@@" in lower or "--" in lower or sql_signs.has_phrase(lower)):
        yield from sql.find(text, lower, said)


def _is_coded(lower: str) -> bool:
    """Whether a text without a slash may have one in a coding that only broken decoders read."""
    return ("%" in lower or "0x" in lower or "2e2e" in lower or "convert." in lower) and any(
        sign in lower for sign in _CODED
    )


def _commands(lower: str) -> bool:
    """Whether a text without any sign of a shell's may be a command all the same, or a program's option."""
    return lower[:1] == "-" or ("/" in lower and (" /" in lower or "bin/" in lower or "{" in lower))


def _speaks(lower: str) -> bool:
    """Whether a text without any sign is more than words: a phrase of SQL, a path that climbs, a system's file."""
    return (
        ".." in lower
        or "@@" in lower
        or "--" in lower
        or lower.endswith(_FILES)
        or lower.startswith(_PLAINLY)
        or sql_signs.has_phrase(lower)
    )


def _odd_path(lower: str) -> bool:
    """Whether a text with a slash is more than a date, a link or a choice."""
    if lower.startswith(("/", "\\", ".", "'/", '"/')) or lower[1:3] in (":/", ":\\"):
        return True
    for sign in _ODD_PATH:  # noqa: SIM110 - any() takes twice as long
        if sign in lower:
            return True
    return False


def strongest(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding of each category, the surest, and those of high confidence first."""
    best: dict[str, Finding] = {}
    for finding in findings:
        known = best.get(finding.category)
        if known is None or (known.confidence == "low" and finding.confidence == "high"):
            best[finding.category] = finding
    return (
        tuple(sorted(best.values(), key=lambda finding: finding.confidence)) if len(best) > 1 else tuple(best.values())
    )
