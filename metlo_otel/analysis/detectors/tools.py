"""Scanners: user agents and probes of tools that look for holes, and the hosts that tell them of one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs

NAMES = frozenset(
    "sqlmap nikto nuclei openvas openvasvt nessus acunetix dirbuster gobuster feroxbuster wpscan joomscan ffuf wfuzz"
    " masscan zgrab arachni havij commix sqlninja netsparker invicti skipfish dalfox xsstrike xsser whatweb webinspect"
    " appscan jaeles httpx dirsearch fimap webshag grendel brutus morfeus zmeu jbrofuzz sqlbrute bsqlbf pangolin cgichk"
    " uniscan golismero tplmap nosqlmap kiterunner crlfuzz droopescan wapiti vega burpcollaborator".split()
)
MARKS = frozenset("/.-(@: ")
WORDS = NAMES | frozenset(
    "fuzz nasl oast oastify interact interactsh dnslog ceye nmap burp owasp zaproxy canarytokens bxss".split()
)
SIGNS: Signs = ()

_NAMED = "|".join(sorted(NAMES, key=len, reverse=True))
_AGENT = re.compile(
    rf"(?:mozilla/\d\.\d{{1,2}} )?[\[(]?(?:{_NAMED}|w3af|nmap scripting engine|burp suite|owasp zap|zaproxy)\b"
    r"(?:[/ ]v?\d|[/ -]{1,3}(?:open-source|nse|https?:)|\.(?:org|sf\.net)|[)/;]|$)"
    r"|mozilla/\d\.\d{1,2}\s[^a-z]{0,3}(?:en\W)?.{0,60}\b(?:openvas|nikto|nmap scripting engine|nessus|acunetix"
    r"|netsparker)\b"
    r"|fuzz faster u fool\b|.{0,40}\bopenvas-?vt\b"
)
_SCRIPT = re.compile(r"\b[a-z0-9_]{4,60}\.nasl\b")
_CALLED_BACK = re.compile(
    r"[a-z0-9]{4,63}\.(?:[\w-]{1,63}\.)?(?:burpcollaborator\.net|oastify\.com|interact(?:sh\.com|\.sh)"
    r"|oast\.(?:pro|live|site|online|fun|me)|dnslog\.cn|ceye\.io|canarytokens\.com|bxss\.me|r87\.me|xss\.ht)\b"
)


def tells(_lower: str, words: list[str]) -> bool:
    """Whether anything might be found."""
    return not WORDS.isdisjoint(words)


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """SCANNER: a tool that gives its name as a client does, or a host to which a hole would be told."""
    agent = _AGENT.match(lower.strip())
    if agent is not None and len(lower) < 200 and "\n" not in lower:
        yield low("SCANNER", text)
    back = _CALLED_BACK.search(lower) or _SCRIPT.search(lower)
    if back is not None:
        yield low("SCANNER", text[max(0, back.start() - 10) :])


def find_in_agent(value: str) -> Iterator[Finding]:
    """The same of a User-Agent header, in which a tool's name is certain."""
    lower = value.lower()
    if _AGENT.match(lower.strip()) or _CALLED_BACK.search(lower):
        yield high("SCANNER", value)
    elif _SCRIPT.search(lower):
        yield low("SCANNER", value)
