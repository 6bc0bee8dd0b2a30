"""Markup that does nothing, as editors of text write it: taken out before anything else looks at a value."""

from __future__ import annotations

import re

_ELEMENTS = (
    "p|div|span|b|i|u|s|em|strong|small|su[bp]|br|hr|[uod]l|li|d[td]|h[1-6]|table|t(?:head|body|foot|r|d|h)|caption|col"
    "|blockquote|pre|code|a|img|figure|figcaption|section|article|header|footer|main|nav|aside|label|abbr|cite|q|time"
    "|mark|del|ins|font|center|colgroup"
)
_SAFE = r"[^\"'<>&()`{}\\]*"  # characters of a value that ends nothing and calls nothing
_NAMES = (
    "class|id|title|alt|width|height|target|rel|loading|lang|dir|align|valign|border|cellpadding|cellspacing|colspan"
    "|rowspan|name|role|(?:data|aria)-[a-z-]{1,30}"
)
_ADDRESS = r"(?:https?://[a-z][\w-]*(?:\.[a-z][\w-]*)+|mailto:[\w.+-]{1,64}@[\w.-]+)?(?:[/#?](?:[\w/=?#,:@~+-]|\.(?!\.)|&amp;(?=\w+=))*)?"
_INERT = re.compile(
    rf"</?(?:{_ELEMENTS})(?:\s+(?:(?:{_NAMES})=\"{_SAFE}\"|(?:href|src)=\"{_ADDRESS}\"|style=\"[\w\s:;#%.,-]*\"))*\s*/?>"
    r"|&(?:nbsp|[lr][sd]quo|[nm]dash|hellip|euro|copy|reg|trade|deg|middot|bull|laquo|raquo|szlig|[aeiouyncAEIOUNC]"
    r"(?:uml|acute|grave|circ|tilde|cedil|ring)|amp(?=;\s));"
)
_QUOTES = (("&#39;", "'"), ("&#x27;", "'"), ("&apos;", "'"), ("&quot;", '"'), ("&#34;", '"'))
_LEAST = 200  # characters: in shorter texts it does not pay


def without_inert(text: str) -> str:
    """The text with a full stop for each tag and entity that does nothing, so that no line starts where none did, and
    with quotes for their entities.
    """
    if len(text) <= _LEAST or "</" not in text:
        return text
    text = _INERT.sub(" . ", text)
    if "&" in text:
        for entity, quote in _QUOTES:
            text = text.replace(entity, quote)
    return text
