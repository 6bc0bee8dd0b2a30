"""How much an endpoint deserves a look, from 0 to 100."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metlo_otel.collector.learnt import Fact

_BY_SEVERITY = {"none": 0, "low": 8, "medium": 20, "high": 35}


def risk(facts: Iterable[Fact], severities: Mapping[str, str]) -> int:
    """The sum of: the gravest class of data that it handles (35), data for who is not authenticated (25), reachable
    from the Internet (10), attacked (15), basic authentication (5), no TLS (10). `severities` are those of the classes.
    """
    flags, weights, answers = set(), [0], False
    for fact in facts:
        if fact.kind == "flag":
            flags.add(fact.name)
        elif fact.kind == "class":
            weight = _BY_SEVERITY.get(severities.get(fact.name, "low"), 0)
            weights.append(weight)
            answers = answers or (weight > 0 and fact.key.startswith("resBody") and fact.status < 400)
    points = max(weights)
    points += 25 * ("open" in flags and answers) + 10 * ("public" in flags) + 15 * ("attacked" in flags)
    return points + 5 * ("basic" in flags) + 10 * ("http" in flags)
