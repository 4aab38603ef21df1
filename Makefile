# Everything a person or CI runs here. `make run` and `make test` do all set-up themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Some images set it. Then each of the hundreds of interpreters of a test run compiles all sources.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run demo desktop test quick check lint proto lock bench screenshots clean

help:            ## this list
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

run: $(VENV)/server  ## start the server on the bundled database; ARGS="--http-listen …" for more
	$(BIN)/devtelemetry serve $(ARGS)

demo: $(VENV)/server  ## a temporary server with simulated messengers: measured beside true
	$(BIN)/devtelemetry demo $(ARGS)

desktop: $(VENV)/desktop  ## the settings page of this machine's node settings
	$(BIN)/devtelemetry desktop $(ARGS)

test: $(VENV)/dev lint  ## lint and all tests; PYTEST="-k …" for a part
	$(BIN)/python -m pytest -n 4 --dist loadscope $(PYTEST)

# The rules and the arithmetic, and the algorithm on the worked cases: what a change breaks first.
QUICK := tests/aggregate/test_reliability.py tests/aggregate/test_windows.py tests/causes/test_classify.py \
  tests/estimate tests/report tests/results tests/test_config.py tests/test_docs.py tests/test_package.py \
  tests/test_words.py
quick: $(VENV)/dev   ## a part of the tests, in less than a minute
	$(BIN)/python -m pytest -n 2 -m "not slow" $(QUICK) $(PYTEST)

check: test      ## the same

lint: $(VENV)/dev    ## format, lint, types and which room imports which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

proto: $(VENV)/dev   ## generate the code of the protos
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=src --mypy_out=src \
	  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy proto/devtelemetry/v1/telemetry.proto \
	  proto/devtelemetry/publish/remote_write.proto

lock:            ## pin all dependencies anew, with hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade \
	  --extra server --output-file requirements/server.txt pyproject.toml requirements/build.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade \
	  --extra desktop --output-file requirements/desktop.txt pyproject.toml requirements/build.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade \
	  --extra apprise --constraint requirements/server.txt --output-file requirements/apprise.txt \
	  pyproject.toml requirements/build.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade \
	  --extra server --extra desktop --extra apprise --group dev --output-file requirements/dev.txt \
	  pyproject.toml requirements/build.in
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade \
	  --output-file .ci/synapse.txt .ci/synapse.in

bench: $(VENV)/dev   ## all benchmarks; docs/evidence/benchmarks.md says what each measures
	$(BIN)/python -m bench

screenshots: $(VENV)/dev  ## pictures of the dashboard, into build/screenshots; needs Chromium
	$(BIN)/python -m bench.screenshots

clean:           ## remove what the other targets made
	rm -rf $(VENV) .venv-synapse build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Each stamp says that the virtual environment holds what is pinned. dev holds all of the others.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh scripts/install-venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/server: requirements/server.txt pyproject.toml | $(VENV)/bin/pip
	@test -e $(VENV)/dev || $(MAKE) --no-print-directory install SET=server
	@touch $@

$(VENV)/desktop: requirements/desktop.txt pyproject.toml | $(VENV)/bin/pip
	@test -e $(VENV)/dev || $(MAKE) --no-print-directory install SET=desktop
	@touch $@

$(VENV)/dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/pip
	@$(MAKE) --no-print-directory install SET=dev
	@touch $@

.PHONY: install
install:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements/$(SET).txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
