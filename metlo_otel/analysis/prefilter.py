"""Whether a request may hold an attack at all: one search through its whole text for the signs that tell of one.

What the detectors find holds one of these signs; ordinary requests hold none, and end here. Written for RE2 and `re`
alike, as patterns without anything that only one of them has, of a text in which quotes are all `'`, with what is
percent-encoded in both forms. In JSON only quotes within a text are quotes: those around it are its ends.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from metlo_otel.analysis.detectors import shell_words, sql_words, tools
from metlo_otel.analysis.detectors.decoding import base64_text, decode
from metlo_otel.core.automaton import Automaton
from metlo_otel.core.patterns import parse_pattern
from metlo_otel.core.re2_sets import Re2Set

_B = r"[\s+]"  # a blank, as a form may write it
_ = r"[\s+/*()'!-]"  # what stands between words of SQL
_EDGE = r"[\s'();,=|+*/`<>-]"
_NO_ENGLISH = sorted(shell_words.PLAIN | shell_words.SHORT)
_KNOWN = "(?:" + "|".join(sorted(map(re.escape, shell_words.KNOWN), key=len, reverse=True)) + ")"
_CERTAIN = "(?:" + "|".join(sorted(map(re.escape, _NO_ENGLISH), key=len, reverse=True)) + ")"
_FUNCTIONS = "|".join(sorted(map(re.escape, sql_words.SLOW | sql_words.LEAKING), key=len, reverse=True))
_BUILDING = "|".join(sorted(map(re.escape, sql_words.BUILDING), key=len, reverse=True))

_PATH = r"^/[^\s'=&<>()]{0,200}"  # at its beginning the text has the request's path
_TOOLS = "|".join(sorted(tools.NAMES))

SIGNS: Mapping[str, tuple[str, ...]] = {
    "SQLI": (
        rf"['`]{_B}*\)*{_B}*(?:or|and|union|xor|like|having|where|order|group|limit|between|in|is|not|div|mod|rlike|regexp|procedure|waitfor|into|exec|select|insert|drop|update|delete)(?:{_EDGE}|\d|$)",
        rf"(?:^|[=:\s'()\d+\"-])(?:or|and|xor|having|where|&&|\|\|){_}*(?:not{_}+)?['\w.@]{{1,40}}{_}*(?:=|<|>|!|{_B}(?:like|between|in|is|rlike|regexp){_})",
        rf"(?:^|[=:'()\d\"]){_B}*(?:or|and|xor|having|where|&&|\|\|){_}*(?:not{_}+)?(?:'|\d|true|false|null|exists|select|[\w.]+\()",
        r"union.{0,40}select",
        rf"select{_}.{{0,200}}(?:from|\(|@@|case)",
        r"select[\s+(*/]{1,9}(?:'|\d|\*|@|null|char|concat|user|version|database|sleep|count|load_file|case)",
        rf"(?:{_FUNCTIONS}){_B}*\(",
        rf"(?:'|,|\(|\d|=|\|\||and|or|select|when|where|if){_B}*(?:{_BUILDING})\(",
        r"information_schema|pg_catalog|sqlite_master|sysobjects|syscolumns|xp_\w|dbms_\w|utl_(?:http|inaddr)|@@\w|rdb\$",
        rf"(?:order|group){_}+by{_}+(?:\d|'|[\w,]+(?:--|#))",
        rf"waitfor{_}+(?:delay|time)|procedure{_}+analyse|into{_}+(?:out|dump)file|sounds{_}+like",
        r"'\s*(?:--|#|/\*|;|\)+\s*(?:--|#|/\*|;|and|or))|(?:\d|\)|\w)\s*(?:--|/\*|;--)(?:\s|\+|$|[#;'*/)])",
        rf";{_B}*(?:{sql_words.STATEMENT_PATTERN})",
        rf"'{_B}*(?:=|<>|!=|<=>|\|\||\+|\^|\*|&|%|/|-){_B}*'",
        rf"'\)*{_B}*(?:=|<|>){_B}*\(*'|'\w{{0,12}}'{_B}*(?:=|like)",
        r"'\s*(?:\|\|?|[-+*/^&%=<>!]+)\s*[\d(]|[a-z_]\(\d+=\d",
        r"/\*[!\d]|/\*.{0,40}\*/",
        rf"(?:drop|alter|create|truncate){_}+(?:table|database|schema|user|login){_}+",
        rf"insert{_}+into{_}|delete{_}+from{_}|update{_}+\w+{_}+set{_}|exec(?:ute)?{_}+(?:master|xp_|sp_|immediate|\(|@|')",
        rf"declare{_}+@|begin{_}+\w+\s*\(|case{_}+when|if{_B}*\({_B}*(?:select|\d|'|\(|now|sleep|ascii|substr|length|user|version|mid|ord)",
    ),
    "XSS": (
        r"<[\s/+\x00]*(?:script|iframe|svg|object|embed|style|img|body|input|video|audio|details|marquee|math|form|link|meta|base|applet|xml|isindex|layer|bgsound|frame|button|select|textarea|keygen|x[\s/>:]|a[\s/+]|div[\s/+]|html|head|table|td|b[\s/]|p[\s/]|br[\s/]|image|import|animate|set[\s/]|title|noscript|template|plaintext|xss|\?|!|%)",
        r"on[a-z]{3,40}[\s/+\x00]*=",
        r"(?:java|vb|live|j)\s*script[\s:]*[:#]|mocha:|mhtml:|data:(?:text|application/x|image/svg)",
        r"(?:alert|prompt|confirm|eval|atob|msgbox|geturl|fromcharcode|execscript|settimeout|setinterval|constructor|fetch|print|import|function|importscripts|getscript|write|writeln|open|insertadjacenthtml|appendchild|sendbeacon|postmessage)[\s)'\]]*[(`]",
        r"document\s*[.\[]|window\s*[.\[]|(?:self|top|parent|frames|globalthis|this|location|opener)\s*\[|location\s*(?:=|\.)|\.(?:cookie|innerhtml|outerhtml|srcdoc)",
        r"[\[\]()!+]{11}|\[\]\s*\[|&\{|'\s*\+\s*'|fromcharcode|expression\(|-moz-binding|behaviou?r:|@import|onerror|onload",
        r"throw[\s/*{]{1,4}[\w$,=]{0,30}(?:onerror|alert|eval|\d)|(?:alert|prompt|confirm|eval)\.source|\$(?:event|on|eval)\b|prototype\.\w{1,20}\s*[:=]|(?:valueof|tostring|hasinstance\]?)['\s\]]*[:=]",
    ),
    "COMMAND_EXECUTION": (
        r"<\?(?:=|php)|\$_[a-z]{3,8}\s{0,3}\[|\$0\s{0,4}<<<|\$\{@?\w{2,12}\s{0,3}\(|=\$?\\?'?\w{2,10}.{0,20};\s{0,4}\$\w",
        r"(?:eval|assert|print_r|var_dump|die|exit|phpversion|getmypid|php_uname|sleep|md5)\s{0,3}\(|(?:include"
        r"|require)(?:_once)?\s{0,3}\(\s{0,3}['$]|scripttimeout|on error resume",
        r"(?:^|[=:'\">\s/])(?:whoami|uname|ifconfig|ipconfig|sysinfo|systeminfo|netstat|net[\s+]+(?:view|user|local|group|share|acc|start)|sleep[\s+]+\d|git[\s+]+clone)",
        r"(?:^|[=:'\">/])(?:(?:ls|dir|cat|type|more|head|tail|less)[\s+]+(?:-|/|%|\w:)|(?:ping|traceroute|tracert)[\s+]+[-1l]|perl[\s+]+-e)",
        r"(?:^|[=:'\">/])which[\s+]+(?:wget|curl|perl|python|gcc|nc|nmap|ruby|php)",
        r"'\w{1,8}'\s?&\s?'\w{1,8}'\s?&|=`\w{2,10}",
        rf"[\n\r]{_B}*['({{!@^\\]*(?:{_CERTAIN})(?:[\s;|&`'+)<>$/,}}\"\\]|$)",
        rf"(?:[;|&`]|\$\(|[<>]\(){_B}*['({{!@^\\]*(?:{_KNOWN})(?:[\s;|&`'+)<>$/,}}\"\\]|$)",
        r"(?:[;|&`\n\r]|\$\(|[<>]\()[\s+'({!@^]*(?:/|c:|%\w{4}|\$[\w{(@*'])|[;|&`]\s*\w{1,12}(?:''|[\^\\])\w",
        rf"(?:^|[=:'\n\"])(?:{_CERTAIN})[\s+]+(?:-|/|[~.]|https?:|\d|\w+\.)",
        r"/s?bin/|/usr/|/etc/|/dev/(?:tcp|udp)|(?:c:|%\w{4,12}%)[\\/]",
        r"(?:system|shell_exec|passthru|popen|proc_open|pcntl_exec|exec|execsync|phpinfo|spawn\w*|subprocess\.\w+|assert)\s*\(",
        r"\$\{?ifs|\$\(|\(\)\s*\{|<!--\s*#|powershell|cmd(?:\.exe)?[\s+]*/[ck]|child_process|\$_(?:get|post|request|cookie|server)",
        r"\{[\w/.-]{1,30},|%\w{4,20}:~",
        shell_words.OPTION_NAMES,
    ),
    "DIRECTORY_TRAVERSAL": (
        r"[/\\]\w{1,5}\$[/\\]|convert\.(?:iconv|base64)|\.\.(?:2f|5c)|2e2e[25]|[?.][?.](?:[/\\%]|0x)|%(?:bg|f[0c8]|e0|%|2%[ef]|5%c)|/proc/\w|[./\\]{8,}",
        r"(?:^|[/\\=:'\s])\.(?:\w{0,4}hosts|\w{0,8}passwd?|xauth|\w{0,12}history|\w{2,4}rc(?:$|\W)|logout)",
        r"(?:^|[=:'\">\s])(?:[a-z]:)?[/\\]{1,2}(?:logs?|apache\d?|httpd|xampp|lampp?|wamp|program ?files"
        r"|sysprep|minint|php\d?)[/\\]",
        r"(?:^|[=:'\">\s])[a-z]:[/\\]{1,2}(?:documents and settings|users|program ?files[^/\\]{0,9})[/\\]",
        r"\.\.[/\\;]|[/\\;]\.\.(?:$|[\s/\\;])|\.{4,}|\.;\.|\.[?*]\.?/",
        r"(?:etc|proc|var|root|home|usr|opt|boot|windows|winnt|win)[/\\]+(?:passwd|shadow|group|hosts|issue|motd|fstab|sudoers|crontab|self|version|cmdline|log|lib|run|\.|local|win\.ini|system|[\w-]+/)",
        r"(?:win|boot|system|php|my|desktop)\.ini|autoexec|ntldr|pagefile|global\.asa|inetpub|web-inf|meta-inf|wp-config|web\.config|app\.config|id_[rd]sa",
        r"(?:^|[/\\\s=:'\"])\.(?:ht|git|svn|env|aws|ssh|bash)",
        r"(?:php|expect|zip|phar|glob|file|jar|compress\.\w+):/|data://",
        r"0x(?:2[ef]|5c)|%(?:25)*(?:2e|2f|5c)|%c[01]|%e0%80|%f0%80|%u|%00|\{file\}",
        r"(?:config|settings|configuration)\.(?:php|inc)",
    ),
    "SSRF": (
        r"(?:[a-z][a-z0-9+.-]{1,15}):[/\\]{1,4}(?:[^/?#\s'<>]{0,80}[.@])?(?:localhost|metadata|internal|127\.|169\.254|10\.\d|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.\d|0x|\[|0\.|nip\.io|xip\.io|localtest|lvh\.me|vcap\.me|lacolhost|burpcollab|1u\.ms|rbndr|docker|kubernetes|instance-data)",
        r"(?:https?|ftp|wss?):/{0,4}(?:[^/?#\s'<>]{0,80}@)?(?:0|\d{5,}|\d+(?:\.\d+){0,2}(?:[/:?#\s'\"]|$))",
        r"(?:gopher|dict|ldaps?|tftp|sftp|netdoc|jar|file|local_file)1?:",
        r"@(?:localhost|127\.|10\.|192\.168|169\.254)|(?:^|[='\s\"])//(?:\[|[\d.]+|localhost|metadata)",
        r"169\.254\.|metadata\.google|168\.63\.129|100\.100\.100",
    ),
    "NULL_BYTES": (r"\x00|%00|\\u0000|\\x00|\\0",),
    "GRAPHQL_INTROSPECTION": ("__schema", r"__type(?:[^n]|$)"),
    "NOSQLI": (
        r"\$(?:ne|gte?|lte?|eq|n?in|not|n?or|func|regex|where|exists|expr|elemmatch|mod|all|function|accumulator|jsonschema|lookup|unionwith|rand|and|comment|text|size|type|options)[^a-z]",
        r"(?:'|;|,)[\s+]*(?:\|\||&&|return\b|sleep|while|db\.|this\.|var\s)",
        r"this\.\w+\.(?:match|length|test)|this\.\w+\s*[!=]=|\bdb\.\w+|return[\s+]+(?:true|1|this)|object\.keys|new[\s+]+date|(?:^|=|')(?:\|\||&&)",
    ),
    "SSTI": (
        r"\{\{|\$\{|#\{|%\{|\*\{|@\{|~\{|<%|\{%|\[\[|\{php|@\(|\$!\{|\{\$|\{literal|\{if|__(?:class|mro|subclasses|globals|init|builtins|import|base)",
        r"\{(?:=|\(|')?[\s+]*['\d][\d*+'()x-]*[*+][\d*'x]|#(?:set|foreach|evaluate|include|parse)|<#|\bth:\w|\{(?:system|exec|passthru|phpinfo)",
        r"java\.lang|getruntime|freemarker|processbuilder|t\(java|\$class|_\$\$",
    ),
    "XXE": (
        r"ad\w{1,4}-(?:entity|doctype|element)",
        r"schemalocation|:(?:include|import|redefine)\s|>\s{0,9}&[a-z][\w.-]{1,40};",
        "<!entity",
        "<!doctype",
        "<!element",
        "xinclude",
        "xi:include",
        r"<\?xml",
    ),
    "LDAP_INJECTION": (r":[\d.]{5,}:=|\(!\(", r"\*\)|\)\s*\(|\(\s*[|&!]|\*\(", r"\|\(|&\("),
    "LOG4SHELL": (r"\$\\?\{", "jndi:"),
    "CRLF": (
        r"(?:[\r\n]|\\r|\\n)[\s+]*(?:set-cookie|http/|content-|transfer-|location|x-[\w-]+\s*:|access-control|refresh|status|host|bcc|cc|to\s*:|from\s*:|reply-to|subject|link|cookie|referer|last-modified|cache-control)",
        "\u560a\u560d",
    ),
    "DESERIALIZATION": (
        r"[;{}=:'\s][oc]:\+?\d{1,4}:'|ro0ab|h4siaaaaa|aced0005|aaeaaad/|!!?(?:python|ruby|javax?|php|perl|com|org|js|clr)",
        r"\$\$nd_func|objectdataprovider|['\"](?:org\.(?:spring|apache)|javax\.|ch\.qos\.)|[$@](?:type|class)'?\s*[:=]|\n(?:system|popen|eval|exec)\n|xac\\xed|com\.sun\.",
    ),
    "PROTOTYPE_POLLUTION": (r"__proto__|constructor.{0,8}prototype|class(?:\.module)?\.classloader|classloader",),
    "SCANNER": (
        _TOOLS,
        r"openvas|fuzz[\s+]faster|nmap[\s+]script|\w\.nasl|oast\.|oastify|interact\.?sh|dnslog|ceye\.io|bxss|canarytok|xss\.ht",
    ),
    "SENSITIVE_FILE": (
        rf"{_PATH}/\.(?:git|svn|hg|bzr|env|aws|ssh|docker|npmrc|pypirc|ht|ds_store|netrc|idea|vscode|kube|terraform|pgpass|cvs)",
        rf"{_PATH}\.(?:bak|swp|sql|old|orig|save|sqlite3?|mdb)(?:\.\w{{2,4}})?$|{_PATH}\.\w{{2,5}}(?:~|\.\w{{2,4}})$",
        rf"{_PATH}/(?:backup|dump|dmp|db|database|site|www|old|new|archive|htdocs|public_html|web\w*)s?\.\w|{_PATH}(?:web|meta)-inf",
        rf"{_PATH}/(?:wp-|phpinfo|server-(?:status|info)|adminer|phpmyadmin|xmlrpc|composer\.|docker-compose|appsettings)",
        rf"{_PATH}/(?:local_settings|database\.yml|secrets\.|\w+\.axd|config(?:uration)?\.|crossdomain|clientaccess|id_[rd]sa|info\.php)",
        r"^/\S{0,200}\.(?:php\d?|phtml|jsp|aspx?|cgi|pl|asa)(?:[\n\r\x00;#:]|/\.|嘊|嘍)",
    ),
    "MAIL_INJECTION": (
        rf"[\r\n]{_B}{{0,4}}(?:rcpt|mail|ehlo|helo|data|quit|rset|noop|b?cc|to|subject|from|reply-to|[av]\d{{1,4}}{_B})",
    ),
    "SSI": (r"<!--\s*#",),
    "RFI": (r"https?://[^\s&]{1,300}\.(?:txt|php\d?|jsp|aspx?|inc|phtml)",),
    "REQUEST_SMUGGLING": (r"http/1\.[01]",),
    "JWT_ALG_NONE": (r"eyj[\w-]{8,}\.",),
}
"""By category of attack, the signs one of which stands in whatever is found of it."""

_HIDES = (
    r"%(?:25)*(?:[2-9a-f][0-9a-f]|u[0-9a-f]{4}|0[0ad9])|\\u(?:00[0-7]|ff[0-5]|20[02-6]|2[1-4]\d|fe[56])|\\x[0-7][0-9a-f]|\\[0-7]{2,3}|\\u\{",
    r"&(?:#|lt|gt|quot|apos|amp|lpar|rpar|colon|tab|newline|sol|period|bsol|nbsp)|\+a(?:dw|d4|ci|cc|cg|ck|ds|d0)",
    r"(?:^|[=:'\s\"/>])(?-i:(?:[CDI-Za-f][A-HQ-Xg-nw-z0-3][A-Za-z0-9+/_-][A-Za-z0-9+/_-]){3,})[A-Za-z0-9+/_-]{0,3}={0,2}(?:$|[^A-Za-z0-9+/=._-])",
    '\\x1f"basic\\s',  # a header of credentials, between values as suspicion.py writes them
    "[\uff01-\uff5e\u2000-\u2017\u2020-\u2025\u2027-\u206f\u2460-\u24ff\u2215\u2216\ufe50-\ufe6f]",
)  # what one of them may hide behind
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_MOST = 16_384  # characters that are unfolded at the close; in more of them what might hide a sign is one
_OVERLONG = (b"\xc0", b"\xc1", b"\xe0\x80", b"\xf0\x80", b"\xf8\x80", b"\xfc\x80")

_JSON = (b"{", b"[")
_ESCAPES = (
    (b"\\\\", b"\x02"),
    (b'\\"', b"'"),
    (b"\\u0022", b"'"),
    (b"\\/", b"/"),
    (b"\\n", b"\n"),
    (b"\\r", b"\r"),
    (b"\\t", b"\t"),
    (b"\x02", b"\\"),
)

Search = Callable[[bytes], bool]


@lru_cache(maxsize=2)
def searches(speed: bool | None = None) -> tuple[Search, Search]:
    """Whether a text holds a sign, and whether it holds one or what might hide one; compiled at the first call.

    `speed` asks for RE2 (True), for what this package has itself (False), or for what is there (None): they give the
    same answers. Raises ImportError where RE2 is asked for and not installed.
    """
    signs = [sign for listed in SIGNS.values() for sign in listed]
    if speed is not False:
        try:
            re2 = importlib.import_module("re2")
            return _re2_search(re2, signs), _re2_search(re2, [*signs, *_HIDES])
        except ImportError:
            if speed:
                raise
    return _own_search(signs), _own_search([*signs, *_HIDES])


def _re2_search(re2: Any, signs: Iterable[str]) -> Search:
    found: Re2Set[bytes] = Re2Set(re2, [f"(?im){sign}" for sign in signs])
    return lambda text: found.match(text) is not None


def _own_search(signs: Iterable[str]) -> Search:
    match = Automaton([parse_pattern(f"(?im){sign}") for sign in signs]).match
    return lambda text: bool(match(text.decode("utf-8", "replace")))


def suspicious(target: bytes, body: bytes, speed: bool | None = None) -> bool:
    """Whether there is any sign of an attack in a request's path and query, or in its body."""
    text, is_json = readable(target, body)
    signs, anything = searches(speed)
    if not anything(text):
        return is_overlong(text)
    if signs(text) or len(text) > _MOST or signs(_unfolded(text, is_json)):
        return True
    return is_overlong(text)


