# `make demo` and `make test` install what they need, without root. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
KILLS ?= 1000
MINUTES ?= 10
PASSES ?= 8640
# Hundreds of short processes run in the tests: without it each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := manage.py gunicorn.conf.py deploy fnloader_site batches loader core objectstores sandbox tests bench

.PHONY: help install demo serve test test-postgres properties fuzz check format bench bench-pages screenshots soak audit licences lock update clean

help: ## list the targets
	@grep -E '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

.venv/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fnloader needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "Installing into .venv (some minutes the first time) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt 2>.venv/pip.log || { cat .venv/pip.log; exit 1; }
	@touch $@

install: .venv/installed .env ## install into .venv, make .env

.env: | .venv/installed ## a new secret key
	@umask 077; $(BIN)/python -c 'import secrets; print("SECRET_KEY=" + secrets.token_urlsafe(50))' > $@

demo: install ## both jobs on local stand-ins, then the site until Ctrl-C (ARGS=--exit: no site)
	@$(BIN)/python -m sandbox.demo $(ARGS)

serve: install ## the whole site on this machine: pages and background jobs (ARGS="--bind 0.0.0.0:8000")
	@$(BIN)/python manage.py migrate -v0
	@$(BIN)/python manage.py serve $(ARGS)

test: .venv/installed ## the tests on SQLite
	@$(BIN)/python -m pytest -q -n 3 --dist worksteal $(ARGS)

test-postgres: .venv/installed ## the tests on PostgreSQL and Redis (FNLOADER_TEST_POSTGRES, REDIS_URL)
	@FNLOADER_TEST_POSTGRES=$${FNLOADER_TEST_POSTGRES:-postgres://postgres@127.0.0.1:5432/postgres} $(BIN)/python -m pytest -q -n 3 --dist worksteal $(ARGS)

properties: .venv/installed ## the property tests with 10,000 examples each (ARGS=tests/batches)
	@HYPOTHESIS_PROFILE=properties $(BIN)/python -m pytest -q -m hypothesis --timeout 7200 $(ARGS)

.venv/fuzz: requirements-fuzz.txt .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@touch $@

fuzz: MINUTES := 1
fuzz: .venv/fuzz ## inputs that nobody wrote, MINUTES for each target (ARGS="keys fasta": some; ARGS=--help lists them)
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

check: .venv/installed ## the gate: format, lint, types, templates, imports, migrations
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@SECRET_KEY=check $(BIN)/mypy $(SOURCES)
	@$(BIN)/djlint --quiet --check --lint templates
	@$(BIN)/lint-imports
	@SECRET_KEY=check $(BIN)/python manage.py makemigrations --check --dry-run
	@SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') SITE_URL=https://fnloader.example.org $(BIN)/python manage.py check --deploy --fail-level WARNING

format: .venv/installed ## format the code
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/djlint --quiet --reformat templates

bench: .venv/installed ## the measurements (minutes)
	@$(BIN)/python -m bench.load
	@$(BIN)/python -m bench.ledger
	@$(BIN)/python -m bench.scale
	@$(BIN)/python -m bench.moving
	@$(BIN)/python -m bench.batches
	@$(BIN)/python -m bench.verdicts
	@$(BIN)/python -m bench.advice
	@$(BIN)/python -m bench.twins
	@$(BIN)/python -m bench.samples

bench-pages: .venv/installed ## time every page on DATABASE_URL; an empty one is filled first (ARGS="--attempts 1000000")
	@$(BIN)/python -m bench.webpages $(ARGS)

screenshots: .venv/installed ## make docs/screenshots from generated data (needs Chromium)
	@$(BIN)/python -m bench.screenshots

soak: .venv/installed ## long runs (KILLS=1000 MINUTES=10 DAY=75 PASSES=8640)
	@KILLS=$(KILLS) MINUTES=$(MINUTES) PASSES=$(PASSES) $(BIN)/python -m pytest -q -s tests/crash/soak.py tests/crash/soak_day.py tests/crash/soak_month.py $(ARGS)

audit: .venv/installed ## known vulnerabilities of what a site runs (asks the OSV service)
	@$(BIN)/pip-audit --progress-spinner off --timeout 60 --vulnerability-service osv --disable-pip --require-hashes -r requirements.txt

licences: .venv/installed ## licence and date of release of what a site runs (ARGS=--write: into docs/dependencies.md)
	@$(BIN)/python deploy/licences.py $(ARGS)

# The first lock holds everything; the others are parts of it, so all versions agree. See docs/dependencies.md.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make update"
update: ARGS := --upgrade
lock update: .venv/installed
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt $(ARGS)
	@for part in requirements requirements-oracle requirements-fuzz; do \
		$(COMPILE) $$part.in -c requirements-dev.txt -o $$part.txt $(ARGS) || exit 1; done

lock: ## lock what requirements*.in add or drop; other versions stay
update: ## the newest versions that requirements*.in allow (ARGS="--upgrade-package django": one package)

clean: ## remove everything generated except .env and databases
	@rm -rf .venv build demo .mypy_cache .ruff_cache .import_linter_cache
