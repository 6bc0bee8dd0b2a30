"""Code that an interpreter would run, and commands by which an attacker finds out where he is."""

from __future__ import annotations

import re

_CODE = re.compile(
    r"\$\{@?(?:print|eval|system|exec|phpinfo|phpversion|sleep|md5|passthru|shell_exec|var_dump|assert|die|hexdec)\s{0,3}\("
    r"|\$0\s{0,4}<<<|(?:^|[;&|^\n])\s{0,4}(\w{1,20})=\$?\\?['\"]?(?:id|ls|whoami|uname|cat|dir|sleep|ping)\b.{0,20};\s{0,4}\$\{?\1\b"
    r"|<\?(?:=|php)?\s{0,4}(?:`|.{0,60}(?:system|eval|exec|passthru|assert|popen|base64_decode)\s{0,3}\(|.{0,60}\$_(?:get|post|request|cookie))"
    r"|\becho\s.{0,6}\$\(\(\s{0,3}\d{1,9}\s{0,3}[*+]\s{0,3}\d|<\?=\s{0,3}`"
)
_MAYBE_CODE = re.compile(
    r"\$_(?:get|post|request|server|cookie|files|env|session)\s{0,3}\["
    r"|^[\W_]{0,4}(?:eval|assert|print|print_r|var_dump|die|exit|passthru|include|require)(?:_once)?\s{0,3}\(\s{0,3}(?:['\"](?:echo|return|system|die|print)|md5|chr|base64_decode|phpversion|\$)"
    r"|^[;:'\"{(@\s]{1,4}(?:phpversion|phpinfo|getmypid|php_uname|sleep|md5)\s{0,3}\([^)]{0,20}\)\s{0,3};"
    r"|(?:\"\w{1,8}\"\s?&\s?){2}\"\w{1,8}\(|server\.scripttimeout\s?=|on error resume next\s?:"
)
_RECON = re.compile(
    r"(?:whoami(?:\s+/\w{3,6})?|tasklist(?:\s+/\w{1,3})?|printenv|arp\s+-a|route\s+(?:print|-n)|ps\s+(?:aux\w?|-ef|-aux)"
    r"|uname(?:\s+-\w{1,3})?|ifconfig|ipconfig(?:\s+/all)?|sysinfo|systeminfo|netstat(?:\s+-[a-z]{1,5})?|[;&|]{1,2}\s?sysinfo"
    r"|net\s+(?:view|users?|localgroup|group|share|accounts|start)(?:\s+/domain)?|which\s+(?:wget|curl|perl|python\d?|gcc|nc|ncat|nmap|ruby|php)"
    r"|sleep\s+\d{1,3}|(?:ls|dir|cat|type|more|head|tail|less)\s+(?:-\w{1,5}\s+)?(?:/etc|/proc|/root|/var/log|[a-z]:\\|/$|%\w{4,12}%|[a-z]:/)[^\s;|&]{0,80}(?:\s(?:and|of)\s[^\s;|&]{1,40})?"
    r"|(?:ping|traceroute|tracert)\s+(?:-[a-z]\s+\d{1,4}\s+)?(?:127\.0\.0\.1|localhost)|perl\s+-e\s+['\"]\s?(?:print|system|exec)\b.{0,60}['\"]"
    r"|ping\s+-[nc]\s+\d{1,4})",
)


def runs(plain: str) -> bool | None:
    """Whether a text is code that an interpreter would run: True certainly, None perhaps."""
    if ("$" in plain or "?" in plain or "echo" in plain) and _CODE.search(plain):
        return True
    return None if _MAYBE_CODE.search(plain) or _RECON.fullmatch(plain.strip()) else False


def is_reconnaissance(lower: str) -> bool:
    """Whether a text is nothing but a command that tells an attacker where he is."""
    return _RECON.fullmatch(lower.strip()) is not None
