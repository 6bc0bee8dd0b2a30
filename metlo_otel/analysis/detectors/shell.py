"""Command execution: what a Unix or Windows shell would start if the value were put on its command line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors import code
from metlo_otel.analysis.detectors import shell_words as w
from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.shell_unfolding import unfolded

MARKS = frozenset(";|&`$\n\r(<")
_SEPARATOR = re.compile(r"\|\|?|&&?|;|\r[\r\n]*|\n[\r\n]*|`|\$\(|<\(|>\(")
_LEADING = re.compile(r"[\s'\"({!+@^]*")
_WORD = re.compile(r"[^\s'\"`;|&(){}<>,=+]+")
_ASSEMBLED = re.compile(r"(?:\$\{?\w{1,8}\}?){2,8}(?=[\s;|&)]|$)")  # a command in variables, a piece in each
_CELL = re.compile(r"\s.*\s|[\w ]+")  # of a table in Markdown
_LOADING = re.compile(
    r"powershell(?:\.exe)?\s.{0,80}?(?:\biex\b|\biwr\b|invoke-|downloadstring|\s-e(?:nc\w*)?\s|hidden)"
)
_CALL = re.compile(
    r"(?<![\w>$])(?:system|shell_exec|passthru|popen|proc_open|pcntl_exec|os\.system|os\.popen"
    r"|subprocess\.\w+|exec|execsync"
    r"|getruntime\(\)\.exec|child_process\W{1,4}exec\w*|spawn\w*"
    r"|`)\s{0,4}\(\s{0,4}['\"\[]{1,3}\s{0,4}([/\w.]+)"
)
_CALLING = re.compile("system|exec|popen|passthru|subprocess|spawn")
_GIVEN = re.compile(r"\(\s{0,4}['\"\[]")  # a text in a call's brackets
_INCLUDE = re.compile(r"<!--\s{0,4}#\s{0,4}exec\s+(?:cmd|cgi)\s{0,4}=")
_PHP = re.compile(
    r"(?:system|exec|passthru|eval|assert)\s?\(\s?\$_(?:get|post|request|cookie|server)|\bphpinfo\s?\(\s?\)"
)
_SHELLSHOCK = re.compile(r"\s*\(\)\s{0,4}\{[^}]{0,20};\s{0,4}\}\s{0,4};")
_SLICE = re.compile(r"%\w{4,20}:~[\d-]{1,3},[\d-]{1,3}%|\$\{(?:path|home|pwd|shell|ls_colors)[:%#]")
_ENGLISH_ARGUMENT = re.compile(r"\s+['\"]?[\w%$]{2,40}['\"]?\s*(?:$|[;|&#`)]|>)")

_INTERPRETER = re.compile(r"(?:cmd(?:\.exe)?\s+/[ck]|powershell(?:\.exe)?\s+-\w+)\s")
_HOST = re.compile(r"\s+[\w-]{1,60}(?:\.[\w-]{1,60}){1,6}\s*[)`]")
_NOT_A_COLUMN = re.compile(r"@|^/|\.(?:txt|jpe?g|png|gif|pdf|php|html?|csv|com|net|org|zip|docx?)$")
_TOLD_OF = re.compile(r"(?:[\w,.:'-]{1,40}\s{1,4}){2}.{0,200}(?:phpinfo|<\?php|\$_)", re.DOTALL)  # among words
_COUNTED = re.compile(r"\s+\d{1,3}\s+[a-z]{3,}")  # `sleep 8 hours`
_BARRED = re.compile(r"\|(?!\|)")
_ADDRESS = re.compile(r"[\d.:]+|localhost")
_PATH_STARTS = frozenset("/uolsbc%")
_STEPS = 24  # separators looked at
_STARTED = 3  # commands looked behind that start another one


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """At most one finding: the surest of the commands that a shell would find in the text."""
    plain = unfolded(lower)
    if ("(" in plain or "<!--" in plain) and _direct(plain):
        told = _TOLD_OF.match(plain) is not None and not w.SENSITIVE.search(plain)
        yield (low if told else high)("COMMAND_EXECUTION", text)
        return
    certain = code.runs(plain)
    if certain:
        yield high("COMMAND_EXECUTION", text)
        return
    best, fragment = (2, text) if certain is None else (0, "")
    for score, part in _commands(plain):
        if score > best:
            best, fragment = score, part
        if best >= 3:
            break
    if best >= 2:
        yield (high if best >= 3 else low)("COMMAND_EXECUTION", fragment)


def _direct(plain: str) -> bool:
    """What starts a command without any separator: a language's call, a server-side include, a function in
    a variable."""
    if ("<!--" in plain and _INCLUDE.search(plain)) or ("()" in plain and _SHELLSHOCK.match(plain)):
        return True
    if ("$_" in plain or "phpinfo" in plain) and _PHP.search(plain):
        return True
    return _GIVEN.search(plain) is not None and _CALLING.search(plain) is not None and _calls(plain)


def _calls(plain: str) -> bool:
    """A programming language's way into the shell, with a command in its hands."""
    for match in _CALL.finditer(plain):
        if match[1].rpartition("/")[2].partition(".")[0] in w.KNOWN and match.start() < 60:
            return True
    return False


