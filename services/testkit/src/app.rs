//! A whole server in the test's process, on a database of its own, reached by real HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidelog::{DEFAULT_CATALOG, InitialCatalog, Roles, Server, ServerConfig};
use tidelog_core::catalog::Catalog;
use tidelog_core::fold::Resolvers;
use tidelog_core::ids::{DeviceId, Role, Scopes, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{ConflictView, RecordView};
use tidelog_gateway::{Clock, CorsOrigin, Random, RateLimitConfig, Runtime, System};
use tidelog_postgres::{Credential, CredentialKind, NewEnrollmentKey, Store};

use crate::client::{Http, Phone, Reader, Response};
use crate::cluster::TestDatabase;
use crate::snapshot::Names;

/// A free port of this machine.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a test waits for what happens in the background.
const WAIT_MS_MAX: i64 = 30_000;

/// A running server with one workspace.
pub struct TestApp {
    /// The server's database.
    pub database: TestDatabase,
    /// The workspace.
    pub workspace: WorkspaceId,
    server: Server,
    address: SocketAddr,
    names: Names,
}

/// The settings of a [`TestApp`].
pub struct TestAppBuilder {
    catalog: String,
    roles: Roles,
    resolvers: Resolvers,
    connections_max: usize,
    body_memory_bytes_max: usize,
    rate_limits: RateLimitConfig,
    cors_origins: Vec<CorsOrigin>,
    has_admin_listener: bool,
    append_workers: usize,
}

impl TestAppBuilder {
    /// With this catalog.
    pub fn catalog(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.catalog);
        self
    }

    /// Without a projector: nothing is folded.
    pub fn without_projector(mut self) -> Self {
        self.roles.projector = false;
        self
    }

    /// With the embedding program's rules.
    pub fn resolvers(mut self, resolvers: Resolvers) -> Self {
        self.resolvers = resolvers;
        self
    }

    /// With as many connections as if the process had no more file descriptors.
    pub fn connections_max(self, connections_max: usize) -> Self {
        Self { connections_max, ..self }
    }

    /// With as much memory for all request bodies together.
    pub fn body_memory_bytes_max(self, body_memory_bytes_max: usize) -> Self {
        Self { body_memory_bytes_max, ..self }
    }

    /// With as many requests a second.
    pub fn rate_limits(self, rate_limits: RateLimitConfig) -> Self {
        Self { rate_limits, ..self }
    }

    /// With these origins, whose web pages may call the API.
    pub fn cors_origins(self, cors_origins: &[CorsOrigin]) -> Self {
        Self { cors_origins: cors_origins.to_vec(), ..self }
    }

    /// With an admin listener.
    pub fn admin_listener(self) -> Self {
        Self { has_admin_listener: true, ..self }
    }

    /// With as many append workers.
    pub fn append_workers(self, append_workers: usize) -> Self {
        Self { append_workers, ..self }
    }

    /// Starts the server and creates the workspace.
    pub async fn start(self) -> TestApp {
        let database = TestDatabase::create().await;
        let server = self.start_server(&database).await;
        let address = server.address().expect("the server has a gateway");
        let workspace = WorkspaceId(System.uuid());
        server.store().create_workspace(workspace, "test", &[], System.now()).await.expect("a workspace");
        let names = Names::default();
        names.add_workspace(workspace, "workspace");
        TestApp { database, workspace, server, address, names }
    }

    async fn start_server(self, database: &TestDatabase) -> Server {
        let config = ServerConfig {
            database_url: database.url().to_owned(),
            listen: ANY_PORT,
            admin_listen: self.has_admin_listener.then_some(ANY_PORT),
            roles: self.roles,
            pool_size: 8,
            projector_workers: 2,
            resolvers: self.resolvers,
            append_workers: self.append_workers,
            group_workspaces: true,
            connections_max: self.connections_max,
            body_memory_bytes_max: self.body_memory_bytes_max,
            rate_limits: self.rate_limits,
            cors_origins: self.cors_origins,
            data_dir: None,
            workers: 1,
            allow_unsafe_durability: true, // no test crashes the cluster
            shared_database: true,
            catalog: InitialCatalog { name: "the test's catalog".to_owned(), source: self.catalog, is_asked_for: true },
            runtime: Runtime::default(),
        };
        Server::start(config).await.unwrap_or_else(|e| panic!("the server does not start: {e}"))
    }
}

impl TestApp {
    /// A server with the default catalog.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// The settings of a server, to be changed before it starts.
    pub fn build() -> TestAppBuilder {
        TestAppBuilder {
            catalog: DEFAULT_CATALOG.to_owned(),
            roles: Roles::ALL,
            resolvers: Resolvers::none(),
            connections_max: 10_000,
            body_memory_bytes_max: 256 * 1024 * 1024,
            rate_limits: RateLimitConfig::default(),
            cors_origins: Vec::new(),
            has_admin_listener: false,
            append_workers: 2,
        }
    }

    /// The server's base URL, like `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client with a new admin token, of the server's admin listener.
    pub async fn admin(&self) -> Http {
        let nobody = WorkspaceId(uuid::Uuid::nil());
        let credential = Credential::new(CredentialKind::AdminToken, nobody, System.uuid(), System.bytes());
        self.store().create_token(&credential, System.now()).await.expect("a token");
        Http::new(self.admin_address(), &credential.reveal())
    }

