"""A collector behind TLS: its certificate is checked by what the environment names, on loopback as anywhere."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="certificates are made with the extra `crypto`")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from metlo_otel.core.settings import read_settings
from metlo_otel.export.client import Client
from metlo_otel.export.outcome import Sent, TryLater

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback that nobody but itself vouches for, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a collector of tests")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "collector.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return certificate, private


class Answering(http.server.BaseHTTPRequestHandler):
    """Takes every batch and has an empty configuration."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"OK")

    def do_GET(self) -> None:
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Listening(http.server.ThreadingHTTPServer):
    """Says nothing of clients that do not trust it."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The collector's, which no bundle holds."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(certificate: tuple[Path, Path]) -> Iterator[int]:
    """Where a collector listens with that certificate."""
    server = Listening(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


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
