"""Directory traversal: paths that climb out of where they belong, however written, and files nobody asks
for by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors import path_codings, path_targets
from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, telling

WORDS = frozenset(
    "etc proc var root home usr opt ssh ini sys asa config configuration settings web win windows winnt autoexec ntldr"
    " inetpub windir systemroot boot inf php expect zip phar glob data file compress id_rsa id_dsa convert rot"
    " log logs httpd sessions access_log error_log history _history".split()
)
SIGNS: Signs = (
    (".", r"[./\\;?*\x00]|2f|5c|ht|git|svn|env|aws|(?:xml|ini|asa)$"),
    ("/\\", r"\."),
    ("%", "%?(?:25)*(?:2e|2f|5c)|c[01]|u|bg|[ef]0|f8|fc|%"),
    ("x", "(?<=0x)(?:2|5c)"),
    ("?", r"[?.](?:[/\\%]|0x)"),
    (":", r"(?<![a-z][a-z]:)[/\\]"),
    ("{", r"file\}"),
    ("$", r"(?<=[/\\]\w\$)[/\\]|(?<=admin\$)[/\\]"),
)
_REPEATED = re.compile(r"/(?:\./)*/*")
_SPLIT = re.compile(r"[/\\]+")
_CLIMB = re.compile(r"\.{2,}[\w\s;%\x00-\x1f]{0,2}|\.\.;.*|\.[?*\x00]\.?|\.;\.|\?[.?]")
_PUZZLE = re.compile(r"/*(?:\.+/+){4,}\.*")  # of dots and slashes, and nothing else
_DOTS = re.compile(r"(?:^|[/\\])\.{8,}|\.{24,}")
_PLACEHOLDER = re.compile(r"[/.]*(?:(\w)\1*[/.]*)?\{file\}")

_SECRET = re.compile(r"passwd|shadow|win\.ini|boot\.ini|environ\b|id_rsa(?!\.pub)|php://")
_SQUASHED = re.compile(
    r"\.\.+(?:etcpasswd|etcshadow|windowswin\.ini|boot\.ini|winntwin)|web-infweb|:(?<=\w:)(?:oot\.ini|inetpub\w"
    r"|(?:windows|winnt)\w)"
)
_FILTERING = re.compile(
    r"php://(?:filter/[\w.|/,=:-]{0,300}resource=|input$)|expect://\w|data:(?://)?text/plain[;,].{0,20}base64,"
    r"|zip://[^#]{1,200}#"
)  # what nobody but PHP reads, whole
_WRAPPER = re.compile(
    r"(?:php://(?:filter|input|stdin|memory|temp|fd)|expect://|zip://|phar://|glob://|data://text"
    r"|compress\.\w+://|(?:jar:)?file:/{1,3}[\w.%])"
)
_DRIVE = re.compile(r"(?:[a-z]:/|/[a-z]:/|//[?.]/|file:)")


_ASSET = re.compile(
    r"(?:\.\./){1,4}[\w@-][\w@/-]{0,120}(?:\.[\w-]{1,20}){0,3}"
    r"\.(?:css|scss|less|m?[jt]sx?|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|md|rst|html?|vue|map)(?:[?#][\w=.&-]{0,80})?"
)  # what pages and modules refer to, relative to themselves
_DOCUMENT = re.compile(r"(?:\.\./){2}[\w@-][\w@/-]{0,120}\.(?:json|txt|csv|xml|pdf)")
_PRIVATE = re.compile(
    r"(?:\.\./)+(?:[\w@-][\w@.-]{0,60}/){0,6}[\w@.-]{0,60}"
    r"\.(?:php\d?|phtml|py|rb|jsp|aspx?|ya?ml|toml|conf|cfg|cnf|ini|properties|env|key|pem|sql|sqlite3?|db|bak|log)"
)  # what a server runs or keeps for itself, one step out of the folder
OWN_FILE = re.compile(
    r"file:///(?:home|users|storage|sdcard|data/user|data/data|var/mobile|private/var/mobile)/[\w .%+@/-]{1,400}"
    r"|file:///[a-z]:/(?!win|boot|inetpub)[\w .%+@/()-]{1,300}\.(?:html?|pdf|docx?|xlsx?|pptx?|txt|csv|png"
    r"|jpe?g|gif|svg|md|rtf|od[tsp])"
)


tells = telling(WORDS, SIGNS)


def find(text: str, lower: str, hidden: bool = False) -> Iterator[Finding]:
    """Traversal, and with it COMMAND_EXECUTION where a system's own files are read, as Metlo counts it.

    `hidden` says that the text was decoded once more than the application would: then one step is one too
    many.
    """
    plain = path_codings.plain(lower)
    if OWN_FILE.fullmatch(plain) and "/." not in plain:
        return
    climbs = _climbs(plain) or (1 if hidden and "../" in plain else 0)
    target = _target(plain, climbs)
    if climbs and not (target or hidden) and _ASSET.fullmatch(plain):
        return
    document = climbs == 2 and not (target or hidden) and _DOCUMENT.fullmatch(plain) is not None
    if (
        (climbs >= 2 and not document)
        or (climbs and target)
        or (target and _SECRET.search(plain))
        or (":/" in plain and _FILTERING.match(plain.replace("/./", "/").strip()))
    ):
        yield high("DIRECTORY_TRAVERSAL", text)
    elif target or climbs or _WRAPPER.match(plain) or _odd(plain):
        yield low("DIRECTORY_TRAVERSAL", text)
    if target and climbs:
        yield low("COMMAND_EXECUTION", text)


def _odd(plain: str) -> bool:
    """Whether a filter or a scanner had a hand in the path, or it leads to what is not for the public."""
    if _dotted(plain) or _template(plain) or path_targets.is_kept(plain):
        return True
    if plain[0] in "./" and _PUZZLE.fullmatch(plain):
        return True
    return plain.startswith("../") and _PRIVATE.fullmatch(plain) is not None


def _dotted(plain: str) -> bool:
    """Dots in a row, or a target behind dots or a drive from which a filter took the slashes."""
    if "........" in plain and _DOTS.search(plain):
        return True
    return (".." in plain or ":" in plain or "web-inf" in plain) and _SQUASHED.search(plain) is not None


def find_in_path(text: str, lower: str) -> Iterator[Finding]:
    """The same for a request's path, in which no client leaves a `..` standing."""
    found = list(find(text, lower))
    if not found and ".." in _SPLIT.split(path_codings.plain(lower)):
        found = [low("DIRECTORY_TRAVERSAL", text)]
    yield from found


def _climbs(plain: str) -> int:
    """How many steps out of the directory; a single plain `../file` counts none, that is how links are
    written."""
    if ".." not in plain and "./" not in plain and ";" not in plain and "?" not in plain:
        return 0
    head, blank, _ = plain.partition(" ")
    if blank and "{" in plain and "{file}" not in plain and not plain.startswith("."):
        return _in_prose(plain)
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
    start = path_targets.target(squeezed)
    if start < 0:
        return False
    return bool(climbs or start <= 1 or _DRIVE.match(squeezed) or "://" not in squeezed[:12])


def _template(plain: str) -> bool:
    """A scanner's list sent as it is: dots, slashes or padding before a `{file}` that nobody filled in."""
    return plain.endswith("{file}") and plain[0] in "/." and _PLACEHOLDER.fullmatch(plain) is not None
