# What people and CI call; `make help` lists the targets. Needed are cargo, a C compiler and make; `make postgres` finds or
# installs Postgres.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test test-api test-quick check deny postgres browser api-tools demo bench bench-quick bench-growth bench-rebuild bench-overload bench-build soak-rules soak-clients schema clean-data cargo

LISTEN ?= 127.0.0.1:8080
DATA_DIR ?= ./data

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-13s %s\n", $$1, $$2 }'

run: cargo postgres ## a server with demo data on LISTEN (127.0.0.1:8080), its Postgres and all data in DATA_DIR (./data)
	cargo run --release --locked --bin tidelog -- serve --demo --data-dir "$(DATA_DIR)" --listen $(LISTEN)

# Of all targets, so with the examples in the documentation of the crates (doctests).
test: cargo postgres browser api-tools ## all tests, on a Postgres of their own, and the wasm32 builds of core and the client engine
	cargo test --workspace --locked
	cargo test -p tidelog-core --no-default-features --test client --locked
	rustup target list --installed | grep -qx wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
	cargo build -p tidelog-core --target wasm32-unknown-unknown --locked
	cargo build -p tidelog-core -p tidelog-engine --target wasm32-unknown-unknown --no-default-features --locked

test-api: cargo postgres api-tools ## schema/openapi.json by a validator, and by schemathesis against a server
	cargo test -p tidelog --test openapi --locked -- --nocapture

test-quick: cargo postgres ## the tests that a change breaks most often; needs cargo-nextest
	@cargo nextest --version >/dev/null 2>&1 || { echo "make: install cargo-nextest by https://nexte.st, or use make test" >&2; exit 1; }
	cargo nextest run --workspace --locked --profile quick

check: cargo ## formatting, lints and the documentation of the crates, as CI has them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p tidelog-core --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny: cargo ## licences and advisories of the dependencies; needs cargo-deny
	cargo deny --locked check

postgres: ## finds the Postgres programs to embed, or installs them
	@deploy/postgres.sh

browser: ## finds Chromium, for the test of a web page, or installs it
	@deploy/browser.sh

api-tools: ## installs schemathesis, for the tests of schema/openapi.json, under target
	@deploy/api_tools.sh

demo: cargo postgres ## replay the git history of this repository against a server, and compare the result with git
	cargo build --release --locked --bin tidelog
	cargo run --release --locked -p tidelog-load -- demo .

bench: bench-build ## measure a server beside the Postgres under it, in about 15 minutes; results in target/bench
	cargo run --release --locked -p tidelog-load -- bench

bench-quick: bench-build ## take a first look at the same figures, within a minute
	cargo run --release --locked -p tidelog-load -- bench --quick

bench-growth: bench-build ## measure a log of 10,000,000 events; it takes minutes to fill and 10 GB of disk
	cargo run --release --locked -p tidelog-load -- bench --growth

bench-rebuild: bench-build ## measure rebuilds of 1,000,000 events, alone and while devices push; takes 6 minutes
	cargo run --release --locked -p tidelog-load -- bench --scenarios rebuild

bench-overload: bench-build ## measure what other devices notice while a server is overloaded or attacked; takes 4 minutes
	cargo run --release --locked -p tidelog-load -- bench --out target/bench-overload \
		--scenarios overload-3x,overload-devices,overload-token,overload-waits,overload-bodies,overload-spaces

bench-build: cargo postgres
	cargo build --release --locked --bin tidelog --bin tidelog-load

SEEDS ?= 100000

soak-clients: cargo ## the client engine in SEEDS (100,000) simulated worlds, with every fault of the field
	TIDELOG_SIM_SEEDS=$(SEEDS) cargo test --release --locked -p tidelog-sim --test seeds -- --nocapture

soak-rules: cargo postgres ## the rules over SEEDS (100,000) random logs, then rebuilds of a thousandth as many long ones
	TIDELOG_SOAK_SEEDS=$(SEEDS) cargo test --release --locked -p tidelog-testkit --test rules -- --nocapture
	TIDELOG_SOAK_SEEDS=$$(( ($(SEEDS) + 999) / 1000 )) TIDELOG_SOAK_EVENTS=10000 \
		cargo test --release --locked -p tidelog-projector --test projector -- --nocapture a_log_rebuilt

# Through another file, so that a build that fails leaves the old one.
schema: cargo ## writes schema/openapi.json from the code
	cargo run --locked -p tidelog -- openapi > schema/openapi.json.new && mv schema/openapi.json.new schema/openapi.json

clean-data: ## removes DATA_DIR (./data), with everything a stopped server keeps there
	rm -rf -- "$(DATA_DIR)"

cargo:
	@command -v cargo >/dev/null || { echo "make: cargo is not here: install Rust by https://rustup.rs" >&2; exit 1; }
