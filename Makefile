PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?=
EVENTS ?= 100000
WEBHOOKS ?=
GROWTH ?=
FAULTS ?= --servers 100 --relays 100 --postgres 50 --nats 50
INSTALLED := $(VENV)/.installed
LOWEST := .venv-lowest
IMAGE := .venv-image
PIP := -m pip install --quiet --disable-pip-version-check --no-deps
PIN ?=
# Of the HTTP tests those in which each operation's statements run; the others are about requests, not about the database.
POOLED := tests/pooler tests/integration/races tests/integration/events $(patsubst %,tests/integration/http/test_%.py,\
	admin_pages audit conditional console_pages email_changes hooks idempotency identity isolation own_pages rights \
	shared_reads support_desk tenant_predicate tenants)
TORTURE = tests/contract/test_both_worlds.py tests/contract/test_events_walk.py \
	$(patsubst %,tests/integration/http/test_%.py,input openapi cut_commit outage outage_table time_limit) \
	tests/integration/events/test_poison_messages.py
TIMED = @timed() { begun=$$(date +%s); echo "$$*"; "$$@" || exit; echo "$$(($$(date +%s) - begun)) s: $$*"; }; timed
COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet $(PIN)
SEVERAL = PYTHONPATH=tests:bench/faults $(BIN)/python bench/growth/run.py
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800)
export SOURCE_DATE_EPOCH
# Set, it has every process that a test starts compile hoc again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: serve test test-lowest test-pooler test-wheel check wheel newcomer conformity bench bench-events bench-webhooks faults torture growth screenshots format pin clean

serve: $(INSTALLED)  ## run everything on this machine, with a demo tenant: PostgreSQL, HTTP on 127.0.0.1:8201, or PORT=…
	@$(BIN)/hoc serve --demo$(if $(PORT), --port $(PORT))

test: $(INSTALLED)  ## the whole suite, against real servers, in parallel and in random order
	$(BIN)/pytest -n auto --dist worksteal

check: $(INSTALLED)  ## format, lint, types, import contracts and tests, each with its time
	$(TIMED) $(BIN)/ruff format --check .
	$(TIMED) $(BIN)/ruff check .
	$(TIMED) $(BIN)/mypy
	$(TIMED) $(BIN)/basedpyright
	$(TIMED) $(BIN)/lint-imports
	$(TIMED) $(MAKE) --no-print-directory test

conformity: $(INSTALLED)  ## what foreign checkers say of the standards that hoc serves, each in its own words
	@PYTHONPATH=tests $(BIN)/python -m support.scim_checkers
	@PYTHONPATH=tests $(BIN)/python -m support.webhook_verifiers

bench: $(INSTALLED)  ## how fast it is beside a bare route and its peers, and with ten million accounts: 40 minutes
	@$(BIN)/python bench/speed/run.py $(BENCH)

bench-events: $(INSTALLED)  ## how fast a backlog of events drains, and how late each is at a steady rate
	@$(BIN)/python bench/events.py --events $(EVENTS)

bench-webhooks: $(INSTALLED)  ## kill the sender of webhooks 100 times under load; how late events come beside dead endpoints
	@$(BIN)/python bench/webhooks.py $(WEBHOOKS)

faults: $(INSTALLED)  ## kill servers, the relay, PostgreSQL and NATS under load, then look for what was lost
	@$(BIN)/python bench/faults/run.py $(FAULTS)
	@$(SEVERAL) --only failover

torture: $(INSTALLED)  ## 200,000 fuzzed requests, 100,000 steps beside a model, cut COMMITs, outages, kills: half an hour
	HOC_TEST_TORTURE=1 $(BIN)/pytest -n auto --dist worksteal -p support.tally $(TORTURE)
	@$(BIN)/python bench/faults/run.py --servers 10 --relays 10 --postgres 5 --nats 5

growth: $(INSTALLED)  ## take away one of several servers, relays, NATS and PostgreSQL under load; all routes and pages on HOC_CITUS_URL
	@env -u HOC_CITUS_URL $(SEVERAL) $(GROWTH)
	@$(BIN)/python bench/growth/citus.py

screenshots: $(INSTALLED)  ## docs/screenshots anew, from a demo tenant in a real browser
	@PYTHONPATH=tests $(BIN)/python -m support.screenshots docs/screenshots

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pin: $(INSTALLED)  ## write requirements/ anew where pyproject.toml changed; PIN=--upgrade takes the newest versions
	$(BIN)/python $(PIP) uv
	$(COMPILE) --group dev --all-extras -o requirements/dev.txt
	$(COMPILE) --group test --all-extras --resolution lowest-direct -o requirements/lowest.txt
	$(COMPILE) --extra server --extra telemetry -c requirements/dev.txt -o requirements/server.txt

wheel: $(INSTALLED)  ## dist/*.whl: the same commit gives the same bytes
	@rm -rf dist
	@$(BIN)/python -m hatchling build --target wheel

test-lowest: $(LOWEST)/.installed  ## unit, contract and HTTP tests on the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/pytest -n auto --dist worksteal -o filterwarnings=default tests/unit tests/contract tests/integration/http

test-pooler: $(INSTALLED)  ## the HTTP, race and event tests through a real PgBouncer, which must be installed
	@$(BIN)/python -c 'import shutil, sys; sys.path.insert(0, "tests"); from support.pgbouncer import PROGRAM; sys.exit(None if shutil.which(PROGRAM) else "PgBouncer is not installed (Debian: apt-get install pgbouncer); HOC_TEST_PGBOUNCER=/path names another")'
	HOC_TEST_POOLER=1 $(BIN)/pytest -n auto --dist worksteal $(POOLED)

test-wheel: wheel  ## the image's steps in a clean environment, then the acceptance tests on what they installed
	$(PYTHON) -m venv --clear $(IMAGE)
	$(IMAGE)/bin/python tests/support/image.py
	$(IMAGE)/bin/python $(PIP) --require-hashes -r requirements/dev.txt
	$(IMAGE)/bin/python -c 'import hoc, sys; sys.exit("the checkout is imported" if "site-packages" not in hoc.__file__ else 0)'
	$(IMAGE)/bin/pytest -n auto --dist worksteal tests/acceptance

newcomer:  ## follow README, tutorial and every how-to as an ordinary user, and print how long each step takes
	@PYTHONPATH=tests $(PYTHON) -m support.newcomer

$(INSTALLED): requirements/dev.txt pyproject.toml
	@echo "Installing into $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit("hoc needs Python 3.11 or later; this is %s. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) --require-hashes -r requirements/dev.txt
	@$(BIN)/python $(PIP) --no-build-isolation --editable .
	@touch $@

$(LOWEST)/.installed: requirements/lowest.txt pyproject.toml
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python $(PIP) --require-hashes -r requirements/lowest.txt
	@$(LOWEST)/bin/python $(PIP) --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(IMAGE) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
