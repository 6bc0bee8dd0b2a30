"""What `manage.py check` says, and what it keeps silent about: the settings that are in force."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.test.utils import override_settings

from metlo_otel.django import MetloDjango, check_settings
from metlo_otel.zerocode.django import ZeroDjango
from tests.django.site import OURS

RIGHT = {"API_KEY": "K", "METLO_HOST": "http://127.0.0.1:9"}
WRONG = {**RIGHT, "MODE": "nonsense"}

MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
import metlo_otel
metlo_otel.instrument("http://127.0.0.1:9", "KEY")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "tests"
ROOT_URLCONF = "site_urls"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["metlo_otel.django.MetloConfig"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {}
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("ok"))]
"""
TESTS = """
from django.test import SimpleTestCase
class Tests(SimpleTestCase):
    def test_answer(self):
        assert self.client.get("/").content == b"ok"
"""


def found(config: dict[str, str], *middleware: str) -> list[str]:
    with override_settings(MIDDLEWARE=list(middleware), METLO_CONFIG=config):
        return [str(message.id) for message in check_settings()]


@pytest.fixture
def zero_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As metlo_otel.instrument() leaves it."""
    monkeypatch.setattr(MetloDjango, "stand_in", ZeroDjango)
    monkeypatch.setattr(ZeroDjango, "defaults", RIGHT)


class Given(MetloDjango):
    """A project's own, with settings in the class."""

    defaults = RIGHT


def test_settings_of_the_middleware() -> None:
    """They are read as the middleware reads them."""
    assert found(RIGHT, OURS) == []
    assert found(WRONG, OURS) == ["metlo_otel.E004"]
    assert found({}, OURS) == ["metlo_otel.E001", "metlo_otel.E001"]
    assert found({}, f"{__name__}.Given") == []
    assert found(WRONG, "no.such.Middleware", f"{__name__}.Given") == ["metlo_otel.E004"]


def test_twice_and_not_at_all() -> None:
    """One too many is a warning, and so is none, unless it is said that there shall be none."""
    assert found(RIGHT, OURS, f"{__name__}.Given") == ["metlo_otel.W005"]
    assert found(RIGHT) == ["metlo_otel.W006"]
    assert found({"DISABLED": "true"}) == []


@pytest.mark.usefixtures("zero_code")
def test_zero_code() -> None:
    """Its settings are in force; what is wrong with them never stops an app that does not know of the agent."""
    assert found({}) == []
    assert found(WRONG) == ["metlo_otel.W004"]
    assert found({}, OURS) == ["metlo_otel.E001", "metlo_otel.E001"]


@pytest.mark.parametrize("command", [["check"], ["test"]])
def test_instrument_in_manage_py(tmp_path: Path, command: list[str]) -> None:
    """`metlo_otel.instrument(host, key)` in manage.py lets its commands run, as the pages have it."""
    files = {"manage.py": MANAGE, "site_settings.py": SETTINGS, "site_urls.py": URLS, "tests.py": TESTS}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ran = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "metlo_otel.E" not in ran.stderr + ran.stdout
