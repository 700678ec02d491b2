//! Starts one Postgres for all tests of a run of cargo-nextest; see `.config/nextest.toml`.

fn main() {
    tidelog_testkit::serve_nextest();
}
