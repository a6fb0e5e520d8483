# serve   set up and serve on http://127.0.0.1:8000
# test    set up and run all tests
# check   format, lint, types, import rules
# fuzz    send hostile requests and pictures to a service of its own
# chaos   kill, stall and fill while jobs run; prove that none is lost (12 minutes)
# soak    half an hour of mixed load: does anything grow?
# monitoring  evaluate every query of dashboards and alerts with a Prometheus beside a running service
# overload  ten times the load that the machine can serve
# load    a day of users in 8 minutes: stages grow and shrink, limits, a report with its figure (QUICK=1: 3)
# doctor  say whether this machine is fit to serve, and what mends it
# bench   the service beside the plain architecture, side by side (25 minutes; QUICK=1: 5)
# capacity  simulate the service, compare with it, and plan for GPUs (30 minutes); docs/capacity.md anew
# screenshots  take the README's pictures of the page anew
# stages  measure the stages of one job on this machine, without the service

SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: serve test check doctor fuzz chaos soak overload monitoring load bench capacity stages screenshots figure clean help

help:
	@sed -n '/^# /!q; s/^# //p' Makefile

serve: $(STAMP)
	@exec $(PY) -m launch

# Two processes share the cores: threads of torch's own would wait for each other's turn.
test: $(STAMP)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2

check: $(STAMP)
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

fuzz: $(STAMP)
	@$(PY) -m trials.api
	@$(PY) -m trials.api --with-key --cases 500
	@$(PY) -m trials.pictures

chaos: $(STAMP)
	@$(PY) -m trials.chaos

soak: $(STAMP)
	@$(PY) -m trials.soak

overload: $(STAMP)
	@$(PY) -m trials.overload

load: $(STAMP)
	@$(PY) -m load_tests $(if $(QUICK),--quick)

monitoring: $(STAMP)
	@$(PY) -m trials.monitoring

doctor: $(STAMP)
	@$(PY) -m doctor

bench: $(STAMP)
	@$(PY) -m benchmarks.side_by_side $(if $(QUICK),--quick)

# The comparison ends with code 1 when it misses its goal, which is no reason to stop.
capacity: $(STAMP)
	-@$(PY) -m capacity.validate
	@$(PY) -m capacity.measure
	@$(PY) -m capacity.plan --out capacity/results/plan.json
	@$(PY) -m capacity.report

stages: $(STAMP)
	@$(PY) -m benchmarks.stages

screenshots: $(STAMP)
	@$(PY) -m pytest -q tests/web/test_screens.py
	@$(PY) -m docs.page_pictures

figure: $(STAMP)
	@$(PY) -m docs.draw_dag

# Torch's CPU build is taken where pip can find one; a machine with a GPU gets CUDA from the same range.
$(STAMP): pyproject.toml clients/python/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tapcut needs Python 3.11 or later: set PYTHON=python3.11"; exit 1; }
	@echo "tapcut: setting up $(VENV) (once, a few minutes)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || \
	  { echo "tapcut: $(PYTHON) has no venv module: install python3-venv"; exit 1; }
	@$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	@$(PY) -m pip install --constraint constraints.txt --editable . --editable clients/python --group dev | grep --line-buffered -E '^(Collecting|Installing|Successfully)'
	@touch $@

clean:
	rm -rf $(VENV)
