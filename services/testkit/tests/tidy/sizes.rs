//! How large a file, a function, a list of parameters and a folder may be.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::known::{CROWDED_FOLDERS, LONG_FUNCTIONS};
use crate::sources::{SOURCES, Source, paths};
use crate::{assert_caught, assert_none};

/// Lines of a source file at most.
const FILE_LINES_MAX: usize = 500;

/// Lines of a function at most, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Parameters of a function at most, `self` included.
const FUNCTION_PARAMETERS_MAX: usize = 7;

/// Files and folders in a folder at most: what a reader takes in at one look.
const FOLDER_ENTRIES_MAX: usize = 12;

/// What is asked about a function.
pub(crate) struct Function {
    name: String,
    line: usize,
    lines: usize,
    parameters: usize,
}

impl Function {
    /// Every function with a body: free ones, methods, and those inside other functions.
    pub(crate) fn all_of(file: &syn::File) -> Vec<Self> {
        let mut functions = Functions(Vec::new());
        functions.visit_file(file);
        functions.0
    }
}

struct Functions(Vec<Function>);

impl Functions {
    fn take(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        self.0.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: body.brace_token.span.close().end().line - line + 1,
            parameters: signature.inputs.len(),
        });
    }
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.take(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.take(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.take(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn too_large(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{path} has {lines} lines, {FILE_LINES_MAX} is the limit: split it by concept"));
    }
    for Function { name, line, lines, parameters } in &source.functions {
        if *lines > FUNCTION_LINES_MAX && !LONG_FUNCTIONS.contains(&name.as_str()) {
            faults.push(format!("{path}:{line}: {name} has {lines} lines, {FUNCTION_LINES_MAX} is the limit"));
        }
        if *parameters > FUNCTION_PARAMETERS_MAX {
            let limit = FUNCTION_PARAMETERS_MAX;
            faults.push(format!("{path}:{line}: {name} has {parameters} parameters, {limit} is the limit"));
        }
    }
    faults
}

/// Every folder above the limit, from the paths of all files.
fn crowded_folders(paths: &[String], exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut entries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        let mut below = path.as_str();
        while let Some((folder, entry)) = below.rsplit_once('/') {
            entries.entry(folder).or_default().insert(entry);
            below = folder;
        }
    }
    let is_allowed = |folder: &str| exceptions.iter().any(|(allowed, _)| *allowed == folder);
    let crowded =
        entries.into_iter().filter(|(folder, entries)| entries.len() > FOLDER_ENTRIES_MAX && !is_allowed(folder));
    let faults = crowded.map(|(folder, entries)| {
        format!("{folder} has {} entries, {FOLDER_ENTRIES_MAX} is the limit: group them by concept", entries.len())
    });
    faults.collect()
}

#[test]
fn files_and_functions_stay_small() {
    assert_none(&SOURCES.iter().flat_map(too_large).collect::<Vec<_>>());
}

#[test]
fn folders_stay_small() {
    assert_none(&crowded_folders(&["services", "clients", "load-tests"].map(paths).concat(), CROWDED_FOLDERS));
}

#[test]
fn what_is_too_large_is_caught() {
    let faults = |text: &str| too_large(&Source::parse("a.rs", text));
    let body =
        |lines: usize| format!("/// A comment\n/// of two lines.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines));
    assert_none(&faults(&body(68)));
    assert_caught(&faults(&body(69)), &["a.rs:3: f has 71 lines"]);
    let method = format!("impl T {{\n{}}}\ntrait U {{\n{}}}\n", body(69), body(69));
    assert_caught(&faults(&method), &["a.rs:4: f has 71 lines", "a.rs:79: f has 71 lines"]);
    assert_none(&faults("fn f(a: A, b: A, c: A, d: A, e: A, f: A, g: A) {}"));
    assert_caught(&faults("impl T { fn f(&self, b: A, c: A, d: A, e: A, f: A, g: A, h: A) {} }"), &["8 parameters"]);
    assert_none(&faults(&"\n".repeat(500)));
    assert_caught(&faults(&"\n".repeat(501)), &["a.rs has 501 lines"]);
}

#[test]
fn a_crowded_folder_is_caught() {
    let files = |count: usize| (0..count).map(|number| format!("services/a/src/{number}.rs")).collect::<Vec<_>>();
    assert_none(&crowded_folders(&files(12), &[]));
    assert_caught(&crowded_folders(&files(13), &[]), &["services/a/src has 13 entries"]);
    let folders: Vec<_> = (0..13).map(|number| format!("services/a/src/{number}/mod.rs")).collect();
    assert_caught(&crowded_folders(&folders, &[]), &["services/a/src has 13 entries"]);
    assert_none(&crowded_folders(&folders, &[("services/a/src", "a test")]));
}
