"""End-to-end encryption of a captured trace: AES-256-GCM, a fresh key each, wrapped with the backend's RSA key."""

from __future__ import annotations

import importlib
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metlo_otel.core.record import Pairs, Record

Trace = dict[str, Any]

_KEY_BITS = 256
_IV_BYTES = 12
_MIN_RSA_BITS = 2048


class EncryptionError(Exception):
    """Nothing can be encrypted, so nothing may leave but redacted; the message says what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Content:
    """What of a trace is captured content: names, values and bodies, in the clear or each as base64 ciphertext."""

    parameters: Pairs = ()
    request_headers: Pairs = ()
    request_body: str = ""
    response_headers: Pairs = ()
    response_body: str = ""

    @classmethod
    def of(cls, record: Record, request_body: str, response_body: str) -> Content:
        """A record's content; the bodies are given as the text that would be sent."""
        return cls(record.query, record.request.headers, request_body, record.response.headers, response_body)


class Encryptor:
    """Encrypts traces for whoever holds the private key of `public_key_pem` (PEM, RSA of at least 2048 bits).

    Raises EncryptionError for a key that cannot be used, or where the `crypto` extra is not installed.
    """

    def __init__(self, public_key_pem: str) -> None:
        self._wrap = _wrapper(public_key_pem)
        self._cipher: Callable[[bytes], Any] = importlib.import_module(_AEAD).AESGCM

    def encrypt(self, content: Content) -> tuple[Content, dict[str, Any]]:
        """The content as ciphertexts, and the trace's `encryption` object that names the wrapped key and the IVs.

        Each ciphertext is base64(AES-256-GCM(text as UTF-8) with its 16-byte tag), without associated data.
        """
        key = os.urandom(_KEY_BITS // 8)
        sealed = _Sealed(self._cipher(key))
        encrypted = Content(
            sealed.pairs("reqQuery", content.parameters),
            sealed.pairs("reqHeaders", content.request_headers),
            sealed.body("reqBody", content.request_body),
            sealed.pairs("resHeaders", content.response_headers),
            sealed.body("resBody", content.response_body),
        )
        return encrypted, {"key": b64encode(self._wrap(key)).decode(), "generatedIvs": sealed.ivs}


class Sealing:
    """Encrypts traces as the wire has them. That a key cannot be used is told to `warn`, once; redact then."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._key = ""
        self._encryptor: Encryptor | None = None

    def __call__(self, trace: Trace, public_key_pem: str) -> Trace | None:
        """The trace with its content encrypted and without its user; None where it cannot be encrypted."""
        if public_key_pem != self._key:
            self._key, self._encryptor = public_key_pem, self._open(public_key_pem)
        return _sealed(trace, self._encryptor) if self._encryptor else None

    def _open(self, public_key_pem: str) -> Encryptor | None:
        try:
            return Encryptor(public_key_pem)
        except EncryptionError as problem:
            self._warn(f"traces are sent redacted, because they cannot be encrypted: {problem}")
            return None


def _sealed(trace: Trace, encryptor: Encryptor) -> Trace:
    request, response, session = trace["request"], trace["response"], trace["sessionMeta"]
    content, encryption = encryptor.encrypt(
        Content(
            _read(request["url"]["parameters"]),
            _read(request["headers"]),
            request["body"],
            _read(response["headers"]),
            response["body"],
        )
    )
    url = {**request["url"], "parameters": _written(content.parameters)}
    headers, answered = _written(content.request_headers), _written(content.response_headers)
    processed = _without_fragments(trace["processedTraceData"])
    return {
        **trace,
        "request": {**request, "url": url, "headers": headers, "body": content.request_body, "user": None},
        "response": {**response, "headers": answered, "body": content.response_body},
        "sessionMeta": {**session, "user": None},
        "processedTraceData": processed,
        "encryption": encryption,
    }


def _without_fragments(processed: dict[str, Any]) -> dict[str, Any]:
    """Of what gave attacks away only how sure it is: the rest is content."""
    if "attackFragments" not in processed:
        return processed
    told = [{key: value for key, value in each.items() if key != "fragment"} for each in processed["attackFragments"]]
    return {**processed, "attackFragments": told}


def _read(pairs: list[dict[str, str]]) -> Pairs:
    return tuple([(pair["name"], pair["value"]) for pair in pairs])


def _written(pairs: Pairs) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


class _Sealed:
    """One trace's cipher, and the IVs that it has used."""

    __slots__ = ("_cipher", "ivs")

    def __init__(self, cipher: Any) -> None:
        self._cipher = cipher
        self.ivs: dict[str, list[int]] = {}

    def _seal(self, text: str) -> tuple[str, list[int]]:
        iv = os.urandom(_IV_BYTES)
        sealed = self._cipher.encrypt(iv, text.encode("utf-8", "replace"), None)
        return b64encode(sealed).decode(), list(iv)

    def body(self, section: str, text: str) -> str:
        sealed, self.ivs[section] = self._seal(text)
        return sealed

    def text(self, section: str, text: str) -> str:
        sealed, iv = self._seal(text)
        self.ivs[f"{section}.{sealed}"] = iv
        return sealed

    def pairs(self, section: str, pairs: Pairs) -> Pairs:
        return tuple([(self.text(section, name), self.text(section, value)) for name, value in pairs])


_PRIMITIVES = "cryptography.hazmat.primitives"
_AEAD = f"{_PRIMITIVES}.ciphers.aead"


def _wrapper(public_key_pem: str) -> Callable[[bytes], bytes]:
    """Wraps a key with RSA-OAEP, SHA-256 for both its hashes (RFC 8017, section 7.1)."""
    try:
        padding = importlib.import_module(f"{_PRIMITIVES}.asymmetric.padding")
        hashes = importlib.import_module(f"{_PRIMITIVES}.hashes")
    except ImportError as problem:
        raise EncryptionError(
            "the backend asks for encryption, which needs the crypto extra: pip install 'metlo-otel[crypto]'"
        ) from problem
    key = _public_key(public_key_pem)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)

    def wrap(plain: bytes) -> bytes:
        wrapped: bytes = key.encrypt(plain, oaep)
        return wrapped

    return wrap


def _public_key(public_key_pem: str) -> Any:
    serialization = importlib.import_module(f"{_PRIMITIVES}.serialization")
    rsa = importlib.import_module(f"{_PRIMITIVES}.asymmetric.rsa")
    unsupported = importlib.import_module("cryptography.exceptions").UnsupportedAlgorithm
    try:
        key = serialization.load_pem_public_key(public_key_pem.encode("utf-8", "replace"))
    except (ValueError, unsupported) as problem:
        raise EncryptionError("encryptionPublicKey is not a public key in PEM form") from problem
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        raise EncryptionError(f"encryptionPublicKey is not an RSA key of at least {_MIN_RSA_BITS} bits")
    return key
