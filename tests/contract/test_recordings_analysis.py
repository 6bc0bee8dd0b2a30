"""Of the recorded requests we find out what the original agent found out, end to end, its faults apart."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metlo_otel.testing import MemoryCollector
from tests.contract import wire_rules
from tests.contract.test_recordings import EVERY_FASTAPI, FOLDER, LOST, Case, Fault, Trace, replay, told
from tests.shared import needs_shared

KINDS = (
    "capture_plain__", "redacted__", "authconfig_", "encrypted__", "attack_capture__", "get_user", "hostmap__",
    "capture_nokey__", "hostblock__", "pathblock__",
)  # fmt: skip
CONTENT_TOLD_ELSEWHERE = ("capture_plain__", "redacted__")  # test_recordings.py compares content and meta of these
FOUND = ("dataTypes", "sensitiveDataDetected", "graphqlPaths", "requestContentType", "responseContentType", "block")
FORM = {"reqBody.name": ["string"], "reqBody.email": ["string"], "reqBody.n": ["string"]}
PARTS = {"reqBody.title": ["string"], "reqBody.doc": ["string"]}
LENGTH = {"resHeaders.Content-Length": ["string"]}


def _cases() -> list[Any]:
    """The recordings by name, where the original agent sent something; one that is skipped where there are none."""
    paths = [] if FOLDER is None else sorted(FOLDER.glob("*/*.json"))
    names = {path: f"{path.parent.name}-{path.stem}" for path in paths if path.stem.startswith(KINDS)}
    return [pytest.param(path, id=name) for path, name in names.items() if name not in LOST] or [None]


def adds(part: str, more: dict[str, Any], trace: Trace, case: Case) -> None:
    trace["processedTraceData"].setdefault(part, {}).update(more)


def lacks(part: str, keys: list[str], trace: Trace, case: Case) -> None:
    for key in keys:
        del trace["processedTraceData"][part][key]


def peer_as_session(trace: Trace, case: Case) -> None:
    trace["sessionMeta"]["uniqueSessionKey"] = session_key(case, "127.0.0.1")


def peer_as_source(trace: Trace, case: Case) -> None:
    trace["meta"].update(source="127.0.0.1", originalSource=None)


def no_user(trace: Trace, case: Case) -> None:
    trace["sessionMeta"]["user"] = trace["request"]["user"] = None


def no_content(trace: Trace, case: Case) -> None:
    trace["request"].update(headers=[], body="", user=None)
    trace["request"]["url"]["parameters"] = []
    trace["response"].update(headers=[], body="")
    trace["redacted"] = True


def content_in_clear(trace: Trace, case: Case) -> None:
    assert FOLDER is not None
    plain = FOLDER / case["framework"] / f"{case['case'].replace('nokey', 'plain')}.json"
    (other,) = [each for batch in json.loads(plain.read_text())["agent_sent"] for each in batch["json"]]
    trace.update({part: other[part] for part in ("request", "response", "redacted")})


def session_key(case: Case, secret: str) -> str:
    """What the contract says: base64 of HMAC-SHA256 under ENCRYPTION_KEY."""
    key = case["agent_options"]["ENCRYPTION_KEY"].encode()
    return base64.b64encode(hmac.digest(key, secret.encode(), hashlib.sha256)).decode()


def fault(why: str, put: Callable[..., None], *given: Any) -> Fault:
    return Fault(why, partial(put, *given) if given else put)


FORMS = [
    fault("fault 3: forms appear empty", adds, "dataTypes", FORM),
    fault("fault 3: forms appear empty", adds, "sensitiveDataDetected", {"reqBody.email": ["Email"]}),
]
MULTIPART = [fault("fault 3: forms appear empty", adds, "dataTypes", PARTS)]
NO_KEY = [fault("without a key we send content in clear to this very machine, and to it alone", content_in_clear)]
FAULTS: dict[str, list[Fault]] = {
    "flask-capture_plain__post_form": FORMS,
    "flask-redacted__post_form": FORMS,
    "flask-capture_plain__post_multipart_text": MULTIPART,
    "flask-capture_plain__post_multipart_binary": MULTIPART,
    "flask-capture_plain__post_large_json": [
        fault("MAX_BODY was not heeded in Flask: x is behind it", lacks, "attackDetections", ["reqBody.x"]),
        fault(
            "MAX_BODY was not heeded in Flask: x is behind it", lacks, "dataTypes", ["reqBody.x", "resBody.got.x"]
        ),
    ],
    "flask-capture_plain__options": [
        fault("what Werkzeug adds on the way to the client was not seen", adds, "dataTypes", LENGTH)
    ],
    "flask-capture_plain__status_204": [
        fault("what Werkzeug drops on the way to the client was told", lacks, "dataTypes", [*LENGTH])
    ],
    "flask-capture_plain__x_forwarded_for": [
        fault("fault 8: X-Forwarded-For was believed from anyone", peer_as_session),
        fault("fault 8: X-Forwarded-For was believed from anyone", peer_as_source),
    ],
    "flask-redacted__x_forwarded_for": [
        fault("fault 8: X-Forwarded-For was believed from anyone", peer_as_session),
        fault("fault 8: X-Forwarded-For was believed from anyone", peer_as_source),
    ],
    "flask-authconfig_session_cookie__auth_cookie": [fault("fault 10: a user in clear in a redacted trace", no_user)],
    "fastapi-get_user": [fault("fault 10: a user in clear in a redacted trace", no_user)],
    "flask-attack_capture__xss_json": [fault("full content leaves under the capture flags only", no_content)],
    "flask-capture_nokey__post_json": NO_KEY,
    "flask-capture_nokey__xss_json": NO_KEY,
}  # fmt: skip


@needs_shared
@pytest.mark.parametrize("path", _cases())
def test_recording(path: Path) -> None:
    """Types, classes, paths, sessions and what was encrypted are the recorded ones, attacks are at least those."""
    case = json.loads(path.read_text())
    name = f"{case['framework']}-{case['case']}"
    with MemoryCollector(case["agent_config"]) as collector:
        _, ours = replay(case, collector)
    recorded = [trace for batch in case["agent_sent"] for trace in batch["json"]]
    for trace, theirs in zip(ours, recorded, strict=True):
        wire_rules.check(trace)
        assert (opened(trace) is not trace) == ("encryption" in theirs and name != "flask-attack_capture__xss_json")
        compare(opened(trace), made_right(opened(theirs), case, name), name)


def compare(ours: Trace, theirs: Trace, name: str) -> None:
    found, wanted = shown(ours), shown(theirs)
    attacks, least = found.pop("attackDetections"), wanted.pop("attackDetections")
    assert found == wanted
    assert {key: sorted({*attacks.get(key, ()), *types}) for key, types in least.items()}.items() <= attacks.items()
    if not name.split("-")[1].startswith(CONTENT_TOLD_ELSEWHERE):
        assert told(ours) == told(theirs)


def shown(trace: Trace) -> dict[str, Any]:
    """What is compared; the order of the types of a key means nothing."""
    processed = trace["processedTraceData"]
    kept: dict[str, Any] = {part: processed.get(part) or {} for part in (*FOUND, "attackDetections")}
    for part in ("dataTypes", "sensitiveDataDetected", "attackDetections"):
        kept[part] = {key: sorted(values) for key, values in kept[part].items()}
    return {**kept, "session": trace["sessionMeta"], "operations": trace.get("graphqlPaths") or []}


def made_right(trace: Trace, case: Case, name: str) -> Trace:
    for each in [*FAULTS.get(name, ()), *([EVERY_FASTAPI] if case["framework"] == "fastapi" else [])]:
        before = json.dumps(trace, sort_keys=True)
        each.put(trace, case)
        assert json.dumps(trace, sort_keys=True) != before, f"this makes no difference any more: {each.why}"
    return trace


def opened(trace: Trace) -> Trace:
    """The trace as the holder of the private key reads it; the trace itself where nothing is encrypted."""
    if "encryption" not in trace:
        return trace
    wrapped = base64.b64decode(trace["encryption"]["key"])
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    read = partial(decrypted, AESGCM(private_key().decrypt(wrapped, oaep)), trace["encryption"]["generatedIvs"])
    request, response, url = trace["request"], trace["response"], trace["request"]["url"]
    sent = {
        **request,
        "url": {**url, "parameters": read_pairs(read, "reqQuery", url["parameters"])},
        "headers": read_pairs(read, "reqHeaders", request["headers"]),
        "body": read("reqBody", request["body"]),
    }
    answered = {
        **response,
        "headers": read_pairs(read, "resHeaders", response["headers"]),
        "body": read("resBody", response["body"]),
    }
    return {**trace, "request": sent, "response": answered}


def private_key() -> rsa.RSAPrivateKey:
    assert FOLDER is not None
    key = serialization.load_pem_private_key((FOLDER / "test_only_rsa_key.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def decrypted(cipher: AESGCM, ivs: dict[str, list[int]], key: str, text: str) -> str:
    return cipher.decrypt(bytes(ivs[key]), base64.b64decode(text), None).decode()


def read_pairs(read: Callable[[str, str], str], section: str, pairs: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{part: read(f"{section}.{text}", text) for part, text in pair.items()} for pair in pairs]
