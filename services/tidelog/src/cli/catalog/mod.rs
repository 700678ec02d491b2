//! `tidelog catalog`: checks, applies, shows, rolls back and previews catalogs.

mod history;
mod preview;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use tidelog_core::catalog::Catalog as ParsedCatalog;
use tidelog_core::fold::Resolvers;
use tidelog_core::ids::CatalogVersion;
use tidelog_gateway::Runtime;
use tidelog_postgres::{ApplyOutcome, Store, views};

use crate::cli::accounts::workspace::find_optional;
use crate::cli::catalog::history::print_history;
use crate::cli::catalog::preview::print_preview;
use crate::cli::connect::with_database;
use crate::cli::global::Global;
use crate::cli::log::rebuild::run::{REBUILD_CONNECTIONS_MAX, lock_for_rebuild, rebuild, rebuilt_table};
use crate::cli::output::{Output, table};

#[derive(Subcommand)]
pub(crate) enum Catalog {
    /// Check a catalog, and show what is wrong by line and column
    Check {
        /// File of the catalog
        file: PathBuf,
    },
    /// Put a catalog in force, for each workspace from its next push on
    Apply {
        /// File of the catalog
        file: PathBuf,
        #[command(flatten)]
        refold: Refold,
    },
    /// Print the catalog in force
    Show,
    /// List all catalogs that were ever in force, and what each changed
    History,
    /// Put an earlier catalog in force again, under a new version
    Rollback {
        /// Version of the earlier catalog [default: the one before the catalog in force]
        #[arg(long, value_name = "VERSION")]
        to: Option<i64>,
        #[command(flatten)]
        refold: Refold,
    },
    /// Show which records would differ if a catalog had been in force from the first event on; changes nothing
    Preview {
        /// File of the catalog
        file: PathBuf,
        /// Id or name of the only workspace to look at [default: all]
        #[arg(long)]
        workspace: Option<String>,
        /// Maximum number of records to list; all are counted
        #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
        limit: usize,
    },
}

/// Whether the catalog holds for the past too.
#[derive(Args)]
pub(crate) struct Refold {
    /// Let the rules hold from the first event on: rebuild the records of every workspace by them
    #[arg(long)]
    refold: bool,
    /// With --refold: drop the older generation that is kept, if there is one
    #[arg(long, requires = "refold")]
    replace: bool,
}

impl Catalog {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        if let Self::Check { file } = &self {
            let catalog = read(file, &global.resolvers)?.1;
            let summary = serde_json::json!({"tables": catalog.tables.len(), "roles": catalog.roles});
            return output.print(&summary, |_| summary_text(&catalog));
        }
        with_database(global, REBUILD_CONNECTIONS_MAX, async |store, url| {
            self.run_with(store, url, global, output).await
        })
        .await
    }

    async fn run_with(self, store: &Store, url: &str, global: &Global, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Check { .. } => Ok(()),
            Self::Apply { file, refold } => {
                let (source, catalog) = read(&file, &global.resolvers)?;
                apply(store, url, global, output, &source, &catalog, &refold).await
            }
            Self::History => print_history(store, output).await,
            Self::Rollback { to, refold } => {
                let in_force = store
                    .catalog_in_force()
                    .await?
                    .context("no catalog is in force: run `tidelog catalog apply FILE`")?;
                let version = to.unwrap_or(in_force.version.0 - 1);
                let earlier = store.catalog_of_version(CatalogVersion(version)).await?;
                let earlier = earlier
                    .with_context(|| format!("there is no catalog {version}: `tidelog catalog history` lists all"))?;
                if let Some(what) = global.resolvers.missing_for(&earlier.catalog) {
                    bail!("catalog {version}: {what}");
                }
                apply(store, url, global, output, &earlier.source, &earlier.catalog, &refold).await
            }
            Self::Preview { file, workspace, limit } => {
                let (_, catalog) = read(&file, &global.resolvers)?;
                let only = find_optional(store, workspace.as_deref()).await?;
                print_preview(store, global, output, catalog, only, limit).await
            }
            Self::Show => {
                let in_force = store
                    .catalog_in_force()
                    .await?
                    .context("no catalog is in force: run `tidelog catalog apply FILE`")?;
                let shown = serde_json::json!({"version": in_force.version, "applied_at": in_force.applied_at, "catalog": in_force.catalog.file});
                output.print(&shown, |_| {
                    format!(
                        "# catalog {}, in force since {}\n{}",
                        in_force.version, in_force.applied_at, in_force.source
                    )
                })
            }
        }
    }
}

/// Puts a catalog in force: for each workspace from its next push on or, with `--refold`, from the first event on.
async fn apply(
    store: &Store,
    url: &str,
    global: &Global,
    output: &Output,
    source: &str,
    catalog: &ParsedCatalog,
    refold: &Refold,
) -> anyhow::Result<()> {
    let clock = Runtime::default().clock;
    if !refold.refold {
        let (version, changed) = match store.apply_catalog(source, catalog, clock.now()).await? {
            ApplyOutcome::Applied(version) => (version, true),
            ApplyOutcome::Unchanged(version) => (version, false),
        };
        views::apply(url).await.with_context(|| format!("catalog {version} is in force"))?;
        return output.print(&serde_json::json!({"version": version, "changed": changed}), |_| match changed {
            true => format!("catalog {version} is in force, for each workspace from its next push on"),
            false => format!("catalog {version}, which is in force, is the same: nothing changed"),
        });
    }
    let lock = lock_for_rebuild(store, None, refold.replace).await?;
    let version = store.apply_catalog_to_all(source, catalog, clock.now()).await?;
    let rebuilt = async {
        views::apply(url).await?;
        rebuild(lock, store, global, None).await
    };
    let unfinished =
        || format!("catalog {version} is in force, but not all records are rebuilt: run `tidelog rebuild`");
    let rows = rebuilt.await.with_context(unfinished)?;
    output.print(&serde_json::json!({"version": version, "changed": true, "rebuilt": rows}), |_| {
        format!("catalog {version} is in force from the first event on\n\n{}", rebuilt_table(&rows))
    })
}

/// Reads and parses a catalog file, and fails if this program lacks a resolver for one of its rules.
fn read(file: &Path, resolvers: &Resolvers) -> anyhow::Result<(String, ParsedCatalog)> {
    let source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let catalog = ParsedCatalog::parse(&source).with_context(|| file.display().to_string())?;
    match resolvers.missing_for(&catalog) {
        Some(what) => bail!("{}: {what}", file.display()),
        None => Ok((source, catalog)),
    }
}

/// A catalog as a table for people.
fn summary_text(catalog: &ParsedCatalog) -> String {
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
