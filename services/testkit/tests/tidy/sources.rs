//! The repository's files, and its Rust sources parsed once for all checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};

use crate::module_tree::ModuleBody;
use crate::sizes::Function;

/// Every Rust source of services, clients and load-tests, tests and benches included, by path.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let below = ["services", "clients", "load-tests"].into_iter().flat_map(|folder| files(folder, "rs"));
    below.map(|(path, text)| Source::parse(&path, &text)).collect()
});

/// A Rust source file, and what the checks ask about it. It is plain data, since what `syn` returns stays in its thread.
pub(crate) struct Source {
    /// The path below the repository's root.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) functions: Vec<Function>,
    /// The file's own module, and the inline modules in it.
    pub(crate) modules: Vec<ModuleBody>,
    /// Every identifier, also those in the arguments of macros.
    pub(crate) identifiers: BTreeSet<String>,
    /// Every literal but those of doc comments, as it is written.
    pub(crate) literals: Vec<String>,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            functions: Function::all_of(&file),
            modules: ModuleBody::all_of(&file),
            identifiers: BTreeSet::new(),
            literals: Vec::new(),
        };
        source.take_words(text.parse().unwrap());
        source
    }

    fn take_words(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(identifier) => drop(self.identifiers.insert(identifier.to_string())),
                TokenTree::Literal(literal) => self.literals.push(literal.to_string()),
                TokenTree::Group(group) if is_doc_comment(&group.stream()) => {}
                TokenTree::Group(group) => self.take_words(group.stream()),
                TokenTree::Punct(_) => {}
            }
        }
    }
}

/// Whether these are the tokens in the brackets of `#[doc = "..."]`, which is what a doc comment is to the tokenizer.
fn is_doc_comment(tokens: &TokenStream) -> bool {
    matches!(tokens.clone().into_iter().next(), Some(TokenTree::Ident(first)) if first == "doc")
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Path below the root and text of every file below a folder whose name ends in `.extension`, by path.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let suffix = format!(".{extension}");
    let named = paths(folder).into_iter().filter(|path| path.ends_with(&suffix));
    named.map(|path| (path.clone(), read(&path))).collect()
}

/// The text of a file, by its path below the root.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths below the root of every file below a folder, in order. Build results and hidden folders are left out.
pub(crate) fn paths(folder: &str) -> Vec<String> {
    let root = root();
    let mut left = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        let name = path.file_name().unwrap().to_string_lossy();
        if !path.is_dir() {
            found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
        } else if path == root.join(folder) || !(name == "target" || name == "data" || name == ".git") {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}
