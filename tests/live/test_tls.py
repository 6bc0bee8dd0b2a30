"""Servers that patch Python's sockets and threads report to a collector behind TLS, forked late or not."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="certificates are made with the extra `crypto`")

from metlo_otel.testing import MemoryCollector
from tests.export.tls import listening, make_certificate
from tests.live.server import Server

pytestmark = pytest.mark.live

GEVENT = "gunicorn --bind 127.0.0.1:0 -k gevent"
SHOP = "tests.live.apps:flask_shop()"
SERVERS = {
    "gevent": (f"{GEVENT} {SHOP}", "Booting worker"),
    "gevent-preload": (f"{GEVENT} --preload {SHOP}", "Booting worker"),
    "eventlet": ("tests.live.eventlet_server", "Serving on"),
    "eventlet-fork": ("tests.live.eventlet_server fork", "Serving on"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_traces_arrive_over_tls(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests arrive, and the configuration is fetched: ssl is not imported before it is patched."""
    pytest.importorskip(name.split("-")[0])
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    command, ready = SERVERS[name]
    certificate = make_certificate(tmp_path)
    with listening(certificate) as secure, MemoryCollector() as unused:
        host = f"https://127.0.0.1:{secure.server_address[1]}"
        environ = {"METLO_HOST": host, "SSL_CERT_FILE": str(certificate[0]), "METLO_CONFIG_CACHE": "off"}
        with Server(unused, *command.split(), ready=ready, **environ) as server:
            for number in range(10):
                assert server.get(f"/users/{number}")[0] == 200
        said = "".join(server.output)
        assert secure.taken == 10, said
    for word in ("RecursionError", "metlo", "Traceback"):
        assert word not in said
