//! `gatebook rebuild [projection]`: builds read models anew from the event log and puts them in place. With `--url` the service
//! that runs there does it, beside the tables that serve.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use gatebook_events::identity::TenantId;
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use gatebook_projections::read_model::{Projection, ReadModel};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Method;
use serde_json::Value;

use super::running::Running;
use super::{Failed, checked};
use crate::bootstrap::Store;
use crate::config::data_dir;
use crate::config::{Config, Settings};
use crate::credentials::admin::{Admin, AdminMinter, Role};
use crate::event_log::EventLog;
use crate::platform::clock::Clock;
use crate::read_models::OtherVersions;
use crate::read_models::build::{self, Begin};

/// Every projection there is.
const NAMES: [&str; 3] = [Directory::NAME, Approvals::NAME, History::NAME];
/// Between two looks at how far a running service has come.
const LOOK: Duration = Duration::from_millis(200);

/// Build read models anew from the event log and put them in place
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Which one: directory, approvals or history; all of them, if absent
    pub projection: Option<String>,

    /// Have the instance that listens there do it, while it serves
    #[arg(long)]
    pub url: Option<String>,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Rebuilds one after the other.
pub async fn run(args: RebuildArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let wanted: Vec<&str> = NAMES.into_iter().filter(|name| args.projection.as_deref().is_none_or(|asked| asked == *name)).collect();
    if wanted.is_empty() {
        return Err(Failed::new("there is no such projection; there are directory, approvals and history"));
    }
    match args.url {
        Some(url) => in_service(&Running::at(&url)?, &config, &wanted).await,
        None => in_place(&config, &wanted).await,
    }
}

/// Rebuilds every one, where no service runs.
pub(super) async fn all(config: &Config) -> Result<(), Failed> {
    in_place(config, &NAMES).await
}

/// Holds the log's lock, so that no service serves from a file that is replaced under it.
async fn in_place(config: &Config, wanted: &[&str]) -> Result<(), Failed> {
    let path = data_dir::log(config);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}", path.display())));
    }
    let store = Store::open(config)
        .await
        .map_err(|error| Failed::because("failed to open the event log; a service that runs rebuilds with --url", error))?;
    let log = store.log();
    let folder = data_dir::read_models(config);
    std::fs::create_dir_all(&folder).map_err(|error| Failed::because("failed to make the folder of the read models", error))?;
    for name in wanted {
        match *name {
            Directory::NAME => rebuild::<Directory>(&log, &folder, config.other_versions).await?,
            Approvals::NAME => rebuild::<Approvals>(&log, &folder, config.other_versions).await?,
            _ => rebuild::<History>(&log, &folder, config.other_versions).await?,
        }
    }
    store.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a command for people")]
async fn rebuild<P: Projection>(log: &Arc<dyn EventLog>, folder: &Path, others: OtherVersions) -> Result<(), Failed> {
    let failed = |what: &str| format!("failed to {what} the read model {}", P::NAME);
    let head = log.head().await.map_err(|error| Failed::because("failed to read the event log", error))?;
    let bar = bar(P::NAME);
    bar.set_length(head.to_backend());
    let shown = bar.clone();
    let built = build::build::<P>(log, folder, Begin::WhereItWas, move |position| {
        if shown.position() == 0 {
            // What an interrupted build had done says nothing about how fast this one is.
            shown.set_position(position.to_backend());
            shown.reset_eta();
        }
        shown.set_position(position.to_backend());
    });
    let model: ReadModel<P> = built.await.map_err(|error| Failed::because(failed("build"), error.stop))?;
    let position = model.position();
    model.finish().map_err(|error| Failed::because(failed("put in place"), error))?;
    if others == OtherVersions::Removed {
        ReadModel::<P>::remove_older_versions(folder).map_err(|error| Failed::because(failed("remove older versions of"), error))?;
    }
    bar.finish_and_clear();
    println!("{}@{} rebuilt, up to position {position}", P::NAME, P::VERSION);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a command for people")]
async fn in_service(service: &Running, config: &Config, wanted: &[&str]) -> Result<(), Failed> {
    let minter = AdminMinter::try_new(&config.admin, Clock::system()).map_err(|error| Failed::because("failed to make a token", error))?;
    let admin = Admin { tenant: TenantId::default_tenant(), subject: "rebuild".to_owned(), role: Role::Admin };
    let token = || minter.mint(&admin, chrono::TimeDelta::minutes(1)).map_err(|error| Failed::because("failed to make a token", error));
    for name in wanted {
        service.call(Method::POST, &format!("/authsec/projections/{name}/rebuild"), Some(&token()?), None).await?;
        let bar = bar(name);
        let done = loop {
            let all = service.call(Method::GET, "/authsec/projections", Some(&token()?), None).await?;
            let all = all.get("projections").and_then(Value::as_array).cloned().unwrap_or_default();
            let Some(now) = all.into_iter().find(|one| text(one, "name") == *name) else {
                return Err(Failed::new(format!("the service knows no projection {name}")));
            };
            let Some(build) = now.get("build") else { break now };
            bar.set_length(text(&now, "head").parse().unwrap_or_default());
            bar.set_position(text(build, "position").parse().unwrap_or_default());
            tokio::time::sleep(LOOK).await;
        };
        bar.finish_and_clear();
        if let Some(trouble) = done.get("build_failed").or_else(|| done.get("stopped")) {
            return Err(Failed::new(format!("failed to build the read model {name}: {}", text(trouble, "cause"))));
        }
        let version = done.get("version").and_then(Value::as_u64).unwrap_or_default();
        println!("{name}@{version} rebuilt, up to position {}", text(&done, "position"));
    }
    Ok(())
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A bar with rate and time left; nothing where nobody looks.
pub fn bar(what: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target).with_prefix(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{prefix:>10} [{bar:40}] {pos}/{len} events, {per_sec}, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
