"""Cross-site scripting: a value read as HTML data, inside an attribute, as a URL and inside a script."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.markup import Tag, compact, tags
from metlo_otel.analysis.detectors.script import acts

MARKS = frozenset("<=(`{>")

_ACTIVE = frozenset({"script", "applet", "frameset", "frame", "layer", "ilayer", "bgsound", "xml", "isindex"})
_LOADS = {
    "iframe": ("src", "srcdoc"),
    "object": ("data", "classid", "codebase", "type"),
    "embed": ("src", "code"),
    "base": ("href",),
    "meta": ("http-equiv",),
    "link": ("href",),
}  # elements that bring in something foreign, by the attribute that does
_NO_EVENT = frozenset({"only", "once", "online", "onto", "onset", "ongoing", "one"})
_SCHEME = re.compile(
    r"(?:javascript|vbscript|livescript|mocha|jscript)[:#]|mhtml:http|data:(?:text/(?:html|xml"
    r"|javascript)|application/x)"
)
_URL_ELEMENTS = frozenset(
    {"iframe", "object", "embed", "use", "a", "script", "frame", "link", "form", "animate", "set"}
)
_STYLE = re.compile(
    r"expression\(|(?:java|vb)script:|-moz-binding|behaviou?r:url|behaviou?r:|@import"
    r"|@im\\|url\(['\"]?(?:java|data:text)"
    r"|binding:url|\*//\*|exp/\*|expr/\*|\bex/\*"
)
_EVENT = re.compile(r"(?<![\w$.-])(on[a-z]{3,30})[\s\x00/]{0,10}=[\s\x00]{0,10}")
_LEAVES = re.compile(r"[^'\"`]{0,80}\\{0,3}['\"`]")
_GOES_ON = re.compile(r"[\s)}\]]*(?:[-+*/%^|&,;?:=<>~!}]|\)|\]|in\b|instanceof\b|\$\{|\\n|\r|\n)")
_CLOSES = re.compile(r"\*/|//|\d{0,9}[)}\];,]+|\[\]\s?\[")
_WHOLE_CALL = re.compile(
    r"\(?(?:alert|prompt|confirm|eval|msgbox|geturl)\)?(?:\([^\s()]{0,40}\)|`[^`]{0,40}`)[;>/\s]{0,4}"
)
_PROBE = re.compile(r"['\"]{1,3};!--[\"']{0,3}<\w{1,30}>=&\{")
_TEMPLATE = re.compile(r"\$\{|\{\{")
_STRIPPED = re.compile(r".{0,40}script[\s>]{0,4}(.{3,100})/script.{0,10}")  # a filter took the brackets
_BREAKS_OUT = re.compile(r"[^<>=]{0,200}[\"']\s?/?>[^<]{0,100}</?[a-z]")
_EVALUATES = re.compile(r"(?:eval\s?[(`]|function\s?[(`]\s?['\"`])")
_SCRIPT_LINK = re.compile(r"[\"'(=]\s{0,3}(?:java|vb)script:")
_SKELETON = re.compile(r"(?:</?(?:html|head|body)>\s*)+")


Where = tuple[int, int, bool]  # start, end, and whether it is certain


def find(text: str, lower: str) -> Iterator[Finding]:
    """At most one finding: the first context in which the text would run, surest first."""
    best = None
    for found in _judged(lower):
        if found is not None and (best is None or found[2]):
            best = found
            if found[2]:
                break
    if best is not None:
        start, end, certain = best
        yield (high if certain else low)("XSS", text[start:end])


def _judged(lower: str) -> Iterator[Where | None]:
    """What each context makes of the text, as far as it is asked."""
    yield _as_data(lower)
    active = acts(lower)
    if active or "script" in lower or "data:" in lower or "mocha:" in lower or "mhtml:" in lower:
        yield _as_url(lower)
    yield _as_attribute(lower)
    if active or "script" in lower or "&{" in lower:
        yield _as_script(lower)


def _as_data(lower: str) -> Where | None:
    """Between tags: what a browser would build from it."""
    if "<" not in lower:
        return None
    best = None
    for tag in tags(lower):
        certain = _dangerous(tag, lower)
        if certain:
            return tag.start, tag.end, True
        if certain is False and best is None:
            best = tag.start, tag.end, False
    if best is None and _SKELETON.fullmatch(lower):
        return 0, len(lower), False
    return best


def _dangerous(tag: Tag, lower: str) -> bool | None:
    """True for certain, False for perhaps, None for harmless."""
    name = tag.name.rpartition(":")[2] or tag.name
    if name in _ACTIVE or name.startswith(("script", "/script")):
        return bool(tag.attributes) or name != "script" or "</script" in lower or acts(lower[tag.end :])
    if name.startswith(("!--#", "?import", "?xml:")) or (
        name[0] in "!?%" and "script" in lower and "<scr" in lower
    ):
        return True
    if name == "style" and ("type", "text/javascript") in tag.attributes:
        return True
    if name == "style" and _STYLE.search(compact(lower[tag.start : tag.start + 400]).replace("\\", "")):
        return True
    if any(_active(name, *attribute) for attribute in tag.attributes):
        return True
    if any(_handler(*attribute) for attribute in tag.attributes):
        return True if not _template_value(tag) else None
    if name[0] != "/" and acts(lower[tag.start : tag.end]):
        return False
    return _foreign(name, tag)


def _handler(name: str, value: str) -> bool:
    """An event handler, also one that follows a slash or a stray sign (`onload!#$=`)."""
    found = re.match(r"on[a-z]{3,30}", name)
    if found is None or found[0] in _NO_EVENT:
        return False
    return bool(value) and (len(found[0]) == len(name) or not name[found.end()].isalnum())


def _template_value(tag: Tag) -> bool:
    """`onClick={…}` is how JSX is written; a page would run it as a block, but hardly anybody means that."""
    values = [value for name, value in tag.attributes if _handler(name, value)]
    return all(value.startswith("{") and not acts(value) for value in values)


def _active(element: str, name: str, value: str) -> bool:
    """An attribute that runs: a script URL where URLs go, a style with code, a whole document."""
    if len(value) < 4:
        return False
    plain = compact(value)
    if name == "style":
        return bool(_STYLE.search(plain.replace("\\", "")) or _STYLE.search(plain))
    if name == "srcdoc" or plain.startswith("&{"):
        return "<" in plain or "{" in plain
    scheme = _SCHEME.search(plain)
    if scheme is None:
        return plain.startswith("data:image/svg") and element in _URL_ELEMENTS
    before = plain[: scheme.start()]
    return not before or before[-1] in "=;\"'`>(" or not before.strip("\"'`(")


def _foreign(name: str, tag: Tag) -> bool | None:
    wanted = _LOADS.get(name)
    if wanted is None:
        return (
            False
            if name[:1] != "/" and not {"datasrc", "dataformatas"}.isdisjoint(dict(tag.attributes))
            else None
        )
    values = [value for key, value in tag.attributes if key in wanted]
    if not values or (name == "iframe" and _embedded(dict(tag.attributes))):
        return None
    if name == "meta":
        return True if values[0] in ("refresh", "set-cookie", "link") else None
    if name == "link" and ("//" not in values[0] or "stylesheet" not in dict(tag.attributes).get("rel", "")):
        return None
    return False


def _embedded(attributes: dict[str, str]) -> bool:
    """A video or a map as sites hand them out: encrypted, and with a size."""
    return attributes.get("src", "").startswith("https://") and {"width", "height"} <= attributes.keys()


def _as_url(lower: str) -> Where | None:
    """The whole value as a link's target."""
    if not any(
        scheme in lower
        for scheme in (
            "script",
            "data",
            "mocha",
            "mhtml",
            "\t",
            "\n",
            "\
        r",
            "\x00",
        )
    ):
        return None
    plain = compact(lower[:400]).lstrip("\"'`>(")
    scheme = _SCHEME.match(plain)
    if scheme is None:
        return None
    rest = plain[scheme.end() :]
    if plain.startswith("data:"):
        certain = "script" in rest or "base64" in rest or "<" in rest
        return 0, len(lower), certain
    if plain.startswith("mhtml:"):
        return 0, len(lower), "!" in rest
    return (0, len(lower), True) if acts(rest) or acts(lower) or rest.startswith('//"/') else None


