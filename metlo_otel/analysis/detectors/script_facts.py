"""JavaScript that stands alone, without markup around it: what only an attacker writes, and what may be code that
somebody shows."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 400  # characters of a value that may be nothing but an expression
_END = 512  # characters of a long text's beginning and end: code in its middle stands in markup, which is read there
_SINK = "(?:alert|prompt|confirm|eval|msgbox|execscript)"
_ROOT = "(?:window|self|top|parent|frames|globalthis|this|document|content)"
_EACH = "(?:find|findindex|map|flatmap|some|every|filter|foreach|sort|concat|reduce|reduceright|from|of|with|push)"
_CERTAIN = re.compile(
    rf"(?<![\w$.])(?<![a-z]-){_ROOT}\s?(?:\?\.)?\[\s?['\"`]?{_SINK}['\"`]?\s?\]"  # looked up by its name
    r"|constructor['\"`\]\s]{0,3}(?:\?\.)?[.\[]?['\"`]?constructor['\"`\]]{0,2}\s?[(`]"  # the maker of functions
    r"|(?:\]|\)|\$on|\$eval|\bset|\bmap|\bfunction|\barray)(?:\.|\[['\"`])constructor['\"`\]]{0,2}\s?[(`]\s?['\"`]?\w{2}"
    rf"|(?<![\w$]){_SINK}\.(?:call|apply|bind)\s?[(`]|\.(?:call|apply|bind)`[^`]{{0,60}}\$\{{"
    rf"|\({_SINK}\)\s?[(`]|\A\({_SINK}(?:\(\)|``)\)|\A[-+*/]{_SINK}\([^()]{{0,40}}\)[-+*/]"
    r"|(?<![\w$.])(?<![a-z]-)(?:window|self|top|parent|frames|globalthis)\s?\[[^\]\n]{0,60}(?:['\"`]|tostring\()[^\n]{0,60}?\]\s?[(`]"
    r"|(?<![\w$.])(?<![a-z]-)document\s?\[\s?['\"`]|\beval\s?\((?:atob|unescape|decodeuri\w*|string\.fromcharcode|location|name|url)\b"
    rf"|['\"`]{_SINK}(?:\([^()]{{0,40}}\))?['\"`]\s?\)?\("  # a text that is called
    rf"|[\])\w]\.{_EACH}\s?\((?:[^()]{{0,30}},)?\s?(?:{_ROOT}\.)?{_SINK}\s?[,)]"  # handed to a loop
    rf"|\breflect\.(?:apply|construct)\s?\(\s?(?:{_SINK}|function)\b|\.replace\(/[^/]{{0,20}}/\w?,\s?{_SINK}\s?\)"
    rf"|(?<![\w$`.])(?:{_SINK}|settimeout|setinterval|function)`[^`\s]{{1,200}}`"  # the tag of a template
    rf"|onerror\s?=\s?(?:{_ROOT}\.)?{_SINK}\b.{{0,20}}throw|throw\s?onerror\s?=|\bget\s?:\s?{_SINK}\b"  # thrown to it
    rf"|(?<![\w$.])(\w{{1,3}})\s?=\s?\(?{_SINK}\)?\s?[,;]\s?\1\s?[(`]"  # called by another name
    r"|\blocation(?:\.href|\.replace|\.assign)?\s?[=(]\s?['\"`]?javascript:"
    r"|//.{0,60}['\"`]\s?\+\s?(?:document|self|window)[.\[]['\"]?cookie"  # sent to somebody
)
_LIKELY = re.compile(
    rf"(?<![\w$])(?<![a-z]-)(?:{_SINK}\)?(?:\(|`)(?!s\))|(?:settimeout|setinterval|function)\s?\(\s?['\"`]|import\s?\(\s?['\"`](?:https?:)?//"
    rf"|\$\.get(?:script|json)?\s?\(\s?['\"`](?:https?:)?//|document\.write(?:ln)?\s?\(\s?['\"`]<|\.\w{{1,12}}\({_SINK}\))"
)
_PLACE = re.compile(
    r"(?:(?:document|window|self|top)\.)?(?:location(?:\.href)?\s?=\s?(?:name|hash|['\"`](?:https?:)?//\S{1,200})"
    r"(?:\s?\+.{0,80})?)[\s;/]{0,4}"
)
_STYLED = re.compile(r"(?:[:=]|^)\s{0,3}expression\s?\(\s?[\w$.]{2,30}\s?[(=]")
_WORDS_OF_CODE = (
    "var|let|const|new|return|typeof|void|throw|function|async|await|else|if|in|of|instanceof|delete|case|with|try|do"
)
_PROSE = re.compile(rf"(?<![\w$.])(?!(?:{_WORDS_OF_CODE})\b)[a-z]{{2,}},?\s+(?!(?:{_WORDS_OF_CODE})\b)[a-z]{{2,}}")
_USUAL = re.compile(r"\.\w+\(\s?(?:function\b|\(\w*\)\s?=>)|^<|</")  # a handler as pages have it, or markup
_STRING = re.compile(r"(?<=[(,\[=+:{])\s?(?:'[^']*'|\"[^\"]*\"|`[^`]*`)")
_SHOWN = ("const ", "let ", "import ", "function ", "class ", "export ")
_TOLD = frozenset(
    "alert prompt confirm eval msgbox execscript constructor settimeout setinterval function reflect location cookie"
    " throw call apply bind source".split()
)
_ROOTS = frozenset("window self top parent frames globalthis this document content".split())
_IN_TWO = re.compile(r"['\"]\s{0,3}\+\s{0,3}['\"]|['\"]?\s?\+\s?(?=/\w{1,12}/\.source)")
_ACT = re.compile(r"[(`=]")
_COMMENT = re.compile(r"/\*[^*]{0,40}\*/")
_SOURCE = re.compile(r"/(\w{1,12})/\.source\s?\+?")


def certain(lower: str, words: Iterable[str]) -> bool:
    """Whether a text, given with its words, is put together as nobody writes who has nothing to hide."""
    if "(" not in lower and "`" not in lower and "=" not in lower and "[" not in lower:
        return False
    if _TOLD.isdisjoint(words) and not ("[" in lower and not _ROOTS.isdisjoint(words)) and "+" not in lower:
        return False
    if len(lower) > 2 * _END:
        lower = f"{lower[:_END]}\n{lower[-_END:]}"
    return _CERTAIN.search(_joined(lower)) is not None


def likely(lower: str) -> bool:
    """Whether the whole of a text is one expression or style that acts, without any prose."""
    if len(lower) > _LONGEST or "\n" in lower.strip() or lower.startswith(_SHOWN) or _USUAL.search(lower):
        return False
    if _PLACE.fullmatch(lower.strip()) or _STYLED.search(lower):
        return True
    plain = _joined(lower)
    return _LIKELY.search(plain) is not None and _PROSE.search(_STRING.sub("''", plain)) is None


def speaks(code: str) -> bool:
    """Whether there is prose before the first call or assignment of a text."""
    found = _ACT.search(code)
    return _PROSE.search(_STRING.sub("''", code[: found.start()] if found else code)) is not None


def _joined(lower: str) -> str:
    """The text with names in one piece that were written in several."""
    if "?." in lower:
        lower = lower.replace("?.(", "(").replace("?.[", "[").replace("?.", ".")
    if "/*" in lower:
        lower = _COMMENT.sub("", lower)
    if ".source" in lower:
        lower = _SOURCE.sub(r"\1", _IN_TWO.sub("", lower))
    return _IN_TWO.sub("", lower) if "+" in lower else lower
