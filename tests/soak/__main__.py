"""`python -m tests.soak --seconds 600`: load on real servers, the collector's faults in turn, and what must hold.

At every second: no answer is wrong; what was captured is sent, dropped, waiting, or in the one batch that is on its
way; memory stays within its bound. At the end: nothing is on its way, the collector has what was sent, servers end.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.faults import FAULTS, FaultyCollector
from tests.soak.load import Load, ask
from tests.soak.serving import COMMANDS, Serving

BATCH = 512  # exchanges that may be on their way
GROWTH = 64.0  # MB that a server may grow by, once it has served for a while: the queue's 2 MB, and what a batch needs
LATE_GROWTH = 24.0  # MB that it may grow by in the second half
ENDING = 8.0  # seconds that a server may take to end


class Watch:
    """What one server's numbers were at every second, and what of them was wrong."""

    def __init__(self, serving: Serving, load: Load) -> None:
        self.serving = serving
        self.load = load
        self.memory: list[float] = []
        self.wrong: list[str] = []
        self.most_rest = 0
        self.numbers: dict[str, object] = {}

    def look(self, fault: str) -> None:
        """Note the numbers of this second."""
        self.memory.append(self.serving.memory())
        for _ in range(3):  # they are read one after the other: another look, where a batch was taken meanwhile
            self.numbers = ask(self.serving.port, "/agent/numbers")
            rest = int(str(self.numbers["rest"]))
            if 0 <= rest <= BATCH:
                break
        else:
            self.wrong.append(f"{fault}: {rest} exchanges are neither sent, dropped, waiting nor on their way")
        self.most_rest = max(self.most_rest, rest)
        warm = self.memory[min(len(self.memory) // 4, 60)]
        if self.memory[-1] > warm + GROWTH:
            self.wrong.append(f"{fault}: {self.memory[-1]:.0f} MB, and {warm:.0f} MB a while after the start")

    def conclude(self) -> None:
        """After the load: everything is sent or dropped, and the server ends."""
        half = max(self.memory[len(self.memory) // 3 : len(self.memory) // 2 + 1])
        if self.memory[-1] > half + LATE_GROWTH:
            self.wrong.append(f"{self.memory[-1]:.0f} MB at the end, {half:.0f} MB before half time")
        if not ask(self.serving.port, "/agent/flush")["flushed"]:
            self.wrong.append("what waited was not sent within 20 s after the collector's return")
        self.numbers = ask(self.serving.port, "/agent/numbers")
        if self.numbers["rest"] or self.numbers["queue_items"]:
            self.wrong.append(f"after all: {self.numbers}")
        took = self.serving.end()
        if took > ENDING:
            self.wrong.append(f"took {took:.1f} s to end")

    def verdict(self) -> list[str]:
        """What was wrong."""
        return [f"{self.serving.name}: {text}" for text in (*self.wrong, *self.load.wrong)]


def soak(seconds: float, clients: int, pause: float, seed: int, folder: Path) -> list[str]:
    """Run for so long; what was wrong. Prints a summary."""
    collector = FaultyCollector()
    servers = [Serving(name, collector.port, folder) for name in COMMANDS]
    try:
        for server in servers:
            server.wait()
        loads = [Load(server.port, clients, pause, lambda: collector.fault) for server in servers]
        watches = [Watch(server, load) for server, load in zip(servers, loads, strict=True)]
        back = _faults(seconds, collector, watches, random.Random(seed))
        for load in loads:
            load.end()
        for watch in watches:
            watch.conclude()
        time.sleep(0.2)  # the collector counts just after it has answered
        wrong = [text for watch in watches for text in watch.verdict()]
        sent = sum(int(str(watch.numbers["sent"])) for watch in watches)
        if collector.taken < sent:
            wrong.append(f"{sent} exchanges are said to be sent, {collector.taken} were taken")
        _tell(watches, collector, sent, back)
        return wrong
    finally:
        for server in servers:
            server.end()
        collector.end()


def _faults(seconds: float, collector: FaultyCollector, watches: Sequence[Watch], chance: random.Random) -> list[float]:
    """Change the fault for so long, looking every second; how long it took until traces came again, in seconds."""
    began = changed = time.monotonic()
    lasts = max(1.0, min(seconds / len(FAULTS) / 2, 10.0))
    order: list[str] = []
    back: list[float] = []
    well_since = 0.0
    next_look = began + 1.0
    while time.monotonic() - began < seconds:
        if time.monotonic() - changed >= lasts:
            order = order or chance.sample(FAULTS, len(FAULTS))
            fault = "ok" if collector.fault not in ("ok", "slow") else order.pop()
            well_since = time.monotonic() if fault == "ok" else 0.0
            collector.change(fault)
            changed = time.monotonic()
        if well_since and collector.taken_at > well_since:
            back.append(collector.taken_at - well_since)
            well_since = 0.0
        time.sleep(0.05)
        if time.monotonic() >= next_look:
            for watch in watches:
                watch.look(collector.fault)
            next_look += 1.0
    collector.change("ok")
    return back


def _tell(watches: Sequence[Watch], collector: FaultyCollector, sent: int, back: Sequence[float]) -> None:
    for watch in watches:
        numbers, memory = watch.numbers, watch.memory
        counts = f"{numbers['captured']} captured, {numbers['sent']} sent, dropped: {numbers['dropped']}"
        print(f"{watch.serving.name}: {counts}")
        print(f"  memory in MB: {memory[0]:.0f} at the start, {max(memory):.0f} at most, {memory[-1]:.0f} at the end")
        print(f"  at most {watch.most_rest} exchanges were on their way")
        for fault, times in sorted(watch.load.taken.items()):
            ordered = sorted(times)
            p50, p99 = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
            print(f"  {fault:20} {len(times):7} requests, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms")
    again = f"after faults traces came again within {max(back):.1f} s" if back else "no fault ended in time"
    print(f"the collector took {collector.taken} traces, {sent} are said to be sent; {again}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="A collector's faults under load.")
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS") or 600))
    parser.add_argument("--clients", type=int, default=4, help="for each server")
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between a client's requests")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args(arguments)
    print(f"{asked.seconds:.0f} s, seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = soak(asked.seconds, asked.clients, asked.pause, asked.seed, Path(folder))
    for text in wrong[:50]:
        print("WRONG:", text)
    print(f"{len(wrong)} violations")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
