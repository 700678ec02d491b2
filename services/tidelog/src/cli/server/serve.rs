//! `tidelog serve`: runs the server until a signal stops it.

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tidelog_gateway::{CorsOrigin, RateLimitConfig, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::connect::for_server;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::server::demo;
use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{DEFAULT_CATALOG, InitialCatalog, Roles, Server, ServerConfig, ServerError};

/// Projector workers unless the operator sets them.
const PROJECTOR_WORKERS_DEFAULT: usize = 3;

/// File descriptors that the server itself needs: its database connections, at most 1,000, and some more.
const OWN_DESCRIPTORS: usize = 192;
/// File descriptors that are assumed where the system does not say how many there are.
const DESCRIPTORS_DEFAULT: u64 = 1_024;
/// Most connections of clients, whatever the system allows: each takes some 20 KiB of memory.
const CONNECTIONS_MAX: usize = 60_000;

#[derive(Args)]
pub(crate) struct Serve {
    /// Address of the API for apps, such as localhost:8080; port 0 takes a free port
    #[arg(long, env = "TIDELOG_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
    /// Address of the admin API, which also has health and metrics [default: none]
    #[arg(long, env = "TIDELOG_ADMIN_LISTEN", value_name = "ADDRESS", value_parser = address)]
    admin_listen: Option<SocketAddr>,
    /// Catalog to put in force if none is; one that is in force stays
    #[arg(long, env = "TIDELOG_CATALOG", value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Parts of the server to run in this process
    #[arg(long, env = "TIDELOG_ROLES", value_delimiter = ',', default_value = "gateway,projector")]
    roles: Vec<Role>,
    /// Maximum number of database connections
    #[arg(long, env = "TIDELOG_POOL_SIZE", value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(4..=1000))]
    pool_size: u16,
    /// Append transactions that Postgres writes concurrently; while commits are slow, others wait for theirs beside them
    /// [default: one for every two cores]
    #[arg(long, env = "TIDELOG_APPEND_WORKERS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
    append_workers: Option<u16>,
    /// The name of `--append-workers` before 0.2; if both are given, `--append-workers` holds
    #[arg(long, hide = true, env = "TIDELOG_APPEND_LANES", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
    append_lanes: Option<u16>,
    /// Workspaces that are folded concurrently, each on up to two connections; fewer if they would take over half of the
    /// pool [default: 3]
    #[arg(long, env = "TIDELOG_PROJECTOR_WORKERS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=16))]
    projector_workers: Option<u16>,
    /// The name of `--projector-workers` before 0.2; if both are given, `--projector-workers` holds
    #[arg(long, hide = true, env = "TIDELOG_PROJECTOR_LANES", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=16))]
    projector_lanes: Option<u16>,
    /// Memory that request bodies may take at once, in MiB; a quarter of it for one device
    #[arg(long, env = "TIDELOG_BODY_MEMORY_MIB", default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u32).range(160..=65_536))]
    body_memory_mib: u32,
    /// Requests a second of one device, key or analyst token, above which it gets 429; 0 is no limit
    #[arg(long, env = "TIDELOG_RATE_LIMIT_DEVICE", default_value_t = 10_000, value_name = "RATE")]
    rate_limit_device: u32,
    /// Requests a second of one workspace; 0 is no limit
    #[arg(long, env = "TIDELOG_RATE_LIMIT_WORKSPACE", default_value_t = 100_000, value_name = "RATE")]
    rate_limit_workspace: u32,
    /// Requests a second of one address of a client; 0 is no limit. Behind a proxy name it by --trusted-proxy
    #[arg(long, env = "TIDELOG_RATE_LIMIT_ADDRESS", default_value_t = 0, value_name = "RATE")]
    rate_limit_address: u32,
    /// A proxy, or a network of them like 10.0.0.0/8, whose X-Forwarded-For is believed; may be given several times
    #[arg(long, env = "TIDELOG_TRUSTED_PROXY", value_delimiter = ',', value_name = "ADDRESS", value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// An origin, like `https://app.example.com`, whose web pages may call the API, or * for all; may be given several times
    /// [default: none; with --demo those on this machine]
    #[arg(long, env = "TIDELOG_CORS_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    cors_origin: Vec<CorsOrigin>,
    /// Threads that serve HTTP [default: one for each core]
    #[arg(long, env = "TIDELOG_WORKERS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Append to only one workspace in a transaction, as Citus requires
    #[arg(long, env = "TIDELOG_ONE_WORKSPACE_A_TRANSACTION")]
    one_workspace_a_transaction: bool,
    /// Start even if the database has `fsync` or `synchronous_commit` off, and so loses acknowledged edits in a crash
    #[arg(long, env = "TIDELOG_ALLOW_UNSAFE_DURABILITY")]
    allow_unsafe_durability: bool,
    /// Create a demo workspace, and print commands to try it
    #[arg(long, env = "TIDELOG_DEMO")]
    demo: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Gateway,
    Projector,
}

impl Serve {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        // Registered first, so that a signal during the start stops the server in order.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let catalog = self.catalog()?;
        // Before a cluster is created or recovers, which takes a while.
        self.check_addresses()?;
        let connected = for_server(global).await?;
        // After the start of Postgres, which would inherit the setting.
        disable_huge_pages();
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
            self.print_addresses(&server, output).await?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            Ok(())
        };
        let served = tokio::select! {
            // Signals first: a signal to the whole process group ends Postgres too, and that is an ordinary stop.
            biased;
            served = serve => served,
            // The server does not go on without its Postgres. A supervisor may restart it, and Postgres then recovers.
            () = postgres_ended => {
                tracing::error!("the embedded Postgres is gone; stopping");
                Ok(())
            }
        };
        server.stop().await;
        // Returns an error that says how Postgres ended, if it did so by itself.
        connected.close().await?;
        served
    }

    /// Fails if one of the addresses is in use.
    fn check_addresses(&self) -> Result<(), ServerError> {
        let main = self.roles.contains(&Role::Gateway).then_some((self.listen, "--listen"));
        let admin = self.admin_listen.map(|address| (address, "--admin-listen"));
        for (address, option) in main.into_iter().chain(admin) {
            TcpListener::bind(address).map_err(|error| ServerError::Listen { address, option, error })?;
        }
        Ok(())
    }

    async fn print_addresses(&self, server: &Server, output: &Output) -> anyhow::Result<()> {
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
            // Not one for each core: with fewer workers the groups are larger, and more pushes share one transaction's cost.
            append_workers: self.append_workers.or(self.append_lanes).map_or((cores / 2).max(1), usize::from),
            projector_workers: self
                .projector_workers
                .or(self.projector_lanes)
                .map_or(PROJECTOR_WORKERS_DEFAULT, usize::from),
            group_workspaces: !self.one_workspace_a_transaction,
            data_dir: global.database_url.is_none().then(|| global.data_dir.clone()),
            connections_max: connections_max(),
            rate_limits: RateLimitConfig {
                device: self.rate_limit_device,
                workspace: self.rate_limit_workspace,
                address: self.rate_limit_address,
                trusted_proxies: self.trusted_proxy.clone(),
            },
            cors_origins: self.cors_origin.iter().cloned().chain(self.demo.then_some(CorsOrigin::Loopback)).collect(),
            body_memory_bytes_max: self.body_memory_mib as usize * 1024 * 1024,
            workers: self.workers.map_or(cores, usize::from),
            allow_unsafe_durability: self.allow_unsafe_durability,
            shared_database: global.database_url.is_some() || roles != Roles::ALL,
            catalog,
            resolvers: global.resolvers.clone(),
            runtime: Runtime::default(),
        }
    }
}

