"""What the page about faults says is held by tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.live.server import ROOT

_NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/how-it-fails.md").read_text())))


@pytest.mark.parametrize(("file", "name"), _NAMED)
def test_a_named_test_is_there(file: str, name: str) -> None:
    """Each test that the page names exists."""
    assert f"def {name}(" in (ROOT / file).read_text()


def test_every_row_names_a_test() -> None:
    """No row of the table of faults is a mere promise."""
    page = (ROOT / "docs/how-it-fails.md").read_text().split("## Faults")[1].split("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if "::test_" not in row] == []
