"""Masked values: replaced under their name wherever it stands, before anything leaves the process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote_plus

from metlo_otel.core.record import Message, Pairs, Record
from metlo_otel.reading.graphql_values import located_values
from metlo_otel.reading.json_fields import FieldMask
from metlo_otel.reading.multipart import Part, all_parts, replaced

MASKED = "[masked]"
_BYTES = MASKED.encode()
_URL_PAIR = re.compile(r"([?&#;])([^=&#;?\s\"'<>]+)=([^&#;\s\"'<>]*)")
_COOKIE_PAIR = re.compile(r"(\A|;)(\s*)([^=;\s][^=;]*)=((?:\s*\"[^\"]*\")?[^;]*)")
_NAME_PARTS = re.compile(r"[\[\].]+")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_LONGEST_NAME, _MOST_KNOWN = 256, 4096
_FORM = "application/x-www-form-urlencoded"
_QUERY = re.compile(rb'("query"\s*:\s*)("(?:[^"\\]|\\.)*(?:"|\\?\Z))', re.DOTALL)  # GraphQL within JSON
_NESTED = re.compile(rb'()("\s*[{\[](?:[^"\\]|\\.)*(?:"|\\?\Z))', re.DOTALL)  # JSON in a string of JSON
_SELECTION = re.compile(rb"[\xef\xbb\xbf \t\r\n]*\{[\s,]*[A-Za-z_]")  # GraphQL begins so, and no JSON does
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_BLANKS = b"\xef\xbb\xbf \t\r\n"  # a byte order mark is one too


def mask(record: Record, names: frozenset[str]) -> Record:
    """The record with `[masked]` for every value whose header, parameter, cookie or field has one of these names.

    Case, hyphens and underscores of a name make no difference, and each part of `user[password]` counts.
    What stands under a masked JSON key goes as a whole. The rest of a body stays byte for byte.
    """
    return _masker(names)(record) if names else record


def hide(record: Record, values: Sequence[str]) -> Record:
    """The record without these values, wherever they stand, as they are or as JSON or a form write them."""
    if not values:
        return record
    spelled = sorted({form for value in values for form in _spellings(value)}, key=len, reverse=True)
    text = re.compile("|".join(map(re.escape, spelled)))
    raw = re.compile(text.pattern.encode("utf-8", "replace"))
    return replace(
        record,
        query=tuple([(name, text.sub(MASKED, value)) for name, value in record.query]),
        request=_hidden(record.request, text, raw),
        response=_hidden(record.response, text, raw),
    )


def _spellings(value: str) -> tuple[str, ...]:
    escaped = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    return value, *escaped, quote_plus(value, errors="replace"), quote(value, errors="replace")


def _hidden(message: Message, text: re.Pattern[str], raw: re.Pattern[bytes]) -> Message:
    headers = tuple([(name, text.sub(MASKED, value)) for name, value in message.headers])
    return Message(headers, raw.sub(_BYTES, message.body), message.size, message.truncated)


def plain(name: str) -> str:
    """A name as it is compared."""
    return _known(name) if len(name) <= 64 else _known.__wrapped__(name)


@lru_cache(maxsize=1024)
def _known(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


@lru_cache(maxsize=16)
def _masker(names: frozenset[str]) -> Masker:
    return Masker(names)


class Masker:
    """Masks the values of these names."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = frozenset(plain(name) for name in names)
        self._bytes = tuple([name.encode("utf-8", "replace") for name in self._names])
        self._json = FieldMask(self._names, self._hides, b'"' + _BYTES + b'"')
        self._xml = _in_markup(self._names)
        self._known: dict[str, bool] = {}

    def __call__(self, record: Record) -> Record:
        return replace(
            record,
            query=tuple([(name, MASKED if self._hides(name) else self._within(value)) for name, value in record.query]),
            request=self._message(record.request),
            response=self._message(record.response),
        )

    def _hides(self, name: str) -> bool:
        """Whether a field's values are masked: its name, a part of it (`user[password]`), or its last words."""
        if len(name) > _LONGEST_NAME:
            return any(self._is_hidden(part) for part in _NAME_PARTS.split(name[-_LONGEST_NAME:]))
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[name] = self._is_hidden(name) or any(
                self._is_hidden(part) for part in _NAME_PARTS.split(name)
            )
        return known

    def _is_hidden(self, name: str) -> bool:
        """`userPassword`, `password1` and `X-Vault-Token` end in words that name a secret, `tokenCount` does not."""
        compared = plain(name).strip()
        if compared in self._names or compared.rstrip("0123456789") in self._names:
            return True
        if " " in name.strip():  # a sentence is no name
            return False
        words = [word.lower() for word in _WORDS.findall(name)]
        while words and words[-1].isdigit():
            words.pop()
        return any("".join(words[at:]) in self._names for at in range(1, len(words)))

    def _message(self, message: Message) -> Message:
        headers = self._headers(message.headers)
        if not message.body:
            return Message(headers, b"", message.size, message.cut)
        return Message(headers, self._body(message), message.size, message.truncated)

    def _headers(self, headers: Pairs) -> Pairs:
        return tuple([(name, self._header(name, value)) for name, value in headers])

    def _header(self, name: str, value: str) -> str:
        if self._hides(name):
            return MASKED
        if "=" not in value and value.lstrip()[:1] not in ("{", "["):
            return value
        if plain(name) in ("cookie", "setcookie"):
            return _COOKIE_PAIR.sub(self._cookie, value)
        return self._within(value)

    def _within(self, value: str) -> str:
        """A value that holds fields of its own: JSON, or pairs such as those of a URL."""
        raw = value.encode("utf-8", "surrogatepass")
        if value.lstrip()[:1] in ("{", "["):
            value = self._structured(raw).decode("utf-8", "surrogatepass")
        if "(" in value and ":" in value and self._names_within(raw):
            value = self._graphql(value)
        return _URL_PAIR.sub(self._url_pair, value) if "=" in value else value

    def _cookie(self, match: re.Match[str]) -> str:
        start, space, name, _ = match.groups()
        return f"{start}{space}{name}={MASKED}" if self._hides(name) else match[0]

    def _url_pair(self, match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}={MASKED}" if self._hides(unquote_plus(match[2])) else match[0]

    def _body(self, message: Message) -> bytes:
        """By what it looks like, whatever its type says: an app may have read it so."""
        body, media = message.body, message.media_type
        start = body.lstrip(_BLANKS)[:2]
        if media == "multipart/form-data" or start == b"--":
            masked = self._multipart(body, message.content_type)
            if masked or media == "multipart/form-data":
                return masked
        if start[:1] == b"<" and self._names_within(body):
            body = self._xml.sub(_element, body)
        structured = start[:1] in (b"{", b"[", b'"') and not _SELECTION.match(body)
        if media == _FORM or not structured:
            body = self._form(body, anywhere=media != _FORM)
        if not structured and b"(" in body and b":" in body and self._names_within(body):
            body = self._arguments(body)
        return body if media == _FORM and not structured else self._structured(body)

    def _structured(self, body: bytes) -> bytes:
        """JSON, JSON in its strings, and GraphQL in its `query`."""
        body = self._json(body)
        if b"\\" in body and self._names_within(body):
            body = _NESTED.sub(lambda match: _requoted(match, self._nested), body)
        if b'"query"' in body and self._names_within(body):
            body = _QUERY.sub(lambda match: _requoted(match, self._graphql), body)
        return body

    def _nested(self, text: str) -> str:
        return self._structured(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _arguments(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "surrogateescape")
        return self._graphql(text).encode("utf-8", "surrogateescape")

    def _graphql(self, text: str) -> str:
        """GraphQL with the values behind masked names replaced, of whatever kind they are."""
        kept, position = [], 0
        for name, start, end in located_values(text):
            if start >= position and self._hides(name):
                kept += [text[position:start], f'"{MASKED}"']
                position = end
        return "".join([*kept, text[position:]])

    def _names_within(self, body: bytes) -> bool:
        """Cheap: whether one of the names stands anywhere."""
        squeezed = body.lower().translate(None, b"-_")
        return any(name in squeezed for name in self._bytes)

    def _form(self, body: bytes, anywhere: bool) -> bytes:
        """A form's pairs; in a body that is not said to be a form, only where it looks like one."""
        if b"=" not in body or (anywhere and not re.match(rb"[\w.%+\-\[\]~!*]{1,200}=", body)):
            return body
        return b"&".join([self._form_pair(piece) for piece in body.split(b"&")])

    def _form_pair(self, piece: bytes) -> bytes:
        name, equals, value = piece.partition(b"=")
        if not value:
            return piece
        if self._hides(unquote_plus(name.decode("utf-8", "replace"))):
            return name + equals + _BYTES
        text = unquote_plus(value.decode("utf-8", "surrogateescape"), errors="surrogateescape")
        within = self._within(text)
        return piece if within == text else name + equals + quote_plus(within, errors="replace").encode()

    def _multipart(self, body: bytes, content_type: str) -> bytes:
        """A form's fields; one without a readable name is masked too, a form without a boundary is emptied."""
        parts = all_parts(body, content_type)
        texts = [part for part in parts if part.filename is None]
        return replaced(body, [(part.start, part.end, self._part(body, part)) for part in texts]) if parts else b""

    def _part(self, body: bytes, part: Part) -> bytes:
        if not part.names or any(self._hides(name) for name in part.names):
            return _BYTES
        content = body[part.start : part.end]
        return self._structured(content) if content.lstrip(_BLANKS)[:1] in (b"{", b"[") else content


def _requoted(match: re.Match[bytes], change: Callable[[str], str]) -> bytes:
    """A JSON string, the match's second group, with what it says changed; it may be cut."""
    whole = len(match[2]) > 1 and match[2].endswith(b'"')
    quoted = match[2].decode("utf-8", "surrogateescape")
    try:
        text = json.loads(quoted if whole else _CUT_ESCAPE.sub("", quoted) + '"', strict=False)
    except ValueError:
        return match[1] + b'"' + _BYTES + b'"'  # nobody can tell what it says
    changed = change(text)
    if changed == text:
        return match[0]
    spelled = json.dumps(changed).encode()
    return match[1] + (spelled if whole else spelled[:-1])


def _spelled(names: frozenset[str]) -> bytes:
    """A pattern for the names in any case, with hyphens and underscores anywhere within them."""
    each = [b"[-_]*".join([re.escape(letter.encode("utf-8", "replace")) for letter in name]) for name in sorted(names)]
    return b"(?:" + b"|".join(each) + b")"


def _in_markup(names: frozenset[str]) -> re.Pattern[bytes]:
    """What an XML element or attribute of these names holds, to the end where it was cut."""
    name = rb"(?:[\w.:-]{1,64}(?:[-_.:]|(?-i:(?<=[a-z0-9])(?=[A-Z]))))?" + _spelled(names) + rb"[0-9]{0,4}"
    element = rb"(<(" + name + rb")(?:\s[^<>]*)?(?<!/)>)(?:.*?(?=</\2\s*>)|.*\Z)"
    attribute = rb"(\s" + name + rb"\s*=\s*)(?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z))"
    return re.compile(element + b"|" + attribute, re.IGNORECASE | re.DOTALL)


def _element(match: re.Match[bytes]) -> bytes:
    return match[1] + _BYTES if match[1] is not None else match[3] + b'"' + _BYTES + b'"'
