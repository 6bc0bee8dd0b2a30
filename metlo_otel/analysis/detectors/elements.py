"""Elements and attributes of HTML that run something, load something foreign, or neither."""

from __future__ import annotations

import re

from metlo_otel.analysis.detectors.markup import Tag, compact
from metlo_otel.analysis.detectors.script import acts

_ACTIVE = frozenset({"script", "applet", "frameset", "bgsound"})
_LOADS = {
    "iframe": ("src", "srcdoc"),
    "object": ("data", "classid", "codebase", "type"),
    "embed": ("src", "code"),
    "base": ("href",),
    "meta": ("http-equiv",),
    "link": ("href",),
    "frame": ("src",),
    "layer": ("src",),
    "ilayer": ("src",),
    "xml": ("src",),
    "form": ("action",),
    "button": ("formaction",),
    "input": ("formaction",),
}  # elements that bring in something foreign, by the attribute that does
_SCRIPT = re.compile(r"/?script(?![a-z\d_-])")
_HIDDEN_TAG = re.compile(
    r"</[a-z][^<>]{0,20}>[^<]{0,40}<(?:script|[a-z][^<>]{0,80}\bon[a-z]{3,40}\s{0,3}=)"
)  # mutation XSS
_LISTENS = frozenset({"handler", "listener"})  # to events, in XML
_SENDS = frozenset({"form", "button", "input"})
_LINKS = re.compile("stylesheet|import")
NO_EVENT = frozenset({"only", "once", "online", "onto", "onset", "ongoing", "one"})
_EVENT = re.compile("on[a-z]{3,40}")
SCHEME = re.compile(
    r"javascript[:#]|vbscript[:#]|livescript[:#]|mocha[:#]|jscript[:#]|mhtml:http|data:(?:text/(?:html|xml"
    r"|javascript)|application/x)"
)
_URL_ELEMENTS = frozenset(
    {"iframe", "object", "embed", "use", "a", "script", "frame", "link", "form", "animate", "set"}
)
_NUMBERED = re.compile(r"\\0{0,4}([0-9a-f]{2})\s?")
_FOREIGN_STYLE = re.compile(r"@import['\"]?(?:url\()?['\"]?(?:https?:)?//|@im\\|url\(['\"]?//")
_STYLE = re.compile(
    r"expression\(|(?:java|vb)script:|-moz-binding|behaviou?r:url|behaviou?r:"
    r"|url\(['\"]?(?:java|data:text)"
    r"|binding:url|\*//\*|exp/\*|expr/\*|\bex/\*"
)


_INSIDE = 400  # characters of a script that are looked at
_MENTION = re.compile(
    r">?\s+(?!(?:var|let|const|function|async|throw|new|return|void|if)\b)[a-z]{2,20},?\s+[a-z]{2}|>?</[a-z]{1,9}>\s+[a-z]{2}"
)


def dangerous(tag: Tag, lower: str, active: bool) -> bool | None:
    """True for certain, False for perhaps, None for harmless. `active`: whether any part of the text might act."""
    name = tag.name.rpartition(":")[2] or tag.name
    if name in _ACTIVE or _SCRIPT.match(name):
        return _script(name, tag, lower, active)
    if name[0] in "!?%" and _instructs(name, lower):
        return True
    if name == "style" and (styled := _sheet(tag, lower)) is not None:
        return styled
    if name in _LISTENS and active and acts(lower[tag.start : tag.start + _INSIDE]):
        return True
    handles = False
    for attribute, value in tag.attributes:
        if len(value) > 3 and _active(name, attribute, value):
            return True
        handles = handles or (attribute[:2] == "on" and _handler(attribute, value))
    if handles:
        return True if not _template_value(tag) else None
    if active and name[0] != "/" and acts(lower[tag.start : tag.end]):
        return False
    return _foreign(name, tag) if tag.attributes else None


