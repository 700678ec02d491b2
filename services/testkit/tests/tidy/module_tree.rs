//! The modules of one crate, and which file a path in one of them leads to.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::sources::Source;

/// What a module has in its scope and names. Code that only tests compile is left out.
#[derive(Debug, Default)]
pub(crate) struct ModuleBody {
    /// Names of the inline modules around it, outermost first; empty for the file's own module.
    inline: Vec<String>,
    uses: Vec<Use>,
    /// Every path that is written in types, expressions, patterns and macros.
    paths: Vec<Vec<String>>,
}

/// One name that a `use` declaration brings into scope.
#[derive(Debug)]
struct Use {
    path: Vec<String>,
    /// The name in this module; `*` for a glob.
    name: String,
}

impl ModuleBody {
    pub(crate) fn all_of(file: &syn::File) -> Vec<Self> {
        let mut collector = Collector { open: vec![Self::default()], done: Vec::new() };
        collector.visit_file(file);
        collector.done.extend(collector.open);
        collector.done
    }
}

/// Walks a file and fills the body of the module that it is in.
struct Collector {
    /// The file's own module, and the inline ones that the walk is in.
    open: Vec<ModuleBody>,
    done: Vec<ModuleBody>,
}

impl Collector {
    fn body(&mut self) -> &mut ModuleBody {
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn take_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (path, name) = match tree {
            syn::UseTree::Path(path) => return self.take_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.take_tree(tree, before));
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                (before.to_vec(), before.last().cloned().unwrap_or_default())
            }
            syn::UseTree::Name(name) => (with(&name.ident), name.ident.to_string()),
            syn::UseTree::Rename(rename) => (with(&rename.ident), rename.rename.to_string()),
            syn::UseTree::Glob(_) => (before.to_vec(), "*".to_owned()),
        };
        self.body().uses.push(Use { path, name });
    }

    /// Takes the paths in the arguments of a macro, which are tokens and nothing more to the parser.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(identifier) => {
                    if colons != 2 {
                        self.body().paths.push(std::mem::take(&mut path));
                    }
                    path.push(identifier.to_string());
                    colons = 0;
                }
                TokenTree::Punct(colon) if colon.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.take_tokens(group.stream());
                    colons = 0;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
            }
        }
        self.body().paths.push(path);
    }
}

impl Visit<'_> for Collector {
    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        if module.content.is_none() || is_for_tests(&module.attrs) {
            return;
        }
        let inline = [self.body().inline.clone(), vec![module.ident.to_string()]].concat();
        self.open.push(ModuleBody { inline, ..ModuleBody::default() });
        visit::visit_item_mod(self, module);
        self.done.extend(self.open.pop());
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.take_tree(&item.tree, &[]);
        }
    }

    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.body().paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &syn::Macro) {
        self.take_tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let is_test = |meta: &syn::MetaList| meta.path.is_ident("cfg") && meta.tokens.to_string() == "test";
    attributes.iter().any(|attribute| attribute.meta.require_list().is_ok_and(is_test))
}

/// A file that depends on another file of its crate, and the path by which it does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) path: String,
    /// The path ends at a module, not at something that the module's file defines.
    pub(crate) is_of_module: bool,
}

/// All modules of a crate, by the names that lead to them.
pub(crate) struct ModuleTree<'a> {
    modules: BTreeMap<Vec<String>, (&'a str, &'a ModuleBody)>,
}

/// What a path names.
enum Named {
    Module(Vec<String>),
    /// Something that this file defines, or has imported from another crate.
    Item(String),
}

/// Renames that lead to each other end after so many steps; real ones take a few.
const RENAMES_MAX: usize = 16;

impl<'a> ModuleTree<'a> {
    /// `src` is the crate's source folder, like `services/core/src`. Its root is `lib.rs`, or else `main.rs`.
    pub(crate) fn of(sources: &'a [Source], src: &str) -> Self {
        let folder = format!("{src}/");
        let mut modules = BTreeMap::new();
        for source in sources {
            let Some(below) = source.path.strip_prefix(&folder).and_then(|below| below.strip_suffix(".rs")) else {
                continue;
            };
            let mut names: Vec<String> = below.split('/').map(str::to_owned).collect();
            match names.last().map(String::as_str) {
                Some("main")
                    if names.len() == 1 && sources.iter().any(|source| source.path == format!("{src}/lib.rs")) =>
                {
                    continue;
                }
                Some("lib" | "main") if names.len() == 1 => names.clear(),
                Some("mod") => drop(names.pop()),
                _ => {}
            }
            for body in &source.modules {
                modules.insert([names.as_slice(), &body.inline].concat(), (source.path.as_str(), body));
            }
        }
        Self { modules }
    }

    /// Every import between two files. A name that a module re-exports is imported from the file that defines it.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (module, (file, body)) in &self.modules {
            for path in body.uses.iter().map(|used| &used.path).chain(&body.paths) {
                let (to, is_of_module) = match self.resolve(module, path, RENAMES_MAX) {
                    Some(Named::Item(to)) => (to, false),
                    Some(Named::Module(to)) => (self.modules[&to].0.to_owned(), true),
                    None => continue,
                };
                if to != *file {
                    imports.push(Import { from: (*file).to_owned(), to, path: path.join("::"), is_of_module });
                }
            }
        }
        imports.sort();
        imports.dedup();
        imports
    }

    /// What a path names that is written in `module`; `None` if it is in another crate or local to a function.
    fn resolve(&self, module: &[String], path: &[String], renames_left: usize) -> Option<Named> {
        let renames_left = renames_left.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            _ => match self.step(module, first, renames_left)?? {
                Named::Module(module) => module,
                item @ Named::Item(_) => return Some(item),
            },
        };
        while let Some((name, after)) = rest.split_first() {
            rest = after;
            if name == "super" {
                at.pop()?;
                continue;
            }
            match self.step(&at, name, renames_left) {
                Some(Some(Named::Module(module))) => at = module,
                Some(Some(item)) => return Some(item),
                // What comes from another crate by way of this module, or is defined in it.
                Some(None) | None => return Some(Named::Item(self.modules.get(&at)?.0.to_owned())),
            }
        }
        self.modules.contains_key(&at).then_some(Named::Module(at))
    }

    /// What a name in the scope of a module is: `None` if no module and no `use` has it, `Some(None)` if it is another crate's.
    fn step(&self, module: &[String], name: &String, renames_left: usize) -> Option<Option<Named>> {
        let child = [module, std::slice::from_ref(name)].concat();
        if self.modules.contains_key(&child) {
            return Some(Some(Named::Module(child)));
        }
        let (_, body) = self.modules.get(module)?;
        let used = body.uses.iter().find(|used| used.name == *name)?;
        Some(self.resolve(module, &used.path, renames_left))
    }
}
