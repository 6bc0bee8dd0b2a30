"""Detection on sets of others, where they are there: what was reached stays reached."""

from __future__ import annotations

import base64

import pytest

from benchmarks.detection_sets import Report, in_half, measure, requested
from metlo_otel.analysis.detectors.finding import high, low
from tests.shared import SHARED


@pytest.mark.skipif(SHARED is None, reason="the data for detection is not there")
def test_what_was_reached_stays_reached() -> None:
    """Of no set is less caught, or more mistaken, than was."""
    assert SHARED is not None
    assert measure(SHARED / "data" / "detection") == []


def test_a_request_is_looked_at_whole() -> None:
    """A request of a set is found in its query, body and headers, and passes where it is ordinary."""
    body = base64.b64encode(b"a=%3Bcat+/etc/passwd").decode()
    form = [["Content-Type", "application/x-www-form-urlencoded"]]
    asked = {"method": "POST", "target": "/a?b=1", "headers": form, "body": body}
    assert "COMMAND_EXECUTION" in {each.category for each in requested(asked)}
    assert requested({**asked, "body": ""}) == []
    assert requested({**asked, "body": "", "target": "/a?b=../../../etc/passwd"})
    assert requested({**asked, "body": "", "headers": [["User-Agent", "sqlmap/1.8"]]})


def test_rates(capsys: pytest.CaptureFixture[str]) -> None:
    """Caught and certain are shares of all; what was never measured is worse than any floor."""
    report = Report(5)
    rows = [("g", "one", [high("XSS", "x")]), ("g", "two", [low("XSS", "x")]), ("g", "three", []), ("g", "four", [])]
    report.add("set", rows, benign=False)
    assert "50.00 % ( 25.00 %) of 4" in capsys.readouterr().out
    assert any("nemesida" in each for each in report.worse())


def test_halves_are_halves() -> None:
    """Every row is of one half, and about as many of either."""
    rows = [f"row {number}" for number in range(1000)]
    assert all(in_half("tuning", row) != in_half("held-out", row) for row in rows)
    assert 400 < sum(in_half("tuning", row) for row in rows) < 600
