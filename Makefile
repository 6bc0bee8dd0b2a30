# `make demo` and `make test` are all a newcomer needs; both make their own environment.
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check
# Tests start a hundred Pythons, each of which would compile the package anew where this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test system check unit live processes oldest newest versions differential hostile bench peers servers faults mutants transparency soak docs dist clean

demo: .venv-demo/ready
	.venv-demo/bin/metlo-otel demo $(DEMO)

# Three parts at a time, each printed when it ends; all of them run, whichever fails. Those on real servers mostly wait.
test: system
	@$(MAKE) --no-print-directory --keep-going --jobs=3 $(APART) live check unit versions

APART = $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# A browser and servers that some tests drive, installed where that is possible.
system:
	@.ci/system

check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

unit: .venv/ready
	.venv/bin/python -m pytest -m "not live"

# On real servers and sockets, each in a process of its own.
live: .venv/ready
	.venv/bin/python -m pytest -m live -o cache_dir=.venv/pytest-live

# The servers alone: how they start, fork and end with a collector that is there, away or hangs.
processes: .venv/ready
	METLO_TEST_SERVERS=all .venv/bin/python -m pytest tests/processes tests/live --deselect tests/live/test_raw_asgi.py

# The oldest supported versions, where there is a Python 3.10, and the newest, where there is a Python 3.12 to 3.14.
oldest:
	@.ci/compatibility 3.10 .venv-oldest tests/constraints-oldest.txt

newest:
	@.ci/compatibility "3.14 3.13 3.12" .venv-newest tests/constraints-newest.txt

# One after the other, so that `make test` has them beside its other parts.
versions:
	@failed=0; for part in oldest newest; do $(MAKE) --no-print-directory $$part || failed=1; done; exit $$failed

# Every ASGI server byte for byte, of which `make test` has the quick ones.
servers: .venv/ready
	METLO_TEST_SERVERS=all .venv/bin/python -m pytest tests/live/test_raw_asgi.py

# Every step of ours raises, hangs and gives nonsense, on every way in; `make test` has each raise once.
faults: .venv/ready
	METLO_ALL_FAULTS=1 .venv/bin/python -m pytest tests/contract/test_every_step.py

# Twenty thousand hostile requests, of which `make unit` has some.
hostile: .venv/ready
	METLO_HOSTILE=all .venv/bin/python -m pytest tests/reading/test_hostile.py

# How many small mistakes the tests notice, in FILES or in what differs from main: see docs/testing.md.
mutants: .venv/ready
	.ci/mutants $(FILES)

# What apps understood against what rules saw, on all servers; `make unit` asks two of them.
differential: .venv/ready
	METLO_DIFFERENTIAL=all .venv/bin/python -m pytest tests/differential

bench: .venv/ready
	.venv/bin/python -m benchmarks.overhead
	.venv/bin/python -m benchmarks.cost --config '{"aggregates": true}'
	.venv/bin/python -m benchmarks.collector
	.venv/bin/python -m benchmarks.collector_aggregates

# What `benchmarks.cost` measures beside us, each in an environment of its own.
peers: .venv-peers/ready .venv-original/ready

.venv-peers/ready .venv-original/ready: tests/constraints.txt
.venv-peers/ready: PEERS = sentry-sdk==2.75.0 ddtrace
.venv-original/ready: PEERS = metlo==0.1.5 requests
.venv-peers/ready .venv-original/ready:
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python $(PIP) -c tests/constraints.txt $(PEERS) flask django fastapi gunicorn uvicorn
	@touch $@

# The frameworks' own test-suites with the agent in every app, and servers byte for byte: an hour, in CI once a week.
# `make transparency SUITES="flask --modes active"` runs a part; what was done before is not done again without --fresh.
transparency: .venv/ready
	@.ci/transparency $(SUITES)

# Load on real servers while their collector goes through every fault, for so many seconds.
soak: .venv/ready
	.venv/bin/python -m tests.soak --seconds $(or $(SECONDS),600)

# The documentation, into site/; `make docs SERVE=1` shows it on the loopback while one writes.
docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs $(if $(SERVE),serve,build --strict)

.venv-docs/ready: pyproject.toml tests/constraints.txt
.venv-docs/ready: INSTALLED = -e '.[docs]'

# The wheel and the source, as they are published; checked, and installed into an environment that has nothing else, of
# which sbom.cdx.json (CycloneDX) tells what comes along.
dist: .venv-dist/ready
	rm -rf dist
	.venv-dist/bin/python -m build --outdir dist
	.venv-dist/bin/twine check --strict dist/*
	$(PYTHON) -m venv --clear .venv-dist/plain
	.venv-dist/plain/bin/python $(PIP) -c tests/constraints.txt dist/*.whl
	.venv-dist/plain/bin/metlo-otel --version
	.venv-dist/bin/cyclonedx-py environment --pyproject pyproject.toml -o sbom.cdx.json .venv-dist/plain

.venv-dist/ready: pyproject.toml tests/constraints.txt
.venv-dist/ready: INSTALLED = build twine cyclonedx-bom

clean:
	rm -rf .venv .venv-demo .venv-dist .venv-docs .venv-oldest .venv-newest .venv-peers .venv-original .venv-mutants .transparency dist site sbom.cdx.json

.venv/ready: pyproject.toml tests/requirements.txt tests/constraints.txt
.venv/ready: INSTALLED = -r tests/requirements.txt -e '.[all,demo,django,flask]'

# What the demo needs is a fraction of that.
.venv-demo/ready: pyproject.toml tests/constraints.txt
.venv-demo/ready: INSTALLED = -e '.[demo]'

.venv/ready .venv-demo/ready .venv-dist/ready .venv-docs/ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.12")'
	@echo 'Installing into $(@D), a minute or two ...'
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python $(PIP) -c tests/constraints.txt $(INSTALLED)
	@touch $@
