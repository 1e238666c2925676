//! `gatebook health`: whether the instance that runs here is well. For images that have no other program to ask with.

use clap::Args;
use reqwest::Method;

use super::Failed;
use super::running::Running;

/// Ask a running instance whether it is well
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where it listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
}

/// Says what the instance says, and fails if that is not that it is well.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: HealthArgs) -> Result<(), Failed> {
    let said = Running::at(&args.url)?.call(Method::GET, "/health", None, None).await?;
    println!("{said}");
    Ok(())
}
