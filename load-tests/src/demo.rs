//! `demo`: starts a server in an empty directory, creates a workspace and a key, and replays a history against it.

use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::DemoArgs;
use crate::git_history;
use crate::outcome::Outcome;
use crate::output;
use crate::server::{self, Data, Server};

/// The name of the workspace.
const WORKSPACE: &str = "demo";
/// The role of the devices, which the default catalog of a server has.
const ROLE: &str = "member";

/// Runs the demo. Its server and files are removed afterwards, also after an error or an interrupt.
pub(crate) async fn run(args: &DemoArgs) -> Result<Outcome> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let program = server::program(args.tidelog.as_deref())?;
    let mut server = Server::spawn(&program, Data::Embedded, &args.serve_args)?;
    let outcome = tokio::select! {
        outcome = replay(&mut server, args) => outcome,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    match outcome {
        Ok(outcome) => server.stop().map(|()| outcome),
        Err(error) => Err(anyhow!("{error:#}\nthe last lines of the server's log:\n{}", server.log_tail())),
    }
}

async fn replay(server: &mut Server, args: &DemoArgs) -> Result<Outcome> {
    let url = server.listening().await?;
    let workspace = server.run_command(&["workspace", "create", WORKSPACE, "--json"]).await?;
    let workspace = workspace["workspace"].as_str().context("`tidelog workspace create` printed no workspace")?;
    let create =
        ["key", "create", "--workspace", workspace, "--role", ROLE, "--scope", "*", "--no-rate-limit", "--json"];
    let key = server.run_command(&create).await?;
    let key = key["key"].as_str().context("`tidelog key create` printed no key")?;
    output::line(format_args!("server {url}, workspace {workspace}"))?;
    git_history::run(&args.history, &url, key).await
}
