"""What a text must hold before a shell can find a command in it that is not its own."""

from __future__ import annotations

import re

from metlo_otel.analysis.detectors import shell_words as w
from metlo_otel.analysis.detectors.telling import Signs, telling

_INITIALS = sorted({name[0] for name in w.KNOWN})
_NAME = "(?:{})".format(
    "|".join(
        f"{initial}(?:{'|'.join(sorted(re.escape(name[1:]) for name in w.KNOWN if name[0] == initial))})"
        for initial in _INITIALS
    )
)  # the beginning of a known one, tried by its first letter

_CALLED = frozenset(
    "system shell_exec passthru popen proc_open pcntl_exec subprocess exec execsync child_process phpinfo spawn"
    " spawnsync eval assert print print_r var_dump die exit include include_once require require_once phpversion"
    " getmypid php_uname sleep md5".split()
)  # where a bracket stands as well
_FOLDERS = frozenset({"bin", "sbin"})
WORDS = _CALLED | _FOLDERS | {"scripttimeout", "resume", "sysinfo", "clone"}
_BEHIND = (
    r"[\s'\"({!+@^]{0,8}(?:[\s'\"({!+@^]{9}|[/%]|c:|usr/|opt/|local/|\$(?:[{']|shell|bash|\w{1,8}\$)|" + _NAME + ")"
)
SIGNS: Signs = (
    (";|&\n\r`", _BEHIND),
    ("$<>", r"\(" + _BEHIND),
    ("'\"", r"(?:(?<=[\w/].)(?:['\"]|\w{1,3}['\"])|\w{1,3}['\"]\w)"),
    ("\\^", ""),
    ("$", r"(?<=[\w/]\$)(?:[@*]|\(\)|\{?\w{1,2}\}?[a-z/])|_|\{?ifs|'\\"),
    ("{", r"[\w/.-]{1,30},"),
    ("%", "09|common|program"),
    ("<", r"!--|\?|<<"),
    ("(", r"\)\s{0,4}\{"),
    ("-", w.OPTION_NAMES),
)
STARTS = re.compile(r"\s*" + _NAME + r"(?=[\s'\"`;|&(){}<>,=+]|\.exe|$)")
_told = telling(WORDS - _CALLED, SIGNS)


def tells(lower: str, words: list[str]) -> bool:
    """Whether anything might be found."""
    if "(" in lower and not _CALLED.isdisjoint(words):
        return True
    return _told(lower, words) or STARTS.match(lower) is not None
