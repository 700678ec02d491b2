//! Random catalogs, with every combination of rule, merge, clock, granularity and `on_delete`.

use rand::RngExt;
use rand::rngs::StdRng;

use super::heavy::Weight;

/// The roles of every catalog, in its order.
pub(super) const ROLES: [&str; 3] = ["manager", "clerk", "guest"];

/// The tables that a catalog may have.
pub(super) const TABLES: [&str; 2] = ["notes", "tasks"];

/// The fields that ops give. `a` has the table's rule, `b` and `c` may have their own rules, and `n` and `u` may merge.
pub(super) const FIELDS: [&str; 5] = ["a", "b", "c", "n", "u"];

const RULES: [&str; 8] = [
    "rule = \"last_write_wins\"",
    "rule = \"last_write_wins\"\nclock = \"device\"",
    "rule = \"first_write_wins\"",
    "rule = \"role_priority\"",
    "rule = \"role_priority\"\nroles = [\"guest\", \"manager\"]",
    "rule = \"manual\"",
    "rule = \"custom\"\nname = \"larger\"",
    "rule = \"custom\"\nname = \"asks\"",
];

/// A catalog as TOML, of all tables or sometimes of one alone.
pub(super) fn random_catalog(random: &mut StdRng, weight: Weight) -> String {
    let skew = [0, 60, 60, 600][random.random_range(0..4)];
    let mut text = format!("roles = {ROLES:?}\nclock_skew_s = {skew}\n");
    let lacks = random.random_ratio(1, 6).then(|| TABLES[random.random_range(0..TABLES.len())]);
    for table in TABLES.into_iter().filter(|table| Some(*table) != lacks) {
        let granularity = ["field", "field", "record"][random.random_range(0..3)];
        let on_delete = weight.on_delete(random);
        let retention = ["1h", "1h", "90d", "forever"][random.random_range(0..4)];
        text += &format!("[tables.{table}]\n{}\ngranularity = \"{granularity}\"\n", rule(random));
        text += &format!("on_delete = \"{on_delete}\"\nretention = \"{retention}\"\n");
        for field in ["b", "c"] {
            if random.random_ratio(2, 3) {
                text += &format!("[tables.{table}.fields.{field}]\n{}\n", rule(random));
            }
        }
        for (field, merge) in [("n", "sum"), ("u", "union")] {
            let resolution = match random.random_range(0..8) {
                0 => rule(random).to_owned(),
                1 => "merge = \"union\"".to_owned(),
                _ => format!("merge = \"{merge}\""),
            };
            text += &format!("[tables.{table}.fields.{field}]\n{resolution}\n");
        }
    }
    text
}

fn rule(random: &mut StdRng) -> &'static str {
    RULES[random.random_range(0..RULES.len())]
}
