# demo: set up and run the default pipeline. test: set up and run the whole suite. bench NAME=... [DATA=FOLDER] [SET='count=5 seed=2']: one benchmark.
# mutants [NAME=...]: deliberate mistakes, each of which must turn its tests red. kills: stages killed before each of their file operations.
# fuzz [N=10000] [SEED=0] [READER=...]: mutated inputs of the readers.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-nodes lint bench tables mutants kills fuzz

demo: $(READY)
	@echo 'demo: trains the teachers and students of params.yaml, as far as they are due, and ends with a table that compares them'
	stillhouse run

test: $(READY)
	@echo 'test: the whole suite, about thirteen minutes on two cores'
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-nodes: $(READY)
	$(INSTALL) --quiet --editable ".[s3]" "moto[server]<6"
	STILLHOUSE_TEST_NODES=1 $(PYTHON) -m pytest tests/flows/test_nodes.py tests/flows/test_nodes_s3.py tests/flows/test_nodes_tracker.py tests/flows/test_nodes_default.py tests/flows/test_schedule.py

lint: $(READY)
	ruff check . && ruff format --check . && mypy

bench: $(READY)
	$(PYTHON) -m benchmarks $(or $(NAME),list) $(if $(DATA),--data $(DATA)) $(addprefix --set ,$(SET))

mutants: $(READY)
	$(PYTHON) -m tests.mutants $(NAME)

kills: $(READY)
	STILLHOUSE_TEST_KILL_EVERY=1 $(PYTHON) -m pytest --timeout 0 tests/runner/test_killed.py

fuzz: $(READY)
	$(PYTHON) -W ignore -m tests.fuzz $(or $(N),10000) $(or $(SEED),0) $(READER)

tables: $(READY)
	$(PYTHON) -m benchmarks.tables

INSTALL := $(PYTHON) -m pip install --constraint constraints.txt

# torch goes first and by its exact pin: an index may otherwise prefer a build with gigabytes of CUDA packages. It is the longest download, so
# pip shows its progress; the steps after it have a line each.
$(READY): pyproject.toml constraints.txt
	@echo 'set-up, once and for some minutes: everything goes into $(VENV)'
	@echo '1 of 4: an environment of its own'
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@echo '2 of 4: torch, the largest download'
	@$(INSTALL) torch
	@echo '3 of 4: Stillhouse with DVC, MLflow and Prefect, some two hundred packages'
	@$(INSTALL) --quiet --editable .
	@echo '4 of 4: what the demo and the tests use besides'
	@$(INSTALL) --quiet --editable '.[dev,demo,export,graphs,molecules,postgresql,ssh,transformers]'
	@touch $@
