"""Other protocols in a value: commands to a mail server, a second HTTP request, a token that nobody signed."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, telling

MARKS = frozenset("\r\n.")
WORDS = frozenset({"rcpt", "ehlo", "helo", "capability", "bcc", "smuggled"})
SIGNS: Signs = (
    (
        "\r\n",
        r"\s{0,4}(?:quit|data|mail from|rcpt to|ehlo|helo|rset|vrfy|[av]\d{1,4} [a-z]|[a-z]{3,10} \S{1,80} http/1)",
    ),
    (".", "e(?:y[ji]|30)"),
)

_B = r"[\r\n]\s{0,4}"
_SMTP = re.compile(
    rf"{_B}(?:rcpt to\s{{0,3}}:|mail from\s{{0,3}}:|(?:ehlo|helo) [\w.-]{{1,80}}\s{{0,2}}[\r\n]"
    rf"|data\s{{0,2}}[\r\n].{{0,400}}[\r\n]\.)"
)
_IMAP = re.compile(
    rf"{_B}[av]\d{{1,4}} (?:capability|fetch \d|login |select |list |delete |create |logout|uid |search |store "
    rf"|noop|lsub)"
)
_QUIT = re.compile(r"\s{0,4}[\r\n]{1,4}\s{0,4}(?:quit|rset|noop)\s{0,2}[\r\n]{1,4}\s{0,4}")
_HEADER = re.compile(
    rf"[\w.+-]{{1,64}}@[\w.-]{{1,80}}>?{_B}(?:b?cc|to|subject|from|reply-to|content-type|mime-version)\s{{0,3}}:"
)
_SECOND_REQUEST = re.compile(
    rf"(?:{_B}0{{1,4}}\s{{0,2}}|^\s{{0,4}}0{{0,4}}\s{{0,2}}|[\r\n]{{2,4}})[\r\n]{{1,4}}"
    r"(?:get|post|put|head|delete|options|patch|trace) (?:/|https?:)\S{0,400} http/1\.[01]\s{0,2}[\r\n]"
)
_LENGTH = re.compile(r"(?:transfer-encoding|content-length)[\s\x0b]{0,4}:")
_TOKEN = re.compile(r"\b(eyJ[\w-]{8,400})\.[\w-]{0,4000}\.([\w-]*)")


tells = telling(WORDS, SIGNS)


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """MAIL_INJECTION, REQUEST_SMUGGLING and JWT_ALG_NONE findings, at most one each."""
    if "\n" in lower or "\r" in lower:
        yield from _mail(text, lower)
        match = _SECOND_REQUEST.search(lower)
        if match is not None:
            certain = (
                _LENGTH.search(lower) is not None or match.start() == 0 or lower[: match.start()].strip()[-1:] == "0"
            )
            yield (high if certain else low)("REQUEST_SMUGGLING", text[match.start() :].strip())
    if "eyj" in lower:
        yield from _token(text)


def _mail(text: str, lower: str) -> Iterator[Finding]:
    match = _SMTP.search(lower) or _IMAP.search(lower) or _HEADER.search(lower)
    if match is not None and lower.count("\n") < 40:
        short = match.start() < 120
        yield (high if short and match.re is not _HEADER else low)("MAIL_INJECTION", text[match.start() :].strip())
    elif _QUIT.fullmatch(lower):
        yield low("MAIL_INJECTION", text)


def _token(text: str) -> Iterator[Finding]:
    """A JSON Web Token whose own header says that no signature is to be checked (RFC 7519, section 6)."""
    for match in _TOKEN.finditer(text):
        try:
            header = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
        except (binascii.Error, ValueError):
            continue
        algorithm = header.get("alg") if isinstance(header, dict) else None
        if isinstance(algorithm, str) and algorithm.lower() == "none":
            yield high("JWT_ALG_NONE", match[0])
            return
