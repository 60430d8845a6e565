# What people type. `make run` and `make test` install what is missing first.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
# where it is set, every stage compiles all it imports anew, seconds each time
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run quick flow ui deploy worker test test-slow test-services lint lock screenshots

setup: $(INSTALLED)

# constraints.txt holds every package with its exact version, so there is nothing for pip to resolve
$(INSTALLED): constraints.txt pyproject.toml
	@echo "installing into $(VENV)"
	@python3 -c 'import sys; v = sys.version.split()[0]; sys.exit(f"python3: {v}, expected 3.11.4 or later" if sys.version_info < (3, 11, 4) else 0)'
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --no-deps --no-compile --disable-pip-version-check -r constraints.txt
	@$(BIN)/python -m pip install --quiet --quiet --no-deps --no-build-isolation --disable-pip-version-check -e .
	@touch $@

run: setup
	@stillhouse run

quick: setup
	@stillhouse quick

flow: setup
	@python -m flows.train

ui: setup
	@stillhouse ui

# what prefect.yaml describes, on the server of `make ui` or the one that PREFECT_API_URL names; then somebody to do it
deploy: setup
	@python -m flows.deploy

worker: setup
	@exec python -m flows.worker

test: setup
	@python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

test-slow: setup
	@python -m pytest -m slow --numprocesses 2 --dist loadfile --timeout 900 --no-fold-skipped

# starts a Ray, a PostgreSQL (Debian's package postgresql) and an S3 server of its own, and runs the default job on them
test-services: setup
	@$(BIN)/python -m pip install --quiet --quiet --no-deps --disable-pip-version-check -r constraints-ray.txt -r constraints-services.txt
	@python -m pytest tests/cluster tests/services --timeout 3600

lint: setup
	@ruff check .
	@ruff format --check .
	@mypy

# the README's pictures, of what the last `make run` left; needs a Chromium
screenshots: setup
	@python -m tests.browser.screenshots

# refreshed at releases: runs what changed and stages the hashes of a whole run
lock: setup
	@stillhouse run && git add dvc.lock reports
