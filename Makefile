# `make` shows what there is. CARGO_TARGET_DIR is respected everywhere.

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench build

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## A simulated shop, an incident, and what Bellwether makes of it
	@echo "Compiling from nothing takes about five minutes on two cores; after that the demo starts at once."
	cargo run --locked -- demo

# Those that take every core for minutes run after the others, which wait for real servers within seconds.
HEAVY = the_budget_is_kept_and_incidents_are_found fourteen_days_of_two_hundred_series

test: ## All tests, those against real servers among them
	.ci/servers
	cargo test --locked -- $(foreach test,$(HEAVY),--skip $(test))
	cargo test --locked --test it -- $(HEAVY) --test-threads=1

lint: ## Formatting, clippy, protos, licences
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@if command -v buf >/dev/null; then echo buf lint proto; buf lint proto; else echo "buf is not installed: the protos are not linted"; fi
	@if command -v cargo-deny >/dev/null; then echo cargo deny check; cargo deny check; else echo "cargo-deny is not installed: licences are not checked"; fi

bench: ## Criterion, and the same work done by peers, as ratios
	cargo bench --locked
	benches/peers/run

build: ## The release binary
	cargo build --release --locked
