# The verbs of this repository. `make help` lists them.

PYTHON ?= python3
NODE ?= node1
TOOLKIT := {{cookiecutter.project_slug}}/toolkit
PY := .venv/bin/python
# A user's pip.conf may say `user = true`, which pip refuses in an environment.
export PIP_USER := 0
PIP := $(PY) -m pip --disable-pip-version-check --quiet
TESTBED := TESTBED_MAKE=1 $(PY) -m hpc_testbed --target lab
# The record of the headline on the testbed is kept.
RECORDS := build/benchmarks
PYTEST = mkdir -p $(RECORDS) && $(PY) -m pytest --benchmark-json=$(RECORDS)/headline.json
# They often wait, for processes that start; more at once would make times mean nothing. Tests that
# share what takes long to set up (marked xdist_group) run in one process, so that it is set up once.
PARALLEL := --numprocesses 3 --dist loadgroup
# 5: none is left of them by PYTEST_ARGS, as by -k.
OR_NONE = || [ $$? -eq 5 ]
PACKAGES := pyproject.toml $(TOOLKIT)/pyproject.toml hpc-slurm-testbed/pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick test-testbed test-full test-oldest test-newest test-main test-comparison \
	lint format docs figures dist clean \
	bench bench-speedup bench-micro bench-asv bench-soak bench-leftovers bench-faults bench-connections bench-vs-jobqueue bench-peers bench-start bench-sweep \
	testbed-up testbed-scale testbed-shell testbed-status testbed-logs \
	testbed-fault testbed-repair testbed-down

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .venv/demo-ready ## template, testbed, 500 x sleep(1) on real Slurm, figure and report in build/
	@$(PY) benchmarks/demo.py

test: lint test-quick test-testbed ## the complete check of a change (11 to 14 minutes on two cores)

test-quick: .venv/test-ready ## the tests that need no Slurm (5 to 7 minutes)
	@$(PY) -m asv check --config benchmarks/asv.conf.json --environment existing:same
	@# Otherwise Python writes the toolkit's byte code while a test copies the folder that it is in.
	@$(PY) -m compileall -q "{{cookiecutter.project_slug}}/toolkit/src"
	@$(PY) -m pytest $(PARALLEL) --durations=25 -m "not full and not testbed" $(PYTEST_ARGS) $(OR_NONE)

test-testbed: .venv/test-ready ## the part on the Slurm testbed
	@$(PYTEST) --durations=25 -m "not full and testbed" $(PYTEST_ARGS) $(OR_NONE)

test-full: lint .venv/test-ready ## everything, slow tests included (some four hours)
	@$(PYTEST) $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory bench-asv

test-oldest: .venv/test-ready ## the toolkit and a project with the oldest versions they allow
	@$(PY) tests/versions.py oldest $(PYTEST_ARGS)

test-newest: .venv/test-ready ## the same with the newest that the index has
	@$(PY) tests/versions.py newest $(PYTEST_ARGS)

test-main: .venv/test-ready ## the toolkit with what Dask and dask-jobqueue have in git; PULL=9121: that merged into distributed
	@PULL=$(PULL) $(PY) tests/versions.py main $(PYTEST_ARGS)

lint: .venv/lint-ready ## all linters, changing nothing; some of them: LINTERS="words mypy"
	@$(PY) -m tests.lint $(LINTERS)

format: .venv/lint-ready ## format with ruff, and fix what it can
	@$(PY) -m tests.lint --fix

docs: .venv/docs-ready ## the documentation, into build/docs; a warning is an error
	@$(PY) -m sphinx --builder html --fail-on-warning --keep-going --fresh-env --write-all --quiet \
	  docs build/docs
	@echo "The documentation: build/docs/index.html"

dist: .venv/dist-ready ## both packages, into build/dist; with TAG=v1.2.3 as for that release
	@$(PY) tests/dist.py $(TAG)

figures: .venv/test-ready ## the published tables and figures again, from their records in docs/data
	@$(PY) benchmarks/published.py $(FIGURES)

test-comparison: .venv/test-ready ## what happens to a cluster, ours and plain dask-jobqueue's; then the docs' table
	@$(PY) -m pytest tests/comparison $(PYTEST_ARGS)
	@$(PY) -m tests.comparison.render

bench: .venv/demo-ready ## the benchmark suite (some 10 minutes); BENCH_ARGS="--full" or workloads by name
	@$(PY) benchmarks/suite.py $(BENCH_ARGS)

bench-speedup: .venv/test-ready ## record what CI accepts: 20 runs on 20, 60, and 120 slots (20 minutes)
	@$(PY) benchmarks/speedup.py $(BENCH_ARGS)

bench-soak: .venv/test-ready ## 100 rounds of create, scale, compute, close: nothing fails, nothing grows
	@$(PY) benchmarks/soak.py $(BENCH_ARGS)

bench-leftovers: .venv/test-ready ## 200 jobs cancelled at random moments: no process of theirs is left
	@$(PY) benchmarks/leftovers.py $(BENCH_ARGS)

