"""Pages that lead a reader through something are followed literally, on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import PAGES
from tests.walkthrough import Walkthrough

pytest.importorskip("sqlalchemy", reason="the extra collector is not installed")
pytestmark = pytest.mark.live

FOLLOWED = sorted(page for page in PAGES if page == "docs/tutorial.md" or page.startswith("docs/quickstart/"))


@pytest.mark.parametrize("page", FOLLOWED)
def test_following_a_page(page: str, tmp_path: Path) -> None:
    """Who does what the page says, in its order, gets what it shows."""
    with Walkthrough(tmp_path) as reader:
        assert reader.follow(page) >= 4
