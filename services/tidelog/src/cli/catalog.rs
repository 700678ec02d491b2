//! `tidelog catalog`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use tidelog_core::catalog::Catalog as Parsed;
use tidelog_core::fold::Resolvers;
use tidelog_gateway::Runtime;
use tidelog_postgres::{ApplyOutcome, Store, views};

use super::Global;
use super::connect::with_database;
use super::output::{Output, table};

#[derive(Subcommand)]
pub(crate) enum Catalog {
    /// Say what is wrong with a file, by line and column
    Check {
        /// The catalog
        file: PathBuf,
    },
    /// Put a file in force, from the next push of each workspace on
    Apply {
        /// The catalog
        file: PathBuf,
    },
    /// Print the catalog in force
    Show,
}

impl Catalog {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        if let Self::Check { file } = &self {
            let catalog = read(file, &global.resolvers)?.1;
            let answer = serde_json::json!({"tables": catalog.tables.len(), "roles": catalog.roles});
            return output.answer(&answer, |_| described(&catalog));
        }
        with_database(global, async |store, url| self.run_with(store, url, global, output).await).await
    }

    async fn run_with(self, store: &Store, url: &str, global: &Global, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Check { .. } => Ok(()),
            Self::Apply { file } => {
                let (source, catalog) = read(&file, &global.resolvers)?;
                let outcome = store.apply_catalog(&source, &catalog, Runtime::default().clock.now()).await?;
                let (version, changed) = match outcome {
                    ApplyOutcome::Applied(version) => (version, true),
                    ApplyOutcome::Unchanged(version) => (version, false),
                };
                views::apply(url).await.with_context(|| format!("catalog {version} is in force"))?;
                output.answer(&serde_json::json!({"version": version, "changed": changed}), |_| match changed {
                    true => format!("catalog {version} is in force from the next push of each workspace on"),
                    false => format!("catalog {version} is in force already and says the same"),
                })
            }
            Self::Show => {
                let in_force =
                    store.catalog_in_force().await?.context("no catalog is in force: `tidelog catalog apply FILE`")?;
                let answer = serde_json::json!({"version": in_force.version, "applied_at": in_force.applied_at, "catalog": in_force.catalog.file});
                output.answer(&answer, |_| {
                    format!(
                        "# catalog {}, in force since {}\n{}",
                        in_force.version, in_force.applied_at, in_force.source
                    )
                })
            }
        }
    }
}

fn read(file: &Path, resolvers: &Resolvers) -> anyhow::Result<(String, Parsed)> {
    let source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let catalog = Parsed::parse(&source).with_context(|| file.display().to_string())?;
    match catalog.missing_resolver(resolvers) {
        Some(what) => bail!("{}: {what}", file.display()),
        None => Ok((source, catalog)),
    }
}

fn described(catalog: &Parsed) -> String {
    let join = |roles: &[tidelog_core::ids::Role]| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
    let rows = catalog.tables.iter().map(|(name, table)| {
        let rule = catalog
            .file
            .tables
            .get(name)
            .and_then(|file| file.rule)
            .map_or("last_write_wins".to_owned(), |rule| rule.to_string());
        [name.to_string(), rule, join(&table.write), join(&table.read), table.fields.len().to_string()]
    });
    format!(
        "ok: {} tables, roles {}\n\n{}",
        catalog.tables.len(),
        join(&catalog.roles),
        table(&["TABLE", "RULE", "WRITE", "READ", "FIELDS"], rows)
    )
}
