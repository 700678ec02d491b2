//! The configuration file, completions and man pages.

use std::path::Path;

use crate::{bad, data_dir, good, run, serve, tidelog};

fn write(dir: &Path, text: &str) -> String {
    let file = dir.join("tidelog.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_configuration_file_gives_options_and_the_command_line_overrides_it() {
    let dir = data_dir();
    // A port that needs root or is in use, so that the test sees which value holds.
    let file = write(
        dir.path(),
        "listen = \"192.0.2.1:1\"\nroles = [\"gateway\", \"projector\"]\ndemo = true\npool-size = 8\n",
    );
    let message = bad(tidelog(dir.path()).args(["--log", "error", "serve", "--config", &file]));
    assert!(message.contains("cannot listen on 192.0.2.1:1"), "{message}");
    let mut server = serve(dir.path(), &["--config", &file]);
    assert!(server.read_to("TOKEN=").contains("curl"));
    server.stop();
}

#[test]
fn a_configuration_file_with_an_unknown_option_or_value_is_refused_by_name() {
    let dir = data_dir();
    for (text, what) in [
        ("listn = \"127.0.0.1:0\"", "there is no option listn"),
        ("pool-size = 1", "pool-size"),
        ("listen = 2026-11-20", "listen has to be a text"),
        ("listen = ", "TOML"),
        ("config = \"other.toml\"", "there is no option config"),
    ] {
        let file = write(dir.path(), text);
        let output = run(tidelog(dir.path()).args(["serve", "--config", &file]));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(what), "{text}: {message}");
    }
}

#[test]
fn completions_and_man_pages_name_every_command() {
    let dir = data_dir();
    for shell in ["bash", "zsh", "fish"] {
        let script = good(tidelog(dir.path()).args(["completions", shell]));
        assert!(script.contains("rebuild") && script.contains("admin-listen"), "{shell}");
    }
    let pages = dir.path().join("man");
    good(tidelog(dir.path()).arg("man").arg(&pages));
    for page in ["tidelog.1", "tidelog-serve.1", "tidelog-catalog-apply.1", "tidelog-key-create.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
}
