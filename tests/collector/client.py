"""An agent, reduced to what it sends."""

from __future__ import annotations

import json
from typing import Any

import requests

KEY, READ_KEY = "a-key-for-tests-only", "a-key-for-reading-in-tests"


def make_trace(path: str = "/items/1", status: int = 200, **more: Any) -> dict[str, Any]:
    """A v2 trace as an agent sends it; `more` replaces top-level parts."""
    return {
        "request": {
            "method": "GET",
            "url": {"host": "shop.example", "path": path, "parameters": [{"name": "q", "value": "tea"}]},
            "headers": [{"name": "Accept", "value": "*/*"}],
            "body": "",
            "user": None,
        },
        "response": {"status": status, "headers": [], "body": "{}"},
        "meta": {"environment": "production", "incoming": True, "source": "192.0.2.7", "sourcePort": 40000},
        "processedTraceData": {"block": False, "dataTypes": {"reqQuery.q": ["string"]}},
        "redacted": False,
        "sessionMeta": {"uniqueSessionKey": "abc="},
        "analysisType": "full",
        **more,
    }


class Client:
    """Speaks to a running collector as an agent does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = KEY

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=10, **more)

    def read(self, path: str, **more: Any) -> requests.Response:
        """GET with the key for reading, which is not an agent's."""
        return self.get(path, headers={"Authorization": READ_KEY}, **more)

    def post(self, data: Any, path: str = "v2/log-request/batch", **headers: str) -> requests.Response:
        """POST `data` as bytes, or as JSON; header names have `_` for `-`."""
        named = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.session.post(f"{self.url}/api/{path}", data=body, headers=named, timeout=10)

    def items(self, what: str, **parameters: Any) -> list[dict[str, Any]]:
        """A page of traces or endpoints."""
        answer = self.read(f"/api/v1/{what}", params=parameters)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items
