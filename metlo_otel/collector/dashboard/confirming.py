"""What is asked before a rule is enforced: whether it is meant, with what it would have done to stored requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metlo_otel.blocking.every_request import shuts_everybody_out
from metlo_otel.blocking.rules import parse_rule
from metlo_otel.collector.dashboard.forms import Form
from metlo_otel.collector.rules import is_enforced


@dataclass(frozen=True, slots=True)
class Question:
    """What the answer must carry: `code` names the rule that was shown, `every` wants it said that all are meant."""

    code: str
    every: bool


def question_of(document: Mapping[str, Any], enabled: bool) -> Question | None:
    """What to ask before a rule in the wire form is stored; nothing for one that enforces nothing."""
    if not (enabled and is_enforced(document)):
        return None
    meant = {name: value for name, value in document.items() if name != "uuid"}
    code = hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:32]
    return Question(code, shuts_everybody_out(parse_rule(document)))


def is_answered(question: Question, form: Form) -> bool:
    """Whether a form says yes to this very rule, not to one as it was before somebody changed it."""
    return form.get("confirmed") == question.code and (not question.every or form.get("every") == "on")
