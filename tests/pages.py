"""The README and the pages of docs/, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = {file.relative_to(ROOT).as_posix(): file.read_text() for file in (ROOT / "docs").rglob("*.md")}
PAGES["README.md"] = (ROOT / "README.md").read_text()

_FENCE = re.compile(r"^(?P<space> *)```(?P<kind>\w+)(?P<more>[^\n]*)\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: of which page, in which language, for which file (`title="…"`; empty: none), and its text."""

    page: str
    kind: str
    file: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page in their order."""
    found = []
    for match in _FENCE.finditer(PAGES[page]):
        title = re.search(r'title="([^"]+)"', match["more"])
        text = re.sub(rf"^{match['space']}", "", match["text"], flags=re.MULTILINE)
        found.append(Block(page, match["kind"], title[1] if title else "", text))
    return found


BLOCKS = [block for page in sorted(PAGES) for block in blocks_of(page)]


def commands_of(block: Block) -> list[tuple[str, str]]:
    """The commands of a console's block, each with what it is shown to say; a line's `\\` at its end joins the next."""
    found: list[list[str]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
        else:
            found[-1][1] += line + "\n"
    return [(command, said) for command, said in found]
