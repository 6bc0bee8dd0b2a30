"""Traversal in the codings that only broken decoders read: every sign of a path, in every coding, climbs."""

from __future__ import annotations

from itertools import product

import pytest

from metlo_otel.analysis.attacks import detect, inspect
from metlo_otel.analysis.detectors.path_codings import plain
from metlo_otel.analysis.prefilter import suspicious

DOTS = (
    "..",
    "%2e%2e",
    "%252e%252e",
    "%%32%%65%%32%%65",
    "0x2e0x2e",
    "%c0%ae%c0%ae",
    "%c0%2e%c0%2e",
    "%c0.%c0.",
    "%25c0%25ae%25c0%25ae",
    "%e0%80%ae%e0%80%ae",
    "%f0%80%80%ae%f0%80%80%ae",
    "%f8%80%80%80%ae%f8%80%80%80%ae",
    "%fc%80%80%80%80%ae%fc%80%80%80%80%ae",
    "%uff0e%uff0e",
)
SLASHES = (
    "/",
    "\\",
    "%2f",
    "%5c",
    "%252f",
    "%255c",
    "%%32%%66",
    "%%35%%63",
    "0x2f",
    "0x5c",
    "%c0%af",
    "%c0%2f",
    "%c0%5c",
    "%c1%9c",
    "%c1%1c",
    "%c1%pc",
    "%c1%8s",
    "%c0%9v",
    "%c0%qf",
    "%bg%qf",
    "%e0%80%af",
    "%f8%80%80%80%af",
    "%fc%80%80%80%80%af",
    "%u2215",
    "%u2216",
    "%uEFC8",
    "%uF025",
)


@pytest.mark.parametrize(("dots", "slash"), list(product(DOTS, SLASHES)))
def test_every_coding_of_every_sign(dots: str, slash: str) -> None:
    """Two dots and a slash, whatever each is written as, are what they stand for; a target behind them is certain."""
    assert plain((dots + slash).lower()) == "../"
    value = (dots + slash) * 3 + f"etc{slash}passwd"
    assert ("DIRECTORY_TRAVERSAL", "high") in {(each.category, each.confidence) for each in inspect(value)}
    assert suspicious(b"/a\nq=" + value.replace("%", "%25").encode(), b"")


@pytest.mark.parametrize("step", ["?./", ".?/", "??/", "..\x01/", "..%01/", "..2f"])
def test_steps_of_lax_file_systems(step: str) -> None:
    """Steps with a sign that a file system drops, or that a filter left behind."""
    found = inspect(
        step * 4 + step.replace(".", "").join(("etc", "passwd")) if step != "..2f" else "..2f..2fetc2fpasswd"
    )
    assert "DIRECTORY_TRAVERSAL" in {each.category for each in found}


@pytest.mark.parametrize(
    "value",
    [
        "/etc/mail/access",
        "/var/log/exim/mainlog",
        "/private/var/log/install.log",
        "/home/deploy/.zsh_history",
        "C:\\Program Files\\Apache Group\\Apache2\\conf\\httpd.conf",
        "d:/xampp/mysql/data/host.err",
        "C:/Users/Administrator/NTUSER.DAT",
        "C:/Windows/Panther/Unattend.xml",
        "\\\\10.1.1.1\\c$\\users\\default\\ntuser.dat",
        "convert.iconv.UTF8.UTF16",
    ],
)
def test_whole_names(value: str) -> None:
    """Logs, configurations and histories by their whole name are reported; nobody is blocked for the name alone."""
    assert [(each.category, each.confidence) for each in inspect(value)] == [("DIRECTORY_TRAVERSAL", "low")]


@pytest.mark.parametrize(
    "value",
    [
        "100%25 of 50%",
        "a 0x2f flag",
        "#2e2e2e",
        "what?? / no",
        "C:\\Windows\\System32",
        "file:///C:/temp/report.html",
        "D:\\photos\\2024\\a.jpg",
        "/home/maria/report.txt",
        "see /var/log/syslog for more",
        "\\\\fileserver\\public\\plans.docx",
        "\\def\\logo{\\includegraphics[height=1em]{../../static/img/logo.png} and more}",
        "../images/a.png",
    ],
)
def test_near_misses(value: str) -> None:
    """What looks like it and is ordinary passes."""
    assert inspect(value) == ()


@pytest.mark.parametrize(
    ("path", "confidence"),
    [
        ("/.git/config", "high"),
        ("/api/.env", "high"),
        ("/.env.production", "high"),
        ("/WEB-INF/web.xml", "high"),
        ("/./backup.zip", "low"),
        ("/index.php.bak", "low"),
        ("/.settings.py.swp", "low"),
        ("/db.sql.gz", "low"),
        ("/upload.php\x00.png", "low"),
        ("/upload.php%E5%98%8A.png", "low"),
        ("/wp-config.php", "low"),
    ],
)
def test_files_that_are_for_nobody(path: str, confidence: str) -> None:
    """What is left behind on servers is reported where a request's path asks for it, and seen beforehand."""
    found = {each.category: each.confidence for each in detect([("reqPath", path)])["reqPath"]}
    assert found["SENSITIVE_FILE"] == confidence
    assert suspicious(path.encode() + b"\n", b"")


@pytest.mark.parametrize(
    "path",
    [
        "/environment",
        "/.well-known/openid-configuration",
        "/items/4711",
        "/backup/4",
        "/blog/my.config.story",
        "/v1.2/old",
    ],
)
def test_ordinary_paths(path: str) -> None:
    """Paths of apps ask for nothing of that."""
    assert detect([("reqPath", path)]) == {}
    assert not suspicious(path.encode() + b"\n", b"")


def test_a_files_name_in_a_field_is_no_request_for_it() -> None:
    """The category is of paths alone: a field that speaks of such a file asks for nothing."""
    assert "SENSITIVE_FILE" not in {
        each.category for found in detect([("reqBody.name", "/db.sql")]).values() for each in found
    }
