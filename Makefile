PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?=
EVENTS ?= 100000
FAULTS ?= --servers 100 --relays 100 --postgres 50 --nats 50
INSTALLED := $(VENV)/.installed

.PHONY: serve test check bench bench-events faults format pin clean

serve: $(INSTALLED)  ## run everything on this machine: PostgreSQL, migrations, HTTP on 127.0.0.1:8201, or PORT=…
	@$(BIN)/hoc serve$(if $(PORT), --port $(PORT))

test: $(INSTALLED)  ## the whole suite, against real servers, in parallel and in random order
	$(BIN)/pytest -n auto

check: $(INSTALLED)  ## what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(MAKE) test

bench: $(INSTALLED)  ## how fast it is beside a bare route and its peers, and with ten million accounts: 40 minutes
	@$(BIN)/python bench/speed/run.py $(BENCH)

bench-events: $(INSTALLED)  ## how fast a backlog of events drains, and how late each is at a steady rate
	@$(BIN)/python bench/events.py --events $(EVENTS)

faults: $(INSTALLED)  ## kill servers, the relay, PostgreSQL and NATS under load, then look for what was lost
	@$(BIN)/python bench/faults/run.py $(FAULTS)

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pin: $(INSTALLED)  ## refresh requirements/dev.txt from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --extra server --extra telemetry --extra rate-limits --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --quiet -o requirements/dev.txt

$(INSTALLED): requirements/dev.txt pyproject.toml
	@echo "Installing into $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit("hoc needs Python 3.11 or later; this is %s. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
