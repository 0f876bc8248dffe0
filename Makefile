# needle: `make help` says what there is.
# Needs Python 3.11 or newer, a stable Rust toolchain and make; all else goes into .venv.

PYTHON ?= python3
# Further options for pip, for example PIP_FLAGS='--index-url ...' with bench-peers.
PIP_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)/.stamp-tools
BUILD := $(VENV)/.stamp-build
CHECKED := target/checked

# pyo3 looks for a Python; with one fixed, `cargo test` and the build share their work.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# An activated environment elsewhere must not be the one that maturin installs into.
unexport CONDA_PREFIX
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

RUST_SOURCES := $(wildcard Cargo.toml Cargo.lock .cargo/config.toml) \
    $(shell find crates -path '*/target' -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help mnist test build quick generate check fmt clippy lint types stubs cargo-test pytest isa-test \
    fuzz fuzz-check checked docs accuracy bench bench-against bench-peers clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

mnist: $(BUILD)  ## build, then train the two-layer network on MNIST
	$(BIN)/needle train mnist

test: $(BUILD) cargo-test pytest  ## build, then all tests of Rust and Python

build: $(BUILD)  ## an importable release build in .venv

quick: $(TOOLS)  ## a build for working on the Rust sources: made again in seconds
	@rm -f $(BUILD)  # the next `make build` makes the real one
	$(BIN)/maturin develop --profile quick

generate: $(BUILD)  ## write the files that are made from the op table: stubs, docs/ops.md
	$(BIN)/python -m tools

# What CI runs, cheapest first.
CHECKS := fmt clippy lint build types stubs cargo-test pytest fuzz-check isa-test docs

check:  ## what CI runs, and how many seconds each part took
	@seconds=; for part in $(CHECKS); do \
	  echo "== make $$part"; start=$$(date +%s); \
	  $(MAKE) --no-print-directory $$part || exit 1; \
	  seconds="$$seconds $$part $$(($$(date +%s) - start))"; \
	done; \
	echo "seconds of each part:"; printf "  %-10s %5d\n" $$seconds; \
	printf "  %-10s %5d\n" $$seconds | awk '{ all += $$2 } END { printf "  %-10s %5d\n", "all", all }'

fmt:  ## formatting of the Rust sources
	cargo fmt --all --check

clippy: $(TOOLS)  ## lints of the Rust sources
	cargo clippy --workspace --all-targets -- -D warnings

lint: $(TOOLS)  ## lints and formatting of the Python sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BUILD)  ## types of the Python sources
	$(BIN)/mypy

stubs: $(BUILD)  ## the stubs against the built module
	@test -f python/needle/_core.pyi  # without a stub, stubtest finds nothing wrong
	$(BIN)/python -m mypy.stubtest needle._core needle.ops --allowlist tools/stubtest-allowlist.txt

cargo-test: $(TOOLS)  ## tests of the Rust crates
	cargo test --workspace

pytest: $(BUILD)  ## tests of the Python package, end to end MNIST included
	$(BIN)/python -m pytest

# The kernel tests force every instruction set themselves; these follow the environment.
OP_TESTS := tests/test_ops_reference.py tests/test_machine.py tests/test_kinks.py \
    tests/test_special_values.py

isa-test: $(BUILD)  ## the op table under every instruction set, and on several threads
	for isa in scalar avx2 avx512; do \
	  NEEDLE_ISA=$$isa NEEDLE_NUM_THREADS=1 cargo test -q --workspace --test gradient_checks && \
	  NEEDLE_ISA=$$isa NEEDLE_NUM_THREADS=1 $(BIN)/python -m pytest -q $(OP_TESTS) || exit 1; \
	done
	for n in 2 4 8; do \
	  NEEDLE_NUM_THREADS=$$n $(BIN)/python -m pytest -q $(OP_TESTS) || exit 1; \
	done

# Half the time on the release build, half on one with overflow checks and debug assertions.
SECONDS ?= 300
SEED ?= $(shell date +%s)
# Of each family, in `make check`.
FUZZ_CASES := 150

fuzz: $(BUILD) checked  ## random programs and hostile calls, for SECONDS=300, from SEED=...
	@status=0; for path in python $(CHECKED); do \
	  PYTHONPATH=$$path $(BIN)/python -m tools.fuzz --seed $(SEED) --seconds $$(($(SECONDS) / 2)) || status=1; \
	done; exit $$status

fuzz-check: $(BUILD) checked  ## the same few cases of them in each run
	@status=0; for path in python $(CHECKED); do \
	  PYTHONPATH=$$path $(BIN)/python -m tools.fuzz --seed 0 --cases 0:$(FUZZ_CASES) || status=1; \
	done; exit $$status

# The package with another extension module, for PYTHONPATH. The flags are those under which
# `cargo test` has built most of it; the Python sources are links to the real ones.
checked: $(TOOLS)
	cargo build --workspace --lib --tests
	@rm -rf $(CHECKED) && mkdir -p $(CHECKED)/needle
	@for file in python/needle/*; do case $$file in *.so|*.pyd|*.dylib|*/__pycache__) ;; \
	  *) ln -s "$(CURDIR)/$$file" $(CHECKED)/needle/ ;; esac; done
	@cp target/debug/lib_core.* $(CHECKED)/needle/ && rm -f $(CHECKED)/needle/lib_core.d \
	  && mv $(CHECKED)/needle/lib_core.* $(CHECKED)/needle/_core.so

docs: $(TOOLS)  ## the documentation as a site, in site/; a broken link or name is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # the variable stops an advertisement

accuracy: $(TOOLS)  ## every float32 through the elementary functions: half an hour
	cargo test --release -p needle-kernels --test kernels -- --ignored --nocapture every_float32

bench: $(BUILD)  ## needle beside NumPy, and beside PyTorch and JAX where installed
	$(BIN)/python -m benchmarks --against benchmarks/record.json

bench-against: $(BUILD)  ## needle beside the revision REV=..., and whether a row (ROWS=add,chain) rose
	$(BIN)/python -m benchmarks.against '$(REV)' $(if $(ROWS),--rows '$(ROWS)') $(if $(ROUNDS),--rounds '$(ROUNDS)')

bench-peers: $(TOOLS)  ## install PyTorch and JAX into .venv, for `make bench`
	$(BIN)/python -m pip install $(PIP_FLAGS) torch jax

clean:  ## remove .venv, builds and caches
	rm -rf $(VENV) target dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f python/needle/*.so python/needle/*.pyd python/needle/*.dylib
	find python tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The environment with every dependency that pyproject.toml names, extras included.
$(TOOLS): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "needle needs Python 3.11 or newer; name one with PYTHON=..., as in 'make $(MAKECMDGOALS) PYTHON=python3.12'" >&2; \
	  exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  exit 1; }
	@$(BIN)/python -c "import itertools, tomllib; \
	  project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	  extras = itertools.chain.from_iterable(project['optional-dependencies'].values()); \
	  print(*project['dependencies'], *extras, sep='\n')" > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --requirement $(VENV)/requirements.txt
	@touch $@

# Editable, so that only a changed Rust source or pyproject.toml asks for a new build.
$(BUILD): $(TOOLS) $(RUST_SOURCES)
	@command -v cargo >/dev/null || { echo "needle needs a stable Rust toolchain: cargo was not found" >&2; exit 1; }
	@touch $@.started  # a source that changes during the build asks for another one
	$(BIN)/maturin develop --release
	@mv $@.started $@
