"""What a server under load loses: throughput, latency and CPU of the whole process, beside peers in one run.

    python -m benchmarks.cost [--seconds 8] [--rounds 3] [--frameworks flask,django,fastapi] [--variants plain,metlo,…]
                              [--rate 1000] [--json FILE]

Each variant is served by a real server with one process (gunicorn with four threads, uvicorn), all of them started
first; wrk (four connections, POST of 2 KB in and out) drives them in turns, in an order that changes with each round,
so that a change of the machine falls on all. Then h2load asks each for `--rate` requests a second. CPU is what the
server's processes have used by /proc, every thread counted. Printed are medians over the rounds, and each as a share
of the plain app's in the same round. `checked` is how many of the answered requests metlo_otel has counted.

Peers are in environments of their own, made by `make peers`: .venv-peers (contrib is in .venv) has sentry-sdk and
ddtrace (with AppSec), .venv-original the agent `metlo` 0.1.5. What is not there is left out, and named.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.apps import BODY, HEADERS

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("plain", "metlo", "contrib", "contrib+metlo", "original", "sentry", "ddtrace")
_PYTHONS = {"original": ".venv-original", "sentry": ".venv-peers", "ddtrace": ".venv-peers"}
_DDTRACE = {
    "DD_APPSEC_ENABLED": "true",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_TRACE_LOG_LEVEL": "CRITICAL",
}
_TICK = os.sysconf("SC_CLK_TCK")
_CONNECTIONS = 4


@dataclass
class Found:
    """What the rounds gave for one variant: requests a second, ms, µs of CPU a request; `counted` of `answered`."""

    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    paced_cpu: list[float] = field(default_factory=list)
    answered: int = 0
    counted: int = 0
    errors: int = 0
    rss: int = 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1000, help="requests a second of the paced part; 0 leaves it out")
    parser.add_argument("--frameworks", default="flask,django,fastapi")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--json", help="also write what was found to this file")
    parser.add_argument("--options", default="{}", help="further settings of metlo_otel, as JSON")
    parser.add_argument("--config", default="{}", help="the agent-config that the collector serves, as JSON")
    arguments = parser.parse_args()
    for program in ("wrk", "h2load"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed: apt-get install wrk nghttp2-client")
    results: dict[str, dict[str, Any]] = {}
    with _collector(json.loads(arguments.config)) as collector, tempfile.TemporaryDirectory() as folder:
        script = _script(Path(folder))
        (Path(folder) / "benchmarks").symlink_to(ROOT / "benchmarks")
        for framework in arguments.frameworks.split(","):
            variants = [name for name in arguments.variants.split(",") if _is_there(name, framework)]
            found = _measure(framework, variants, arguments, collector, script, Path(folder))
            _print(framework, found, arguments)
            results[framework] = {name: asdict(each) for name, each in found.items()}
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))


def _is_there(variant: str, framework: str) -> bool:
    python = _python(variant)
    if not Path(python).exists():
        print(f"left out: {framework} {variant}, there is no {Path(python).relative_to(ROOT)} (make peers)")
        return False
    return True


def _python(variant: str) -> str:
    place = _PYTHONS.get(variant)
    return sys.executable if place is None else str(ROOT / place / "bin" / "python")


def _measure(
    framework: str, variants: Sequence[str], arguments: argparse.Namespace, collector: str, script: Path, folder: Path
) -> dict[str, Found]:
    found = {variant: Found() for variant in variants}
    with ExitStack() as stack:
        servers = {
            variant: stack.enter_context(_served(framework, variant, collector, arguments.options, folder))
            for variant in variants
        }
        for server in servers.values():
            _wrk(server, 1, script)
        for number in range(arguments.rounds):
            turn = list(variants)[number % len(variants) :] + list(variants)[: number % len(variants)]
            for variant in turn:
                _saturate(servers[variant], found[variant], arguments.seconds, script)
            for variant in turn if arguments.rate else ():
                _pace(servers[variant], found[variant], arguments.seconds, arguments.rate, script)
        for variant, server in servers.items():
            found[variant].rss = server.rss()
            if "metlo" in variant.split("+"):
                time.sleep(2)
                numbers = server.stats()
                found[variant].counted = int(numbers["captured"]) - sum(numbers["dropped"].values())
                found[variant].answered = server.answered
    return found


@dataclass
class Server:
    """A server that runs: where, and the first of its processes."""

    port: int
    process: subprocess.Popen[bytes]
    answered: int = 0

    def processes(self) -> list[int]:
        """It and its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu(self) -> float:
        """Seconds of CPU that all of its threads have used."""
        total = 0
        for process in self.processes():
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICK

    def rss(self) -> int:
        """Kilobytes that its processes hold."""
        status = [Path(f"/proc/{process}/status").read_text() for process in self.processes()]
        return sum(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) for text in status)

    def stats(self) -> dict[str, Any]:
        """The agent's numbers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/stats")
        self.answered += 1
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found


@contextmanager
def _served(framework: str, variant: str, collector: str, options: str, folder: Path) -> Iterator[Server]:
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "OTEL_"))}
    environment |= {
        "COST_FRAMEWORK": framework,
        "COST_VARIANT": variant,
        "COST_COLLECTOR": collector,
        "COST_OPTIONS": options,
        "XDG_CACHE_HOME": str(folder / f"{framework}-{variant}"),
        "PYTHONPATH": str(folder),  # has only benchmarks/: our metlo/ must not stand before the original agent's
    }
    environment |= _DDTRACE if variant == "ddtrace" else {}
    if framework == "fastapi":
        command = [
            "-m",
            "uvicorn",
            "benchmarks.served:app",
            "--port",
            str(port),
            "--no-access-log",
            "--log-level",
            "error",
        ]
    else:
        command = [
            "-m",
            "gunicorn",
            "benchmarks.served:app",
            "--bind",
            f"127.0.0.1:{port}",
            "--worker-class",
            "gthread",
        ]
        command += ["--threads", str(_CONNECTIONS), "--log-level", "error", "--no-control-socket"]
        if not _has_control_socket(variant):
            command.pop()
    with (folder / f"{framework}-{variant}.log").open("wb") as log:
        process = subprocess.Popen([_python(variant), *command], cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _await_port(port, process, Path(log.name))
            yield Server(port, process)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _has_control_socket(variant: str) -> bool:
    shown = subprocess.run([_python(variant), "-m", "gunicorn", "--help"], capture_output=True, text=True, check=False)
    return "--no-control-socket" in shown.stdout


def _saturate(server: Server, found: Found, seconds: int, script: Path) -> None:
    before = server.cpu()
    out = _wrk(server, seconds, script)
    requests = int(re.findall(r"(\d+) requests in", out)[0])
    found.cpu.append((server.cpu() - before) / requests * 1e6)
    found.rate.append(float(re.findall(r"Requests/sec:\s+([\d.]+)", out)[0]))
    found.p50.append(_milliseconds(out, "50%"))
    found.p99.append(_milliseconds(out, "99%"))
    found.errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", out)))


def _wrk(server: Server, seconds: int, script: Path) -> str:
    url = f"http://127.0.0.1:{server.port}/items/42?page=2&sort=name"
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    out = _output(command)
    server.answered += int(re.findall(r"(\d+) requests in", out)[0])
    return out


def _output(command: list[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def _pace(server: Server, found: Found, seconds: int, rate: int, script: Path) -> None:
    """`rate` requests a second over all connections; a slower server is asked for what it can do."""
    url = f"http://127.0.0.1:{server.port}/items/42?page=2&sort=name"
    given = [
        f"-H{name}: {value}"
        for name, value in {**HEADERS, "Content-Type": "application/json"}.items()
        if name != "Host"
    ]
    total = rate * seconds
    command = ["h2load", "--h1", f"-c{_CONNECTIONS}", "-t1", f"-n{total}", f"--rps={rate // _CONNECTIONS}",
               f"-d{script.with_suffix('.json')}", *given, url]  # fmt: skip
    before = server.cpu()
    out = _output(command)
    done = int(re.findall(r"(\d+) succeeded", out)[0])
    server.answered += done
    time.sleep(1.5)  # what the worker has left of these is theirs too
    found.paced_cpu.append((server.cpu() - before) / max(done, 1) * 1e6)
    found.errors += total - done


def _milliseconds(out: str, name: str) -> float:
    value, unit = re.findall(rf"{name}\s+([\d.]+)(us|ms|s)", out)[0]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def _script(folder: Path) -> Path:
    """What wrk sends, and the same body as a file for h2load."""
    (folder / "post.json").write_bytes(BODY)
    headers = {**HEADERS, "Content-Type": "application/json"}
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{BODY.decode()}]==]"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    path = folder / "post.lua"
    path.write_text("\n".join(lines))
    return path


@contextmanager
def _collector(config: dict[str, Any]) -> Iterator[str]:
    """A collector in a process of its own; it throws away what it is sent."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_collect, args=(theirs, config), daemon=True)
    process.start()
    try:
        yield str(ours.recv())
    finally:
        ours.send(None)
        process.join(5)