/// The socket address of a host, by name or number, and a port. IPv4 goes first, as in the default.
fn address(text: &str) -> Result<SocketAddr, String> {
    let form = "has to be a host and a port, such as 127.0.0.1:8080 or localhost:8080";
    let found = text.to_socket_addrs().map_err(|error| format!("{form} ({error})"))?;
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| format!("{form} (the host has no address)"))
}

/// An address, or a network in CIDR notation.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    parsed.ok_or_else(|| "has to be an address like 10.0.0.1, or a network like 10.0.0.0/8".to_owned())
}

/// Raises the soft limit of file descriptors to the hard one. Returns how many of them clients may have: all but those of
/// the server itself.
fn connections_max() -> usize {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(error) => {
                tracing::warn!(%error, limit = soft, "the limit of open files cannot be raised");
                soft
            }
        },
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is not known");
            DESCRIPTORS_DEFAULT
        }
    };
    usize::try_from(limit).unwrap_or(usize::MAX).min(CONNECTIONS_MAX).saturating_sub(OWN_DESCRIPTORS).max(64)
}

/// Disables transparent huge pages for this process. With them a server, which keeps its memory for long, would hold half
/// as much again. Other commands, which end soon, keep them and fold faster.
fn disable_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "cannot disable transparent huge pages; the server may use more memory");
    }
}
