//! Which file imports which: no circles, and no way from the domain to its wire format.

use std::collections::{BTreeMap, BTreeSet};

use crate::known::KNOWN_CIRCLES;
use crate::module_tree::{Import, ModuleTree};
use crate::sources::{SOURCES, Source};
use crate::{assert_caught, assert_none};

/// The source folders of all crates.
const CRATES: [&str; 10] = [
    "clients/engine/src",
    "clients/sim/src",
    "services/core/src",
    "services/embedded/src",
    "services/gateway/src",
    "services/postgres/src",
    "services/projector/src",
    "services/testkit/src",
    "services/tidelog/src",
    "load-tests/src",
];

/// Folders of core that define what is stored and how it is folded. How it looks on the wire may change without them.
const DOMAIN: [&str; 5] = ["fold", "catalog", "value", "log", "msgpack"];

/// The groups of files that all import each other in the end, with the imports between them.
///
/// A module's use of the modules below it is left out. They are parts of it, and a part may use what the whole defines.
fn circles(imports: &[Import]) -> Vec<(BTreeSet<&str>, Vec<&Import>)> {
    let imports = imports.iter().filter(|import| !import.is_of_module && !is_below(&import.to, &import.from));
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports.clone() {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reached_from(file, &next))).collect();
    let mut circles: BTreeMap<BTreeSet<&str>, Vec<&Import>> = BTreeMap::new();
    for file in reached.keys() {
        let is_with = |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(file));
        let circle: BTreeSet<&str> = reached[file].iter().filter(is_with).copied().collect();
        if !circle.is_empty() {
            let is_within = |import: &&Import| circle.contains(&*import.from) && circle.contains(&*import.to);
            let within = imports.clone().filter(is_within).collect();
            circles.insert(circle, within);
        }
    }
    circles.into_iter().collect()
}

/// Whether a file's module is below another file's: `a/x.rs` is below `a.rs` and `a/mod.rs`, and all are below `lib.rs`.
fn is_below(file: &str, above: &str) -> bool {
    let of_folder = ["/mod.rs", "/lib.rs", "/main.rs"].iter().find_map(|name| above.strip_suffix(name));
    let folder = of_folder.or_else(|| above.strip_suffix(".rs")).unwrap_or(above);
    file.strip_prefix(folder).is_some_and(|below| below.starts_with('/'))
}

fn reached_from<'a>(file: &'a str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left = vec![file];
    while let Some(file) = left.pop() {
        left.extend(next.get(file).into_iter().flatten().filter(|to| reached.insert(**to)));
    }
    reached
}

/// Every circle that is not part of a known one.
fn unknown_circles(sources: &[Source], src: &str, known: &[&[&str]]) -> Vec<String> {
    let imports = ModuleTree::of(sources, src).imports();
    let is_known = |files: &BTreeSet<&str>| known.iter().any(|known| files.iter().all(|file| known.contains(file)));
    let unknown = circles(&imports).into_iter().filter(|(files, _)| !is_known(files)).map(|(_, imports)| {
        let lines =
            imports.iter().map(|import| format!("    {} imports {} of {}", import.from, import.path, import.to));
        format!("a circle of imports in {src}:\n{}", lines.collect::<Vec<_>>().join("\n"))
    });
    unknown.collect()
}

/// Every import of core's wire format by the domain.
fn imports_of_wire(sources: &[Source]) -> Vec<String> {
    let is_domain = |file: &str| DOMAIN.iter().any(|folder| file.starts_with(&format!("services/core/src/{folder}/")));
    let imports = ModuleTree::of(sources, "services/core/src").imports().into_iter();
    let faults = imports.filter(|import| is_domain(&import.from) && import.to.starts_with("services/core/src/wire/"));
    faults.map(|import| format!("{} imports {} of {}", import.from, import.path, import.to)).collect()
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let listed: Vec<_> = SOURCES.iter().filter_map(|source| Some(source.path.split_once("/src/")?.0)).collect();
    for src in listed {
        assert!(CRATES.contains(&&*format!("{src}/src")), "list {src}/src above");
    }
    let faults: Vec<_> = CRATES.iter().flat_map(|src| unknown_circles(&SOURCES, src, KNOWN_CIRCLES)).collect();
    assert_none(&faults);
}

