"""Cross-site scripting: a value read as HTML data, inside an attribute, as a URL and inside a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from metlo_otel.analysis.detectors import script, script_facts
from metlo_otel.analysis.detectors.elements import NO_EVENT, SCHEME, dangerous
from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.markup import compact, tags
from metlo_otel.analysis.detectors.script import acts, may_act
from metlo_otel.analysis.detectors.telling import Signs, telling
from metlo_otel.analysis.detectors.telling import words as telling_words

MARKS = frozenset("<=(`{>[")
WORDS = script.WORDS | {"javascript", "vbscript", "livescript", "jscript", "script", "mocha", "mhtml", "data"}
SIGNS: Signs = (
    ("<", r"(?:/?[a-z!?%]|[\s\x00/+]{1,8}(?:script|iframe|svg|object|embed|style)\b)"),
    ("&", r"\{"),
    *script.SIGNS,
)

_CODE = re.compile(r"[\"'`]?[\w.]{2,40}(?:[=(`]|\s*//)")
_EVENT = re.compile(r"(on(?<![\w$.-]on)[a-z]{3,40})[\s\x00/]{0,10}=[\s\x00]{0,10}")
_DEFINES = re.compile(r"(?:async\s+)?(?:function\b|\(?[\w$, ]{0,40}\)?\s?=>)")  # a function, as scripts have it
_OPENS = ("'", '"', "`")
_BROKEN_OUT = re.compile(r"[^<>]{0,60}['\"`]\s?/?>\s{0,3}")
_NEAR = 160  # characters behind a string that is left
_EVENTS = 64  # read of one text
_LEAVES = re.compile(r"[^'\"`]{0,80}\\{0,3}['\"`]")
_GOES_ON = re.compile(r"[\s)}\]]*(?:[-+*/%^|&,;?:=~!}]|[<>](?![a-z/!?%])|\)|\]|in\b|instanceof\b|\$\{|\\n|\r|\n)")
_CLOSES = re.compile(r"\*/|//|\d{0,9}[)}\];,]+|\[\]\s?\[")
_WHOLE_CALL = re.compile(
    r"\(?(?:alert|prompt|confirm|eval|msgbox|geturl)\)?(?:\([^\s()]{0,40}\)|`[^`]{0,40}`)[;>/\s]{0,4}"
)
_PROBE = re.compile(r"['\"]{1,3};!-{1,2}[\\\\\"']{0,3}<\w{1,30}>=&\{")
_TEMPLATE = re.compile(r"\$\{|\{\{")
_STRIPPED = re.compile(r".{0,40}script[\s>]{0,4}(.{3,100})/script.{0,10}")  # a filter took the brackets
_BREAKS_OUT = re.compile(r"[^<>=]{0,200}[\"']\s?/?>[^<]{0,100}</?[a-z]")
_EVALUATES = re.compile(r"(?:eval\s?[(`]|function\s?[(`]\s?['\"`])")
_SCRIPT_LINK = re.compile(r"[\"'(=]\s{0,3}(?:java|vb)script:")
_SKELETON = re.compile(r"(?:</?(?:html|head|body)>\s*)+")


_HIGH_BIT = re.compile(r"%([a-f][0-9a-f])|[\xa0-\xff]")
_BACKSLASH = re.compile(r"\\([nrt](?=[a-z]{2}))?")
_ANY_TAG = re.compile(r"</?[a-z!][^<>]{0,40}>")
_SPLIT = re.compile(r"<script|\bon[a-z]{3,20}\s?=\s?['\"]?[a-z]{2,20}[(`]|javascript:")
Where = tuple[int, int, bool]  # start, end, and whether it is certain

_ASSIGNS = re.compile(r"on[a-z]{3,40}[\s\x00/]{0,10}=")
_told = telling(WORDS, SIGNS)


def tells(lower: str, words: list[str]) -> bool:
    """Whether anything might be found."""
    return _told(lower, words) or assigns(lower)


def assigns(lower: str) -> bool:
    """Whether something that may be a handler is given a value."""
    return "=" in lower and _ASSIGNS.search(lower) is not None


def find(text: str, lower: str, words: list[str]) -> Iterator[Finding]:
    """At most one finding: the first context in which the text would run, surest first. `words` are the text's."""
    best = _surest(_judged(lower, words))
    if best is None or not best[2]:
        for other in _rewritten(lower):
            found = _surest(_judged(other, telling_words(other)))
            if found is not None and (best is None or found[2]):
                best = 0, len(text), found[2]
                break
    if best is not None:
        start, end, certain = best
        yield (high if certain else low)("XSS", text[start:end])


