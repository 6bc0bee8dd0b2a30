"""Cross-site scripting: a value read as HTML data, inside an attribute, as a URL and inside a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from metlo_otel.analysis.detectors.elements import NO_EVENT, SCHEME, dangerous
from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.markup import compact, tags
from metlo_otel.analysis.detectors.script import acts

MARKS = frozenset("<=(`{>")

_EVENT = re.compile(r"(?<![\w$.-])(on[a-z]{3,30})[\s\x00/]{0,10}=[\s\x00]{0,10}")
_EVENTS = 64  # read of one text
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
        certain = dangerous(tag, lower)
        if certain:
            return tag.start, tag.end, True
        if certain is False and best is None:
            best = tag.start, tag.end, False
    if best is None and _SKELETON.fullmatch(lower):
        return 0, len(lower), False
    return best


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
            "\r",
            "\x00",
        )
    ):
        return None
    plain = compact(lower[:400]).lstrip("\"'`>(")
    scheme = SCHEME.match(plain)
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
    if 0 < end < 80 and lower[end - 1] not in "-=" and not {"<", "\n"} & set(lower[:end]) and _closed(lower[:end]):
        return 0, end + 1, False
    if end > 0 and _BREAKS_OUT.match(lower):
        return 0, len(lower), False
    for match in islice(_EVENT.finditer(lower), _EVENTS) if "on" in lower and "=" in lower else ():
        if match[1] in NO_EVENT:
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
    if leaves and leaves[0].count(" ") < 4 and _GOES_ON.match(lower, leaves.end()) and acts(lower[leaves.end() :]):
        return 0, len(lower), not _declares(lower)
    if (
        "document.cookie" in lower
        or _CLOSES.match(lower)
        or ("(" in lower and _TEMPLATE.match(lower))
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
