"""Objects that a reader would make of a value: serialized ones, YAML's tags, names that reach a class or prototype."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, telling

MARKS = frozenset(":!{\\.[/=<\x80(+")
WORDS = frozenset({"prototype", "classloader", "__proto__", "objectdataprovider", "processbuilder", "constructor"})
SIGNS: Signs = (
    (":", r"(?<=\b[oca]:)\+?\d"),
    ("!", r"!?(?:python|ruby|javax?|perl|php|org|com|clr|net|js)[./]"),
    ("\n", r"(?:system|popen|eval|exec|call|run|check_output|getattr|__import__|import_module)\n"),
    ("\"'", r"(?:com\.sun|org\.(?:apache|springframework)|javax\.|ch\.qos)\."),
    ("_", r"_proto_|\$\$nd_func"),
    ("$", r"type[\"']"),
    ("\\", r"x80[\\(]|xac\\xed"),
    ("@", r"type[\"']"),
)

_PHP_VALUE = r"(?:[bid]:-?[\d.]{1,20};|n;|s:\+?\d{1,6}:\"|[ao]:\+?\d{1,5}:)"
_PHP = re.compile(
    rf"(?:^|[;{{}}=])[oc]:\+?\d{{1,4}}:\"[\w\\%]{{1,120}}\":\d{{1,5}}:\{{(?:{_PHP_VALUE}|\}})?"
    rf"|^a:\d{{1,5}}:\{{(?:i:\d{{1,9}};|s:\d{{1,5}}:\"[^\"]{{0,80}}\";)[oc]:\+?\d{{1,4}}:\""
)
_JAVA = re.compile(r"(?:^|[^\w+/=-])(?:ro0ab[xqc]|h4siaaaaaaaa)[\w+/=-]{8}|\xac\xed\x00\x05|\\xac\\xed\\x00\\x05")
_JAVA_HEX = re.compile(r"(?:^|\W)aced0005(?:73|74|77|7e)")
_PYTHON = re.compile(
    r"(?:^|\W)c(?:os|posix|nt|subprocess|builtins|__builtin__|commands|importlib)\n(?:system|popen|eval|exec|call|run"
    r"|check_output|getattr|__import__|import_module)\n[(.]"
    r"|(?:\x80|\\x80)[\x02-\x05].{0,80}(?:posix|subprocess|builtins|nt)\b.{0,20}(?:system|popen|eval|exec)"
)
_DOTNET = re.compile(
    r"[\"']?\$type[\"']?\s{0,3}[:=]\s{0,3}[\"'](?:system\.(?:windows|management|diagnostics|web|configuration|activities"
    r"|identitymodel|security|runtime|data|io)|microsoft\.)[\w.`+]{1,120}\s{0,3},"
    r"|<objectdataprovider\b|(?:^|[^\w+/])aaeaaad/////"
)
_JSON_JAVA = re.compile(
    r"[\"']@(?:type|class)[\"']\s{0,3}:\s{0,3}[\"'](?:\[?l?(?:com|org|java|javax|sun|oracle)\.[\w.$;]{4,120})[\"']"
    r"|[\[{,]\s{0,3}[\"'](?:com\.sun\.|org\.apache\.|org\.springframework\.|javax\.(?:naming|script)|ch\.qos\.)[\w.$]{4,120}"
    r"[\"']\s{0,3},\s{0,3}[\[{]"
)
_YAML = re.compile(
    r"!{1,2}(?:python/(?:object|name|module|tuple|apply)[\w/:.]{0,80}|ruby/(?:object|hash|struct|class)[\w/:.]{0,80}"
    r"|javax?\.[\w.$]{3,80}|(?:com|org)\.[\w.$]{5,80}|php/object|perl/(?:hash|code)[\w:]{0,60}|js/function"
    r"|clr-?type)"
)
_NODE = re.compile(r"_\$\$nd_func\$\$_\s{0,3}function")
_PROTOTYPE = re.compile(
    r"(?:^|[\[.\"'&?;{,\s])__proto__(?:[\]\"']|\.\w|\[|%5b|\s{0,3}[:=])"
    r"|constructor(?:\]?\[|\.|\"\s{0,3}:\s{0,3}\{\s{0,3}\")prototype\b"
)
_CLASS_LOADER = re.compile(
    r"(?:^|[&?;\s.\[\"'])class\.(?:module\.)?classloader\b|\bclass\[['\"]?classloader"
    r"|classloader\.(?:resources|parent|urls)\b"
)


_SERIALIZED = (
    ((':"',), _PHP),
    (("ro0ab", "h4siaaa", "\xac", "\\xac"), _JAVA),
    (("aced0005",), _JAVA_HEX),
    (("\n(", "\n.", "\x80", "\\x80"), _PYTHON),
    (("$type", "objectdataprovider", "aaeaaad"), _DOTNET),
    (("com.", "org.", "javax.", "ch.qos.", "java.", "sun.", "oracle."), _JSON_JAVA),
    (("!",), _YAML),
    (("$$nd_",), _NODE),
)  # each with what stands in every match, which is found faster


tells = telling(WORDS, SIGNS)


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """DESERIALIZATION and PROTOTYPE_POLLUTION findings, at most one each."""
    for needles, pattern in _SERIALIZED:
        match = pattern.search(lower) if any(needle in lower for needle in needles) else None
        if match is not None:
            certain = pattern is not _YAML or "object" in match[0] or "apply" in match[0]
            yield (high if certain else low)("DESERIALIZATION", text[match.start() :])
            break
    match = _CLASS_LOADER.search(lower) if "classloader" in lower else None
    match = match or (_PROTOTYPE.search(lower) if "proto" in lower else None)
    if match is not None:
        yield high("PROTOTYPE_POLLUTION", text[match.start() :])


def find_in_name(name: str, lower: str) -> Iterator[Finding]:
    """A parameter's name that reaches into an object's prototype, or a Java object's class."""
    if "__proto__" in lower or ("prototype" in lower and "constructor" in lower) or _CLASS_LOADER.search(lower):
        yield high("PROTOTYPE_POLLUTION", name)
