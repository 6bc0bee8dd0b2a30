"""Encryption: what was captured comes back with the private key, and never leaves when it cannot be encrypted."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography", reason="the crypto extra is not installed")

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metlo_otel.export.encryption import Content, EncryptionError, Encryptor, Sealing
from tests.analysis.records import from_exchange, recorded
from tests.shared import SHARED, needs_shared

Open = Callable[[str, str], str]


def public_pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form).decode())


OWN_KEY = rsa.generate_private_key(65537, 2048)
OWN = Encryptor(public_pem(OWN_KEY))


def opener(private_key: Any, encryption: dict[str, Any]) -> Open:
    """Decrypts as the backend does: a function from a key of generatedIvs and a ciphertext to the text."""
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    cipher = AESGCM(private_key.decrypt(base64.b64decode(encryption["key"]), oaep))

    def open_(place: str, sealed: str) -> str:
        iv = bytes(encryption["generatedIvs"][place])
        return cipher.decrypt(iv, base64.b64decode(sealed), None).decode()

    return open_


def opened(content: Content, open_: Open) -> Content:
    def pairs(section: str, sealed: Any) -> Any:
        return tuple((open_(f"{section}.{name}", name), open_(f"{section}.{value}", value)) for name, value in sealed)

    return Content(
        pairs("reqQuery", content.parameters),
        pairs("reqHeaders", content.request_headers),
        open_("reqBody", content.request_body),
        pairs("resHeaders", content.response_headers),
        open_("resBody", content.response_body),
    )


def content_of(trace: dict[str, Any]) -> Content:
    def pairs(items: list[dict[str, str]]) -> Any:
        return tuple((item["name"], item["value"]) for item in items)

    request, response = trace["request"], trace["response"]
    return Content(
        pairs(request["url"]["parameters"]),
        pairs(request["headers"]),
        request["body"],
        pairs(response["headers"]),
        response["body"],
    )


def in_order(content: Content) -> Content:
    """Header names without case and in order: the recorder's order is its own."""
    headers = [tuple(sorted(pairs)) for pairs in (content.request_headers, content.response_headers)]
    return Content(content.parameters, headers[0], content.request_body, headers[1], content.response_body)


@needs_shared
@pytest.mark.parametrize("name", ["get_query_simple", "post_json", "xss_json"])
def test_recordings(name: str) -> None:
    """The recorded encrypted traces open to what was sent, and so does what we make of the same content."""
    assert SHARED is not None
    pem = (SHARED / "contract/recorded/test_only_rsa_key.pem").read_bytes()
    private_key: Any = serialization.load_pem_private_key(pem, None)
    case = dict(recorded())[f"flask/encrypted__{name}"]
    trace = case["agent_sent"][0]["json"][0]
    given_ = from_exchange(case["requests"][0], case["app_responses"][0])
    sent = Content.of(given_, given_.request.body.decode(), given_.response.body.decode())
    assert in_order(opened(content_of(trace), opener(private_key, trace["encryption"]))) == in_order(sent)
    sealed, encryption = Encryptor(case["agent_config"]["encryptionPublicKey"]).encrypt(sent)
    assert opened(sealed, opener(private_key, encryption)) == sent
    assert {key.partition(".")[0] for key in encryption["generatedIvs"]} == {
        key.partition(".")[0] for key in trace["encryption"]["generatedIvs"]
    }


PAIRS = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4).map(tuple)


@settings(max_examples=30, deadline=None)
@given(PAIRS, PAIRS, st.text(), PAIRS, st.text())
def test_round_trip(query: Any, sent: Any, body: str, answered: Any, answer: str) -> None:
    """Any content comes back as it was; the encryption object is JSON with 12-byte IVs, no two alike."""
    content = Content(query, sent, body, answered, answer)
    sealed, encryption = OWN.encrypt(content)
    encryption = json.loads(json.dumps(encryption))
    assert opened(sealed, opener(OWN_KEY, encryption)) == content
    ivs = [tuple(iv) for iv in encryption["generatedIvs"].values()]
    assert {len(iv) for iv in ivs} == {12}
    assert len(set(ivs)) == len(ivs) == 2 + 2 * (len(query) + len(sent) + len(answered))


def test_keys_are_fresh() -> None:
    """No two traces share a key or a ciphertext, not even of equal content."""
    content = Content((("name", "value"),), (), "body", (), "")
    (first, one), (second, other) = OWN.encrypt(content), OWN.encrypt(content)
    assert one["key"] != other["key"]
    assert first.request_body != second.request_body
    assert first.parameters != second.parameters


def test_lone_surrogates() -> None:
    """Text that is no UTF-8 is sealed with replacements, and the trace is not lost."""
    sealed, encryption = OWN.encrypt(Content(request_body="a\ud800b"))
    assert opened(sealed, opener(OWN_KEY, encryption)).request_body == "a?b"


BAD_KEYS = {
    "empty": "",
    "nonsense": "not a key",
    "broken": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "elliptic": public_pem(ec.generate_private_key(ec.SECP256R1())),
    "short": public_pem(rsa.generate_private_key(65537, 1024)),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(name: str) -> None:
    """A key that cannot be used is one clear error, before any trace is touched, that does not repeat the key."""
    with pytest.raises(EncryptionError, match="encryptionPublicKey is not") as caught:
        Encryptor(BAD_KEYS[name])
    assert "AAAA" not in str(caught.value)


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the crypto extra the error says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hashes", None)
    with pytest.raises(EncryptionError, match=r"metlo-otel\[crypto\]"):
        Encryptor(public_pem(OWN_KEY))


def test_what_gave_an_attack_away_is_not_in_clear() -> None:
    """Beside encrypted content stands how sure an attack is, and not what gave it away."""
    told = {"key": "reqBody.a", "type": "XSS", "confidence": "high"}
    trace = {
        "request": {"url": {"parameters": []}, "headers": [], "body": "<script>", "user": "u"},
        "response": {"headers": [], "body": ""},
        "sessionMeta": {"user": "u"},
        "processedTraceData": {"attackFragments": [{**told, "fragment": "<script"}]},
    }
    sealed = Sealing(_never)(trace, public_pem(OWN_KEY))
    assert sealed is not None
    assert sealed["processedTraceData"] == {"attackFragments": [told]}
    assert "<script" not in str(sealed)


def _never(problem: str) -> None:
    pytest.fail(problem)
