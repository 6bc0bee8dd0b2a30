"""Masked values: replaced under their name wherever it stands, before anything leaves the process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote, quote_plus

from metlo_otel.core.record import Message, Pairs, Record
from metlo_otel.reading import cookies, forms, graphql_values, json_fields, multipart, xml_fields
from metlo_otel.reading.located import Located, replaced

MASKED = "[masked]"
_BYTES = MASKED.encode()
_QUOTED = b'"' + _BYTES + b'"'
_NAME_PARTS = re.compile(r"[\[\].]+")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_USERINFO = re.compile(rb"(://[^\s/?#@:\"'<>\\]{0,256}:)[^\s/?#@\"'<>\\]{1,256}@")
_LONGEST_NAME, _MOST_KNOWN = 256, 4096
_FORM = "application/x-www-form-urlencoded"
_OF_A_CALL = frozenset({"query", "variables", "operationName", "extensions"})
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
        if "@" in value and "://" in value:
            value = self._without_userinfo(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        if "=" not in value and value.lstrip()[:1] not in ("{", "["):
            return value
        if plain(name) in ("cookie", "setcookie"):
            return self._hidden(value, cookies.located(value))
        return self._within(value)

    def _hidden(self, text: str, fields: Iterable[Located]) -> str:
        """A text with the values of fields replaced whose names say so."""
        hides = self._hides
        pieces = [(start, end, MASKED) for name, start, end in fields if hides(name)]
        return replaced(text, pieces) if pieces else text

    def _within(self, value: str) -> str:
        """A value that holds fields of its own: JSON, or pairs such as those of a URL."""
        raw = value.encode("utf-8", "surrogatepass")
        if value.lstrip()[:1] in ("{", "["):
            value = self._structured(raw).decode("utf-8", "surrogatepass")
        if "(" in value and ":" in value and self._names_within(raw):
            value = self._graphql(value)
        return self._hidden(value, forms.located_in_url(value)) if "=" in value else value

    def _body(self, message: Message, within: bool = False) -> bytes:
        """By what it looks like, whatever its type says: an app may have read it so. A part is `within` another."""
        body, media = self._without_userinfo(message.body), message.media_type
        start = body.lstrip(_BLANKS)[:2]
        if not within and (media == "multipart/form-data" or start == b"--"):
            masked = self._multipart(body, message.content_type)
            if masked or media == "multipart/form-data":
                return masked
        if start[:1] == b"<" and self._names_within(body):
            fields = xml_fields.located(body, self._hides)
            body = replaced(body, [(start, end, _BYTES) for _, start, end in fields])
        structured = start[:1] in (b"{", b"[", b'"') and not graphql_values.looks_like_a_query(body)
        if media == _FORM or (not structured and forms.looks_like_a_form(body[:_LONGEST_NAME].decode("latin-1"))):
            body = self._form(body)
        if not structured and b"(" in body and b":" in body and self._names_within(body):
            body = self._graphql(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return body if media == _FORM and not structured else self._structured(body)

    def _without_userinfo(self, text: bytes) -> bytes:
        """A text with the passwords in its URLs masked, where passwords are."""
        if b"@" not in text or b"://" not in text or not self._hides("password"):
            return text
        return _USERINFO.sub(rb"\1" + _BYTES + b"@", text)

    def _structured(self, body: bytes) -> bytes:
        """JSON, JSON in its strings, and GraphQL in its `query`."""
        fields = json_fields.located(body, self._hides)
        body = replaced(body, [(start, end, _QUOTED) for _, start, end in fields])
        if b"\\" in body and self._names_within(body):
            body = _changed(body, json_fields.located_documents(body), self._nested)
        if b"=" in body and self._names_within(body):
            body = _changed(body, json_fields.located_urls(body), self._pairs)
        if b'"query"' in body and self._names_within(body):
            variables: set[str] = set()
            body = _changed(body, json_fields.located_queries(body), lambda text: self._query(text, variables))
            if variables:
                fields = json_fields.located(body, variables.__contains__)
                body = replaced(body, [(start, end, _QUOTED) for _, start, end in fields])
        return body

    def _query(self, text: str, variables: set[str]) -> str:
        """GraphQL as below; the variables that hold what is masked are noted, for their values stand elsewhere."""
        if "$" in text:
            variables |= graphql_values.bound(text, self._hides) - _OF_A_CALL
        return self._graphql(text, variables)

    def _nested(self, text: str) -> str:
        return self._structured(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _pairs(self, text: str) -> str:
        return self._hidden(text, forms.located_in_url(text))

    def _graphql(self, text: str, variables: Collection[str] = ()) -> str:
        """GraphQL with the values behind masked names replaced, of whatever kind they are, and of these variables."""
        fields = graphql_values.located(text)
        new = [(start, end, f'"{MASKED}"') for name, start, end in fields if name in variables or self._hides(name)]
        return replaced(text, new) if new else text

    def _names_within(self, body: bytes) -> bool:
        """Cheap: whether one of the names stands anywhere."""
        squeezed = body.lower().translate(None, b"-_")
        return any(name in squeezed for name in self._bytes)

    def _form(self, body: bytes) -> bytes:
        """A form with the values of its pairs, and of what stands in them, masked."""
        new: list[tuple[int, int, bytes]] = []
        for name, start, end in forms.located_pairs(body):
            if start == end:
                continue
            if self._hides(name):
                new.append((start, end, _BYTES))
                continue
            text = forms.said(body[start:end])
            within = self._within(text)
            if within != text:
                new.append((start, end, forms.written(within)))
        return replaced(body, new)

    def _multipart(self, body: bytes, content_type: str) -> bytes:
        """A form's fields; one without a readable name is masked too, a form without a boundary is emptied."""
        parts = multipart.all_parts(body, content_type)
        texts = [part for part in parts if part.filename is None]
        return replaced(body, [(part.start, part.end, self._part(body, part)) for part in texts]) if parts else b""

    def _part(self, body: bytes, part: multipart.Part) -> bytes:
        if not part.names or any(self._hides(name) for name in part.names):
            return _BYTES
        return self._body(Message(body=body[part.start : part.end]), within=True)


def _changed(body: bytes, strings: Iterable[Located], change: Callable[[str], str]) -> bytes:
    """JSON with what some of its strings say changed; masked where nobody can tell what that is."""
    new = [(start, end, json_fields.changed(body[start:end], change)) for _, start, end in strings]
    return replaced(body, [(start, end, _QUOTED if text is None else text) for start, end, text in new])
