"""Settings: every way to give them, every mistake reported at once, no secret shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metlo_otel.core.redis_url import read_redis_url
from metlo_otel.core.settings import Settings, SettingsError, misspelt, read_settings

GIVEN = {"API_KEY": "k", "METLO_HOST": "https://app.metlo.com"}


def _read(*layers: dict[str, Any], **environ: str) -> Settings:
    return read_settings(*layers, environ=environ)


def test_code_wins_over_the_environment_and_that_over_the_default() -> None:
    """Upper and lower case, with and without METLO_, are the same setting; code > environment > default."""
    read = _read({"api_key": "code", "host": "http://h"}, METLO_KEY="environment", METLO_MAX_BODY="7")
    assert (read.api_key, read.max_body, read.collector_port) == ("code", 7, None)
    assert _read({"METLO_API_KEY": "a", "METLO_HOST": "http://h"}).api_key == "a"


@pytest.mark.parametrize(
    ("host", "ports", "collector", "backend"),
    [
        ("https://app.metlo.com", {}, "https://app.metlo.com:8081", "https://app.metlo.com"),
        ("http://h", {}, "http://h:8081", "http://h:8000"),
        ("http://h:9/", {}, "http://h:9", "http://h:9"),
        ("http://h:9", {"COLLECTOR_PORT": "1", "BACKEND_PORT": 2}, "http://h:1", "http://h:2"),
        ("http://[::1]", {}, "http://[::1]:8081", "http://[::1]:8000"),
    ],
)
def test_ports(host: str, ports: dict[str, Any], collector: str, backend: str) -> None:
    """A port in METLO_HOST serves for both, unless the ports are set; else 8081, and none or 8000."""
    read = _read({"API_KEY": "k", "METLO_HOST": host, **ports})
    assert (read.collector_url, read.backend_url) == (collector, backend)


def test_every_problem_is_reported_at_once_and_no_secret_is_shown() -> None:
    """One error names each variable as it was typed, its value, and what was expected."""
    wrong = {"API_KEY": "s3cr3t\n\x01", "COLECTOR_PORT": 1, "MAX_BODY": -1, "log_level": "loud"}
    with pytest.raises(SettingsError) as caught:
        _read(wrong, METLO_DISABLED="maybe")
    text = str(caught.value)
    assert "s3cr3t" not in text
    for part in ("COLECTOR_PORT", "did you mean COLLECTOR_PORT", "MAX_BODY: is -1", "log_level", "METLO_DISABLED"):
        assert part in text
    assert {problem.name for problem in caught.value.problems} >= {"METLO_DISABLED", "API_KEY", "MAX_BODY"}


@pytest.mark.parametrize("word", ["true", "1", "YES", "on", True])
def test_disabled_needs_nothing_else(word: Any) -> None:
    """DISABLED by any of its names and words: neither key nor host need be set."""
    assert _read({"disable": word}).disabled
    assert _read(METLO_DISABLED=str(word)).disabled


@pytest.mark.parametrize(("given", "level"), [("TRACE", 5), ("warn", 30), (10, 10), ("40", 40)])
def test_log_level(given: Any, level: int) -> None:
    """By name in any case, or by number."""
    assert _read({**GIVEN, "LOG_LEVEL": given}).log_level == level


def test_the_same_setting_twice_is_an_error() -> None:
    """Two spellings of one setting contradict each other silently: that is said."""
    with pytest.raises(SettingsError, match="says the same as"):
        _read({**GIVEN, "api_key": "other"})


def test_secrets_are_not_in_the_repr() -> None:
    """Settings may end up in a log: the keys do not."""
    shown = repr(_read({**GIVEN, "API_KEY": "s3cr3t", "ENCRYPTION_KEY": "s4cr4t"}))
    assert "s3cr3t" not in shown
    assert "s4cr4t" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"METLO_HOST": "https://user:hunter2@app.metlo.com"},
        {"RATE_LIMIT_STORAGE": "reddis://:hunter2@h:6379"},
        {"RATE_LIMIT_STORAGE": "memcached://user:hunter2@h"},
    ],
)
def test_no_password_within_a_url_is_shown(wrong: dict[str, str]) -> None:
    """A URL's user and password are in no message; one that is right is in no repr."""
    with pytest.raises(SettingsError) as caught:
        _read({**GIVEN, **wrong})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(_read({**GIVEN, "RATE_LIMIT_STORAGE": "redis://:hunter2@h:6379"}))


