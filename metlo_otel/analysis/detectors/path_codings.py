"""The signs of a path, `.` and `/`, as only broken decoders and file systems read them."""

from __future__ import annotations

import re

_P = r"%(?:25)*"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _byte(digits: str) -> int:
    """Two digits as decoders add them up that take any letter for one: `q` is 26, and what is too much is lost."""
    return (int(digits[0], 36) * 16 + int(digits[1], 36)) & 0xFF


_LEADS = "|".join(one + two for one in _DIGITS for two in _DIGITS if _byte(one + two) in (0xC0, 0xC1))
_HALVES = re.compile(r"%%(3[0-9]|[46][1-6])%%(3[0-9]|[46][1-6])")  # `%%32%%65`: each digit encoded by itself
_DECODED_HALVES = re.compile(r"%(2)%([ef])|%(5)%(c)")
_NUMBER = re.compile(r"0x(2e|2f|5c)")
_OVERLONG = re.compile(
    rf"{_P}(?:e0{_P}80|f0(?:{_P}80){{2}}|f8(?:{_P}80){{3}}|fc(?:{_P}80){{4}}){_P}([0-9a-z]{{2}})"
    rf"|{_P}({_LEADS})(?:{_P}([0-9a-z]{{2}})|([./\\]))"
)
_SIGN = re.compile(rf"{_P}(2e|2f|5c)|[%\\]u(ff0e|002e|2024)|[%\\]u(?:2215|2216|2044|ff0f|ff3c|002f|005c|efc8|f025)")
# The last two stand for a slash in code pages of Windows.
_STRIPPED = re.compile(r"(?:(?<![\w.])|(?<=2f)|(?<=5c))(?:\.\.|2e2e)(?:2f|5c)")
_STRIPPED_SLASH = re.compile(r"2f|5c")
_ODD_DOTS = {0x5E: ".", 0xFE: ".", 0x2E: ".", 0x2F: "/", 0x5C: "/"}  # behind C0, what a table gives instead of a sum


def plain(lower: str) -> str:
    """A lower-case text with one separator, in which each sign of a path stands as itself."""
    if "%" in lower or "0x" in lower or "\\u" in lower:
        lower = _decoded(lower)
    elif ("..2f" in lower or "..5c" in lower or "2e2e" in lower) and _STRIPPED.search(lower):
        lower = _STRIPPED_SLASH.sub("/", lower.replace("2e2e", ".."))
    return lower.replace("\\", "/")


def _decoded(lower: str) -> str:
    if "%%" in lower:
        lower = _HALVES.sub(lambda match: f"%{chr(int(match[1], 16))}{chr(int(match[2], 16))}", lower)
        lower = lower.replace("%%", "%")
    lower = _NUMBER.sub(lambda match: "." if match[1] == "2e" else "/", lower)
    lower = _DECODED_HALVES.sub(lambda match: "." if match[2] == "e" else "/", lower)
    lower = _OVERLONG.sub(_shortest, lower) if "%" in lower else lower
    return _SIGN.sub(lambda match: "." if match[1] == "2e" or match[2] else "/", lower)


def _shortest(match: re.Match[str]) -> str:
    """What an overlong form stands for, where that is a sign of a path; else the form."""
    if match[1]:
        last, lead = _byte(match[1]), 0xC0
    else:
        lead = _byte(match[2])
        last = ord(match[4]) if match[4] else _byte(match[3])
    if last in _ODD_DOTS:
        return _ODD_DOTS[last]
    found = (lead & 1) << 6 | last & 0x3F
    return {0x2E: ".", 0x2F: "/", 0x5C: "/", 0x6F: "/"}.get(found, match[0])
