"""The texts that a value may turn into on its way to an interpreter: encodings peeled off within a bounded
budget."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from html.entities import html5
from urllib.parse import unquote_to_bytes

ROUNDS = 5  # percent-encoding twice, and one other encoding around or inside it

_WIDE_PERCENT = re.compile(r"%u([0-9a-fA-F]{4})")
_BYTE_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_OVERLONG = re.compile(rb"[\xc0\xc1]([\x80-\xff])|\xe0\x80([\x80-\xbf])|\xf0\x80\x80([\x80-\xbf])")
_ENTITY = re.compile(
    "&(?=[#a-zA-Z])(?:#[xX]?[0-9a-fA-F]|[a-zA-Z][a-zA-Z0-9]{1,31};|"
    + "|".join(sorted(name for name in html5 if not name.endswith(";")))
    + ")"
)  # with its semicolon, or one of those that HTML reads without
_ENCODED = re.compile(r"%(?:[0-9a-fA-F]{2}|[uU][0-9a-fA-F]{4})|\\(?:[xu0-7]|r\\n)|\+[aA][cCdD]|" + _ENTITY.pattern)
_LONG_NUMBER = re.compile(r"&#([0-9]{9,});?")
_ESCAPE = re.compile(
    r"\\(?:x(?!00[\\-])([0-9a-fA-F]{2})|u(?!0000[\\-])([0-9a-fA-F]{4})|u\{0*([0-9a-fA-F]{1,6})\}"
    r"|(?!0{2,3}(?:[\\-]|[0-9a-fA-F]{2}))([0-3]?[0-7]{2}))"
)  # but a NUL that is one byte of many, begins a range of characters, or CSS's number of another one
_ESCAPE_BEFORE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{2,3})\Z")
_UTF7 = re.compile(r"\+(ADw|AD4|ACI|ACc|ACg|ACk|ADs|AD0)-?", re.IGNORECASE)
_UTF7_RUN = re.compile(r"\+(A[A-H][A-Za-z0-9+/]{1,40})(?:-|(?=[^A-Za-z0-9+/]|$))")
_BREAKS = re.compile("(?<![\u560a\u560d])[\u560a\u560d]{1,8}(?=[A-Za-z<])")  # whose last bytes are a line's end
_UTF7_LETTERS = {
    "adw": "<",
    "ad4": ">",
    "aci": '"',
    "acc": "'",
    "acg": "(",
    "ack": ")",
    "ads": ";",
    "ad0": "=",
}
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")  # letters of no width, within words
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")
_PRINTABLE = re.compile(r"[\t\r\n -~]+")
_WORDY = re.compile(r"[\s<>'\"(){};|&$/%\\=]")


def readings(value: str) -> tuple[str, ...]:
    """The value as sent and, where that is another, fully decoded; the second no longer than ten times the first."""
    if value.isascii() and not _ENCODED.search(value):
        return (value,)
    decoded = decode(value)
    return (value, decoded) if decoded != value else (value,)


def decode(value: str) -> str:
    """Peel percent-encoding (also %uXXXX and overlong UTF-8), HTML entities, escapes and look-alike
    characters off, round by round until nothing changes."""
    for _ in range(ROUNDS):
        before = value
        if "%" in value:
            value = percent_decoded(value)
        if "&" in value and _ENTITY.search(value):
            value = unescaped(value)
        if "\\" in value:
            value = value.replace("\\r\\n", "\r\n")
            value = _ESCAPE.sub(_escaped, value)
        if "+" in value:
            value = _UTF7_RUN.sub(_utf7, value) if "+A" in value else value
            value = _UTF7.sub(lambda match: _UTF7_LETTERS[match[1].lower()], value)
        if not value.isascii():
            value = _plain(value)
        if value == before:
            break
    return value


def unescaped(value: str) -> str:
    """HTML's entities decoded; a number of thousands of digits, which Python refuses to read, as HTML reads it."""
    return html.unescape(_LONG_NUMBER.sub(_shortened, value) if "&#" in value else value)


def percent_decoded(value: str) -> str:
    """One round of percent-decoding; what is no valid UTF-8 is read as the overlong form that lax decoders
    take."""
    if "%u" in value or "%U" in value:
        value = _WIDE_PERCENT.sub(lambda match: chr(int(match[1], 16)), value)
    if not _BYTE_PERCENT.search(value):
        return value
    raw = unquote_to_bytes(value.encode("utf-8", "surrogatepass"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _OVERLONG.sub(_shortest, raw).decode("utf-8", "replace")


def base64_text(value: str) -> str | None:
    """The printable text that a whole value encodes in base64, or None; words and identifiers give None."""
    if len(value) < 10 or " " in value or value.islower():
        return None
    if "\n" in value:  # in lines, as MIME has it
        value = "".join(value.split())
    if not _BASE64.fullmatch(value):
        return None
    body = value.rstrip("=").translate(_URL_SAFE)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        text = raw.decode()
    except (binascii.Error, ValueError):
        return None
    return text if _printable(text) and _WORDY.search(text) else None


def _printable(text: str) -> bool:
    return _PRINTABLE.fullmatch(text) is not None or (len(text) > 12 and "".join(text.split()).isprintable())


def _utf7(match: re.Match[str]) -> str:
    """What a run of UTF-7 stands for (RFC 2152), where that is ASCII; else the run."""
    run = match[1]
    try:
        raw = base64.b64decode(run + "A" * (-len(run) % 4))
        text = raw[: len(run) * 6 // 16 * 2].decode("utf-16-be")
    except (binascii.Error, ValueError):
        return match[0]
    return text if text.isascii() and text.isprintable() else match[0]


def _shortest(match: re.Match[bytes]) -> bytes:
    high_bit = 64 if match[0][0] == 0xC1 else 0
    byte = match[1] or match[2] or match[3]
    return bytes([(byte[0] & 0x3F) | high_bit])


def _shortened(match: re.Match[str]) -> str:
    """The same character: without leading zeros, and no longer than it takes to name none."""
    return f"&#{match[1].lstrip('0')[:9] or '0'};"


def _escaped(match: re.Match[str]) -> str:
    point = int(match[4], 8) if match[4] else int(match[1] or match[2] or match[3], 16)
    if not point and _ESCAPE_BEFORE.search(match.string, max(0, match.start() - 6), match.start()):
        return match[0]  # the last of many bytes
    return chr(point) if point <= 0x10FFFF else match[0]


def _plain(value: str) -> str:
    """Full-width and other compatibility forms as the ASCII they are normalised to; accents stay as they
    are."""
    value = _UNSEEN.sub("", value)
    if unicodedata.is_normalized("NFKC", value) and max(value, default="") < "\u2215":
        return value
    plain = (
        unicodedata.normalize("NFKC", value)
        .replace("\u2215", "/")
        .replace("\u2216", "\\")
        .replace("\u560a\u560d", "\r\n")
    )
    return _BREAKS.sub("\r\n", plain) if "\u560a" in plain or "\u560d" in plain else plain
