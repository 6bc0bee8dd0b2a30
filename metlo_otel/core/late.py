"""A decision that waits for a body which had not come when the request began: it is made as the app reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from metlo_otel.core.exchange import Body, Exchange

Passed = Literal["part", "read", "whole"]
"""What has passed of a body: a part, all that the app wants of it, or all that is ever looked at."""


class Decide(Protocol):
    """Decides on what has passed of the body; `begun` if the answer has begun.

    Returns whether the app must not be given any more of it.
    """

    def __call__(self, passed: Passed, begun: bool) -> bool: ...


class LateDecision:
    """Of a request that may still be rejected; `reason` is why its body was not there: none where there
    need be no body.

    The body is held back nowhere: each part goes to the app when it has come, but for the one that completes the
    evidence, before which is decided. An attack is looked for in what there is so far: at the first part, whenever
    there is twice as much, and at the end; rules are asked at the end, or when the app begins to answer, having read
    what it wanted. The end is that of the body, `length` bytes where it says so, or `limit` bytes, beyond which nothing
    is looked at. Where more passes than a body has said, that is looked at as well.

    `gone` says that the app is to be told that its client has gone away, `refused` that the rejection is to be sent in
    the place of what it answers. An answer that has begun cannot be replaced: that is told as `would_block`.
    """

    __slots__ = ("_body", "_decide", "_length", "_limit", "_looked", "begun", "decided", "gone", "reason", "refused")

    def __init__(self, reason: str, body: Body, limit: int, length: int | None = None) -> None:
        self.reason = reason
        self.begun = self.gone = self.refused = self.decided = False
        self._body = body
        self._limit = limit
        self._length = limit if length is None else min(limit, length)
        self._looked = 0  # bytes
        self._decide: Decide | None = None

    def opens(self, decide: Decide) -> None:
        """The request passes for now; `decide` is asked from now on."""
        self._decide = decide
        self._looked = self._body.size
        if self._looked >= self._length:  # GET_USER has read it
            self._ask("whole")

    def passed(self, ended: bool = False) -> bool:
        """More of the body is noted and about to be given to the app, or all of it was; whether it must not be."""
        if not self._is_settled():
            size = self._body.size
            whole = ended or size >= self._length
            if whole or size >= max(2 * self._looked, 1):
                self._ask("whole" if whole else "part")
        return self.gone

    def answers(self) -> bool:
        """The app is about to answer: whether the rejection takes the place of that.

        An app that has read nothing answers as if we were not there. `begun` is set by who sends it.
        """
        if not self.begun and self._body.size > self._body.again and not self._is_settled():
            self._ask("read")
        return self.refused

    def ends(self, exchange: Exchange) -> None:
        """The exchange is over: nothing is decided any more, and what was not looked at is told."""
        self._decide = None
        if not self.decided and self.reason:
            exchange.note(self.reason)

    def _is_settled(self) -> bool:
        """Whether nothing is to be decided at this moment."""
        if self._decide is not None and self._body.size != self._looked:
            self.decided = False
        return self.decided or self._decide is None

    def _ask(self, passed: Passed) -> None:
        """Nothing is asked within this: who is asked for the user may read the body."""
        decide, self._decide = self._decide, None
        if decide is None:
            return
        size = self._looked = self._body.size
        self.gone = decide(passed, self.begun) is True
        self.refused = self.gone and not self.begun
        self.decided = self.gone or passed == "whole"
        if passed == "whole":
            self._length = self._limit
        if not self.gone and size < self._limit:
            self._decide = decide