def _script(name: str, tag: Tag, lower: str, active: bool) -> bool | None:
    """A script: certain, unless sites hand it out, prose mentions its tag, or nothing in it acts."""
    if name == "/script":
        return None if "<script" in lower else active  # what it opened with has told
    if name == "script" and _is_embedded_script(tag.attributes):
        return False
    if tag.attributes or name != "script" or "</script" in lower:
        return True
    if _MENTION.match(lower, tag.end):
        return None
    return active and acts(lower[tag.end : tag.end + _INSIDE])


def _is_embedded_script(attributes: tuple[tuple[str, str], ...]) -> bool:
    """A script as sites hand them out to be put into a page: loaded over TLS, when there is time."""
    said = dict(attributes)
    waits = not {"async", "defer", "integrity"}.isdisjoint(said)
    return waits and said.get("src", "").startswith("https://") and not any(name[:2] == "on" for name in said)


def _instructs(name: str, lower: str) -> bool:
    """A server's or an old browser's instruction, or a comment that hides a script."""
    return name.startswith(("!--#", "?import", "?xml:")) or ("script" in lower and "<scr" in lower)


def _sheet(tag: Tag, lower: str) -> bool | None:
    """A style sheet that runs something (True), or loads something from somebody else (False)."""
    if ("type", "text/javascript") in tag.attributes:
        return True
    sheet = compact(lower[tag.start : tag.start + 400])
    if any(_STYLE.search(style) for style in (sheet.replace("\\", ""), _unescaped(sheet))):
        return True
    return False if _FOREIGN_STYLE.search(sheet) else None


def _unescaped(sheet: str) -> str:
    """A style sheet with characters that are written by their number as they are."""
    return _NUMBERED.sub(lambda match: chr(int(match[1], 16)), sheet) if "\\" in sheet else sheet


def _handler(name: str, value: str) -> bool:
    """An event handler, also one that follows a slash or a stray sign (`onload!#$=`)."""
    found = _EVENT.match(name) if value else None
    if found is None or found[0] in NO_EVENT:
        return False
    return len(found[0]) == len(name) or not name[found.end()].isalnum()


def _template_value(tag: Tag) -> bool:
    """`onClick={…}` is how JSX is written; a page would run it as a block, but hardly anybody means that."""
    values = [value for name, value in tag.attributes if _handler(name, value)]
    return all(value.startswith("{") and not acts(value) for value in values)


def _active(element: str, name: str, value: str) -> bool:
    """An attribute that runs: a script URL where URLs go, a style with code, a whole document."""
    plain = compact(value)
    if name == "style":
        return any(_STYLE.search(style) for style in (plain.replace("\\", ""), plain, _unescaped(plain)))
    if "</" in value and _HIDDEN_TAG.search(value):
        return True
    if name == "srcdoc" or plain.startswith("&{"):
        return "<" in plain or "{" in plain
    scheme = SCHEME.search(plain)
    if scheme is None:
        return plain.startswith("data:image/svg") and element in _URL_ELEMENTS
    before = plain[: scheme.start()]
    return not before or before[-1] in "=;\"'`>(" or not before.strip("\"'`(")


def _foreign(name: str, tag: Tag) -> bool | None:
    wanted = _LOADS.get(name)
    if wanted is None:
        return False if name[:1] != "/" and not {"datasrc", "dataformatas"}.isdisjoint(dict(tag.attributes)) else None
    values = [value for key, value in tag.attributes if key in wanted]
    if not values or (name == "iframe" and _embedded(dict(tag.attributes))):
        return None
    if name == "meta":
        return True if values[0] in ("refresh", "set-cookie", "link") else None
    if name in _SENDS and not values[0].startswith(("//", "http://", "https://")):
        return None
    if name == "link" and ("//" not in values[0] or not _LINKS.search(dict(tag.attributes).get("rel", ""))):
        return None
    return False


def _embedded(attributes: dict[str, str]) -> bool:
    """A video or a map as sites hand them out: encrypted, and with a size."""
    return attributes.get("src", "").startswith("https://") and {"width", "height"} <= attributes.keys()