#[test]
fn the_domain_does_not_know_its_wire_format() {
    for folder in DOMAIN {
        let folder = format!("services/core/src/{folder}/");
        assert!(SOURCES.iter().any(|source| source.path.starts_with(&folder)), "{folder} is gone");
    }
    assert_none(&imports_of_wire(&SOURCES));
}

fn fixture(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::parse(&format!("services/core/src/{path}"), text)).collect()
}

fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    unknown_circles(&fixture(files), "services/core/src", &[])
}

#[test]
fn circles_are_caught_by_whatever_path_they_go() {
    let root = ("lib.rs", "mod a; mod b;");
    let by_use = [root, ("a.rs", "use crate::b::B; pub struct A(B);"), ("b.rs", "use super::a::A; pub struct B(A);")];
    assert_caught(&circles_of(&by_use), &["services/core/src/a.rs imports crate::b::B of services/core/src/b.rs"]);
    let by_path = [root, ("a.rs", "pub struct A(crate::b::B);"), ("b.rs", "use crate::a; pub struct B(a::A);")];
    assert_caught(&circles_of(&by_path), &["b.rs imports a::A of services/core/src/a.rs"]);
    let in_a_macro = [root, ("a.rs", "fn a() { vec![crate::b::b()] }"), ("b.rs", "fn b() { crate::a::a() }")];
    assert_caught(&circles_of(&in_a_macro), &["a.rs imports crate::b::b of"]);
    let of_three = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "use crate::a::A;"),
    ];
    assert_caught(&circles_of(&of_three), &["c.rs imports crate::a::A of"]);
}

#[test]
fn a_name_by_way_of_a_reexport_is_an_import_of_the_file_that_defines_it() {
    let root = ("lib.rs", "mod a;");
    let parent = "mod x; mod y; pub use x::X; pub(super) use y::Y;";
    let siblings = [root, ("a/mod.rs", parent), ("a/x.rs", "pub struct X;"), ("a/y.rs", "pub struct Y(super::X);")];
    assert_none(&circles_of(&siblings));
    let circle =
        [root, ("a/mod.rs", parent), ("a/x.rs", "pub struct X(super::Y);"), ("a/y.rs", "pub struct Y(super::X);")];
    assert_caught(&circles_of(&circle), &["a/x.rs imports super::Y of services/core/src/a/y.rs"]);
}

#[test]
fn a_module_may_use_what_is_below_it() {
    let files = [
        ("lib.rs", "mod a; use a::A; pub struct Root(A);"),
        ("a.rs", "mod x; use x::X; use crate::Root; pub struct A(X, Root);"),
        ("a/x.rs", "use super::A; pub struct X(A, crate::Root);"),
    ];
    assert_none(&circles_of(&files));
}

#[test]
fn a_known_circle_covers_no_other_file() {
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
    let known: &[&str] = &["services/core/src/a.rs", "services/core/src/b.rs"];
    assert_none(&unknown_circles(&fixture(&files), "services/core/src", &[known]));
    assert_caught(&unknown_circles(&fixture(&files), "services/core/src", &[&known[1..]]), &["a circle"]);
}

#[test]
fn an_import_of_the_wire_format_is_caught() {
    let sources = fixture(&[
        ("lib.rs", "pub mod fold; pub mod wire; pub mod judge;"),
        ("fold/mod.rs", "use crate::wire; fn f() -> wire::View { wire::View }"),
        ("judge.rs", "use crate::wire::View;"),
        ("wire/mod.rs", "pub struct View;"),
    ]);
    assert_caught(&imports_of_wire(&sources), &["imports crate::wire of", "imports wire::View of"]);
}
