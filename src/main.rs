//! The `gatebook` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match gatebook::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("gatebook: {}", chain(&failed));
            ExitCode::FAILURE
        }
    }
}

/// An error with what it came from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}