@pytest.mark.parametrize("wrong", [{"API_KEY": "ключ"}, {"METLO_HOST": "http://exa mple"}])
def test_what_no_request_could_carry_is_said_at_start(wrong: dict[str, str]) -> None:
    """A key that no header can hold and a host that is none are errors, not something tried again for ever."""
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        _read({**GIVEN, **wrong})


def test_a_function_whose_module_breaks_is_one_problem_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a module raises while it is imported, everything else that is wrong is told too."""

    def broken(_name: str) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(SettingsError) as caught:
        _read({**GIVEN, "GET_USER": "shop.auth.user", "MAX_BODY": -1})
    assert [problem.name for problem in caught.value.problems] == ["GET_USER", "MAX_BODY"]


def test_variables_with_a_slip_of_the_pen_are_told() -> None:
    """A variable that is nearly a setting would leave fields unmasked in silence; others are nobody's business."""
    environ = {
        "METLO_MASKED_FIELD": "ssn",
        "METLO_HOST": "h",
        "METLO_KEY": "k",
        "METLO_DASHBOARD_PASSWORD": "x",
        "A": "",
    }
    (told,) = misspelt(environ)
    assert "METLO_MASKED_FIELD " in told
    assert "METLO_MASKED_FIELDS" in told


def test_a_rules_file_that_cannot_be_read_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app without the rules that its owner believes in force would be open in silence."""
    with pytest.raises(SettingsError, match=r"RULES: .*No such file"):
        _read({**GIVEN, "RULES": str(tmp_path / "none.json")})
    (tmp_path / "rules.yml").write_text("[]")
    assert _read({**GIVEN, "RULES": str(tmp_path / "rules.yml")}).rules == tmp_path / "rules.yml"
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"metlo-otel\[rules\]"):
        _read({**GIVEN, "RULES": str(tmp_path / "rules.yml")})


@pytest.mark.parametrize(
    ("environ", "service", "environment"),
    [
        ({}, None, "production"),
        ({"OTEL_SERVICE_NAME": " shop "}, "shop", "production"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=my%20shop, deployment.environment.name=eu"}, "my shop", "eu"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old,deployment.environment.name=new"}, None, "new"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old"}, None, "old"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name,=,,deployment.environment.name=,a=b=c"}, None, "production"),
        ({"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, "a", "production"),
        ({"OTEL_SERVICE_NAME": "a", "METLO_SERVICE_NAME": "c"}, "c", "production"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=eu", "METLO_ENVIRONMENT": "us"}, None, "us"),
    ],
)
def test_opentelemetrys_variables_name_the_service(
    environ: dict[str, str], service: str | None, environment: str
) -> None:
    """OTEL_SERVICE_NAME before OTEL_RESOURCE_ATTRIBUTES; our own variables before both, and code before all."""
    read = _read(GIVEN, **environ)
    assert (read.service_name, read.environment) == (service, environment)
    read = _read({**GIVEN, "SERVICE_NAME": "code", "ENVIRONMENT": "code"}, **environ)
    assert (read.service_name, read.environment) == ("code", "code")


_URLS = {
    "redis+cluster://a:1,b,[::1]:7/": "redis://[::1]:7/?",
    "redis+cluster://me:p%40ss@a:1,b,[::1]:7?socket_timeout=0.02": "redis://me:p%40ss@[::1]:7/?socket_timeout=0.02",
    "valkeys+cluster://a": "rediss://a:6379/?",
    "rediss+sentinel://:pw@a:1,b/counts/3?sentinel_password=x&ssl_cert_reqs=none": "rediss://:pw@b:26379/3?ssl_cert_reqs=none",
    "redis+sentinel://a": None,
    "redis+sentinel://a:0/counts": None,
    "redis+cluster://:hunter2/more@a:1": None,
    "redis+cluster://a:1,,b:2": None,
    "redis+other://a": None,
    "http://a": None,
}


@pytest.mark.parametrize(("text", "last"), _URLS.items())
def test_where_limits_are_counted(text: str, last: str | None) -> None:
    """Each server's own URL keeps login, database and options; what is no such URL is refused, no password shown."""
    if last is not None:
        assert _read({**GIVEN, "RATE_LIMIT_STORAGE": text}).rate_limit_storage == text
        url = read_redis_url(text)
        assert url.at(*url.hosts[-1]) == last
        assert "pw" not in repr(url)
        assert url.sentinels == ({"password": "x"} if "sentinel_password" in text else {})
        return
    with pytest.raises(SettingsError, match="RATE_LIMIT_STORAGE") as caught:
        _read({**GIVEN, "RATE_LIMIT_STORAGE": text})
    assert "hunter2" not in str(caught.value)