    /// The address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.server.admin_address().expect("the server has an admin listener")
    }

    /// The server's store, for what has no route.
    pub fn store(&self) -> &Store {
        self.server.store()
    }

    /// Another server on the same database, with its own roles.
    pub async fn another_server(&self, roles: Roles) -> Server {
        TestAppBuilder { roles, ..Self::build() }.start_server(&self.database).await
    }

    /// Puts another catalog in force.
    pub async fn apply_catalog(&self, toml: &str) {
        let catalog = Catalog::parse(toml).unwrap_or_else(|e| panic!("the test's catalog is wrong: {e}"));
        self.store().apply_catalog(toml, &catalog, System.now()).await.expect("the catalog is applied");
    }

    /// A new enrollment key of the workspace.
    pub async fn key(&self, role: &str, scopes: &[&str]) -> String {
        self.key_with(role, scopes, |key| key).await
    }

    /// A new enrollment key of the workspace, with limits.
    pub async fn key_with(
        &self,
        role: &str,
        scopes: &[&str],
        limit: impl FnOnce(NewEnrollmentKey) -> NewEnrollmentKey,
    ) -> String {
        self.key_of(self.workspace, role, scopes, limit).await
    }

    /// A new workspace beside the first one.
    pub async fn another_workspace(&self) -> WorkspaceId {
        let workspace = WorkspaceId(System.uuid());
        self.store().create_workspace(workspace, "another", &[], System.now()).await.expect("a workspace");
        workspace
    }

    /// A new enrollment key of any workspace, with limits.
    pub async fn key_of(
        &self,
        workspace: WorkspaceId,
        role: &str,
        scopes: &[&str],
        limit: impl FnOnce(NewEnrollmentKey) -> NewEnrollmentKey,
    ) -> String {
        let new = limit(NewEnrollmentKey {
            role: Role::parse(role).expect("a role"),
            scopes: Scopes::parse(scopes).expect("scopes"),
            expires_at: None,
            registrations_max: None,
            registrations_per_hour: None,
        });
        let credential = Credential::new(CredentialKind::EnrollmentKey, workspace, System.uuid(), System.bytes());
        self.store().create_enrollment_key(&credential, &new, System.now()).await.expect("a key");
        credential.reveal()
    }

    /// A client with a new analyst token.
    pub async fn analyst(&self) -> Http {
        let credential = Credential::new(CredentialKind::AnalystToken, self.workspace, System.uuid(), System.bytes());
        self.store().create_token(&credential, System.now()).await.expect("a token");
        Http::new(self.address, &credential.reveal())
    }

    /// A client with any credential, or without one if it is empty.
    pub fn http(&self, credential: &str) -> Http {
        Http::new(self.address, credential)
    }

    /// A new device with the default catalog's role and every scope.
    pub async fn phone(&self, name: &str) -> Phone {
        self.phone_as(name, "member", &["*"]).await
    }

    /// A new device with a role and scopes.
    pub async fn phone_as(&self, name: &str, role: &str, scopes: &[&str]) -> Phone {
        self.register(&self.key(role, scopes).await, name).await
    }

    /// A new device of another workspace, with every scope.
    pub async fn phone_of(&self, workspace: WorkspaceId, name: &str, role: &str) -> Phone {
        self.register(&self.key_of(workspace, role, &["*"], |key| key).await, name).await
    }

    async fn register(&self, key: &str, name: &str) -> Phone {
        let phone = Phone::register(self.address, key, name).await;
        self.name_device(phone.device, name);
        phone
    }

    /// Sets the name by which a device that the test has registered itself appears in snapshots.
    pub fn name_device(&self, device: DeviceId, name: &str) {
        self.names.add_device(device, name);
    }

    /// Waits until everything appended so far is folded, at most 30 s.
    pub async fn folded(&self) {
        let started = System.now();
        while self.store().lagging().await.expect("the store answers").iter().any(|lag| lag.workspace == self.workspace)
        {
            assert!(System.now().0 - started.0 < WAIT_MS_MAX, "the projector does not catch up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a client waits in a long poll or reads a stream, at most 30 s.
    pub async fn has_open_stream(&self) {
        let started = System.now();
        while !self.get("/metrics").await.text().contains("\ntidelog_open_streams 1") {
            assert!(System.now().0 - started.0 < WAIT_MS_MAX, "no stream is open");
        }
    }

    /// The server's clock.
    pub fn now(&self) -> UnixMs {
        System.now()
    }

    /// `GET` without a credential.
    pub async fn get(&self, path: &str) -> Response {
        self.http("").get(path).await
    }

    /// Every conflict of the workspace, once everything is folded.
    pub async fn conflicts(&self) -> Vec<ConflictView> {
        self.folded().await;
        self.analyst().await.conflicts("").await
    }

    /// A record of the workspace, once everything is folded.
    pub async fn record(&self, table: &str, record: &str) -> RecordView {
        self.folded().await;
        self.analyst().await.record(table, record).await
    }

    /// The settings with which [`assert_snapshot_of`](crate::assert_snapshot_of) writes a response.
    pub fn snapshot_settings(&self) -> insta::Settings {
        self.names.settings()
    }
}
