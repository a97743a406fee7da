# Everything a newcomer needs; `make` alone lists it. Needs Python 3.11 or newer, make and git, nothing else:
# the packages come by pip into .venv, PostgreSQL for the tests among them.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

BIN     = $(VENV)/bin
INSTALL = $(VENV)/.installed

.PHONY: help env demo test check conformance bench histories simulate torture fuzz
.DEFAULT_GOAL = help

help:              ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

env: $(INSTALL)    ## make .venv with all packages; again when pyproject.toml has changed

$(INSTALL): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'stixnode needs Python 3.11 or newer; say: make env PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo 'Python has no venv module; on Debian and Ubuntu say: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing the packages into $(VENV); the first time this takes a minute or two.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -e '.[postgres,medallion,dev]'
	@touch $@

# DATA and PARTNER_DATA: a bundle of your own for either node. PARTNER=medallion: the reference server as the other side.
# KEEP: a folder in which both nodes stay, to look at afterwards. INCIDENT: a wrong batch is found and taken back.
demo: env          ## two nodes on this machine exchange [DATA=file PARTNER_DATA=file PARTNER=medallion KEEP=folder INCIDENT=1]
	@$(BIN)/python -m node demo $(if $(DATA),--data '$(DATA)') $(if $(PARTNER_DATA),--partner-data '$(PARTNER_DATA)') \
	  $(if $(PARTNER),--partner '$(PARTNER)') $(if $(KEEP),--keep '$(KEEP)') $(if $(INCIDENT),--incident)

test: check        ## check, then all tests on both databases
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --ignore=tests/architecture

check: env         ## format, lint, types, import contracts, architecture tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture

# HISTORIES: how many at random, in the model and through the real code; a small sample is in `make test`.
histories: env     ## search histories of two nodes for one that does not converge [HISTORIES=100000]
	HISTORIES=$(or $(HISTORIES),10000) $(BIN)/python -m pytest -q -n $(JOBS) tests/histories

# SEEDS: how many histories, from seed FIRST on; 100 and those of the planted faults are in `make test`.
simulate: env      ## whole nodes under a seeded scheduler that loses, cuts, crashes and restores [SEEDS=10000 FIRST=0]
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) --first $(or $(FIRST),0)

# POWER: at how many instants the power is cut. KILLS: how often puller, pusher and server are each killed. CUTS: after
# every so manieth byte a message is cut. OBJECTS: how many are moved in flat memory. A sample of each is in `make test`.
torture: env       ## kill the processes, cut the power and the wire, crowd the node [POWER=2000 KILLS=200 CUTS=1 OBJECTS=100000]
	POWER=$(or $(POWER),2000) KILLS=$(or $(KILLS),200) CUTS=$(or $(CUTS),1) OBJECTS=$(or $(OBJECTS),100000) \
	  $(BIN)/python -m pytest -q -n $(JOBS) tests/torture

# FUZZ: examples of each kind; a small sample is in `make test`.
fuzz: env          ## send hostile requests at random, and what the OpenAPI description allows [FUZZ=3000]
	FUZZ=$(or $(FUZZ),1000) $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests/taxii/test_fuzz.py tests/taxii/test_fuzz_bodies.py
	FUZZ=40 $(BIN)/python -m pytest -q -n $(JOBS) tests/taxii/test_fuzz_schemathesis.py

# TARGET: sqlite, postgresql (both unless it is given), or medallion, to see where the reference server differs.
conformance: env   ## every requirement of TAXII 2.1 against the node, counted [TARGET=medallion]
	$(BIN)/python -m tests.conformance $(if $(TARGET),--target '$(TARGET)')

# SCALE: a made-up collection of so many objects instead of ATT&CK. ON=postgresql for the other database.
bench: env         ## measure, as ratios against a floor in the same process [SCALE=1000000 ON=postgresql]
	$(BIN)/python -m tests.bench $(if $(SCALE),--scale '$(SCALE)') $(if $(filter postgresql,$(ON)),--postgresql)
