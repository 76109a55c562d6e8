# Everything a newcomer needs: `make demo` (core only, no torch) and `make test` (all).
PYTHON ?= python3
PIP_FLAGS ?= --quiet --disable-pip-version-check

.PHONY: demo test lint format docs clean

# The portrait of astronaut Eileen Collins that scikit-image ships (NASA, public domain).
PORTRAIT = $$(.venv/bin/python -c "import importlib.util, pathlib; \
	print(pathlib.Path(importlib.util.find_spec('skimage').origin).parent / 'data' / 'astronaut.png')")

demo: .venv/ready
	@mkdir -p demo-output && cp "$(PORTRAIT)" demo-output/astronaut.png
	.venv/bin/facegender predict demo-output/astronaut.png --annotate demo-output
	.venv/bin/facegender predict demo-output/astronaut.png --output demo-output/astronaut.jsonl --no-resume
	@cat demo-output/astronaut.jsonl
	@echo "annotated picture: demo-output/astronaut.faces.jpg   JSON line: demo-output/astronaut.jsonl"

# Tests start Python hundreds of times: it keeps what it compiles, whatever the environment says.
test: .venv-dev/ready
	PYTHONDONTWRITEBYTECODE= .venv-dev/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv-dev/ready
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports

format: .venv-dev/ready
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .

docs: .venv-dev/ready
	.venv-dev/bin/python -m typer facegender.cli utils docs --name facegender --title "Command line" --output docs/cli.md
	.venv-dev/bin/python scripts/model_card.py
	.venv-dev/bin/python scripts/results_index.py

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
