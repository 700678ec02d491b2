//! What a name in a document may refer to, by its shape: a path, a flag, a metric, a type, a route.

use std::collections::BTreeSet;

use crate::sources::{SOURCES, Source, files, paths, read};

/// Names that look like ours and are not, each with what it is.
const FOREIGN: [(&str, &str); 5] = [
    ("archive_command", "a setting of Postgres"),
    ("last_modified", "what other systems have in place of positions"),
    ("pg_upgrade", "a program of Postgres"),
    ("remote_apply", "a value of a setting of Postgres"),
    ("remote_write", "a value of a setting of Postgres"),
];

/// Endings by which a word is a file name.
const FILE_EXTENSIONS: [&str; 12] =
    ["rs", "sql", "md", "toml", "sh", "json", "svg", "yml", "yaml", "py", "path", "conf"];

/// The sources whose names count: all but those of these checks, which name what is gone to see it caught.
fn sources() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(|source| !source.path.starts_with("services/testkit/tests/tidy/"))
}

/// All names of the repository.
pub(crate) struct Names {
    /// Paths of files and folders below the root.
    paths: BTreeSet<String>,
    /// Identifiers of the Rust sources.
    identifiers: BTreeSet<String>,
    /// Words of string literals, SQL, catalogs, scripts and settings: letters, digits, `_`, `-` and `.`.
    words: BTreeSet<String>,
    /// Paths of the HTTP routes, with `{}` for each parameter.
    routes: BTreeSet<String>,
    make_targets: BTreeSet<String>,
    /// Subcommands and other variants of the command line's types.
    commands: BTreeSet<String>,
}

impl Names {
    pub(crate) fn of_repository() -> Self {
        let mut words = BTreeSet::new();
        let not_rust = ["services", "clients", "load-tests", "schema", "deploy"].into_iter();
        let not_rust = not_rust.flat_map(|folder| ["sql", "toml", "sh", "yml", "yaml"].map(|kind| files(folder, kind)));
        let texts = not_rust.flatten().map(|(_, text)| text).chain(["Makefile", ".ci/run", "Cargo.toml"].map(read));
        for text in texts.chain(sources().flat_map(|source| source.literals.iter().cloned())) {
            words.extend(words_of(&text));
        }
        let openapi: serde_json::Value = serde_json::from_str(&read("schema/openapi.json")).unwrap();
        let documented = openapi["paths"].as_object().unwrap().keys().cloned();
        // An operator's routes are not in the document of the devices' API.
        let mounted = sources().find(|source| source.path == "services/gateway/src/routes/mod.rs").unwrap();
        let mounted = mounted.literals.iter().map(|literal| format!("/admin/v1{}", literal.trim_matches('"')));
        let cli = sources().filter(|source| {
            source.path.starts_with("services/tidelog/src/cli") || source.path.starts_with("load-tests/src")
        });
        let makefile = read("Makefile");
        let targets = makefile.lines().filter_map(|line| line.split_once(':').map(|(target, _)| target.to_owned()));
        let files = paths("").into_iter().flat_map(|path| {
            let folders: Vec<_> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
            folders.into_iter().chain([path])
        });
        Self {
            paths: files.collect(),
            identifiers: sources().flat_map(|source| source.identifiers.iter().cloned()).collect(),
            words,
            routes: documented.chain(mounted).map(|route| without_parameters(&route)).collect(),
            make_targets: targets.collect(),
            commands: cli.flat_map(|source| source.identifiers.iter().cloned()).collect(),
        }
    }

    /// What is wrong with the names in a code span; nothing if it has none.
    pub(crate) fn unknown_in(&self, span: &str) -> Vec<String> {
        if FOREIGN.iter().any(|(foreign, _)| *foreign == span) {
            return Vec::new();
        }
        let words: Vec<&str> = span.split_whitespace().collect();
        let mut faults = match words.as_slice() {
            ["make", targets @ ..] => self.unknown_targets(targets),
            ["tidelog", commands @ ..] => self.unknown_commands(commands),
            ["GET" | "POST" | "PUT" | "DELETE", route] => self.unknown_route(route).into_iter().collect(),
            _ => Vec::new(),
        };
        faults.extend(words.iter().filter_map(|word| self.unknown_word(word)));
        faults
    }

    fn unknown_targets(&self, targets: &[&str]) -> Vec<String> {
        let unknown = targets
            .iter()
            .take_while(|word| is_lower_case(word))
            .filter(|target| !self.make_targets.contains(**target));
        unknown.map(|target| format!("make has no target {target}")).collect()
    }

    fn unknown_commands(&self, commands: &[&str]) -> Vec<String> {
        let unknown = commands
            .iter()
            .take_while(|word| is_lower_case(word))
            .filter(|command| !self.commands.contains(&camel_case(&command.replace('-', "_"))));
        unknown.map(|command| format!("tidelog has no command {command}")).collect()
    }

    fn unknown_route(&self, route: &str) -> Option<String> {
        let path = route.split('?').next().unwrap_or_default();
        let route = without_parameters(path);
        let is_known =
            is_pattern(path) || [&route, &format!("/api/v1{route}")].iter().any(|route| self.routes.contains(*route));
        (!is_known).then(|| format!("there is no route {path}"))
    }

