# Everything a newcomer needs: `make demo` (core only, no torch) and `make test` (all).
PYTHON ?= python3
PIP_FLAGS ?= --quiet --disable-pip-version-check

.PHONY: demo test lint format clean

demo: .venv/ready
	.venv/bin/facegender demo --output demo-output

test: .venv-dev/ready
	.venv-dev/bin/python -m pytest

lint: .venv-dev/ready
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy

format: .venv-dev/ready
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[demo]'
	@touch $@

.venv-dev/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-dev demo-output
