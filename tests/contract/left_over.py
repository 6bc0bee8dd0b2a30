"""Steps of ours that are felt when something befalls them."""

from __future__ import annotations

# These give an app the bytes that were read ahead of it, which nothing else could. One leaves this list when what
# it raises reaches nobody on any way in.
RAISING = frozenset({"capture.replayed.Replayed.__init__", "capture.replayed._size"})

# What these give is used where no guard is around it. That it is of the right kind is held by `mypy --strict`, and not
# looked at again in each request.
TYPED = frozenset(
    {
        "agent.Agent._open",
        "agent.Agent.open",
        "asgi._Way._answer",
        "asgi._Way._decide",
        "capture.asgi.ASGICapture._open",
        "capture.asgi.ASGICapture._started",
        "capture.asgi.ASGICapture._answered_elsewhere",
        "capture.asgi_answers.answering",
        "capture.replayed.replayed",
        "capture.streams.teed",
        "capture.wsgi.WSGICapture._instead",
        "capture.wsgi.WSGICapture._open",
        "capture.wsgi.WSGICapture._replaceable",
        "capture.wsgi.WSGICapture._tee",
        "capture.wsgi._is_file",
        "capture.wsgi._saying",
        "capture.wsgi.answering",
        "capture.wsgi_late.Refusal._answer",
        "capture.wsgi_output.closing_file",
        "core.callbacks.Callbacks._default",
        "core.callbacks.Callbacks._sendable",
        "core.callbacks.Callbacks.ask_user",
        "core.callbacks.Callbacks.rejection",
        "core.rejection.Rejection.line",
        "core.rejection.rejection",
        "django.MetloDjango._open",
        "django._default",
        "flask._Capture._decide_later",
        "flask._answer",
        "flask._decide",
        "flask._default",
        "flask._replaced",
        "judge.Judge._decided",
        "judge.Judge._detected",
        "judge.Judge._inspects",
        "judge.Judge.decide",
        "judge.Judge.decide_async",
        "wsgi._Way._answer",
        "wsgi._Way._decide",
    }
)

FELT = {
    "raises once": RAISING,
    "raises always": RAISING,
    "hangs": frozenset[str](),
    "gives nonsense": RAISING | TYPED,
    "gives nothing": RAISING | TYPED,
}