def _collect(pipe: Connection, config: dict[str, Any]) -> None:
    from metlo_otel.testing import MemoryCollector

    with MemoryCollector(config, "benchmark") as collector:
        pipe.send(collector.url)
        while not pipe.poll(1):
            collector.clear()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"the server ended:\n{log.read_text()[-3000:]}")
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens after 30 s:\n{log.read_text()[-3000:]}")


def _print(framework: str, found: dict[str, Found], arguments: argparse.Namespace) -> None:
    print(f"\n{framework}: {arguments.rounds} rounds of {arguments.seconds} s, medians (share of plain's in its round)")
    print(f"{'':14}{'requests/s':>19}{'p50 ms':>16}{'p99 ms':>17}{'CPU µs':>16}{f'CPU µs at {arguments.rate}/s':>20}"
          f"{'checked':>9}{'MB':>6}")  # fmt: skip
    plain = found.get("plain")
    for variant, each in found.items():
        line = f"{variant:14}"
        for name, width in (("rate", 11), ("p50", 8), ("p99", 9), ("cpu", 8), ("paced_cpu", 12)):
            values, base = getattr(each, name), getattr(plain, name, None)
            line += f"{statistics.median(values):{width}.1f}" + _share(values, base) if values else " " * (width + 8)
        line += f"{each.counted / each.answered:9.1%}" if each.answered else " " * 9
        line += f"{each.rss / 1024:6.0f}"
        print(line + (f"  {each.errors} errors" if each.errors else ""), flush=True)


def _share(values: list[float], base: list[float] | None) -> str:
    if not base:
        return " " * 8
    return f" ({statistics.median(a / b for a, b in zip(values, base, strict=True)):.2f}) "


if __name__ == "__main__":
    main()