def _commands(plain: str) -> Iterator[tuple[int, str]]:
    """Each command behind a separator, and how much it looks like somebody's injection."""
    start = _whole(plain)
    if start:
        yield start, plain
    before = _Before(plain)
    table = plain.count("|") > 2 and _is_table(plain) and not w.SENSITIVE.search(plain)
    position = 0
    for _ in range(_STEPS):
        found = _SEPARATOR.search(plain, position)
        if found is None:
            return
        position = found.end()
        if table and found[0] == "|":
            continue
        score = _judged(plain, position, found[0])
        if score:
            weight = before.weight(found.start(), found[0], plain, position)
            yield score + weight, plain[found.start() : found.start() + 80]


def _is_table(plain: str) -> bool:
    """Whether the first line is a row of a table in Markdown, whose bars start nothing."""
    row = plain.strip().partition("\n")[0].rstrip()
    cells = row[1:-1].split("|")
    return row[0] == row[-1] == "|" and len(cells) > 1 and all(_CELL.fullmatch(cell) for cell in cells)


class _Before:
    """What stands before a separator, which tells an injection from a sentence or a shown command line."""

    __slots__ = ("first", "plain")

    def __init__(self, plain: str) -> None:
        self.plain = plain
        word = _WORD.match(plain)
        self.first = word is not None and word[0] in w.KNOWN and " " in plain

    def weight(self, start: int, separator: str, plain: str, end: int) -> int:
        """0 for an injection, less the more it reads like text."""
        before = plain[:start].strip("'\" ")
        rest = plain[end : end + 200]
        if separator == "`" and _marked(plain, start, end):
            return -3
        if separator[0] in "\r\n" and len(rest.lstrip().partition("\n")[0].split()) > 5:
            return -3
        if not before or separator == "`":
            return 0
        if before.startswith("```"):
            return -3
        words = len(before.split())
        if separator[0] in "\r\n":
            return -3 if words > 1 or plain.count("\n") > 3 else 0
        if w.SENSITIVE.search(rest):
            return 0
        if self.first or words > 2:
            return -3
        loose = rest[:1] == " " and before[-1:].isalpha()
        return -1 if loose and words > 1 else 0


def _marked(plain: str, start: int, end: int) -> bool:
    """Whether a backtick is Markdown's: doubled, behind a blank, or with words behind the one that closes
    it."""
    if plain[start - 1 : start] == "=":
        return False
    quoting = plain[start - 1 : start] in (" ", "`", "\n", "(") and plain[start - 2 : start] != "$("
    if quoting or plain[end : end + 1] == "`":
        return True
    closing = plain.find("`", end)
    return closing < 0 or any(sign.isalnum() or sign in ".,:" for sign in plain[closing + 1 : closing + 40])


def _whole(plain: str) -> int:
    """A value that is nothing but a command given by its path, or one with a separator behind it."""
    match = w.PATH.match(plain.lstrip("'\" "))
    if match and "bin/" in match[0] and match[0].rpartition("/")[2].rstrip("?*") in w.KNOWN - w.NAMED:
        return 2
    tail = plain.strip()
    if tail[:1] == "-":
        return 2 if w.OPTION.match(tail) else 0
    word = _WORD.match(tail)
    name = word[0].removesuffix(".exe") if word else ""
    if name not in w.KNOWN:
        return 0
    if (
        tail[-1:] in (";", "|", "&")
        and name not in w.ENGLISH
        and (len(tail) <= len(name) + 2 or w.ARGUMENT.match(tail, len(name)))
    ):
        return 2
    if _LOADING.match(tail):
        return 2
    told = w.SENSITIVE.search(plain) or _INTERPRETER.match(plain) or "127.0.0.1" in plain
    return 2 if told and plain.count(" ") < 7 else 0


