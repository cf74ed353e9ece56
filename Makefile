# Everything that a person does with Wegweiser from a clone. `make help` lists it.
#
# Targets that talk to servers use the local stack (`make up`) unless the caller names others:
# NATS_URL with NATS_CREDS, DATABASE_URL, METRICS_REDIS_HOST with METRICS_REDIS_PORT.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Two compilers at a time fit into 4 GB of memory; a bigger machine may say more.
CARGO_BUILD_JOBS ?= 2
export CARGO_BUILD_JOBS

# How long `make demo` runs: until Ctrl-C, or for instance 60s.
DEMO_FOR ?=
PROGRAMS := target/release
DEVSTACK := $(PROGRAMS)/devstack
WEGWEISER := $(PROGRAMS)/wegweiser
# The local stack's addresses, where the caller has not set others.
LOCAL := if [ -f .stack/env ]; then . ./.stack/env; fi;

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(or $(shell command -v cargo-deny),.stack/cargo/bin/cargo-deny)
ADVISORIES := https://github.com/RustSec/advisory-db

##@ Run it

# Built when something has changed, and quick to say so when nothing has. The page first: it becomes
# a part of wegweiser-web.
.PHONY: programs
programs: page
	cargo build --release --locked --workspace --bins

# What it is built with is installed into `.stack/` where the machine lacks it.
.PHONY: page
page: ## Build the page that wegweiser-web serves; installs Node.js into .stack where there is none
	cargo build --release --locked --workspace --bin devstack
	$(DEVSTACK) page

.PHONY: demo
demo: programs ## Everything at once with live data, until Ctrl-C (DEMO_FOR=60s: check the data and exit)
	$(DEVSTACK) demo $(if $(DEMO_FOR),--for $(DEMO_FOR))

.PHONY: demo-outage
demo-outage: programs ## The demo with Postgres stopped and a receiver killed: watch it wait, recover and lose nothing
	$(DEVSTACK) outage

.PHONY: up
up: programs ## Start NATS, Redis and Postgres in the background
	$(DEVSTACK) up --wegweiser

.PHONY: down
down: programs ## Stop what `make up` has started
	$(DEVSTACK) down

.PHONY: clean
clean: programs ## Stop the local stack and remove its data, keys and logs
	$(DEVSTACK) clean

##@ Operate it

.PHONY: migrate
migrate: programs ## Bring the database's tables up to date
	$(LOCAL) $(WEGWEISER) migrate

.PHONY: accounts
accounts: programs ## Apply the accounts in nats/accounts to the broker
	$(LOCAL) $(WEGWEISER) accounts apply

.PHONY: accounts-plan
accounts-plan: programs ## Show how the broker's accounts differ from nats/accounts (exit 2: they do)
	$(LOCAL) $(WEGWEISER) accounts plan

.PHONY: streams
streams: programs ## Apply the streams in nats/streams to the broker
	$(LOCAL) $(WEGWEISER) streams apply

.PHONY: streams-plan
streams-plan: programs ## Show how the broker's streams differ from nats/streams (exit 2: they do)
	$(LOCAL) $(WEGWEISER) streams plan

##@ Change it

# The programs too: tests start them. Missing servers are installed once, visibly. Packages are
# always chosen with `--workspace`: a part alone has other features, and all would be built again.
.PHONY: test
test: ## All tests, against real servers that they start themselves
	cargo build --locked --workspace --bins --tests
	target/debug/devstack tools
	target/debug/devstack page
	cargo test --locked --workspace

.PHONY: check
check: ## Format, lints, documentation, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	@$(MAKE) --no-print-directory check-dependencies

# Advisories need their database, which lives on GitHub; without a way there that is said, and the
# rest still holds.
.PHONY: check-dependencies
check-dependencies: $(CARGO_DENY)
	$(CARGO_DENY) --locked check --hide-inclusion-graph bans licenses sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code $(ADVISORIES) HEAD >/dev/null 2>&1; then \
	    $(CARGO_DENY) --locked check advisories; \
	else \
	    echo "NOT CHECKED: security advisories (no way to $(ADVISORIES))"; \
	fi

# Optimised for being built once (minutes) rather than for running (a second either way).
.stack/cargo/bin/cargo-deny:
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	    cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root .stack/cargo

.PHONY: docs-config
docs-config: ## Write docs/configuration.md from what the programs say of their settings
	cargo build --locked --workspace --bins
	sh docs/configuration.sh target/debug > docs/configuration.md

.PHONY: page-pictures
page-pictures: ## Take the pictures of docs/images anew, out of the tests that look at every page
	cargo build --locked --workspace --bins
	target/debug/devstack page
	WEGWEISER_PICTURES_DIR=$(CURDIR)/docs/images cargo test --locked --workspace --test stories browser::

.PHONY: bench
bench: programs ## Measure the pipeline beside its floors and peers on this machine (BENCH_RUNS=5 BENCH_LEGS=pipeline,peers)
	$(PROGRAMS)/bench

.PHONY: chaos
chaos: programs ## Break what can break and account for every message (CHAOS_SCALE=10 CHAOS_ONLY=poison,shares)
	$(PROGRAMS)/chaos

# How long `make fuzz` tries.
FUZZ_SECONDS ?= 60
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(or $(shell command -v cargo-fuzz),.stack/cargo/bin/cargo-fuzz)

.PHONY: fuzz
fuzz: $(CARGO_FUZZ) ## Look for input that the decoder does not survive (FUZZ_SECONDS=600)
	fuzz/run $(CARGO_FUZZ) $(FUZZ_SECONDS)

.stack/cargo/bin/cargo-fuzz:
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	    cargo install cargo-fuzz --locked --version $(CARGO_FUZZ_VERSION) --root .stack/cargo

##@ Find out

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
