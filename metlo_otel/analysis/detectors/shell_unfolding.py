"""What a shell sees of a text once its own tricks to write a space or to split a word are undone."""

from __future__ import annotations

import re

_BLANKS = re.compile(r"\$\{?ifs\}?(?:\$\d|\$@)?|%09|\$'\\[nt]'|%(?:commonprogramfiles|programfiles)[^%]{0,12}%")
_SHELL = re.compile(r"\$(?:shell|bash)\b|\$\{(?:shell|bash)\}")
_NOISE = re.compile(
    r"(?:''|\"\"|\\|\$[@*]|\$\(\)|\^|\$\{?\w{1,2}\}?)(?=[a-z/*?])|(?<!\$[a-z])(?<!\$[a-z]\w)\$\{?[a-z]\w?\}?(?=[\s+]|$)"
)
_FOLDS = frozenset("'\"\\^@*$")
_QUOTED_LETTER = re.compile(r"(['\"])(\w{1,3})\1(?=\w|\s|$)")
_BRACES = re.compile(r"\{([\w/.-]{1,30})\s{0,4},([^{}]{0,200})\}")
_ENTITY = re.compile(
    r"&(?:lt|gt|amp|quot|apos|nbsp|copy|reg|trade|hellip|[mn]dash|euro|[lr][sd]quo|#x?[0-9a-f]{1,6});"
)  # the decoded reading has what they stand for


def unfolded(lower: str) -> str:
    """What the shell sees of a lower-case text."""
    if "\\" in lower:
        lower = _broken(lower)
    if "&" in lower and ";" in lower:
        lower = _ENTITY.sub(" ", lower)
    if "$" in lower or "%" in lower:
        lower = _SHELL.sub("sh", _BLANKS.sub(" ", lower)).replace("$'", "'")
    if "{" in lower:
        lower = _BRACES.sub(lambda match: match[1] + " " + match[2].replace(",", " "), lower)
    if not _FOLDS.isdisjoint(lower):
        lower = _NOISE.sub(lambda match: "" if _inside_word(match) else match[0], lower)
        if "{" in lower:
            lower = _BRACES.sub(lambda match: match[1] + " " + match[2].replace(",", " "), lower)
        lower = _QUOTED_LETTER.sub(lambda match: match[2] if _inside_word(match) else match[0], lower)
    return lower


def _inside_word(match: re.Match[str]) -> bool:
    """Whether a sign that the shell drops stands within a word, or a quoted letter at the start of one."""
    left = match.string[match.start() - 1 : match.start()]
    return (
        left.isalnum()
        or left == "/"
        or (match[0][0] in "'\"" and match.string[match.end() : match.end() + 1].isalnum())
    )


def _broken(lower: str) -> str:
    """The text with the line breaks at its ends that nobody unescaped."""
    if lower.endswith(("\\n", "\\r")):
        lower = lower[:-2]
    return "\n" + lower[2:].replace("\\n", "\n") if lower.startswith(("\\n", "\\r")) else lower
