//! `gatebook verify`: walks the event log's hash chain from the first event to the last.

use super::{Failed, progress};
use crate::bootstrap::open_log_read_only;
use crate::config::Config;
use crate::config::data_dir;

/// Reads only, so it may run beside a service.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub fn run(config: &Config) -> Result<(), Failed> {
    let path = data_dir::log(config);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}", path.display())));
    }
    let log = open_log_read_only(config).map_err(|error| Failed::because("failed to open the event log", error))?;
    let bar = super::rebuild::bar("verifying");
    let summary = log.verify(progress(&bar)).map_err(|error| Failed::because("the event log is not what was written", error))?;
    bar.finish_and_clear();
    println!("{} events, the chain holds; its head is {}", summary.events, summary.head);
    println!("  chain  {}", summary.hash);
    println!("  root   {} (RFC 6962)", summary.root);
    Ok(())
}
