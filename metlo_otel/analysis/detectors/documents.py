"""Attacks in the shape of documents and queries: XML entities, LDAP filters, header lines, GraphQL's own
schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.entities import html5

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, telling

MARKS = frozenset("<*()\r\n\x00{:")
WORDS = frozenset({"include", "schemalocation"})
SIGNS: Signs = (
    ("<", r"!|\?xml"),
    ("*", r"[()]"),
    (")", r" ?\("),
    ("\r\n\x00", ""),
    ("_", "_(?:schema|type)"),
    ("x", "include"),
    (":", r"(?:dn:)?[\d.]{5,}:=|include\s|import\s|redefine\s"),
    ("&", r"[a-z][\w.-]{1,40};\s{0,9}<"),
)

_ENTITY = re.compile(r"<!entity\s+(?:%\s*)?[\w.:-]{1,60}\s+(?:(?:system|public)\b|[\"'])|<!entity\s+%")
_DOCTYPE = re.compile(
    r"<!doctype\s+[\w.:-]{1,60}\s+(?:(system)\s*[\"']"
    r"|public\s*[\"'][^\"']{0,120}[\"']\s*[\"']([^\"']{0,200})|\[)"
    r"|<!doctype\s+[\w.:-]{1,60}\[|<\?xml\s[^>]{0,60}encoding\s{0,3}=\s{0,3}[\"']utf-7"
)
_INCLUDE = re.compile(
    r"<xi:include\s[^>]{0,200}href\s*=|<[\w:]{0,30}include\s[^>]{0,200}xinclude"
    r"|xmlns:xi\s*=\s*[\"']http://www\.w3\.org/2001/xinclude"
)

_SCHEMA_LOCATION = re.compile(
    r"(?<!nonamespace)schemalocation\s{0,3}=\s{0,3}[\"']\s{0,3}(?:https?|ftp|file):[^\s\"']{1,200}\s{0,3}[\"']"
    r"|<\w{0,20}:?(?:include|import|redefine)\s[^>]{0,120}(?:namespace|schemalocation)\s{0,3}=\s{0,3}[\"'](?:https?|ftp|file):"
)  # a single URL where the standard has pairs
_REFERENCE = re.compile(r">\s{0,9}&([a-z][\w.-]{1,40});\s{0,9}<")
_SSI = re.compile(
    r"<!--\s{0,4}#\s{0,4}(?:(exec|include|fsize|flastmod|email|odbc)|echo|config|set|if)\s{1,9}\w{1,12}\s{0,4}="
    r"|<!--#(printenv)\b"
)
_MATCHING = re.compile(r"\w{1,40}:(?:dn:)?\d{1,3}(?:\.\d{1,6}){2,12}:=")
_ASKING = re.compile(r"userpassword|\(\w{1,20}=\*\)|\((\d)=\d\)|\(!\(&\(")
_WHOLE_FILTER = re.compile(r"\([&|!]\s{0,3}\(.{3,400}\)\)")
_LDAP = re.compile(
    r"\)(?:\s{0,4}\({1,2}\s{0,4}(?:[|&!]\s{0,4}[()]?|[a-z][\w-]{1,40}\s{0,4}(?:[~<>]?=|:=))|(?<=[*\w]\))\)\(\|?)"
    r"|\*\)\)?(?:\x00|%00|(?:(?<=^\*\))|(?<=^\*\)\)))$)|\(\s{0,2}[|&]\s{0,2}\(\w+=\*\)"
)
_FILTER = re.compile(r"\)\s*\({1,2}\s*[|&!]|\*\)\)?(?:\x00|\(|$)")
_LDAP_ATTRIBUTES = re.compile(
    r"(?:uid|cn|sn|ou|dc|mail|objectclass|userpassword|password|samaccountname|givenname|memberof"
    r"|objectcategory|user|pass|userid|admin)\s{0,3}[~<>]?="
)

_HEADER = re.compile(
    r"[\r\n]\s{0,4}(?:(set-cookie2?|http/[\d.]{1,3}\s+\d{3}|content-length|transfer-encoding"
    r"|content-security-policy|x-xss-protection"
    r"|access-control-allow-\w{1,20}|refresh|x-[\w-]{3,30}|status)|(location|content-type"
    r"|host|bcc|cc|to|from|reply-to|subject"
    r"|link|cookie|referer|last-modified|cache-control))\s{0,3}(?::\s{0,4}([^\r\n]{1,80})|$)"
    r"|[\r\n]\s{0,4}http/\d\.\d\s\d{3}"
)
_CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SCHEMA = re.compile(r"\b(__schema\b\s{0,9}[({@]?|__type\s{0,9}\()")


tells = telling(WORDS, SIGNS)


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """XXE, LDAP_INJECTION, CRLF, NULL_BYTES and GRAPHQL_INTROSPECTION findings."""
    if "<" in lower:
        directive = _SSI.search(lower)
        if directive is not None:
            yield (high if directive[1] or directive[2] else low)("SSI", text[directive.start() :])
        found = list(_xxe(text, lower))
        yield from found or _foreign(text, lower)
    if ":=" in lower and _MATCHING.search(lower):
        yield high("LDAP_INJECTION", text)
    if "*)" in lower or ")(" in lower or "*(" in lower or ") (" in lower:
        yield from _ldap(text, lower)
    if "\n" in lower or "\r" in lower:
        yield from _header_lines(text, lower)
    position = text.find("\x00")
    if position >= 0 and not _is_binary(text):
        yield high("NULL_BYTES", text[max(0, position - 30) : position + 30])
    if "__" in lower:
        yield from _introspection(text, lower)


def _is_binary(text: str) -> bool:
    """Whether a text is bytes of something else, in which a NUL is no sign."""
    return "\ufffd" in text or _CONTROLS.search(text.replace("\x00", "")) is not None


def _xxe(text: str, lower: str) -> Iterator[Finding]:
    match = _ENTITY.search(lower) or _INCLUDE.search(lower)
    if match is not None:
        yield high("XXE", text[match.start() :])
        return
    match = _DOCTYPE.search(lower)
    if match is None or (match[2] or "").startswith(("http://www.w3.org/", "https://www.w3.org/")):
        return
    if match[0].startswith("<?"):  # a coding that readers of XML take and filters do not
        yield low("XXE", text[match.start() :])
    elif match[1] or match[2] or lower[match.end() - 1] == "[":
        yield high("XXE", text[match.start() :])


def _foreign(text: str, lower: str) -> Iterator[Finding]:
    """XML that sends its reader to somebody's schema, or names an entity that is nobody's."""
    match = _SCHEMA_LOCATION.search(lower) if "schemalocation" in lower or "namespace" in lower else None
    if match is None and "&" in lower:
        match = next((each for each in _REFERENCE.finditer(lower) if each[1] + ";" not in html5), None)
    if match is not None:
        yield low("XXE", text[match.start() :])


def _ldap(text: str, lower: str) -> Iterator[Finding]:
    """A bracket closed that the value never opened, and a filter opened behind it."""
    if lower in ("*()|&'", "*()|&"):  # every sign that a filter knows
        yield low("LDAP_INJECTION", text)
    if lower.startswith(("(&", "(|", "(!")) and _WHOLE_FILTER.fullmatch(lower) and _ASKING.search(lower):
        yield low("LDAP_INJECTION", text)
    match = _LDAP.search(lower)
    if match is None or "\\" in lower or _balanced(lower, match.start()):
        return
    named = _LDAP_ATTRIBUTES.search(lower, match.start())
    if named or _FILTER.search(lower):
        yield (high if named or "*)(" in lower else low)("LDAP_INJECTION", text[max(0, match.start() - 10) :])


def _balanced(lower: str, end: int) -> bool:
    """Whether the bracket at `end` closes one of the value's own."""
    before = lower[:end]
    return before.count("(") > before.count(")")


def _header_lines(text: str, lower: str) -> Iterator[Finding]:
    """A line break and a header behind it, in a value short enough to stand in a header of its own."""
    match = None if lower.startswith("--") or lower.count("\n") > 12 else _HEADER.search(lower)
    if match is None:
        return
    before = lower[: match.start()]
    if match[2] and (before.count(" ") > 3 or not _believable(match[2], match[3] or "")):
        return
    certain = match[2] is None and before.count(" ") < 4
    yield (high if certain else low)("CRLF", text[match.start() :].strip())


def _believable(name: str, value: str) -> bool:
    """Whether a line that might be a letter's (`Location: Paris`) has a header's value."""
    value = value.strip()
    if name in ("location", "host", "link", "referer"):
        return "/" in value or ("." in value and " " not in value)
    if name in ("bcc", "cc", "to", "from", "reply-to"):
        return "@" in value
    return name == "subject" or "=" in value or "/" in value


def _introspection(text: str, lower: str) -> Iterator[Finding]:
    match = _SCHEMA.search(lower)
    if match is not None and ("{" in lower or lower.strip() in ("__schema", "__type")):
        yield high("GRAPHQL_INTROSPECTION", text[match.start() :])
