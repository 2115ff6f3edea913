# Recipes for building, testing and trying `host`. `just --list` shows them.

set shell := ["bash", "-euo", "pipefail", "-c"]

connectors := "http-sink http-source mqtt-sink mqtt-source test-source"
smartmodules := "json-filter json-project json-array-split"
test_components := "echo-sink echo-transform misbehave"
test_smartmodules := `cd tests/smartmodules && echo *`
target := env("CARGO_TARGET_DIR", justfile_directory() / "target")

# show the recipes
default:
    @just --list --unsorted

# install what is missing on this machine
setup:
    @command -v rustup > /dev/null || { echo "install rustup first: it brings the Rust toolchain that rust-toolchain.toml names"; exit 1; }
    @command -v cc > /dev/null || { echo "install a C compiler first (Debian: apt-get install build-essential)"; exit 1; }
    rustup target add wasm32-wasip2 wasm32-unknown-unknown > /dev/null 2>&1 || rustup toolchain install
    @just _mosquitto

# the MQTT broker of the tests, from the system's packages where that can be done without asking
_mosquitto:
    @PATH="$PATH:/usr/sbin:/usr/local/sbin"; \
    if command -v mosquitto > /dev/null && command -v mosquitto_sub > /dev/null; then exit 0; fi; \
    root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }; \
    if command -v apt-get > /dev/null; then \
        { root apt-get update -qq && root apt-get install -y -qq --no-install-recommends mosquitto mosquitto-clients; } > /dev/null 2>&1; \
    elif command -v dnf > /dev/null; then root dnf install -y -q mosquitto > /dev/null 2>&1; \
    elif command -v brew > /dev/null; then brew install -q mosquitto > /dev/null 2>&1; fi \
    || echo "the MQTT tests need Eclipse Mosquitto, which could not be installed; install the packages mosquitto and mosquitto-clients"

# everything in release form: target/release/host, target/connectors, target/smartmodules
build: setup guests
    cargo build --release -p host

# connectors and SmartModules, for their own targets
guests: setup
    cargo build --profile guest --target wasm32-wasip2 {{ prepend("-p ", connectors + " " + test_components) }}
    cargo build --profile guest --target wasm32-unknown-unknown {{ prepend("-p ", smartmodules + " " + test_smartmodules) }}
    @just _install connectors wasm32-wasip2 {{ connectors }}
    @just _install test-components wasm32-wasip2 {{ test_components }}
    @just _install smartmodules wasm32-unknown-unknown {{ smartmodules }} {{ test_smartmodules }}

# copy built modules under their own names, and only when they changed
_install folder triple +names:
    @mkdir -p {{ target }}/{{ folder }}
    @for name in {{ names }}; do \
        from={{ target }}/{{ triple }}/guest/${name//-/_}.wasm; to={{ target }}/{{ folder }}/$name.wasm; \
        cmp -s "$from" "$to" || cp "$from" "$to"; \
    done

# every test: unit, property, differential, end to end, examples in the documentation
test: guests
    # binaries and tests in one build: apart, they would differ in features, and everything would be built twice
    cargo build --bins --tests
    cargo test --doc --quiet
    just _run_tests

_run_tests:
    if command -v cargo-nextest > /dev/null; then cargo nextest run --no-fail-fast; else cargo test --no-fail-fast --lib --bins --tests; fi

# the end-to-end tests that take minutes: a million records, 20 kills
test-long: guests
    cargo build --bins --tests
    cargo test --test long --test suite -- --ignored --nocapture --test-threads 1

# any published SmartModule against the reference engine: `just test-smartmodules DIR`
test-smartmodules dir:
    HOST_SMARTMODULES={{ absolute_path(dir) }} cargo test -p host-smartmodule --test suite foreign -- --nocapture

# formatting and lints
lint: setup
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --profile guest --target wasm32-wasip2 {{ prepend("-p ", connectors + " connector-sdk") }} -- -D warnings
    cargo clippy --profile guest --target wasm32-unknown-unknown {{ prepend("-p ", smartmodules) }} -- -D warnings

# pages that are generated from the code
docs: guests
    cargo build --bins --tests
    {{ target }}/debug/host reference configuration > docs/configuration.md
    {{ target }}/debug/host reference connectors > docs/connectors.md
    { printf '# SmartModules\n\nGenerated from the modules'"'"' own documentation by `just docs`; do not edit.\n'; \
      for name in {{ smartmodules }}; do printf '\n'; awk '/^\/\/!/ {sub(/^\/\/! ?/, ""); print; next} {exit}' smartmodules/$name/src/lib.rs | sed '1s/^/## /'; done; } > docs/smartmodules.md

# time zones over HTTP, split, filtered and shaped into a topic: no cluster needed
demo: setup guests
    # the same build as that of the tests: another selection of packages would compile everything again
    cargo build --bins --tests
    bash tests/demo/run.sh {{ target }}