bench-faults: .venv/test-ready ## 12 faults, 10 times each, while 500 tasks run (hours)
	@$(PY) benchmarks/faults_soak.py $(BENCH_ARGS)

bench-connections: .venv/test-ready ## 200 first connections of clients, all cores busy, TLS on and off
	@$(PY) benchmarks/connections.py $(BENCH_ARGS)

bench-vs-jobqueue: .venv/test-ready ## the headline with our classes and with plain ones, in turns
	@$(PY) benchmarks/vs_jobqueue.py $(BENCH_ARGS)

bench-peers: .venv/test-ready ## the same tasks with other tools, in turns (an hour); BENCH_ARGS="srun parsl --rounds 1"
	@$(PY) benchmarks/bench_peers.py $(BENCH_ARGS)

bench-start: .venv/test-ready ## how soon workers and first results come; BENCH_ARGS="--against CHECKOUT"
	@$(PY) benchmarks/start.py $(BENCH_ARGS)

bench-sweep: .venv/test-ready ## sweep: kills, memory, tiny inputs, METG, files, the headline; BENCH_ARGS="tiny files"
	@$(PY) benchmarks/sweep.py $(BENCH_ARGS)

# Of the earlier times, if there are any: they are kept, and the new ones are compared with them.
MICRO_BEFORE = $(if $(wildcard $(RECORDS)/micro.json),--benchmark-compare=micro-before $(MICRO_FAIL))
MICRO_FAIL = $(if $(FAIL),--benchmark-compare-fail=$(FAIL))
bench-micro: .venv/test-ready ## micro-benchmarks, and those before; FAIL=min:50% fails if one is 50 % slower
	@mkdir -p $(RECORDS)
	@if [ -f $(RECORDS)/micro.json ]; then mv $(RECORDS)/micro.json $(RECORDS)/micro-before.json; fi
	@$(PY) -m pytest benchmarks/micro --override-ini='python_files=bench_*.py' $(MICRO_BEFORE) \
	  --benchmark-max-time=3 --benchmark-storage=file://$(RECORDS) \
	  --benchmark-json=$(RECORDS)/micro.json $(BENCH_ARGS)

bench-asv: .venv/test-ready ## asv over commits, on the testbed too; BENCH_ARGS="HEAD~4..HEAD" or "continuous main HEAD"
	@$(PY) benchmarks/run_asv.py $(BENCH_ARGS)

testbed-up: .venv/demo-ready ## start the Slurm testbed; NODES=6 for that many nodes
	@$(TESTBED) up $(if $(NODES),--nodes $(NODES))

testbed-scale: .venv/demo-ready ## change its number of nodes, as in NODES=12; jobs on those that go end
	@$(if $(NODES),,echo "Error: how many nodes? As in: make testbed-scale NODES=12" >&2; exit 2;) \
	  $(TESTBED) scale --nodes $(NODES)

testbed-shell: .venv/demo-ready ## a shell on its login node, as alice
	@$(TESTBED) shell

testbed-status: .venv/demo-ready ## its containers, nodes and jobs
	@$(TESTBED) status

testbed-logs: .venv/demo-ready ## what its daemons wrote
	@$(TESTBED) logs

testbed-fault: .venv/demo-ready ## inject a fault, as in FAULT=kill-node NODE=node2; without: the list
	@$(TESTBED) fault $(FAULT) --node $(NODE)

testbed-repair: .venv/demo-ready ## repair whatever is wrong
	@$(TESTBED) repair

testbed-down: .venv/demo-ready ## stop it and leave nothing behind
	@$(TESTBED) down

clean: ## remove build/ and .venv/
	rm -rf build .venv

# --- the environment --------------------------------------------------------------------------------
# A stamp is touched last: what Ctrl-C interrupts is done again.

.venv/python-ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
	  { echo "Error: Python 3.11 or newer is needed and '$(PYTHON)' is not: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || \
	  { echo "Error: '$(PYTHON)' has no ensurepip; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv || { echo "Error: '$(PYTHON) -m venv .venv' failed, see above"; exit 1; }
	@$(PIP) install --upgrade "pip>=25.1"
	@touch $@

.venv/lint-ready: .venv/python-ready $(PACKAGES)
	@echo "Installing the linters into .venv (half a minute the first time)"
	@$(PIP) install --group lint --editable "$(TOOLKIT)" --editable hpc-slurm-testbed
	@touch $@

.venv/demo-ready: .venv/python-ready $(PACKAGES)
	@echo "Installing what the demo needs into .venv (about a minute the first time)"
	@$(PIP) install --group demo --editable "$(TOOLKIT)[bench]" --editable hpc-slurm-testbed
	@touch $@

.venv/test-ready: .venv/demo-ready $(PACKAGES)
	@echo "Installing what the tests need into .venv (about a minute the first time)"
	@$(PIP) install --group test --editable "$(TOOLKIT)[bench,notebook]"
	@touch $@

.venv/docs-ready: .venv/demo-ready $(PACKAGES)
	@echo "Installing what the documentation needs into .venv"
	@$(PIP) install --group docs
	@touch $@

.venv/dist-ready: .venv/python-ready pyproject.toml
	@$(PIP) install --group dist
	@touch $@
