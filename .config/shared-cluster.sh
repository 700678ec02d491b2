#!/bin/sh
# Setup script of nextest.toml: starts one Postgres for all tests of a run. Without the example, which only a run of the whole
# workspace builds, each test starts a Postgres of its own.
example="${CARGO_TARGET_DIR:-target}/debug/examples/shared_cluster"
if [ -x "$example" ]; then
	exec "$example"
fi
echo "there is no $example: each test starts its own Postgres" >&2
