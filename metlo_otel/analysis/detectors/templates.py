"""Templates and look-ups that a server would evaluate: template injection (SSTI) and Log4j's `${jndi:…}`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low

MARKS = frozenset("{#<@$")

_EXPRESSION = re.compile(
    r"(\{\{|\$\{|#\{|\*\{|@\{|~\{|<%=?|\{%|\[\[|\{php\}|@\(|\$!?\{|\{\$|\$\("
    r"|\{)([^\x00]{0,400}?)(?:\}\}|\}|%>|%\}|\]\]|\)|$)"
)
_ARITHMETIC = re.compile(
    r"\s*(?:\(?['\"]?\d{1,9}['\"]?\s*[*+/-]\s*['\"]?\d{1,9}['\"]?\)?|'[^']{0,20}'\s*[*]\s*\d+)\s*\}*\s*"
)
_REACH = re.compile(
    r"__(?:class|mro|subclasses|globals|init|builtins|import|base|bases|dict|getitem)__"
    r"|\bconfig\b(?:\.|\[|\s*(?:\||$))"
    r"|\bself\.(?:_|env\b)|_self\.|getfilter|registerundefined|\bcycler\b|\bjoiner\b|\blipsum\b"
    r"|\brequest\.(?:application|environ|__)"
    r"|\|\s*(?:attr|map|filter|reduce|sort|system|passthru|exec|e\(|format)\s*\(|t\s*\(\s*java"
    r"|java\.lang|getruntime|getclass\b"
    r"|\.class\b.{0,40}(?:forname|getruntime|\.type|inspect)|freemarker|\?new\s*\(|\?api\b"
    r"|constructor\W{1,3}constructor|\.constructor\s*\("
    r"|new\s+(?:java|processbuilder|socket)|processbuilder|scriptengine|\bsystem\s*\(|popen\s*\("
    r"|require\s*\(|child_process|file\.open|io\.popen"
    r"|\bdump\s*\(|\bapp\.request|smarty\.|template\.|\bdebug\b\s*$|settings\.secret|\.execute\s*\("
    r"|\beval\s*\(|exec\s*\(|phpinfo"
    r"|\bdir\.entries|system\.diagnostics|range\.constructor|string\.raw|include\s*\(|source\s*\("
)
_DIRECTIVE = re.compile(
    r"#set\s*\(\s*\$\w{1,30}\s*=|<#assign\s|#(?:foreach|evaluate|include|parse)\s*\(|\{(?:php"
    r"|literal)\}.{0,200}(?:system|exec|echo)"
    r"|\{%\s*(?:import|include|extends|for\s+\w{1,30}\s+in\s+(?:\(|\[|''|\"\")|debug|raw"
    r"|set\s+\w+\s*=\s*(?:self|config|request|''))"
    r"|\{%.{0,200}__class__|\$class\.inspect|<%.{0,200}(?:system|exec|`|import\s|runtime|file\.)"
    r"|th:(?:text|utext|eval)|__\$\{"
    r"|\{\{#with\s*\"|\{\{\s*(?:this|self)\s*\}\}.{0,20}\{\{|@\(\s*\d+\s*[*+]\s*\d+|\$\{\{.{0,40}\}\}"
)
_SIGNS = ("{", "<%", "<#", "#set", "#i", "#e", "#p", "#f", "@(", "$class", "th:")
_DIRECTING = ("#", "{%", "<%", "{php", "{literal", "$class", "th:", "__$", "@(", "${{", "self}", "this}")
_POLYGLOT = re.compile(r"\$\{\{<%\[%'\"\}\}%|\{\{<%|\$\{<%|#\{<%")

_NESTED = re.compile(r"\$\{([^${}]{0,60})\}")
_JNDI = re.compile(r"\$\{\s{0,4}jndi\s{0,4}:")
_LOOKUP = re.compile(
    r"\$\{(?:env|sys|java|ctx|main|docker|k8s|lower|upper|date|bundle|log4j|hostname):[^{}]{1,200}\}"
)
_ROUNDS = 12


def find(text: str, lower: str) -> Iterator[Finding]:
    """SSTI and LOG4SHELL findings, at most one each."""
    if not any(sign in lower for sign in _SIGNS):
        return
    if "${" in lower:
        yield from _log4shell(text, lower)
    if _POLYGLOT.search(lower):
        yield high("SSTI", text)
        return
    directive = _DIRECTIVE.search(lower) if any(sign in lower for sign in _DIRECTING) else None
    if directive is not None:
        yield low("SSTI", text[directive.start() :])
        return
    if "{" in lower or "<%" in lower or "@(" in lower or "[[" in lower:
        yield from _expressions(text, lower)


def _expressions(text: str, lower: str) -> Iterator[Finding]:
    """An expression that calculates or reaches for the interpreter; a name in braces is a placeholder."""
    position = 0
    for _ in range(16):
        match = _EXPRESSION.search(lower, position)
        if match is None:
            return
        position = match.start() + max(1, len(match[1]))
        strong = len(match[1]) > 1
        if _ARITHMETIC.fullmatch(match[2]) and (strong or match[0] == lower):
            certain = strong and match[1] not in ("$(", "@(", "[[")
            yield (high if certain else low)("SSTI", text[match.start() : match.end() + 2])
            return
        if strong and match[1] not in ("$(", "@(", "[[") and _REACH.search(match[2]):
            yield high("SSTI", text[match.start() : match.end() + 2])
            return


def _log4shell(text: str, lower: str) -> Iterator[Finding]:
    """Log4j resolves look-ups from the inside out; so does this, until `jndi` stands there or nothing
    moves."""
    plain = lower
    for _ in range(_ROUNDS):
        if _JNDI.search(plain):
            yield high("LOG4SHELL", text)
            return
        resolved = _NESTED.sub(_resolved, plain)
        if resolved == plain:
            break
        plain = resolved
    if _LOOKUP.search(lower) and "${" in lower[lower.find("${") + 2 :]:
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
