# The front door: `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PROTOSET := out/trunkline.protoset
.PHONY: help demo test check sim faults turns bench soak fuzz test-engines proto-baseline protoset system tools

CARGO ?= cargo
# More options of cargo's, such as --locked.
CARGO_FLAGS ?=
# More options of `demo`, `soak` and `turns`.
ARGS ?=
# How long `fuzz` takes for each of its targets.
SECONDS ?= 60
# What `bench`, `soak` and `turns` measure in place of a fresh release build.
BIN ?=

RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
BUF := .venv/bin/buf
BASELINE := proto/baseline.binpb
# The second engine of the speech detector; its tests do not run without it.
test test-engines bench: export TRUNKLINE_ONNXRUNTIME_LIB = $(CURDIR)/.venv/lib/libonnxruntime.so

# What is not there is a failure, not a test that does not run.
ENGINES := env TRUNKLINE_REQUIRE_ENGINES=1
comma := ,

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

sim: system ## 10,000 whole calls in virtual time; CALLS=N, FROM=SEED, SEED=N for the log of one; MUTATE=NAME|all breaks a rule, ok if noticed
	$(call say,building the simulator)
	@$(CARGO) test $(CARGO_FLAGS) --quiet --workspace --test sim --no-run
	@$(CARGO) test $(CARGO_FLAGS) --quiet --workspace --test sim -- simulate

bench: system tools ## What a call costs, turns, preemption, barge-in, VAD, retrieval; BIN=FILE measures that binary's calls only
	@if [ -z '$(BIN)' ]; then \
		echo "==> building for release (many minutes the first time)" >&2; \
		$(CARGO) build $(CARGO_FLAGS) --release --bin trunkline --example vendors --example vad_cost --example search_bench; \
	fi
	@python3 tests/bench/density.py --bin '$(or $(BIN),$(RELEASE)/trunkline)' --beyond 25
	@python3 tests/bench/turn_latency.py --bin '$(or $(BIN),$(RELEASE)/trunkline)'
	@python3 tests/bench/preemption.py --bin '$(or $(BIN),$(RELEASE)/trunkline)'
	@python3 tests/bench/barge_in.py --bin '$(or $(BIN),$(RELEASE)/trunkline)'
	@if [ -z '$(BIN)' ]; then \
		echo; $(RELEASE)/examples/vad_cost; \
		echo; $(RELEASE)/examples/search_bench; \
	fi

faults: system ## The fault table: every vendor with every fault, over both carriers; ARGS='--only stt' a part, ARGS='--voice sarvam' another vendor, BIN=FILE that binary
	@if [ -z '$(BIN)' ]; then \
		echo "==> building trunkline (some minutes the first time)" >&2; \
		$(CARGO) build $(CARGO_FLAGS) --bin trunkline; \
	fi
	@python3 tests/bench/faults.py --bin '$(or $(BIN),$(dir $(RELEASE))debug/trunkline)' $(ARGS)

soak: system tools ## Half an hour of calls that come and go: memory, tasks and descriptors stay flat; ARGS='--minutes 5'
	@if [ -z '$(BIN)' ]; then \
		echo "==> building for release (many minutes the first time)" >&2; \
		$(CARGO) build $(CARGO_FLAGS) --release --bin trunkline --example vendors; \
	fi
	@python3 tests/bench/soak.py --bin '$(or $(BIN),$(RELEASE)/trunkline)' $(ARGS)

turns: system tools ## Turn-taking on audio, with Nova and with Flux; BIN=FILE measures that binary, ARGS='--only pauses' a part
	@if [ -z '$(BIN)' ]; then \
		echo "==> building for release (many minutes the first time)" >&2; \
		$(CARGO) build $(CARGO_FLAGS) --release --bin trunkline; \
	fi
	@python3 tests/bench/turns.py --bin '$(or $(BIN),$(RELEASE)/trunkline)' $(ARGS)

fuzz: system ## Any bytes at every reader of outside bytes, SECONDS=60 a target; ARGS=NAME for one, ARGS=--keep adds to the corpus
	@deploy/scripts/setup fuzz
	$(call say,building the fuzz targets (many minutes the first time))
	@python3 tests/fuzz/run.py --seconds '$(SECONDS)' $(ARGS)

test-engines: system tools ## The suites that need another engine than the embedded ones; one that is away is a failure
	@deploy/scripts/setup engines
	@mkdir -p out
	@rm -f out/engines.txt
	$(call say,the speech detector on ONNX Runtime)
	@echo "engine: ONNX Runtime $$(basename "$$(readlink -f "$$TRUNKLINE_ONNXRUNTIME_LIB")" | sed 's/.*\.so\.//')" | tee -a out/engines.txt
	@$(ENGINES) $(CARGO) test $(CARGO_FLAGS) --workspace --lib vad::onnx -- --nocapture | tee -a out/engines.txt
	$(call say,tenants$(comma) agents and numbers on PostgreSQL)
	@$(ENGINES) tests/engines/postgres $(CARGO) test $(CARGO_FLAGS) --workspace --lib --test it postgres | tee -a out/engines.txt
	$(call say,identity on Keycloak)
	@home="$$(deploy/scripts/keycloak)"; $(ENGINES) TRUNKLINE_KEYCLOAK_HOME="$$home" \
		$(CARGO) test $(CARGO_FLAGS) --workspace --lib keycloak_keeps_the_suite -- --nocapture | tee -a out/engines.txt
	@for ran in vad::onnx::tests:: accounts::tests::keycloak_ tests::postgres:: tests::on_postgres:: kills::; do \
		grep -q "^test $$ran.*ok$$" out/engines.txt || { echo "no test of $$ran was run" >&2; exit 1; }; \
	done
	@echo; grep '^engine: ' out/engines.txt; grep '^test result: ' out/engines.txt | awk '{ passed += $$4 } END { print passed " tests passed on them" }'

proto-baseline: tools ## Take the contracts as they are for the baseline of later changes
	@$(BUF) build proto --exclude-source-info -o $(BASELINE)
	$(call say,wrote $(BASELINE))

protoset: tools ## The contracts as one file for `grpcurl -protoset`
	@mkdir -p out
	@$(BUF) build proto -o $(PROTOSET)#format=binpb
	$(call say,wrote $(PROTOSET))

system:
	@deploy/scripts/setup system

tools:
	@deploy/scripts/setup tools
