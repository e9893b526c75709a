# `make repro` and `make test` are all a newcomer needs; both set up .venv on first use.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# DVC runs commands by the caller's SHELL; a service's may be one that refuses.
export SHELL := /bin/sh
# pipeline/outs/variables.py has the reasons; DVC and MLflow need them unset, too.
unexport PYTHONSAFEPATH PYTHONWARNINGS PYTHONOPTIMIZE

.PHONY: help repro verify doctor test lint lock track ui compare report promote serve predict bench \
    sweep gpu

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

repro: .venv/.complete  ## run what is out of date, then show the results
	@$(BIN)/python -m pipeline repro

verify: .venv/.complete  ## rebuild HEAD and hold every out against dvc.lock
	@$(BIN)/python -m pipeline verify

doctor: .venv/.complete  ## check what the pipeline needs of this machine
	@$(BIN)/python -m pipeline doctor

track: .venv/.complete  ## make the MLflow runs that are missing for dvc.lock
	@$(BIN)/python -m pipeline track

ui: .venv/.complete  ## open the MLflow UI on this machine
	@$(BIN)/python -m pipeline ui

compare: .venv/.complete  ## show the tracked runs side by side
	@$(BIN)/python -m pipeline compare

report: .venv/.complete  ## write the results as report.html, and what changed since AGAINST=...
	@$(BIN)/python -m pipeline report $(if $(AGAINST),--against $(AGAINST))

promote: .venv/.complete  ## make the models of dvc.lock champions if they are better
	@$(BIN)/python -m pipeline promote

serve: .venv/.complete  ## serve the champion classifier over HTTP on this machine
	@$(BIN)/python -m pipeline serve

predict: .venv/.complete  ## answer for the images of INPUT=..., into OUTPUT=answers.csv
	@$(BIN)/python -m pipeline predict $(INPUT) --output $(or $(OUTPUT),answers.csv)

sweep: .venv/.complete  ## run the trials of sweep.yaml, on this machine or at RAY_ADDRESS
	@$(BIN)/python -m pipeline sweep

bench: .venv/.complete  ## measure beside Keras, and beside what PEERS_PYTHON=... has
	@$(BIN)/python -m benchmarks $(if $(PEERS_PYTHON),--peers-python $(PEERS_PYTHON))

test: .venv/.complete  ## run the tests
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: .venv/.complete  ## check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

lock: .venv/.complete  ## renew requirements.lock and requirements-gpu.lock from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade \
	    --all-extras --group dev pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --python-platform x86_64-manylinux_2_28 --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --constraint requirements.lock --group gpu --output-file requirements-gpu.lock

gpu: .venv/.complete  ## put TensorFlow for NVIDIA GPUs into .venv
	@$(BIN)/uv pip uninstall --quiet --python $(BIN)/python tensorflow-cpu
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
	    -r requirements-gpu.lock

# Bytecode is compiled here, once: TensorFlow's import then takes half the time.
.venv/.complete: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit("found Python %d.%d, expected 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12 ..." % v)'
	@echo "setting up .venv (about a minute, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@touch $@
