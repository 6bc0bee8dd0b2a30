"""JavaScript as an attacker writes it: whether a text acts on the page, calls what shows, sends or evaluates."""

from __future__ import annotations

import re

# A call of something that shows, sends, loads or evaluates, by parentheses, a template literal or `call`/`apply`.
CALL = re.compile(
    r"(?<![\w$])(?:alert|prompt|confirm|eval|settimeout|setinterval|setimmediate|fetch|import|importscripts|print"
    r"|msgbox|execscript|geturl|atob|btoa|function(?=\s?[(`]\s?['\"`x])|xmlhttprequest|postmessage|sendbeacon|open|write|writeln"
    r"|appendchild|insertadjacenthtml|constructor|fromcharcode|\$\.get(?:script|json)?)"
    r"(?:\s{0,3}\)|\s{0,3}\.\s{0,3}(?:call|apply|bind)|\s{0,3}\?\.)?(?:[\"'\]]{0,3}|\s(?=\([\d'\"/`]))(?:/\*[^*]{0,20}\*/)?(?:\(|`)"
)
# The page's own objects, read, written or looked up under a name in pieces.
OBJECT = re.compile(
    r"(?<![\w$-])(?:document|window|self|top|parent|frames|globalthis|this|location|opener|navigation|cookiestore)"
    r"\s{0,3}(?:(?:\?\.)?\[|\.\s{0,3}(?:cookie|domain|write|body|location|href|name|open|alert|constructor|eval|origin"
    r"|getelement|queryselector|createelement|localstorage|sessionstorage|defaultview|documentelement|forms|title))"
    r"|(?<![\w$.-])(?:document\.)?location(?:\.href|\.hash)?\s{0,3}=[^=]"
    r"|\$(?:event|on|eval)\b\.?\(?"
    r"|\.(?:innerhtml|outerhtml|srcdoc)\s{0,3}="
)
# An assignment of something that shows, for whoever may not write brackets.
HANDLER = re.compile(
    r"(?:onerror|onload|valueof|tostring|hasinstance\]?|prototype\.\w{1,20})['\"\]]{0,2}\s{0,3}[:=]\s{0,3}(?:alert|prompt"
    r"|confirm|print|eval|\w{1,20}\.\w{1,20}|location)|(?<![\w$.])throw[\s/*{]{1,4}[\w$,=]{0,30}"
    r"(?:onerror|alert|eval|\d)|=\s{0,2}(?:alert|prompt|confirm|eval)\s{0,2}(?:[,;)}]|$)"
    r"|\[\s{0,3}[\d,.]{1,9}\s{0,3}\]\s{0,3}\.\s{0,3}(?:find|map|some|every|filter|foreach|sort|concat)"
    r"|(?:alert|prompt|confirm|eval)['\"]?\s{0,2}(?:\]|\.source)"
)
_BRACKETS = re.compile(r"[\[\]()!+]{12,}|\[\]\s{0,2}\[\s{0,2}[(!\"']")
_IN_TWO = re.compile(r"['\"]\s{0,3}\+\s{0,3}['\"]")


def acts(text: str) -> bool:
    """Whether a lower-case text holds JavaScript that does something to the page or its user."""
    if CALL.search(text) or OBJECT.search(text) or HANDLER.search(text) or _BRACKETS.search(text):
        return True
    return "+" in text and acts_joined(text)


def acts_joined(text: str) -> bool:
    """The same for names in pieces: `'al'+'ert'`."""
    joined = _IN_TWO.sub("", text)
    return joined != text and bool(CALL.search(joined) or OBJECT.search(joined) or HANDLER.search(joined))
