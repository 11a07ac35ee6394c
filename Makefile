# Everything is set up in .venv by the first target that needs it. Needs Python 3.11 or later.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help golden test nightly oracle measured kills diagnosis lint format tiny clean

help:  ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1	\2/' | expand -t 20

golden: $(VENV)/.runtime  ## write the golden corpus of tiny to out/golden
	$(VENV)/bin/qwen25vl golden out/golden --jobs 2

test: $(VENV)/.test  ## run the tests (ARGS=... is passed to pytest)
	$(PYTEST) $(ARGS)

nightly: $(VENV)/.test  ## run the tests with long property runs
	HYPOTHESIS_PROFILE=nightly $(PYTEST) $(ARGS)

oracle: $(VENV)/.test  ## compare with PyTorch, on a GPU where there is one; table in out/oracle/deviations.md
	$(PYTEST) -m oracle --require-oracle $(ARGS)

measured: $(VENV)/.test  ## measure anew how far upstream is from the reference: spec/measured
	$(PYTEST) --numprocesses 0 --require-oracle tests/test_real_size.py
	cp out/oracle/deviations.md spec/measured/oracle-$$(grep -q '^- device: CPU' out/oracle/deviations.md && \
		echo cpu || echo gpu).md

kills: $(VENV)/.test  ## measure anew which case catches which known bug: spec/measured/kill-matrix.md
	$(VENV)/bin/python tools/kill_matrix.py $(ARGS)

diagnosis: $(VENV)/.test  ## measure anew how often a bug is named rightly: spec/measured/diagnosis.md
	$(VENV)/bin/python tools/diagnosis.py $(ARGS)

lint: $(VENV)/.test  ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.test  ## put the code into the house's format
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

tiny: $(VENV)/.runtime  ## rebuild the bundled checkpoints (their bytes must not change)
	$(VENV)/bin/python tools/make_tiny.py

clean:  ## remove everything that was built, .venv too
	rm -rf $(VENV) out build .pytest_cache .mypy_cache .ruff_cache .hypothesis ref/*.egg-info

$(VENV)/.runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "need Python 3.11 or later, found " + \
		sys.version.split()[0] + "; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

# PyTorch by its exact version and before what depends on it, so that nobody's resolver chooses another build.
$(VENV)/.test: $(VENV)/.runtime
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[test]'
	@touch $@
