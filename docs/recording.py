"""Records the tutorial as it really goes, as a terminal in an animated SVG: `python docs/recording.py` writes it.

The page is followed as its test follows it. Keys and passwords are left out; nothing else of what is said is changed
but for lines that are too long.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.walkthrough import Walkthrough  # noqa: E402 - the root is on the path only now

_SECONDS, _COLUMNS, _ROWS = 60, 118, 24
_WIDTH, _HEIGHT = 8.2, 19  # of a character, in pixels
_OUTPUT = 6  # lines of what one command says
_BORING = ("python3", ". .venv", "pip", "export METLO_KEY")

Line = tuple[str, str, float]  # class, text, and when it appears


def record() -> list[tuple[str, str]]:
    """What the tutorial's commands said, in their order."""
    with tempfile.TemporaryDirectory() as name, Walkthrough(Path(name)) as reader:
        reader.follow("docs/tutorial.md")
        return [(command, _without_secrets(said)) for command, said in reader.heard]


def lines_of(heard: Sequence[tuple[str, str]]) -> list[Line]:
    """Lines and when each appears, a command's answer a moment after it, all of it within a minute."""
    wanted = [(command, said) for command, said in heard if not command.startswith(_BORING)]
    step = (_SECONDS - 4) / len(wanted)
    lines = []
    for number, (command, said) in enumerate(wanted):
        lines.append(("typed", f"$ {command}", number * step))
        answer = [line for line in said.splitlines() if line.strip() and "WARNING" not in line]
        lines += [("said", line.rstrip(), (number + 0.3) * step) for line in answer[:_OUTPUT]]
    return [(kind, text if len(text) <= _COLUMNS else f"{text[: _COLUMNS - 1]}…", at) for kind, text, at in lines]


def draw(lines: Sequence[Line]) -> str:
    """The terminal: lines appear in their time, and those above move out."""
    shown = "".join(
        f'<text class="{kind}" y="{(row + 1) * _HEIGHT}" xml:space="preserve" opacity="0">{escape(text)}'
        f"{_steps('animate', 'opacity', ['0', '1'], [0.0, at])}</text>\n"
        for row, (kind, text, at) in enumerate(lines)
    )
    moments = sorted({at for _, _, at in lines})
    rows = [sum(at <= moment for _, _, at in lines) for moment in moments]
    moves = [f"0 {-max(0, row - _ROWS) * _HEIGHT}" for row in rows]
    scrolled = _steps("animateTransform", "transform", moves, moments, 'type="translate" ')
    width, height = int(_COLUMNS * _WIDTH) + 24, _ROWS * _HEIGHT + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        "<style>text{font:13.6px ui-monospace,Menlo,Consolas,monospace;fill:#c9d1d9}.typed{fill:#7ee787}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>\n'
        f'<svg x="12" y="8" width="{width - 24}" height="{height - 16}"><g>{scrolled}\n{shown}</g></svg></svg>\n'
    )


def _steps(tag: str, name: str, values: Sequence[str], times: Sequence[float], more: str = "") -> str:
    moments = ";".join(f"{min(at / _SECONDS, 1):.4f}" for at in times)
    return (
        f'<{tag} attributeName="{name}" {more}calcMode="discrete" values="{";".join(values)}" keyTimes="{moments}" '
        f'dur="{_SECONDS}s" repeatCount="indefinite"/>'
    )


def _without_secrets(text: str) -> str:
    return re.sub(r"(shown this once: )\S+", r"\1…", text)


if __name__ == "__main__":
    (ROOT / "docs" / "tutorial.svg").write_text(draw(lines_of(record())))
