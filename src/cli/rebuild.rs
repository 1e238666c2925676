//! `gatebook rebuild [projection]`: builds read models anew from the event log and puts them in place. For a service that
//! is not running; one that runs rebuilds what is missing when it starts.

use std::io::IsTerminal;
use std::path::Path;

use clap::Args;
use futures_util::StreamExt;
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use gatebook_projections::read_model::{Projection, ReadModel};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failed, checked};
use crate::app::{open_log, places};
use crate::config::Settings;
use crate::log::{EventLog, Followed};

/// Build read models anew from the event log and put them in place
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Which one: directory, approvals or history; all of them, if absent
    pub projection: Option<String>,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Rebuilds while holding the log's lock, so that no service serves from a file that is replaced under it.
pub async fn run(args: RebuildArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let path = places::log(&config.data);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}", path.display())));
    }
    let log = open_log(&config).map_err(|error| Failed::because("failed to open the event log", error))?;
    let folder = places::read_models(&config.data);
    std::fs::create_dir_all(&folder).map_err(|error| Failed::because("failed to make the folder of the read models", error))?;
    let wanted = |name: &str| args.projection.as_deref().is_none_or(|asked| asked == name);
    if ![Directory::NAME, Approvals::NAME, History::NAME].into_iter().any(wanted) {
        return Err(Failed::new("there is no such projection; there are directory, approvals and history"));
    }
    if wanted(Directory::NAME) {
        rebuild::<Directory>(&*log, &folder).await?;
    }
    if wanted(Approvals::NAME) {
        rebuild::<Approvals>(&*log, &folder).await?;
    }
    if wanted(History::NAME) {
        rebuild::<History>(&*log, &folder).await?;
    }
    log.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a command for people")]
async fn rebuild<P: Projection>(log: &dyn EventLog, folder: &Path) -> Result<(), Failed> {
    let failed = |what: &str| format!("failed to {what} the read model {}", P::NAME);
    let head = log.head().await.map_err(|error| Failed::because("failed to read the event log", error))?;
    let mut model = ReadModel::<P>::open_building(folder).map_err(|error| Failed::because(failed("begin"), error))?;
    let bar = bar(P::NAME);
    bar.set_length(head.to_backend());
    let mut following = log.follow(model.position());
    while model.position() < head {
        let Some(followed) = following.next().await else { break };
        match followed.map_err(|error| Failed::because("failed to read the event log", error))? {
            Followed::Events(events) => {
                let position = model.apply(&events).map_err(|error| Failed::because(failed("build"), error))?;
                bar.set_position(position.to_backend());
            }
            Followed::CaughtUp(_) => break,
        }
    }
    let position = model.position();
    model.finish().map_err(|error| Failed::because(failed("put in place"), error))?;
    bar.finish_and_clear();
    println!("{}@{} rebuilt, up to position {position}", P::NAME, P::VERSION);
    Ok(())
}

/// A bar with rate and time left; nothing where nobody looks.
pub fn bar(what: &'static str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target).with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>10} [{bar:40}] {pos}/{len} events, {per_sec}, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