def _judged(plain: str, position: int, separator: str, started: int = 0) -> int:
    """How surely a command starts here, behind `started` others: 3 certain, 2 likely, 1 perhaps, 0 none."""
    position = _LEADING.match(plain, position).end()  # type: ignore[union-attr]  # it matches nothing, too
    first = plain[position : position + 1]
    path = w.PATH.match(plain, position) if first in _PATH_STARTS else None
    if path:
        name = path[0].rpartition("/")[2].partition(".")[0]
        return 3 if name in w.KNOWN or "?" in path[0] or "*" in path[0] else 2
    word = _WORD.match(plain, position)
    if word is None:
        return 0
    name = word[0].removesuffix(".exe")
    if name not in w.KNOWN:
        if first == "$" and "=" in plain[:position] and _ASSEMBLED.match(plain, position):
            return 3
        return 2 if first in ("%", "$") and _SLICE.match(plain, position) else 0
    after = plain[word.end() : word.end() + 80]
    if after[:1] in ("=", ",", ":", ".") or (after[:1] == "(" and separator != "$("):
        return 0
    if name in w.STARTING and after[:1] == " " and started < _STARTED:
        behind = plain[:position] + plain[word.end() :].lstrip()
        if _judged(behind, position, separator, started + 1) > 2:
            return 3
    if separator in ("$(", "`", "<(", ">("):
        return _substituted(name, after, separator)
    return _started(name, after, plain, position, separator)


def _substituted(name: str, after: str, separator: str) -> int:
    closed = after.lstrip(" ")[:1] in (")", "`", "|", "&", ";")
    if closed:
        if name in w.NEEDING:
            return 0
        return 3 if name not in w.ENGLISH or separator == "`" else 2
    if w.ARGUMENT.match(after) or (name in ("echo", "printf", "expr") and after[:1] == " "):
        return 3
    return 2 if name in w.PLAIN - w.ENGLISH and _HOST.match(after) else 1


def _abbreviated(before: str, raw: str) -> int:
    """A command of one or two letters and nothing behind it, as passwords and formulas have it as well."""
    if len(before) < 2 or _ADDRESS.fullmatch(before) or raw[-1:] in ("'", '"', ")"):
        return 3
    return 2 if _NOT_A_COLUMN.search(before) else 1


def _started(name: str, after: str, plain: str, position: int, separator: str) -> int:
    """A command after a separator, by its own name and what it is given."""
    if (name in w.ENGLISH and _COUNTED.match(after)) or (
        separator == "|" and name in w.NEEDING and _BARRED.match(after)
    ):
        return 0
    if w.ARGUMENT.match(after) or w.SENSITIVE.search(plain, position, position + 60):
        return 3
    alone = not after.strip(" '\")};|&#`\r\n") or after.lstrip()[:1] in (";", "|", "&", "#", "`", ">", "\n")
    before = plain[:position].strip(" ;|&'\"()\r\n")
    if name in w.PLAIN and name not in w.ENGLISH:
        if alone and before[-1:].isalpha() and name not in w.TELLING:
            return 1
        return 3 if alone else 2 if after[:1] == " " and len(after) > 1 and name not in ("sc", "env") else 0
    if alone:
        short = len(before) < 2 or not before[-1].isalpha() or _NOT_A_COLUMN.search(before) is not None
        if name in w.SHORT and len(name) < 3:
            return _abbreviated(before, plain[:position].rstrip(" ;|&\r\n"))
        if name in w.SHORT or name in w.PLAIN:
            return 3 if short else 1
        return 2 if short and plain[position - 1] != " " else 1
    if not before and _ENGLISH_ARGUMENT.match(after) and name in ("echo", "type", "net", "cat", "dir", "ls"):
        return 3 if name != "type" else 2
    return 2 if name == "echo" and " " not in before and separator[0] not in "\r\n" else 0
