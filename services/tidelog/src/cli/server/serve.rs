//! `tidelog serve`

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tidelog_gateway::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::connect::for_server;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::server::demo;
use crate::{DEFAULT_CATALOG, InitialCatalog, Roles, Server, ServerConfig};

/// Workspaces folded at once where the operator says nothing.
const PROJECTOR_WORKERS: usize = 3;

#[derive(Args)]
pub(crate) struct Serve {
    /// Where apps reach the server; port 0 takes a free one
    #[arg(long, env = "TIDELOG_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where operators reach it, with health and metrics too; nowhere without
    #[arg(long, env = "TIDELOG_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// The first catalog; one that is in force stays
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// What runs in this process
    #[arg(long, value_delimiter = ',', default_value = "gateway,projector")]
    roles: Vec<Role>,
    /// Most connections to the database
    #[arg(long, env = "TIDELOG_POOL_SIZE", default_value_t = 16, value_parser = clap::value_parser!(u16).range(4..=1000))]
    pool_size: u16,
    /// Appends under way at once, each on a connection of its own; one for two cores without
    #[arg(long, env = "TIDELOG_APPEND_WORKERS", value_parser = clap::value_parser!(u16).range(1..=64))]
    append_workers: Option<u16>,
    /// The name of `--append-workers` before 0.2
    #[arg(long, hide = true, env = "TIDELOG_APPEND_LANES", hide_env = true, value_parser = clap::value_parser!(u16).range(1..=64))]
    append_lanes: Option<u16>,
    /// Workspaces folded at once, each on up to two connections; fewer where they would take half the pool [default: 3]
    #[arg(long, env = "TIDELOG_PROJECTOR_WORKERS", value_parser = clap::value_parser!(u16).range(1..=16))]
    projector_workers: Option<u16>,
    /// The name of `--projector-workers` before 0.2
    #[arg(long, hide = true, env = "TIDELOG_PROJECTOR_LANES", hide_env = true, value_parser = clap::value_parser!(u16).range(1..=16))]
    projector_lanes: Option<u16>,
    /// Threads that serve HTTP; one for each core without
    #[arg(long, env = "TIDELOG_WORKERS", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Append to one workspace a transaction: for Citus
    #[arg(long)]
    one_workspace_a_transaction: bool,
    /// Start on a database with `fsync` or `synchronous_commit` off, which loses acknowledged edits in a crash
    #[arg(long)]
    allow_unsafe_durability: bool,
    /// Make a demo workspace and print lines to try it
    #[arg(long)]
    demo: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Gateway,
    Projector,
}

impl Serve {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        // Taken first, so that a signal during the start ends it in order.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let catalog = self.catalog()?;
        let connected = for_server(global).await?;
        // Behind the start of Postgres, which would inherit it.
        use_small_pages();
        let postgres_ended = connected.wait_for_end()?;
        let started = Server::start(self.config(connected.url.clone(), catalog, global)).await;
        let server = match started {
            Ok(server) => server,
            Err(error) => {
                connected.close().await?;
                return Err(error.into());
            }
        };
        let serve = async {
            self.show(&server, output).await?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            Ok(())
        };
        let served = tokio::select! {
            // Whoever ends a whole group of processes may end Postgres along with us: that is a stop like any other.
            biased;
            served = serve => served,
            // Whoever started us may start us again, which is also how Postgres recovers.
            () = postgres_ended => {
                tracing::error!("the embedded Postgres is gone; stopping");
                Ok(())
            }
        };
        server.stop().await;
        // If Postgres has ended by itself, this says how.
        connected.close().await?;
        served
    }

    async fn show(&self, server: &Server, output: &Output) -> anyhow::Result<()> {
        if let Some(address) = server.admin_address() {
            output.text(&format!("admin on http://{address}\n"))?;
        }
        let Some(address) = server.address() else { return output.text("running without a gateway\n") };
        output.text(&format!("listening on http://{address}\n"))?;
        if self.demo {
            output.text(&demo::prepare(server, address).await?)?;
        }
        Ok(())
    }

    fn catalog(&self) -> anyhow::Result<InitialCatalog> {
        match &self.catalog {
            None => Ok(InitialCatalog {
                name: "the default catalog".to_owned(),
                source: DEFAULT_CATALOG.to_owned(),
                is_asked_for: false,
            }),
            Some(file) => {
                let source =
                    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Ok(InitialCatalog { name: file.display().to_string(), source, is_asked_for: true })
            }
        }
    }

    fn config(&self, database_url: String, catalog: InitialCatalog, global: &Global) -> ServerConfig {
        let roles =
            Roles { gateway: self.roles.contains(&Role::Gateway), projector: self.roles.contains(&Role::Projector) };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        ServerConfig {
            database_url,
            listen: self.listen,
            admin_listen: self.admin_listen,
            roles,
            pool_size: usize::from(self.pool_size),
            // Fewer lanes, larger groups: what a transaction costs is shared by more pushes.
            append_workers: self.append_workers.or(self.append_lanes).map_or((cores / 2).max(1), usize::from),
            projector_workers: self.projector_workers.or(self.projector_lanes).map_or(PROJECTOR_WORKERS, usize::from),
            group_workspaces: !self.one_workspace_a_transaction,
            workers: self.workers.map_or(cores, usize::from),
            allow_unsafe_durability: self.allow_unsafe_durability,
            shared_database: global.database_url.is_some() || roles != Roles::ALL,
            catalog,
            resolvers: global.resolvers.clone(),
            runtime: Runtime::default(),
        }
    }
}

/// Takes memory in small pages, as a server holds it for long: of huge ones it would hold half as much again. Commands,
/// which end soon, fold faster with huge pages.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "this kernel may give huge pages");
    }
}
