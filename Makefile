# SPDX-License-Identifier: BSD-3-Clause
# Everything runs in .venv, which the first target that needs it makes. `make help` lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
JOBS := $(shell nproc)
# Processes that run tests: each has threads that poll, so at most 4, but tests also wait for time, other processes and guests,
# so one more than there are CPUs.
TESTERS := $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4)))
BUILD := DATAPLANE_JOBS=$(JOBS) $(BIN)/python setup.py --quiet build_ext --inplace --parallel $(JOBS)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# A Python from 3.11 on that can make virtual environments and has the headers to build extensions.
USABLE := import sys, sysconfig, os, ensurepip, venv; \
          sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
            command -v $$p >/dev/null && $$p -c '$(USABLE)' 2>/dev/null && echo $$p && break; done)

REV ?=
DPDK ?=
KERNELS ?=
ACTIONS ?= 1000000
EXAMPLES ?= 2000
MESSAGES ?= 1000000
STEPS ?= 5000
WALKS ?= 4
TIMES ?= 20
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom)

.PHONY: help setup build build-bench demo testers test test-explore test-slow test-hostile test-fuzz test-walk test-abuse test-sanitize lint test-root test-dpdk test-vm bench bench-against wheel clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.build  ## make .venv with the packages for building and running

build: $(VENV)/.build  ## compile the extensions in place and install the `dataplane` command into .venv
	@$(BUILD)

build-bench: $(VENV)/.build # and the loops of bench/, which some tests need too
	@DATAPLANE_BENCH=1 $(BUILD)

demo: build  ## send packets from a generator through two cards in software into demo.pcap
	@$(BIN)/dataplane demo

testers: # how many processes run tests, for .ci/run
	@echo $(TESTERS)

test: build-bench $(VENV)/.test  ## every test that needs neither root nor minutes
	@$(BIN)/python -m pytest -q -n $(TESTERS) -m "not root and not slow" $(ARGS)

test-explore: build-bench $(VENV)/.test  ## the tests with generated examples: TIMES=20 as many as in `make test`, from SEED=any
	@EXPLORE_TIMES=$(TIMES) $(BIN)/python -m pytest -q -n $(TESTERS) -m "not root and not slow" --timeout 3600 --hypothesis-seed $(strip $(SEED)) $(ARGS)

test-slow: build-bench $(VENV)/.test  ## the tests that take minutes: packages built and installed, a walk through every row of the bench
	@$(BIN)/python -m pytest -q -m "slow and not root" $(ARGS)

test-hostile: build $(VENV)/.test  ## attack the PF and other VFs from a hostile VF: ACTIONS=1000000, from SEED=any
	@HOSTILE_ACTIONS=$(ACTIONS) HOSTILE_SEED=$(strip $(SEED)) $(BIN)/python -m pytest -q -s tests/pmd/hostile/test_hostile.py -k isolation $(ARGS)

test-fuzz: build $(VENV)/.test  ## fuzz a served NIC with EXAMPLES=2000 hostile clients, from SEED=any
	@FUZZ_EXAMPLES=$(EXAMPLES) FUZZ_SEED=$(strip $(SEED)) $(BIN)/python -m pytest -q tests/pmd/model/server/test_fuzz.py $(ARGS)

test-walk: build $(VENV)/.test  ## random calls of everything that Python can call: STEPS=5000 in each of WALKS=4 walks, from SEED=any
	@WALK_STEPS=$(STEPS) WALK_WALKS=$(WALKS) WALK_SEED=$(strip $(SEED)) $(BIN)/python -m pytest -q -s -n $(TESTERS) tests/walk $(ARGS)

test-abuse: build $(VENV)/.test  ## attack a served NIC with hostile clients at once: the fuzzer sends MESSAGES=1000000, from SEED=any
	@ABUSE_MESSAGES=$(MESSAGES) ABUSE_SEED=$(strip $(SEED)) $(BIN)/python -m pytest -q -s tests/pmd/model/server/test_abuse.py $(ARGS)

# MESSAGES=20000 ARGS=tests/pmd/model/server/test_abuse.py: the hostile clients and that many messages of their fuzzer.
test-sanitize: build-bench $(VENV)/.test  ## model, server and driver kernels on a build with ASan and UBSan, in build/sanitized
	@$(if $(filter command%,$(origin MESSAGES)),ABUSE_MESSAGES=$(MESSAGES)) .ci/sanitize $(ARGS)

test-root: build-bench $(VENV)/.test  ## the tests on network namespaces, taps and interfaces (as root)
	@[ "$$(id -u)" = 0 ] || { echo "these tests make network namespaces: run 'sudo make test-root'" >&2; exit 1; }
	@$(BIN)/python -m pytest -q -m "root and not dpdk and not vm" $(ARGS)

test-dpdk: build-bench $(VENV)/.test  ## DPDK's own drivers on the model: the machine's DPDK, or DPDK=bookworm, trixie or sid (as root)
	@[ "$$(id -u)" = 0 ] || { echo "DPDK's drivers take physical addresses: run 'sudo make test-dpdk'" >&2; exit 1; }
	@$(if $(DPDK),$(BIN)/python -m tests.dpdk.suites $(DPDK),$(BIN)/python -m bench.peer)
	@DATAPLANE_DPDK='$(DPDK)' $(BIN)/python -m pytest -q -m dpdk $(ARGS)

test-vm: build $(VENV)/.test  ## Linux's own drivers on the model, ours on its VFIO and UIO, in virtual machines (as root); KERNELS="6.1 6.12 newest"
	@[ "$$(id -u)" = 0 ] || { echo "these tests make network namespaces: run 'sudo make test-vm'" >&2; exit 1; }
# One process for each file and kernel: guests wait more than they work.
	@$(if $(KERNELS),DATAPLANE_VM_KERNELS='$(KERNELS)') $(BIN)/python -m pytest -q -m vm -n $(TESTERS) --durations 25 tests/vm $(ARGS)

lint: build-bench $(VENV)/.lint  ## ruff, mypy and cython-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint dataplane pmd apps bench

bench: build-bench $(VENV)/.bench  ## print cycles per packet beside DPDK's, and write bench/latest.json (as root, for DPDK)
	@$(BIN)/python -m bench $(ARGS)

bench-against: build-bench  ## compare with another commit, by turns: REV=HEAD~5; fails when a row of the fast path is slower
	@$(BIN)/python -m bench.against '$(REV)' $(ARGS)

wheel: $(VENV)/.test  ## wheel and source archive in dist/
	@$(BIN)/python -m build --no-isolation --outdir dist

clean:  ## remove everything that was built, and .venv
	rm -rf build dist $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks demo.pcap
	find dataplane pmd apps bench tests -name '*.so' -delete -o -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "no Python from 3.11 on that has its headers and can make virtual environments:" \
	  "install them, on Debian with 'sudo apt-get install python3 python3-venv python3-dev gcc make'" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || { \
	  echo "no C compiler: install one, on Debian with 'sudo apt-get install gcc'" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# Build requirements go into .venv itself: an isolated build would fetch them again at each change.
$(VENV)/.build: pyproject.toml | $(BIN)/python
# The extensions are compiled first, on all CPUs: pip would take one, and finds them done.
	@$(PIP) install 'setuptools>=77' 'cython>=3.1' 'numpy>=2' wheel
	@$(BUILD)
	@$(PIP) install --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.build
	@$(PIP) install --no-build-isolation --editable '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(PIP) install --no-build-isolation --editable '.[test,bench,native]'
	@touch $@

$(VENV)/.lint: $(VENV)/.build
	@$(PIP) install --no-build-isolation --editable '.[lint]'
	@touch $@
