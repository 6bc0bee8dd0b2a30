"""Whatever befalls a step of ours, on whatever way in: clients and apps see nothing of it, and we say something.

The steps are not listed: requests are watched, and each function of ours that they call in their own thread is made to
raise, to hang, and to give what nobody expects. `make faults` does all of it, `make test` has each step raise once.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire_limit
from tests.contract.conftest import FULL
from tests.contract.every_step import FAULTS, RULES, Bench
from tests.contract.left_over import FELT, RAISING
from tests.contract.shop import FLUSH, Shop
from tests.contract.ways import WAYS, Way

# A fault in the middle of a request leaves files open that the app would have closed; who has it is not told.
pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 11), reason="code has no qualified name before Python 3.11"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume"),
]

USED = [*FAULTS] if os.environ.get("METLO_ALL_FAULTS") else ["raises once"]

# What the server or the app calls itself, and so has nothing of ours around it: where such a function cannot even be
# entered, nobody is left to go on. What these call in turn are steps like all others.
OUTERMOST = re.compile(
    r"""asgi\.ASGIMiddleware\.__call__
    | capture\.asgi\.(ASGICapture\.(serve|_captured|_rejecting|_receive|_send)|_last|_after)
    | capture\.asgi_types\.as_coroutine_function
    | capture\.asgi_ahead\.(Replaying\.__call__|_Result\.result|_On\w+\._call)
    | capture\.flask_app\._(plain|asking)\.<locals>\.wsgi_app
    | capture\.django\.((Async)?Tee\.__(?!init__)\w+__|Ending\.(__call__|over|passed))
    | capture\.asgi_answers\.answering\.<locals>\.app
    | capture\.asgi_late\.DecidingApp\.(__call__|_receive|_send|_refuse)
    | capture\.asgi_outermost\.(Outermost\.__call__|_pass)
    | capture\.late\.Deciding\.(?!__init__|_goes)\w+ | capture\.wsgi\._dropped
    | capture\.streams\.(TeeInput|_TeeFile|_TeeBuffered)\.(?!__init__|_put_back|ahead|_note)\w+
    | capture\.streams\._noting\w*\.<locals>\.\w+
    | capture\.replayed\.Replayed\.(?!__init__|_)\w+ | capture\.replayed\.Replayed\.__getattr__
    | capture\.wsgi\.(WSGICapture\.(__call__|_start)|_written) | capture\.wsgi_output\.closing_file\.<locals>\.closing
    | capture\.wsgi_output\.(TeeOutput|SizedOutput)\.(__(?!init__)\w+__|close)
    | capture\.wsgi_late\.(Refusal\.(__call__|_begin)|ReplaceableOutput\.(__(?!init__)\w+__|close))
    | flask\.(_before|_raised|_noting\.<locals>\.process_response)
    | django\.(MetloDjango\.(__call__|_serve|_serve_async))
    | wsgi\.WSGIMiddleware\.__call__ | capture\.wsgi\._saying\.<locals>\.app
    | core\.guard\.Guard\.(run|wait) | core\.current\.set_user""",
    re.VERBOSE,
)


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    """What a test leaves is collected before the next one, which may belong to somebody else."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def benches() -> Iterator[dict[str, Bench]]:
    """What was made for each way in."""
    made: dict[str, Bench] = {}
    yield made
    for bench in made.values():
        bench.close()


@pytest.fixture
def bench(way: Way, benches: dict[str, Bench], places: object) -> Bench:
    """A shop with everything on: rules for each kind of fact, limits, detection, GET_USER."""
    return bench_of(way, benches)


def bench_of(way: Way, benches: dict[str, Bench]) -> Bench:
    if way.name not in benches:
        limited = every(condition("request_header", "eq", "limited", "X-Metlo-Test"))
        missing = every(condition("status_code", "eq", 404))
        limits = [
            wire_limit(1, limited, by=["ip"], seconds=3600),
            wire_limit(1_000_000, missing, uuid="missing", by=["ip"]),
        ]
        collector = MemoryCollector({**FULL, "wafConfig": limits}).__enter__()
        options = {"RULES": RULES, "DETECTION": "block", "RATE_LIMIT_STORAGE": "memory", "CONFIG_CACHE": "off"}
        shop = Shop(way, collector, GET_USER=way.user_of, **options)
        shop.agent._pipeline.start()
        assert shop.agent.flush(FLUSH)
        benches[way.name] = Bench(shop)
    return benches[way.name]


def test_the_steps_are_found(bench: Bench) -> None:
    """The walk goes through every room that a request goes through."""
    assert len(bench.steps) > 150
    rooms = {name.split(".")[0] for name in bench.steps}
    assert {"agent", "analysis", "blocking", "core", "export", "judge"} <= rooms
    assert {"judge.Judge.decides", "judge.Judge.observe", "core.exchange.Body.add", "export.pipeline.Pipeline.put"} <= (
        bench.steps.keys()
    )


@pytest.mark.parametrize("fault", USED)
def test_no_step_of_ours_is_felt(bench: Bench, fault: str) -> None:
    """Each answer is the one without us, at once; a rejected request may pass, but is never answered with an error."""
    steps = [name for name in sorted(bench.steps) if not OUTERMOST.fullmatch(name) and name not in FELT[fault]]
    if fault.startswith("gives"):  # a constructor gives nothing to anybody
        steps = [name for name in steps if not name.endswith("__init__")]
    felt = {name: seen for name in steps if (seen := bench.suffers(fault, name))}
    assert felt == {}


@pytest.mark.parametrize("step", sorted(RAISING))
@pytest.mark.xfail(strict=True, reason="known to be felt: once it is mended on all ways in, it leaves the list")
def test_what_is_left_over(benches: dict[str, Bench], places: object, step: str) -> None:
    """What these steps raise is felt nowhere either."""
    for way in WAYS:
        bench = bench_of(way, benches)
        if step in bench.steps:
            assert bench.suffers("raises once", step) is None
