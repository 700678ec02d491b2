//! The configuration file: options by their names, in TOML. The command line and environment variables override it.

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use toml::{Table, Value};

/// The command whose own options the file may have, beside the options of every command.
const SERVER_COMMAND: &str = "serve";

/// Makes the values of the configuration file the defaults of their options, if the arguments or the environment name a
/// file. Fails as for a wrong option: with a line that names the file and what to change, and exit code 2.
pub(crate) fn apply(command: Command, args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    // Only to learn the file. What is wrong with the other arguments is reported when they are parsed for good.
    let named = command.clone().ignore_errors(true).try_get_matches_from(args).ok();
    let file = named.and_then(|matches| matches.get_one::<std::path::PathBuf>("config").cloned());
    match file {
        Some(file) => set_defaults(command, &file),
        None => Ok(command),
    }
}

fn set_defaults(mut command: Command, file: &Path) -> Result<Command, Error> {
    let wrong = |what: String| Error::raw(ErrorKind::InvalidValue, format!("{}: {what}\n", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let options: Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    for (name, value) in options {
        let values = values(&value)
            .ok_or_else(|| wrong(format!("{name} has to be a text, number, true, false or a list of them")))?;
        let has = |command: &Command| command.get_arguments().any(|arg| is_named(arg, &name));
        if name != "config" && has(&command) {
            command = with_default(command, &name, values);
        } else if command.find_subcommand(SERVER_COMMAND).is_some_and(has) {
            command = command.mut_subcommand(SERVER_COMMAND, |serve| with_default(serve, &name, values));
        } else {
            return Err(wrong(format!("there is no option {name}: `tidelog serve --help` lists the options")));
        }
    }
    Ok(command)
}

fn is_named(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name)
}

fn with_default(command: Command, name: &str, values: Vec<String>) -> Command {
    command.mut_args(|arg| match is_named(&arg, name) {
        true => arg.default_values(values.clone()),
        false => arg,
    })
}

/// A value as the command line would have it.
fn values(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Boolean(flag) => Some(vec![flag.to_string()]),
        Value::Array(list) => list.iter().map(values).collect::<Option<Vec<_>>>().map(|lists| lists.concat()),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    #[test]
    fn every_option_of_the_example_file_exists_and_every_option_is_in_it() {
        let command = <crate::cli::Cli as clap::CommandFactory>::command();
        let example = include_str!("../../../../deploy/tidelog.toml");
        let lines = example.lines().filter_map(|line| line.strip_prefix("# ").or(Some(line)));
        let settings: Vec<_> =
            lines.filter(|line| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '))).collect();
        let text = settings.join("\n");
        let table: Table = text.parse().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        set_defaults(command.clone(), file.path()).unwrap();

        let serve = command.find_subcommand(SERVER_COMMAND).unwrap();
        let options = command.get_arguments().chain(serve.get_arguments()).filter(|arg| !arg.is_hide_set());
        let names = options.filter_map(Arg::get_long).filter(|name| !["config", "help", "version"].contains(name));
        let missing: Vec<_> = names.filter(|name| !table.contains_key(*name)).collect();
        assert!(missing.is_empty(), "not in deploy/tidelog.toml: {missing:?}");
    }

    #[test]
    fn every_option_has_a_variable() {
        let command = <crate::cli::Cli as clap::CommandFactory>::command();
        let serve = command.find_subcommand(SERVER_COMMAND).unwrap();
        let options = command.get_arguments().chain(serve.get_arguments());
        let takes_one = |arg: &&Arg| !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
        let bare: Vec<_> = options.filter(takes_one).filter(|arg| arg.get_env().is_none()).map(Arg::get_id).collect();
        assert!(bare.is_empty(), "without a variable: {bare:?}");
    }
}