    fn unknown_word(&self, word: &str) -> Option<String> {
        let word = word.trim_matches(|c| matches!(c, ',' | ';' | ':' | '(' | '[' | ']' | '{' | '}' | '"' | '\'' | '|'));
        if is_pattern(word) || FOREIGN.iter().any(|(foreign, _)| *foreign == word) {
            return None;
        }
        let is_known = match shape_of(word)? {
            Shape::Path => self.has_path(word.trim_end_matches('/')),
            Shape::Flag => self.has_flag(word.split('=').next().unwrap_or(word)),
            Shape::Item => self.has_item(word.trim_end_matches("()").trim_end_matches('!')),
            Shape::Word => self.has_word(word),
        };
        (!is_known).then(|| format!("{word} is nowhere in the repository"))
    }

    /// A path from the root, from `services`, or the end of one: `services/core/src/ids.rs`, `core/src/ids.rs`, `ids.rs`.
    /// What is no source may also be the name of a file that a program writes.
    fn has_path(&self, path: &str) -> bool {
        let path = path.trim_start_matches("./");
        let (ending, name) = (format!("/{path}"), path.rsplit('/').next().unwrap_or(path));
        let is_written_by_a_program = !is_source(name) && self.words.contains(name);
        self.paths.contains(path) || is_written_by_a_program || self.paths.iter().any(|known| known.ends_with(&ending))
    }

    /// A flag as a script writes it, or as `clap` makes it of a field's name.
    fn has_flag(&self, flag: &str) -> bool {
        self.words.contains(flag) || self.identifiers.contains(&flag.trim_start_matches('-').replace('-', "_"))
    }

    /// Every part of `Type::method` or `module::function`, in one and the same file.
    fn has_item(&self, item: &str) -> bool {
        let parts: Vec<&str> = item.split("::").collect();
        sources().any(|source| parts.iter().all(|part| source.identifiers.contains(*part)))
    }

    /// An identifier, a word of a string or an SQL statement, or the wire's form of a variant's name.
    fn has_word(&self, word: &str) -> bool {
        let histogram = ["_count", "_sum", "_bucket"].iter().find_map(|suffix| word.strip_suffix(suffix));
        let forms = [Some(word), histogram.filter(|_| word.starts_with("tidelog_"))];
        forms.into_iter().flatten().any(|form| self.identifiers.contains(form) || self.words.contains(form))
            || self.identifiers.contains(&camel_case(word))
    }
}

/// How a word looks; `None` for one that need not be a name of ours.
enum Shape {
    Path,
    Flag,
    /// `Type::item`, `function()`, `name!`
    Item,
    /// `CamelCase`, `snake_case`, `SETTING_NAME`, `tidelog.function`
    Word,
}

fn shape_of(word: &str) -> Option<Shape> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let starts_with_letter = word.starts_with(|c: char| c.is_ascii_alphabetic());
    if word.strip_prefix("--").is_some_and(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase())) {
        return Some(Shape::Flag);
    }
    let has_file_extension = word.rsplit_once('.').is_some_and(|(_, extension)| FILE_EXTENSIONS.contains(&extension));
    let top_folders = ["services", "core", "embedded", "gateway", "postgres", "projector", "testkit", "tidelog"];
    let top_folders = top_folders.into_iter().chain(["clients", "load-tests", "docs", "schema", "deploy", "target"]);
    let is_below_top = word.split_once('/').is_some_and(|(top, _)| top_folders.into_iter().any(|folder| folder == top));
    if is_below_top || (has_file_extension && (starts_with_letter || word.starts_with('.'))) {
        return Some(Shape::Path);
    }
    let item = word.trim_end_matches("()").trim_end_matches('!');
    let is_item =
        (item.contains("::") || item.len() < word.len()) && item.split("::").all(is_name) && starts_with_letter;
    if is_item {
        return Some(Shape::Item);
    }
    let is_sql_name = word.strip_prefix("tidelog.").is_some_and(is_name);
    let has_inner_capital =
        word.chars().zip(word.chars().skip(1)).any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase());
    let is_word = is_name(word) && starts_with_letter && (word.contains('_') || has_inner_capital);
    (is_word || is_sql_name).then_some(Shape::Word)
}

fn is_source(name: &str) -> bool {
    [".rs", ".sql", ".md"].iter().any(|extension| name.ends_with(extension))
}

/// Whether a word has a placeholder in it, so that it names nothing exactly.
fn is_pattern(word: &str) -> bool {
    ["<", ">", "*", "...", "…"].iter().any(|placeholder| word.contains(placeholder))
}

fn is_lower_case(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// Words with their dots and without: `tidelog.log` also has `tidelog` and `log`.
fn words_of(text: &str) -> Vec<String> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let words = text.split(|c| !is_of_word(c)).map(|word| word.trim_end_matches('.'));
    let words = words.flat_map(|word| [word].into_iter().chain(word.split('.')));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn camel_case(snake_case: &str) -> String {
    let parts = snake_case.split('_').map(|part| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    });
    parts.collect()
}

fn without_parameters(route: &str) -> String {
    let parts = route.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
