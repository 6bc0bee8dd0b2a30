"""Templates and look-ups that a server would evaluate: template injection (SSTI) and Log4j's `${jndi:…}`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Confidence, Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, pattern, telling

MARKS = frozenset("{#<@$")
WORDS = frozenset({"th"})
SIGNS: Signs = (
    ("{$#%*@~!", r"\{"),
    ("{", r"[%$]|php|literal|(?:if\s+)?(?:system|exec|passthru|shell_exec|phpinfo)|=?\s*\(?['\"]?\d|=?\s*'"),
    ("<", "%|#assign"),
    ("#", "(?:set|foreach|evaluate|include|parse)"),
    ("@", r"\(|[({]?system\."),
    ("[", r"\["),
    ("$", r"class|\\\{"),
    ("_", r"_\$"),
)

_OPENS = re.compile(r"\$\{\{|\{\{|\$\{|#\{|%\{|\*\{|@\{|~\{|<%=?|\{%|\[\[|\{php\}|@\(|\$!\{|\{\$|\{")
_CLOSES = re.compile(r"\}\}|\}|%>|%\}|\]\]|\)(?=$|[^.()])")
_DOUBLE = re.compile(r"\}\}")
_LENGTH = 400  # characters read of one expression
_LONGEST = 60  # characters of what an expression reaches for
_EXPRESSIONS = 16  # read of one text
_ARITHMETIC = re.compile(
    r"=?\s*(?:\(?['\"]?\d{1,9}['\"]?\s*[*+/-]\s*['\"]?\d{1,9}['\"]?\)?|(['\"])[^'\"]{0,20}\1\s*[*]\s*\d+)\s*\}*\s*"
)
_PROBE = re.compile(
    r"\s*(?:self|request|config|settings|session|app|_self|this|namespace|dict|g|\[\]|''|\"\")\s*"
    r"|\s*(?:(['\"])[^'\"]{0,30}\1|\w{1,30}|\[\])\.(?:to(?:upper|lower)case|upper|lower|tostring|constructor|length|join)\s*(?:\([^)]{0,20}\))?\s*"
)  # whole, to see what comes of it
_REACH = pattern(
    (alternative[0], alternative[1:])
    for alternative in (
        r"__(?:class|mro|subclasses|globals|init|builtins|import|base|bases|dict|getitem)__",
        r"c(?<!\wc)onfig(?:\.(?:(?:iter)?items|from_|get\b|__|root|secret|class)|\[|\s*\|)",
        r"s(?<!\ws)elf\.(?:_|env\b)",
        r"_self\.",
        "getfilter",
        "registerundefined",
        r"c(?<!\wc)ycler\b",
        r"j(?<!\wj)oiner\b",
        r"l(?<!\wl)ipsum\b",
        r"r(?<!\wr)equest\.(?:application|environ|__)",
        r"|\s*(?:attr|map|filter|reduce|sort|system|passthru|exec|e\(|format)\s*\(",
        r"t\s*\(\s*java",
        r"java\.lang",
        "getruntime",
        r"getclass(?:loader)?\b",
        r".class\.(?:base|mro|__)|subclasses\s*\(",
        r".mro\s*[(\[.]",
        r".class\b.{0,40}(?:forname|getruntime|\.type|inspect)",
        "freemarker",
        r"?new\s*\(",
        r"?api\b",
        r"constructor\W{1,3}constructor",
        r".constructor\s*\(",
        r"new\s+(?:java|processbuilder|socket)",
        "processbuilder",
        "scriptengine",
        r"s(?<!\ws)ystem\s*\(",
        r"popen\s*\(",
        r"require\s*\(",
        "child_process",
        r"file\.open",
        r"g(?<!\wg)et_\w{0,12}file\s*\(|read_?file\s*\(|file_get_contents",
        r"io\.popen",
        r"d(?<!\wd)ump\s*\(",
        r"a(?<!\wa)pp\.request",
        r"smarty\.",
        r"t(?<!\wt)emplate\.(?!\w{2,5}\s*$)",
        r"d(?<!\wd)ebug\b\s*$",
        r"settings\.secret",
        r".execute\s*\(",
        r"e(?<!\we)val\s*\(",
        r"exec\s*\(",
        "phpinfo",
        r"p(?<!\wp)agecontext\.(?!request\.contextpath)",
        r"f(?<!\wf)acescontext\.",
        r"s(?<!\ws)ervletcontext\.",
        r"ognl\b",
        r"#_?member_?access",
        r"#(?:dm|cmd|context)\s*=",
        r"d(?<!\wd)ir\.entries",
        r"system\.diagnostics",
        r"range\.constructor",
        r"string\.raw",
        r"include\s*\(",
        r"source\s*\(",
    )
)
_DIRECTIVE = re.compile(
    r"#set\s*\(\s*\$\w{1,30}\s*=|<#assign\s|#(?:foreach|evaluate|include|parse)\s*\(|\{(?:php"
    r"|literal)\}.{0,80}(?:system|exec|echo)"
    r"|\{%\s*(?:import|include|extends|for\s+\w{1,30}\s+in\s+(?:\(|\[|''|\"\")|debug|raw"
    r"|set\s+\w+\s*=\s*(?:self|config|request|''|\d+\s*[*+-]))"
    r"|\{%(?:(?!\{%).){0,80}__class__|\$class\.inspect"
    r"|<%[=@!\s-](?:(?!<%).){0,80}(?:system|exec|`|import\s|runtime|file\.)"
    r"|th:(?:text|utext|eval)|__\$\{"
    r"|\{\{#with\s*\"|\{\{\s*(?:this|self)\s*\}\}.{0,20}\{\{|@\(\s*\d+\s*[*+]\s*\d+"
    r"|\{%-?\s*print[\s(]|\{(?:if\s+)?(?:(?:system|exec|passthru|shell_exec)\s*\(\s*['\"$]|phpinfo\()"
    r"|@[({]?system\.(?:diagnostics|io)\."
)
_OPENING = re.compile(r"\{|<%|<#|#set|#i|#e|#p|#f|@\(|@sys|\$class|th:")
_DIRECTING = re.compile(
    r"#|\{%|<%|\{php|\{literal|\$class|th:|__\$|@\(|self\}|this\}|@[({]?system|\{(?:if\s|system|exec|pass|shell_|phpi)"
)
_POLYGLOT = re.compile(r"\$\{\{<%\[%'\"\}\}%|\{\{<%|\$\{<%|#\{<%")

_NESTED = re.compile(r"\$\{([^${}]{0,60})\}")
_JNDI = re.compile(r"\$\{\s{0,4}jndi\s{0,4}(?::|(ldaps?|rmi|dns|iiop|corba|nis|nds|https?):)")
_LOOKED_UP = re.compile(r"[^}]{0,200}?[:/$]")
_LOOKUP = re.compile(r"\$\{(?:env|sys|java|ctx|main|docker|k8s|lower|upper|date|bundle|log4j|hostname):[^{}]{1,200}\}")
_OWN = re.compile(r"\s*\$\{(?:sys|java|ctx|main|docker|k8s|bundle|log4j):[^{}]{1,200}\}\s*")  # nobody else has these
_SECRET = re.compile(r"\$\{env:\w{0,60}(?:secret|access_key|token|passw)")
_ROUNDS = 12


tells = telling(WORDS, SIGNS)


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """SSTI and LOG4SHELL findings, at most one each."""
    if "$\\{" in lower:
        lower = lower.replace("\\{", "{").replace("\\}", "}")
    if not _OPENING.search(lower):
        return
    if "jndi" in lower or "${env:" in lower or lower.count("${") > 1 or lower.startswith("${"):
        yield from _log4shell(text, lower)
    if "{<%" in lower and _POLYGLOT.search(lower):
        yield high("SSTI", text)
        return
    directive = _DIRECTIVE.search(lower) if _DIRECTING.search(lower) else None
    if directive is not None:
        yield low("SSTI", text[directive.start() :])
        return
    if "{" in lower or "<%" in lower or "@(" in lower or "[[" in lower:
        yield from _expressions(text, lower)


def _expressions(text: str, lower: str) -> Iterator[Finding]:
    """An expression that calculates or reaches for the interpreter; a name in braces is a placeholder."""
    position = read = 0
    for _ in range(_EXPRESSIONS):
        opened = _OPENS.search(lower, position)
        if opened is None:
            return
        position = opened.end()
        limit = position + _LENGTH
        closed = _DOUBLE.search(lower, position, limit) if opened[0].endswith("{{") else None
        closed = closed or _CLOSES.search(lower, position, limit)
        end = closed.start() if closed else min(limit, len(lower))
        whole = not lower[: opened.start()].strip() and closed is not None and not lower[closed.end() :].strip()
        confidence = _calculates(opened[0], lower[position:end], whole)
        if confidence is None and _certain(opened[0]):  # what stands in several open expressions is read once
            confidence = "high" if _REACH.search(lower, max(position, read - _LONGEST), end) else None
            read = end
        if confidence is not None:
            yield Finding("SSTI", confidence, text[opened.start() : position + 70])
            return


def _calculates(opening: str, inner: str, whole: bool) -> Confidence | None:
    """How surely a calculation is there to see whether it is evaluated."""
    if _ARITHMETIC.fullmatch(inner) and (len(opening) > 1 or whole):
        if not whole and ("-" in inner or "/" in inner):
            return None
        return "high" if _certain(opening) else "low"
    return "low" if whole and _PROBE.fullmatch(inner) else None


def _certain(opening: str) -> bool:
    """Whether nobody but a template engine opens an expression like this."""
    return len(opening) > 1 and opening not in ("@(", "[[")


def _log4shell(text: str, lower: str) -> Iterator[Finding]:
    """Log4j resolves look-ups from the inside out; so does this, until `jndi` stands there or nothing
    moves."""
    if lower.find(":", lower.find("${")) < 0:
        return
    plain = lower
    for _ in range(_ROUNDS):
        found = _JNDI.search(plain)
        if found is not None:
            if _LOOKED_UP.match(plain, found.end()) or found[1]:
                yield high("LOG4SHELL", text)
            elif not found.start() and plain.rstrip()[-1:] == "}":
                yield low("LOG4SHELL", text)
            return
        resolved = _NESTED.sub(_resolved, plain)
        if resolved == plain:
            break
        plain = resolved
    if (
        _SECRET.search(lower)
        or _OWN.fullmatch(lower)
        or (_LOOKUP.search(lower) and "${" in lower[lower.find("${") + 2 :])
    ):
        yield low("LOG4SHELL", text)


def _resolved(match: re.Match[str]) -> str:
    """What a look-up gives when it changes case or falls back to its default (`:-`), else the look-up
    itself."""
    inner = match[1]
    if ":-" in inner:
        return inner.rpartition(":-")[2]
    for prefix in ("lower:", "upper:"):
        if inner.startswith(prefix):
            return inner[len(prefix) :]
    if inner.startswith(("date:'", 'date:"')):
        return inner[6:].rstrip("'\"")
    return match[0]
