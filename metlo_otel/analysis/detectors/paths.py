"""Directory traversal: paths that climb out of where they belong, however written, and files nobody asks
for by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, telling

WORDS = frozenset(
    "etc proc var root home usr opt ssh ini sys asa config configuration settings web win windows winnt autoexec ntldr"
    " inetpub windir systemroot boot inf php expect zip phar glob data file compress id_rsa id_dsa".split()
)
SIGNS: Signs = (
    (".", r"[./\\;?*\x00]|ht|git|svn|env|aws|(?:xml|ini|asa)$"),
    ("/\\", r"\."),
    ("%", "%?(?:25)*(?:2e|2f|5c)|c[01]|u"),
    ("x", "(?<=0x)(?:2|5c)"),
    (":", r"(?<![a-z][a-z]:)[/\\]"),
    ("{", r"file\}"),
)
_HEX = re.compile(
    r"0x(2e|2f|5c)|x(2e|2f|5c)|%%?(?:25)*(2e|2f|5c)|%c0(?:%|\.)?(?:ae|af|5c|2e|2f|9v|qf)|%c1(?:%9c|%1c|%af|%8s)"
    r"|%uff0e|%u2215|%u2216"
)
_REPEATED = re.compile(r"/(?:\./)*/*")
_SPLIT = re.compile(r"[/\\]+")
_CLIMB = re.compile(r"\.{2,}[\w\s;\x00]{0,2}|\.\.;.*|\.[?*\x00]\.?|\.;\.")
_DOTS = re.compile(r"(?:^|[/\\])\.{8,}|\.{24,}")
_PLACEHOLDER = re.compile(r"[/.]*(?:(\w)\1*[/.]*)?\{file\}")

# Where systems keep what an attacker wants to read, by the end or the middle of a path.
# Every alternative begins with a letter of its own, so that `re` need not try each of them at each place.
_UNIX = re.compile(
    r"etc(?<![\w.]etc)/{1,9}(?:passwd|shadow|group|hosts|issue|motd|fstab|sudoers|crontab|mysql/|ssh/|apache2?/|httpd/|nginx/"
    r"|php|init\.d|cron|rc\.|pam\.|samba|vsftpd|postfix|resolv|network|hostname|profile|os-release|redhat-|security/|my\.cnf"
    r"|[\w-]{1,30}/[\w./-]{0,80}\.(?:conf|cnf|cfg|key|pem)$)"
    r"|proc(?<!\wproc)/(?:self|\d+|version|cmdline|cpuinfo|net|mounts)\b"
    r"|var(?<![a-z_]var)/(?:log/(?:apache|httpd|nginx|auth|messages|syslog|secure|mail|vsftpd)"
    r"|lib/(?:mlocate|php|mysql|pgsql)|run/secrets|mail/|spool/cron)"
    r"|root/\.(?:ssh|bash|profile|mysql|aws|my\.cnf)|home/[\w.-]+/\.(?:ssh|bash|profile|mysql|aws|my\.cnf)"
    r"|\.ssh/(?:id_|auth|known)|id_[rd]sa\b(?<=/id_.sa)"
    r"|usr(?<![a-z_]usr)/local/(?:apache|etc/|tomcat[\w.-]{0,20}/conf/)"
    r"|opt(?<![a-z_]opt)/(?:lampp/|[\w.-]{1,40}/conf/\w)|boot(?<![a-z_.-]boot)/grub"
)
_WINDOWS = re.compile(
    r"windir%/|systemroot%/"
    r"|win(?:dows(?:\.old)?|nt)?/{1,3}(?:win\.ini|system\.ini|system32|php\.ini|repair|system/|debug/|my\.ini|explorer)"
    r"|boot\.ini(?<![^/:]boot\.ini)(?:$|[^\w.])|autoexec\.bat(?<![^/:]autoexec\.bat)(?:$|[^\w.])"
    r"|ntldr(?<![^/:]ntldr)(?:$|[^\w.])|pagefile\.sys(?<![^/:]pagefile\.sys)(?:$|[^\w.])"
    r"|global\.asa(?<![^/:]global\.asa)(?:$|[^\w.])|inetpub/(?:wwwroot|logs)"
    r"|win\.ini(?<![^/:]win\.ini)(?:$|[^\w.])|system\.ini(?<![^/:]system\.ini)(?:$|[^\w.])"
)
_PROGRAM = re.compile(r"[a-z]:/(?:xampp|wamp|apache|php|mysql)[^/]{0,12}/(?:\w+/)?[\w.-]+\.(?:ini|log|conf|cnf|php)$")
_WEB = re.compile(
    r"web-inf/?\w|meta-inf/\w|(?:^|/)\.(?:htaccess|htpasswd|git/|svn/|env(?:$|\W)|aws/|ssh/)|(?:^"
    r"|/)(?:web|app)\.config$"
    r"|(?:^|/)wp-config\.php|(?:^|/)(?:config|settings|configuration)\.(?:php|inc)\b"
)
_TARGETS = (
    (re.compile(r"etc/|proc/|var/|root/|home/|\.ssh|id_|usr/|opt/|boot/"), _UNIX),
    (re.compile(r"win|root%|\.ini|autoexec|ntldr|\.sys|\.asa|inetpub"), _WINDOWS),
    (re.compile(r"-inf|(?:^|/)\.|\.ht|config|settings"), _WEB),
)  # each with what stands in every match, which is found faster
_SECRET = re.compile(r"passwd|shadow|win\.ini|boot\.ini|environ\b|id_rsa|php://|system32")
_SQUASHED = re.compile(
    r"\.\.+(?:etcpasswd|etcshadow|windowswin\.ini|boot\.ini|winntwin)|web-infweb|:(?<=\w:)(?:oot\.ini|inetpub\w|(?:windows|winnt)\w)"
)
_WRAPPER = re.compile(
    r"(?:php://(?:filter|input|stdin|memory|temp|fd)|expect://|zip://|phar://|glob://|data://text"
    r"|compress\.\w+://|(?:jar:)?file:/{1,3}[\w.%])"
)
_DRIVE = re.compile(r"(?:[a-z]:/|/[a-z]:/|//[?.]/|file:)")


_ASSET = re.compile(
    r"(?:\.\./){1,4}[\w@-][\w@/-]{0,120}(?:\.[\w-]{1,20}){0,3}"
    r"\.(?:css|scss|less|m?[jt]sx?|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|md|rst|html?|vue|map)(?:[?#][\w=.&-]{0,80})?"
)  # what pages and modules refer to, relative to themselves
_PRIVATE = re.compile(
    r"(?:\.\./)+(?:[\w@-][\w@.-]{0,60}/){0,6}[\w@.-]{0,60}"
    r"\.(?:php\d?|phtml|py|rb|jsp|aspx?|ya?ml|toml|conf|cfg|cnf|ini|properties|env|key|pem|sql|sqlite3?|db|bak|log)"
)  # what a server runs or keeps for itself, one step out of the folder
OWN_FILE = re.compile(
    r"file:///(?:home|users|storage|sdcard|data/user|data/data|var/mobile|private/var/mobile)/[\w .%+@/-]{1,400}"
)


tells = telling(WORDS, SIGNS)


def find(text: str, lower: str, hidden: bool = False) -> Iterator[Finding]:
    """Traversal, and with it COMMAND_EXECUTION where a system's own files are read, as Metlo counts it.

    `hidden` says that the text was decoded once more than the application would: then one step is one too
    many.
    """
    plain = _plain(lower)
    if OWN_FILE.fullmatch(plain) and "/." not in plain:
        return
    climbs = _climbs(plain) or (1 if hidden and "../" in plain else 0)
    target = _target(plain, climbs)
    if climbs and not (target or hidden) and _ASSET.fullmatch(plain):
        return
    if climbs >= 2 or (climbs and target) or (target and _SECRET.search(plain)):
        yield high("DIRECTORY_TRAVERSAL", text)
    elif target or climbs or _WRAPPER.match(plain) or _odd(plain):
        yield low("DIRECTORY_TRAVERSAL", text)
    if target and climbs:
        yield low("COMMAND_EXECUTION", text)


def _odd(plain: str) -> bool:
    """Whether a filter or a scanner had a hand in the path, or it leads to what is not for the public."""
    return _dotted(plain) or _template(plain) or (plain.startswith("../") and _PRIVATE.fullmatch(plain) is not None)


def _dotted(plain: str) -> bool:
    """Dots in a row, or a target behind dots or a drive from which a filter took the slashes."""
    if "........" in plain and _DOTS.search(plain):
        return True
    return (".." in plain or ":" in plain or "web-inf" in plain) and _SQUASHED.search(plain) is not None


def find_in_path(text: str, lower: str) -> Iterator[Finding]:
    """The same for a request's path, in which no client leaves a `..` standing."""
    found = list(find(text, lower))
    if not found and ".." in _SPLIT.split(_plain(lower)):
        found = [low("DIRECTORY_TRAVERSAL", text)]
    yield from found