def _as_attribute(lower: str) -> Where | None:
    """Inside a tag, quoted or not: the value brings a handler of its own."""
    end = lower.find(">")
    if (
        0 < end < 80
        and lower[end - 1] not in "-="
        and not {"<", "\n"} & set(lower[:end])
        and _closed(lower[:end])
    ):
        return 0, end + 1, False
    if end > 0 and _BREAKS_OUT.match(lower):
        return 0, len(lower), False
    for match in _EVENT.finditer(lower) if "on" in lower and "=" in lower else ():
        if match[1] in _NO_EVENT:
            continue
        before, code = lower[: match.start()], lower[match.end() : match.end() + 200]
        quoted = before.rstrip()[-1:] in ("'", '"', "`", "/")
        if acts(code) and not (before.count(" ") > 8 and "<" not in before):
            return match.start(), match.end() + len(code), quoted or len(before) < 40
        if quoted and re.match(r"[\"'`]?[\w.]{2,40}(?:[=(`]|\s*//)", code):
            return match.start(), match.end() + len(code), False
    return None


def _as_script(lower: str) -> Where | None:
    """Inside a script, most often inside one of its strings."""
    stripped = _STRIPPED.fullmatch(lower)
    if _PROBE.search(lower) or (stripped and acts(stripped[1])):
        return 0, len(lower), True
    if not acts(lower):
        return None
    if _WHOLE_CALL.fullmatch(lower):
        return 0, len(lower), False
    leaves = _LEAVES.match(lower)
    if (
        leaves
        and leaves[0].count(" ") < 4
        and _GOES_ON.match(lower, leaves.end())
        and acts(lower[leaves.end() :])
    ):
        return 0, len(lower), not _declares(lower)
    if (
        "document.cookie" in lower
        or _CLOSES.match(lower)
        or _TEMPLATE.match(lower)
        or _SCRIPT_LINK.search(lower)
    ):
        return 0, len(lower), False
    return (0, len(lower), False) if " " not in lower and _EVALUATES.search(lower) else None


def _declares(lower: str) -> bool:
    """Code that somebody shows, rather than code that leaves a string."""
    return lower.startswith(("const ", "let ", "var ", "import ", "function ", "import(", "require("))


def _closed(code: str) -> bool:
    """Code that ends before the bracket that ends its tag."""
    return code.count("(") == code.count(")") and acts(code)
