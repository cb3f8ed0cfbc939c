# Everything a developer or CI runs. Nothing here needs more than python3, venv and make.

# Where somebody has set it, each process that a test starts would compile crawler anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Of a random run under faults; MINUTES also of what bench-cluster holds.
SEED ?= 1
MINUTES ?= 2
# What crawler is measured against, in an environment of its own.
PEERS := .peers
PEERS_STAMP := $(PEERS)/.installed

# What browsers are sent, of other people's making.
VENDOR := crawler/web/console/vendor/package-lock.json

.PHONY: help setup console system unit properties test test-edge chaos recovery upgrade bench bench-cluster bench-console check format proto lock demo docs clean

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "crawler needs Python 3.11 or newer; set PYTHON=python3.12, say"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENDOR): $(STAMP) release/console.py crawler/web/console/package-lock.json
	$(BIN)/python release/console.py
	@touch $@

console: $(VENDOR) ## bring what the console is built on (needs npm, or the node that pip brought)

setup: $(STAMP) $(VENDOR) ## prepare .venv (the command is then .venv/bin/crawler)

system: ## install what the tests and the demo need from the system
	@sh tests/system-packages.sh

unit: $(STAMP) ## the quick tests that need pip only
	$(BIN)/pytest -q -n auto tests/unit

properties: $(STAMP) ## the longer tests that need pip only: store, properties, hostile input, servers, commands
	$(BIN)/pytest -q -n auto tests/contract tests/properties tests/hostile tests/served tests/commands

test: setup system check unit properties ## every test, as CI runs them
	$(BIN)/pytest -q -n auto --store=postgresql tests/contract tests/properties/contract
	$(BIN)/pytest -n 2 --dist=loadfile --no-loadscope-reorder tests/acceptance
	$(BIN)/pytest -n 3 --dist=loadfile --no-loadscope-reorder tests/integration

test-edge: setup system ## what stands before a cluster and keeps it, alone: balancers, proxies, services, backups
	$(BIN)/pytest -q -n 2 tests/unit/edge tests/unit/ops tests/unit/proxy tests/unit/cache \
		tests/unit/test_certificates.py tests/unit/test_release.py tests/properties/cache
	$(BIN)/pytest -n 2 --dist=loadfile --no-loadscope-reorder \
		tests/integration/edge tests/integration/proxy tests/integration/ops tests/acceptance/test_backup.py

chaos: setup system ## random faults and their verdict: make chaos SEED=7 MINUTES=10
	$(BIN)/python -m tests.acceptance.nemesis $(SEED) $(MINUTES)

recovery: setup system ## how long a cluster takes to go on after deaths, in multiples of the TTL
	$(BIN)/python -m tests.bench.recovery

check: $(STAMP) ## formatting, lint, types, architecture, stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py
	@sh proto/generate.sh --check

format: $(STAMP) ## rewrite the sources as the check wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(STAMP) ## regenerate the stubs
	@sh proto/generate.sh

lock: setup ## pin what a production install takes, with hashes (needs Python 3.11)
	$(BIN)/python release/lock.py

demo: setup ## the product in one minute
	@sh tests/system-packages.sh demo
	$(BIN)/crawler demo

docs: setup ## the documentation site, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -f etc/docs/mkdocs.yml

$(PEERS_STAMP): tests/bench/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r tests/bench/peers/requirements.txt
	touch $@

upgrade: setup system ## a cluster of the last tag (or FROM=REVISION) becomes this one: OPTIONS="--members 3 --secret"
	$(BIN)/python -m tests.bench.upgrade $(if $(FROM),--from $(FROM)) $(OPTIONS)

bench: setup system $(PEERS_STAMP) ## pages per CPU-second beside Scrapy, Crawlee and colly; growth
	$(BIN)/python -m tests.bench.crawl --peers $(PEERS)/bin/python
	$(BIN)/python -m tests.bench.crawl --peers $(PEERS)/bin/python --hosts many
	$(BIN)/python -m tests.bench.stores
	$(BIN)/python -m tests.bench.pair
	$(BIN)/python -m tests.bench.growth 40

bench-cluster: setup ## the load goals: 100 workers, 10,000 resources, kills; minutes
	@sh tests/system-packages.sh
	$(BIN)/python -m tests.bench.cluster --minutes $(MINUTES)

bench-console: setup ## the console's questions over 10,000 resources and 1,000,000 pages; minutes
	@sh tests/system-packages.sh
	$(BIN)/python -m tests.bench.console

clean: ## remove what was built
	rm -rf $(VENV) $(PEERS) $(dir $(VENDOR)) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