def _plain(lower: str) -> str:
    """One separator, and the spellings of `.` and `/` that only file systems and broken decoders
    understand."""
    if "0x2" in lower or "0x5c" in lower or "%" in lower:
        lower = _HEX.sub(lambda match: "." if match[match.lastindex or 0] == "2e" else "/", lower)
    return lower.replace("\\", "/")


def _climbs(plain: str) -> int:
    """How many steps out of the directory; a single plain `../file` counts none, that is how links are
    written."""
    if ".." not in plain and "./" not in plain and ";" not in plain:
        return 0
    head, blank, _ = plain.partition(" ")
    if blank and not (plain.startswith((".", "/")) or ".." in head):
        return _in_prose(plain)
    steps = plain.count("../") + plain.startswith("../") if plain.count("/../") > 1 else 0
    if steps > 1:
        return steps
    parts = _SPLIT.split(plain)
    steps = sum(1 for part in parts if _CLIMB.fullmatch(part) or (part.endswith("..") and len(part) < 4))
    if steps == 1:
        return _single(plain, parts)
    return steps if len(parts) > 1 else 0


def _single(plain: str, parts: list[str]) -> int:
    first = next((part for part in parts if part not in ("", ".")), "")
    if len(parts) > 1 and all(_CLIMB.fullmatch(part) for part in parts if part):
        return 1
    if plain[0] == "/" and _CLIMB.fullmatch(first):
        return 1
    return 1 if any(odd in plain for odd in ("..;", "....//", "..//", "\x00")) else 0


def _in_prose(plain: str) -> int:
    """Among other words only a path that climbs and climbs counts, not the relative link of a text."""
    return plain.count("../") if plain.count("../../..") else 0


def _target(plain: str, climbs: int) -> bool:
    """Whether the text is, or climbs to, a file that systems keep for themselves."""
    if " " in plain.strip() and not climbs:
        return False
    squeezed = _REPEATED.sub("/", plain) if "//" in plain or "/./" in plain else plain
    found = None
    for places, pattern in _TARGETS:
        if places.search(squeezed):
            found = pattern.search(squeezed)
        if found:
            break
    found = found or (_PROGRAM.match(squeezed) if squeezed[1:3] == ":/" else None)
    if not found:
        return False
    return bool(climbs or found.start() <= 1 or _DRIVE.match(squeezed) or "://" not in squeezed[:12])


def _template(plain: str) -> bool:
    """A scanner's list sent as it is: dots, slashes or padding before a `{file}` that nobody filled in."""
    return plain.endswith("{file}") and plain[0] in "/." and _PLACEHOLDER.fullmatch(plain) is not None
