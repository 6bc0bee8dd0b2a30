"""What is in deploy/ holds: each file is what its reader takes, and each command in it is one of ours."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.cli import make_parser

DEPLOY = Path(__file__).parent.parent / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def _yaml(file: Path) -> list[Any]:
    yaml = pytest.importorskip("yaml", reason="pyyaml (extra `rules`) is not installed")
    return list(yaml.safe_load_all(file.read_text()))


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _commands() -> dict[str, list[str]]:
    """The arguments that each file gives to `metlo-otel`."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    unit = (DEPLOY / "metlo-otel.service").read_text()
    found = {
        "Dockerfile": json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[0]),
        "unit": shlex.split(re.findall(r"^ExecStart=\S+/metlo-otel (.*)$", unit, re.MULTILINE)[0]),
    }
    for file in MANIFESTS:
        for document in _yaml(file):
            if document["kind"] == "Deployment":
                (container,) = document["spec"]["template"]["spec"]["containers"]
                found[file.name] = container["args"]
    return found


def test_every_command_is_one_of_ours() -> None:
    """An option that is renamed would keep a container from starting, far from any test."""
    commands = _commands()
    assert len(commands) == 2 + len(MANIFESTS) == 4
    for place, arguments in commands.items():
        assert make_parser().parse_args(arguments).command == "collector", place


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifests_are_what_kubernetes_takes(file: Path) -> None:
    """Each object is valid by the published schemas, and none runs as root or may gain rights."""
    validating = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in _yaml(file):
        validating.validate(document, "1.30", strict=True)
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            (container,) = pod["containers"]
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_what_is_copied_into_the_image_is_there() -> None:
    """The build's own context holds all that it copies, and nothing of a checkout's leftovers."""
    dockerfile, ignored = (DEPLOY / "Dockerfile").read_text(), (DEPLOY.parent / ".dockerignore").read_text()
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    ]
    assert copied
    for name in copied:
        assert (DEPLOY.parent / name).exists(), name
        assert f"!{name}" in ignored.splitlines(), name
    assert dockerfile.rindex("\nUSER ") < dockerfile.index("\nENTRYPOINT")


def test_compose_starts_what_it_says() -> None:
    """Every service that another waits for has a check of its health, here or in its image; secrets are asked for."""
    (compose,) = _yaml(DEPLOY / "compose.yaml")
    services = compose["services"]
    built = {name for name, service in services.items() if "build" in service}
    checked = built | {name for name, service in services.items() if "healthcheck" in service}
    waited_for = {other for service in services.values() for other in service.get("depends_on", ())}
    assert waited_for <= checked
    assert "HEALTHCHECK" in (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()) == [
        "POSTGRES_PASSWORD",
        "METLO_KEY",
        "METLO_DASHBOARD_PASSWORD",
    ]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, where the program is there."""
    analyse = _program("systemd-analyze")
    binary = tmp_path / "metlo-otel"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    unit = tmp_path / "metlo-otel.service"
    unit.write_text((DEPLOY / unit.name).read_text().replace("/opt/metlo/bin/metlo-otel", str(binary)))
    done = subprocess.run([analyse, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    said = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])


def test_nginx_takes_the_server(tmp_path: Path) -> None:
    """`nginx -t` takes the file within http { }, with a certificate made for it."""
    nginx = _program("nginx")
    openssl = _program("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = f"req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=metlo.example.com"
    subprocess.run([openssl, *made.split()], check=True, capture_output=True, timeout=60)
    server = re.sub(r"/etc/ssl/certs/\S+(?=;)", str(certificate), (DEPLOY / "nginx.conf").read_text())
    server = re.sub(r"/etc/ssl/private/\S+(?=;)", str(key), server)
    temporary = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {temporary} {server} }}"
    (tmp_path / "nginx.conf").write_text(whole)
    arguments = [nginx, "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_caddy_takes_its_file(tmp_path: Path) -> None:
    """`caddy validate` takes the Caddyfile."""
    caddy = _program("caddy")
    done = subprocess.run(
        [caddy, "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
