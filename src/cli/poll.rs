//! `gatebook poll`: has a running instance read its clients' documents again now.

use clap::Args;
use gatebook_events::identity::TenantId;
use reqwest::Method;
use serde_json::Value;

use super::running::Running;
use super::{Failed, checked};
use crate::config::Settings;
use crate::credentials::admin::{Admin, AdminMinter, Role};
use crate::platform::clock::Clock;

/// Have a running instance read its clients' documents again now
#[derive(Debug, Args)]
pub struct PollArgs {
    /// Where the instance listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,

    /// Whose clients
    #[arg(long, default_value = "default")]
    pub tenant: String,

    /// The same settings as the server's; its key makes the administrator's token.
    #[command(flatten)]
    pub settings: Settings,
}

/// Asks for it, and says how many documents will be read.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: PollArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let because = |error| Failed::because("failed to make a token", error);
    let minter = AdminMinter::try_new(&config.admin, Clock::system()).map_err(|error| Failed::because("failed to make a token", error))?;
    let tenant = TenantId::parse(&args.tenant).map_err(|error| Failed::because("failed to name a tenant", error))?;
    let admin = Admin { tenant, subject: "poll".to_owned(), role: Role::Admin };
    let token = minter.mint(&admin, chrono::TimeDelta::minutes(1)).map_err(because)?;
    let answer = Running::at(&args.url)?.call(Method::POST, "/authsec/manifests/poll", Some(&token), None).await?;
    println!("{} documents are read now", answer.get("due").and_then(Value::as_u64).unwrap_or_default());
    Ok(())
}