def _surest(judged: Iterator[Where | None]) -> Where | None:
    """The first that is certain, else the first of all."""
    best = None
    for found in judged:
        if found is not None and (best is None or found[2]):
            best = found
            if found[2]:
                break
    return best


def _rewritten(lower: str) -> Iterator[str]:
    """What the text becomes where the unseen or backslashes are dropped, where the eighth bit is, and where a filter
    takes tags out."""
    if "\x00" in lower:
        yield lower.replace("\x00", "")
    if ("\xbc" in lower and "\xbe" in lower) or ("%bc" in lower and "%be" in lower):
        yield _HIGH_BIT.sub(_seven_bits, lower)
    if "<" in lower and "\\" in lower:
        yield _BACKSLASH.sub(lambda match: " " if match[1] else "", lower)
    if "<" in lower and ">" in lower:
        plain = _ANY_TAG.sub("", lower)
        if plain != lower and (_SPLIT.search(plain) and not _SPLIT.search(lower)):
            yield plain


def _seven_bits(match: re.Match[str]) -> str:
    return chr((int(match[1], 16) if match[1] else ord(match[0])) & 0x7F)


def _judged(lower: str, words: list[str]) -> Iterator[Where | None]:
    """What each context makes of the text, as far as it is asked."""
    might = may_act(lower, words)
    yield _as_data(lower, might)
    active = might and acts(lower, words)
    if active or "script" in lower or "data:" in lower or "mocha:" in lower or "mhtml:" in lower:
        yield _as_url(lower, active)
    yield _as_attribute(lower, might)
    if active or "script" in lower or "&{" in lower:
        yield _as_script(lower, active)
    if might:
        yield (0, len(lower), True) if script_facts.certain(lower, words) else None
        yield (0, len(lower), False) if script_facts.likely(lower) else None


def _as_data(lower: str, might: bool) -> Where | None:
    """Between tags: what a browser would build from it."""
    if "<" not in lower:
        return None
    best = None
    for tag in tags(lower):
        certain = dangerous(tag, lower, might)
        if certain:
            return tag.start, tag.end, True
        if certain is False and best is None:
            best = tag.start, tag.end, _BROKEN_OUT.fullmatch(lower, 0, tag.start) is not None
    if best is None and _SKELETON.fullmatch(lower):
        return 0, len(lower), False
    return best


def _as_url(lower: str, active: bool) -> Where | None:
    """The whole value as a link's target."""
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
    return (0, len(lower), True) if active or acts(rest) or rest.startswith('//"/') else None


def _as_attribute(lower: str, might: bool) -> Where | None:
    """Inside a tag, quoted or not: the value brings a handler of its own, or ends the tag."""
    handler = _handler(lower) if assigns(lower) else None
    if handler is not None:
        return handler
    end = lower.find(">")
    if (
        might
        and 0 < end < 80
        and lower[end - 1] not in "-="
        and not {"<", "\n"} & set(lower[:end])
        and _closed(lower[:end])
    ):
        return 0, end + 1, False
    return (0, len(lower), False) if end > 0 and _BREAKS_OUT.match(lower) else None


def _handler(lower: str) -> Where | None:
    """The first handler that a value gives to the tag it stands in."""
    for match in islice(_EVENT.finditer(lower), _EVENTS):
        if match[1] in NO_EVENT or _DEFINES.match(lower, match.end()):
            continue
        before, code = lower[: match.start()], lower[match.end() : match.end() + 200]
        quoted = before.rstrip()[-1:] in ("'", '"', "`", "/")
        if before.strip() in _OPENS and _CODE.match(code):
            return match.start(), match.end() + len(code), True
        if acts(code) and not (before.count(" ") > 8 and "<" not in before):
            return match.start(), match.end() + len(code), quoted or len(before) < 40
        if quoted and _CODE.match(code):
            return match.start(), match.end() + len(code), False
    return None


def _as_script(lower: str, active: bool) -> Where | None:
    """Inside a script, most often inside one of its strings."""
    stripped = _STRIPPED.fullmatch(lower)
    if _PROBE.search(lower) or (stripped and acts(stripped[1])):
        return 0, len(lower), True
    if not active:
        return None
    if _WHOLE_CALL.fullmatch(lower):
        return 0, len(lower), False
    leaves = _LEAVES.match(lower)
    if leaves and leaves[0].count(" ") < 4 and _GOES_ON.match(lower, leaves.end()) and acts(lower[leaves.end() :]):
        rest = lower[leaves.end() : leaves.end() + _NEAR]
        return None if script_facts.speaks(rest) else (0, len(lower), not _declares(lower))
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
