"""A collector behind TLS: its certificate is checked by what the environment names, on loopback as anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="certificates are made with the extra `crypto`")

from metlo_otel.core.settings import read_settings
from metlo_otel.export.client import Client
from metlo_otel.export.outcome import Sent, TryLater
from tests.export.tls import listening, make_certificate

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The collector's, which no bundle holds."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(certificate: tuple[Path, Path]) -> Iterator[int]:
    """Where a collector listens with that certificate."""
    with listening(certificate) as server:
        yield server.server_address[1]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this machine's own, and proxies that are not there."""
    for name in (*VARIABLES, "SSL_CERT_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def outcome(host: str, port: int) -> object:
    """What becomes of a batch, having fetched the configuration where that is possible."""
    client = Client(read_settings({"METLO_HOST": f"https://{host}:{port}", "API_KEY": "key"}, environ={}))
    try:
        sent = client.send(b"[]")
        if sent == Sent():
            assert client.get_config().document == {}
        return sent
    finally:
        client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_named_bundle_is_heeded(
    variable: str, host: str, port: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the usual variables names the certificates to trust; proxies are not asked on the way to this machine."""
    monkeypatch.setenv(variable, str(certificate[0]))
    assert outcome(host, port) == Sent()


def test_nobody_else_is_trusted(port: int) -> None:
    """Without such a variable a certificate that nobody vouches for is not accepted."""
    assert outcome("127.0.0.1", port) == TryLater("TLS failed")


def test_a_bundle_without_the_certificate(
    port: int, tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first variable names counts: one that does not vouch for the collector leaves it without trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(tmp_path)[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert outcome("127.0.0.1", port) == TryLater("TLS failed")


def test_a_certificate_file_that_is_not_there(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with OpenSSL, the default ones count then."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert outcome("127.0.0.1", port) == TryLater("TLS failed")
