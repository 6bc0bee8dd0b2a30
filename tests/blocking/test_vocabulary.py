"""Fields and operators are said once: whoever has a row has everything that goes with it."""

from __future__ import annotations

import pytest

from metlo_otel.blocking.conditions import compile_rule
from metlo_otel.blocking.every_request import is_for_every_request
from metlo_otel.blocking.friendly import NAMES, parse_friendly
from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import LocalStore
from metlo_otel.blocking.rules import parse_rule
from metlo_otel.blocking.vocabulary import FIELDS, OPERATORS, operators_of, text_test
from metlo_otel.collector.dashboard.rule_form import CHOICES, Row, RuleForm, form_of, item_of

PAIRS = [(field, operator) for field in FIELDS for operator in operators_of(field)]


@pytest.mark.parametrize(("field", "operator"), PAIRS)
def test_every_pair_is_known_to_every_reader(field: str, operator: str) -> None:
    """The wire, rules files, the matcher, the index and the form all take each field with each of its operators."""
    known = FIELDS[field]
    value = "404" if known.answered else "10.0.0.7"
    form = RuleForm(kind="rate_limit", name="x", rows=[Row(field, operator, "X-Name" if known.keyed else "", value)])
    item = item_of(form) | {"uuid": "1"}
    rule = parse_rule(item)
    assert (rule.groups[0].conditions[0].field, rule.groups[0].conditions[0].operator) == (field, operator)
    assert not is_for_every_request(rule)
    assert callable(compile_rule(rule))
    assert Policy([rule], LocalStore()).has_rules
    assert form_of(item, enabled=True).rows == form.rows
    test = {OPERATORS[operator].written: 404 if known.answered else value}
    written = {known.written: {"X-Name": test} if known.keyed else test, "limit": "5 per minute"}
    again, mistakes = parse_friendly(written, 0)
    assert not mistakes
    assert again is not None
    assert again.groups == rule.groups


def test_names_are_told_apart() -> None:
    """No two rows go by one name, on the wire, in files or on pages."""
    for table in (FIELDS, OPERATORS):
        for name in ("wire", "written", "words"):
            names = [getattr(row, name) for row in table.values()]
            assert len(set(names)) == len(names), name
    assert {field.written for field in FIELDS.values()} < set(NAMES)
    assert CHOICES["fields"].keys() == FIELDS.keys()
    assert CHOICES["operators"].keys() == OPERATORS.keys()


@pytest.mark.parametrize("operator", [name for name, row in OPERATORS.items() if row.negates])
def test_a_negation_holds_where_the_other_does_not(operator: str) -> None:
    """Its test is derived, so that the two cannot differ."""
    negates = OPERATORS[operator].negates
    assert negates is not None
    for text in ("", "a", "abc", "ca", "xay"):
        assert text_test(operator, "a")(text) is not text_test(negates, "a")(text)
