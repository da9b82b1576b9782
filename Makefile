# demo: set up and run the default pipeline. test: set up and run the whole suite. bench NAME=...: one benchmark.
# fuzz [N=10000] [SEED=0] [READER=...]: mutated inputs of the readers.
# mutants [NAME=...]: deliberate mistakes, each of which must turn its tests red.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint bench tables mutants fuzz

demo: $(READY)
	stillhouse run

test: $(READY)
	$(PYTHON) -m pytest

lint: $(READY)
	ruff check . && ruff format --check . && mypy

bench: $(READY)
	$(PYTHON) -m benchmarks $(or $(NAME),list) $(if $(DATA),--data $(DATA))

mutants: $(READY)
	$(PYTHON) -m tests.mutants $(NAME)

tables: $(READY)
	$(PYTHON) -m benchmarks.tables

# torch goes first and by its exact pin: an index may otherwise prefer a build with gigabytes of CUDA packages.
$(READY): pyproject.toml constraints.txt
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --constraint constraints.txt torch
	$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[dev,demo]'
	touch $@

fuzz: $(READY)
	$(PYTHON) -W ignore -m tests.fuzz $(or $(N),10000) $(or $(SEED),0) $(READER)