def is_overlong(text: bytes) -> bool:
    """Whether characters may hide in more bytes than they take, which decoders of today refuse and older ones read."""
    return not text.isascii() and any(overlong in text for overlong in _OVERLONG)


def _unfolded(text: bytes, is_json: bool) -> bytes:
    """The text with all encodings peeled off, quotes as they are after that."""
    plain = text.decode("utf-8", "replace")
    if is_json:
        plain = plain.replace('"', "\x01")
    runs = [part for run in _BASE64.findall(plain) for part in ((run, *run.split("/")) if "/" in run else (run,))]
    inside = [decoded for run in runs if (decoded := base64_text(run)) is not None]
    return (
        "\n".join((decode(plain), *map(decode, inside)))
        .replace('"', "'")
        .replace("\x01", '"')
        .encode("utf-8", "replace")
    )


def readable(target: bytes, body: bytes) -> tuple[bytes, bool]:
    """What the signs are looked for in, and whether a part of it is JSON."""
    target = _decoded(target).replace(b'"', b"'")
    if body.lstrip()[:1] in _JSON:
        if b"\\" in body:
            for escaped, plain in _ESCAPES:
                body = body.replace(escaped, plain)
        return target + b"\n" + (unquote_to_bytes(body) if b"%" in body else body), True
    return target + b"\n" + _decoded(body).replace(b'"', b"'"), False


def _decoded(text: bytes) -> bytes:
    """A query or form as it is read."""
    text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text
