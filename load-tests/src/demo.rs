//! `demo`: everything from an empty directory: a server, a workspace, a key, a history, the comparison.

use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::DemoArgs;
use crate::git_history::{self, Outcome};
use crate::output;
use crate::server::{self, Data, Server};

/// The workspace's name.
const WORKSPACE: &str = "demo";
/// The role of its devices, in the catalog a server has by default.
const ROLE: &str = "member";

/// Runs the demo; its server and files are gone afterwards, however it ends.
pub(crate) async fn run(args: &DemoArgs) -> Result<Outcome> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let program = server::program(args.tidelog.as_deref())?;
    let mut server = Server::spawn(&program, Data::Own, &args.serve_args)?;
    let outcome = tokio::select! {
        outcome = replay(&mut server, args) => outcome,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    match outcome {
        Ok(outcome) => server.stop().map(|()| outcome),
        Err(error) => Err(anyhow!("{error:#}\nthe server's last words:\n{}", server.last_words())),
    }
}

async fn replay(server: &mut Server, args: &DemoArgs) -> Result<Outcome> {
    let url = server.listening().await?;
    let workspace = server.ask(&["workspace", "create", WORKSPACE, "--json"]).await?;
    let workspace = workspace["workspace"].as_str().context("`tidelog workspace create` names no workspace")?;
    let create =
        ["key", "create", "--workspace", workspace, "--role", ROLE, "--scope", "*", "--no-rate-limit", "--json"];
    let key = server.ask(&create).await?;
    let key = key["key"].as_str().context("`tidelog key create` names no key")?;
    output::line(format_args!("server {url}, workspace {workspace}"))?;
    git_history::run(&args.history, &url, key).await
}
