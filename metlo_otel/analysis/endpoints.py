"""The endpoints that the backend knows, found by host, method and path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from metlo_otel.core.agent_config import Endpoint
from metlo_otel.core.guessing import is_parameter


class Endpoints:
    """Finds an endpoint for a concrete path; literal segments win over parameters, from the left."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._by_shape: dict[tuple[str, str, int], list[tuple[tuple[str | None, ...], Endpoint]]] = defaultdict(list)
        for endpoint in endpoints:
            segments = tuple([None if is_parameter(part) else part for part in path_segments(endpoint.path)])
            self._by_shape[endpoint.host, endpoint.method, len(segments)].append((segments, endpoint))
        for known in self._by_shape.values():
            known.sort(key=lambda entry: [part is None for part in entry[0]])

    def find(self, host: str, method: str, path: str) -> Endpoint | None:
        """The endpoint that a (mapped) host, an upper-case method and a path without query belong to, if any."""
        segments = path_segments(path)
        for wanted, endpoint in self._by_shape.get((host, method, len(segments)), ()):
            if all(part is None or part == given for part, given in zip(wanted, segments, strict=True)):
                return endpoint
        return None


def path_segments(path: str) -> list[str]:
    """The parts of a path between slashes; one at the end does not count."""
    return path.rstrip("/").split("/")
