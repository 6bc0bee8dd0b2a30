"""Rules: the list, the form with its dry run, and the one click that blocks somebody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions, queries, rules
from metlo_otel.collector.dashboard.confirming import Question, is_answered, question_of
from metlo_otel.collector.dashboard.desk import Desk, Note, seen
from metlo_otel.collector.dashboard.dry_run import try_rule
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.gate import is_page
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.quick_block import end_of, warnings
from metlo_otel.collector.dashboard.rule_form import (
    CHOICES,
    RuleForm,
    form_for,
    form_of,
    item_of,
    read_rule_form,
    until_text,
)

DONE = {
    "saved": "The rule is stored. Connected agents apply it within seconds.",
    "on": "The rule is switched on.",
    "off": "The rule is switched off.",
    "removed": "The rule is removed.",
    "watching": "Connected agents only watch within seconds.",
    "enforcing": "Rules do again what each of them says.",
    "blocked": "A rule that blocks them is in force. Connected agents apply it within seconds.",
}
_EXAMPLE = json.dumps(
    {
        "name": "Only our office reaches /internal",
        "ruleType": "block",
        "mode": "monitor",
        "conditionGroups": [
            {
                "rule": "all",
                "conditions": [
                    {"field": "path", "operator": "startswith", "value": "/internal/"},
                    {"field": "ip_address", "operator": "nt_eq", "value": "10.0.0.0/8"},
                ],
            }
        ],
    },
    indent=2,
)


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""
    page = RulePages(desk)
    return [
        Route("/rules", page.list, methods=["GET"]),
        Route("/rules", page.save, methods=["POST"]),
        Route("/rules/new", page.new, methods=["GET"]),
        Route("/rules/try", page.dry_run, methods=["POST"]),
        Route("/rules/watch", page.watch, methods=["POST"]),
        Route("/rules/block", page.block, methods=["POST"]),
        Route("/rules/endpoint", page.block_endpoint, methods=["POST"]),
        Route("/rules/{id:path}/enabled", page.enable, methods=["POST"]),
        Route("/rules/{id:path}/remove", page.remove, methods=["POST"]),
        Route("/rules/{id:path}", page.one, methods=["GET"]),
    ]


class RulePages:
    """The handlers, around one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, request: Request) -> Response:
        """All rules in their order."""
        found = await self._desk.read(rules.list_rules)
        return await self._desk.render(request, "rules.html", *done(request, DONE), rules=found, choices=CHOICES)

    async def new(self, request: Request) -> Response:
        """An empty form, or one that is filled in for an endpoint."""
        form = RuleForm(text=_EXAMPLE) if request.query_params.get("as") == "json" else RuleForm()
        if asked := request.query_params.get("endpoint"):
            form = form_for(await self._endpoint(asked), "block")
        return await self._form(request, form)

    async def one(self, request: Request) -> Response:
        """The form of a rule that is stored."""
        rule = await self._desk.read(partial(rules.find_rule, rule=request.path_params["id"]))
        if rule is None:
            raise HTTPException(404, "There is no such rule.")
        return await self._form(request, form_of(rule.document, rule.enabled), *done(request, DONE), known=True)

    async def save(self, request: Request) -> Response:
        """Add a rule or replace one."""
        sent = await read_form(request)
        form = read_rule_form(sent)
        try:
            document = rules.wire_form(item_of(form))
            question = question_of(document, form.enabled)
            if question is not None and not is_answered(question, sent):
                return await self._ask(request, form, document, question)
            work = partial(actions.put_rule, item=document, who=self._desk.who(request), enabled=form.enabled)
            rule = await self._desk.change(work)
        except ValueError as problem:
            return await self._form(request, form, problem=_sentence(problem))
        return seen(f"/dashboard/rules/{quote(rule.id, safe='')}?done=saved")

    async def dry_run(self, request: Request) -> Response:
        """Say what a rule would have done to the stored traces; nothing is changed."""
        form = read_rule_form(await read_form(request))
        try:
            tried = await self._desk.read(partial(_try, item=item_of(form)))
        except ValueError as problem:
            return await self._form(request, form, problem=_sentence(problem))
        return await self._form(request, form, known=bool(form.uuid), tried=tried)

    async def _ask(self, request: Request, form: RuleForm, document: Mapping[str, Any], question: Question) -> Response:
        """Show what a rule would have done before it is enforced."""
        tried = await self._desk.read(partial(_try, item=document))
        return await self._form(request, form, known=bool(form.uuid), tried=tried, question=question)

    async def block(self, request: Request) -> Response:
        """Block an actor for a time; one's own address, private ones and those of many clients are asked for first."""
        form = await read_form(request)
        back = form.get("back").partition("?")[0]
        back = back if is_page(back) else ""
        kind, value, chosen = form.get("kind"), form.get("value"), form.get("for")
        own = self._desk.address(request)
        if form.get("sure") != "on" and (
            found := await self._desk.read(partial(warnings, kind=kind, value=value, own=own))
        ):
            shown: dict[str, Any] = {"kind": kind, "value": value, "back": back or "/dashboard/rules"}
            shown |= {"chosen": chosen or "1h", "warnings": found}
            return await self._desk.render(request, "block.html", **shown)
        try:
            work = partial(
                actions.block_actor, kind=kind, value=value, who=self._desk.who(request), until=end_of(chosen)
            )
            rule = await self._desk.change(work)
        except ValueError as problem:
            raise HTTPException(400, f"No rule can be made of this: {problem}.") from None
        return _undoable(rule, back)

    async def block_endpoint(self, request: Request) -> Response:
        """Block every request to an endpoint for a time."""
        form = await read_form(request)
        endpoint = await self._endpoint(form.get("endpoint"))
        try:
            until = until_text(end_of(form.get("for")))
        except ValueError as problem:
            raise HTTPException(400, f"No rule can be made of this: {problem}.") from None
        item = item_of(replace(form_for(endpoint, "block"), mode="block", until=until))
        return _undoable(await self._desk.change(partial(actions.put_rule, item=item, who=self._desk.who(request))), "")

    async def _endpoint(self, number: str) -> dict[str, Any]:
        known = number.isascii() and number.isdecimal() and len(number) < 19
        found = await self._desk.read(partial(queries.read_endpoint, endpoint=int(number))) if known else None
        if found is None:
            raise HTTPException(404, "There is no such endpoint.")
        return found

    async def enable(self, request: Request) -> Response:
        """Switch a rule off, or on: one that is enforced then is asked for first."""
        wanted = (await read_form(request)).get("enabled") == "on"
        name = request.path_params["id"]
        found = await self._desk.read(partial(rules.find_rule, rule=name))
        question = None if found is None else question_of(found.document, wanted)
        if found is not None and question is not None:
            form = form_of(found.document, enabled=True)
            try:
                return await self._ask(request, form, rules.wire_form(item_of(form)), question)
            except ValueError as problem:
                return await self._form(request, form, known=True, problem=_sentence(problem))
        work = partial(actions.change_rule, rule=name, who=self._desk.who(request), enabled=wanted)
        if await self._desk.change(work) is None:
            raise HTTPException(404, "There is no such rule.")
        return seen(f"/dashboard/rules?done={'on' if wanted else 'off'}")

    async def watch(self, request: Request) -> Response:
        """Have all rules only watched, or enforced as each of them says."""
        watching = (await read_form(request)).get("watching") == "on"
        await self._desk.change(partial(actions.set_watching, watching=watching, who=self._desk.who(request)))
        return seen(f"/dashboard/rules?done={'watching' if watching else 'enforcing'}")

    async def remove(self, request: Request) -> Response:
        """Forget a rule; where a click made it, back to where that was."""
        back = request.query_params.get("back", "")
        work = partial(actions.remove_rule, rule=request.path_params["id"], who=self._desk.who(request))
        if not await self._desk.change(work):
            raise HTTPException(404, "There is no such rule.")
        onward = is_page(back) and not back.startswith("/dashboard/rules/")
        return seen(f"{back if onward else '/dashboard/rules'}?done=removed")

    async def _form(
        self,
        request: Request,
        form: RuleForm,
        *notes: Note,
        known: bool = False,
        problem: str = "",
        tried: Any = None,
        question: Question | None = None,
    ) -> Response:
        status = 400 if problem else 200
        values = {
            "form": form,
            "known": known,
            "problem": problem,
            "tried": tried,
            "choices": CHOICES,
            "question": question,
        }
        return await self._desk.render(request, "rule.html", *notes, status=status, **values)


def _try(connection: Connection, item: Any) -> dict[str, Any]:
    found = try_rule(connection, item)
    traces = [trace for number in found.shown if (trace := queries.read_one(connection, str(number)))]
    return {"sentence": found.sentence, "about": found.about, "traces": traces}


def _undoable(rule: rules.StoredRule, back: str) -> Response:
    """To the page from which somebody was blocked, or to the rule, with the offer to undo it."""
    return seen(f"{back or '/dashboard/rules/' + quote(rule.id, safe='')}?done=blocked&undo={quote(rule.id, safe='')}")


def _sentence(problem: ValueError) -> str:
    return f"There can be no such rule: {problem}."
