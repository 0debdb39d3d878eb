# The front door: `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check sim turns bench test-engines proto-baseline system tools

CARGO ?= cargo
# More options of cargo's, such as --locked.
CARGO_FLAGS ?=
# More options of `demo` and `turns`.
ARGS ?=
# What `bench` and `turns` measure in place of a fresh release build.
BIN ?=

RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
BUF := .venv/bin/buf
BASELINE := proto/baseline.binpb
# The second engine of the speech detector; its tests do not run without it.
test test-engines bench: export TRUNKLINE_ONNXRUNTIME_LIB = $(CURDIR)/.venv/lib/libonnxruntime.so

say = @echo "==> $(1)" >&2

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '  make %-15s %s\n' "$$name" "$$what"; done

demo: system ## One whole call with sound, without keys; ARGS=--split runs each role as a process of its own
	$(call say,building trunkline (some minutes the first time))
	@$(CARGO) build $(CARGO_FLAGS) --bin trunkline
	@$(CARGO) run --quiet $(CARGO_FLAGS) --bin trunkline -- demo $(ARGS)

test: system tools ## All tests
	$(call say,building and running the tests (some minutes the first time))
	@$(CARGO) test $(CARGO_FLAGS) --workspace --no-fail-fast

check: system tools ## Format, lints, and the contracts' style and compatibility
	$(call say,format)
	@$(CARGO) fmt --all --check
	$(call say,contracts: style and compatibility with $(BASELINE))
	@$(BUF) lint proto
	@$(BUF) breaking proto --against $(BASELINE)
	$(call say,clippy)
	@$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

sim: system ## 10,000 whole calls in virtual time; CALLS=N, SEED=N for the log of one; MUTATE=NAME|all breaks a rule, ok if noticed
	$(call say,building the simulator)
	@$(CARGO) test $(CARGO_FLAGS) --quiet --workspace --test sim --no-run
	@$(CARGO) test $(CARGO_FLAGS) --quiet --workspace --test sim -- simulate

bench: system tools ## Turns, preemption and barge-in as the carrier sees them, VAD, retrieval; BIN=FILE measures that binary's calls only
	@if [ -z '$(BIN)' ]; then \
		echo "==> building for release (many minutes the first time)" >&2; \
		$(CARGO) build $(CARGO_FLAGS) --release --bin trunkline --example vad_cost --example search_bench; \
	fi
	@python3 tests/bench/turn_latency.py --bin '$(or $(BIN),$(RELEASE)/trunkline)'
	@python3 tests/bench/preemption.py --bin '$(or $(BIN),$(RELEASE)/trunkline)'
	@python3 tests/bench/barge_in.py --bin '$(or $(BIN),$(RELEASE)/trunkline)'
	@if [ -z '$(BIN)' ]; then \
		echo; $(RELEASE)/examples/vad_cost; \
		echo; $(RELEASE)/examples/search_bench; \
	fi

turns: system tools ## Turn-taking on audio, with Nova and with Flux; BIN=FILE measures that binary, ARGS='--only pauses' a part
	@if [ -z '$(BIN)' ]; then \
		echo "==> building for release (many minutes the first time)" >&2; \
		$(CARGO) build $(CARGO_FLAGS) --release --bin trunkline; \
	fi
	@python3 tests/bench/turns.py --bin '$(or $(BIN),$(RELEASE)/trunkline)' $(ARGS)

test-engines: system tools ## The suites that need another engine than the embedded ones; one that is away is a failure
	$(call say,the speech detector on ONNX Runtime)
	@mkdir -p out
	@TRUNKLINE_REQUIRE_ENGINES=1 $(CARGO) test $(CARGO_FLAGS) --workspace --lib vad::onnx -- --nocapture | tee out/engines.txt
	@grep -q '^test vad::onnx::tests::' out/engines.txt || { echo "no test of the engine was run" >&2; exit 1; }

proto-baseline: tools ## Take the contracts as they are for the baseline of later changes
	@$(BUF) build proto --exclude-source-info -o $(BASELINE)
	$(call say,wrote $(BASELINE))

system:
	@deploy/scripts/setup system

tools:
	@deploy/scripts/setup tools
