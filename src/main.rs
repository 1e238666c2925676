//! The `gatebook` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match gatebook::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("gatebook: {}", gatebook::cli::chain(&failed));
            ExitCode::FAILURE
        }
    }
}
