"""Sensitive data in fields: by a value's pattern or by its key's, confirmed by check digits where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from metlo_otel.analysis import checksums
from metlo_otel.analysis.builtin_classes import BUILTIN_CLASSES
from metlo_otel.core.agent_config import DataClass, Warn
from metlo_otel.core.matching import Matcher, build_matcher
from metlo_otel.core.patterns import Node, PatternError, parse_pattern
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.nodes import Field

MAX_VALUE = 32_768
"""Characters of a value that are looked at."""

_GROUP = 4096  # characters of values that are matched in one pass
_MAX_KEYS = 4096
# The app's own address, which says nothing of anybody: where it is a number, each endpoint would seem to carry one.
_OWN_ADDRESS = frozenset({"reqHeaders.Host", "reqHeaders.host"})
Check = Callable[[str], bool]

_CONFIGURED_CHECKS: Mapping[str, Check] = {
    "Aadhar Number": checksums.has_aadhaar,
    "Brazil CPF": checksums.has_cpf,
}
_BUILTIN_CHECKS: Mapping[str, Check] = {
    **_CONFIGURED_CHECKS,
    "Credit Card Number": checksums.has_card,
    "IBAN": checksums.has_iban,
    "Passport MRZ": checksums.has_mrz,
    "Vehicle Identification Number": checksums.has_vin,
}


class Classifier:
    """Says which classes of sensitive data the fields hold; built once for a configuration."""

    def __init__(self, classes: Sequence[DataClass] | None, warn: Warn, speed: bool | None = None) -> None:
        """`classes` None: the built-in list. `warn` is told of every pattern that is left out, by its class's name.

        `speed` asks for RE2 (True), for none of it (False), or for what is installed (None).
        """
        self._checks = _BUILTIN_CHECKS if classes is None else _CONFIGURED_CHECKS
        self._passed_over = _OWN_ADDRESS if classes is None else frozenset()
        listed = BUILTIN_CLASSES if classes is None else classes
        valued = [(each.name, each.regex, "regex") for each in listed]
        keyed = [(each.name, each.key_regex, "keyRegex") for each in listed]
        self._value_names, self._values = _compile(valued, warn, speed)
        self._key_names, self._keys = _compile(keyed, warn, speed)
        self._known_keys: dict[str, list[str]] = {}
        self.severities = {each.name: each.severity for each in listed}

    def detect(self, fields: Iterable[Field], turn: Turn = no_turn) -> dict[str, list[str]]:
        """`{key: names of classes}`. Values count where they are text; keys count whatever the value is."""
        listed = list(fields)
        found = self._by_keys(listed, turn)
        over = self._passed_over
        texts = [(key, value[:MAX_VALUE]) for key, value, _ in listed if type(value) is str and key not in over]
        for group in _groups(texts):
            for index, patterns in self._values.match_all([value for _, value in group]):
                key, value = group[index]
                for name in [self._value_names[pattern] for pattern in patterns]:
                    if self._confirmed(name, value):
                        _note(found, key, name)
            turn()
        return found

    def _by_keys(self, fields: Iterable[Field], turn: Turn) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        known = self._known_keys
        for key, _, _ in fields:
            names = known.get(key)
            if names is None:
                turn()
                names = self._of_key(key)
            if names:
                found[key] = list(names)
        return found

    def _confirmed(self, name: str, value: str) -> bool:
        check = self._checks.get(name)
        return check is None or check(value)

    def _of_key(self, key: str) -> list[str]:
        """The classes that a key alone tells; remembered, because the same keys come again and again."""
        if len(self._known_keys) >= _MAX_KEYS:
            self._known_keys.clear()
        names = list(dict.fromkeys(self._key_names[hit] for hit in self._keys.match(key)))
        self._known_keys[key] = names
        return names


def _groups(texts: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The texts in groups that one pass is good for: all of a usual record, a part of a large one."""
    group: list[tuple[str, str]] = []
    room = _GROUP
    for text in texts:
        group.append(text)
        room -= len(text[1])
        if room < 0:
            yield group
            group, room = [], _GROUP
    if group:
        yield group


def _note(found: dict[str, list[str]], key: str, name: str) -> None:
    names = found.setdefault(key, [])
    if name not in names:
        names.append(name)


def _compile(
    patterns: Iterable[tuple[str, str | None, str]], warn: Warn, speed: bool | None
) -> tuple[list[str], Matcher]:
    names: list[str] = []
    nodes: list[Node] = []
    for name, pattern, place in patterns:
        if pattern is None:
            continue
        try:
            nodes.append(parse_pattern(pattern))
            names.append(name)
        except PatternError as problem:
            warn(f"sensitiveDataList: the {place} of {name!r} is left out: {problem}")
    return names, build_matcher(nodes, speed)
