//! How many clients were registered per day and host: a projection of one's own, beside a running service.
//!
//!     cargo run --release -- path/to/gatebook-data/log.db path/to/own-folder
//!
//! Each run reads what came since the last one, brings it into the table and prints the table.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;
use std::path::Path;

use futures_util::StreamExt;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{EventLog, Followed};
use gatebook_events::client::ClientEvent;
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::Envelope;
use gatebook_events::redirect::RedirectUri;
use gatebook_projections::{ApplyError, Projection, ReadModel};
use rusqlite::Transaction;

/// One row a day (UTC) and host of a redirect URI.
struct Registrations;

impl Projection for Registrations {
    const NAME: &'static str = "registrations";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = "CREATE TABLE registrations \
        (day TEXT NOT NULL, host TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (day, host)) STRICT;";

    fn handles(event_name: &str) -> bool {
        event_name == "client.registered"
    }

    type Change = AnyEvent;

    fn read(envelope: &Envelope) -> Result<AnyEvent, ApplyError> {
        Ok(codec::decode(envelope)?.1)
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, event: &AnyEvent) -> Result<(), ApplyError> {
        const COUNT: &str = "INSERT INTO registrations VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET number = number + 1";
        if let AnyEvent::Client(ClientEvent::Registered(client)) = event {
            let day = envelope.event.recorded_at.date_naive().to_string();
            let hosts: BTreeSet<&str> = client.metadata.redirect_uris.iter().map(RedirectUri::host).collect();
            for host in hosts {
                tx.prepare_cached(COUNT)?.execute((&day, host))?;
            }
        }
        Ok(())
    }
}

/// Brings the table to where the log is now, and gives its rows.
pub async fn count(log: &Path, folder: &Path) -> Result<Vec<(String, String, i64)>, Box<dyn Error>> {
    let log = SqliteLog::open_read_only(log)?;
    let mut model = ReadModel::<Registrations>::open(folder)?;
    let mut following = log.follow(model.position());
    while let Some(Followed::Events(events)) = following.next().await.transpose()? {
        model.apply(&events)?;
    }
    let rows = model.reader().with(|table| {
        let mut statement = table.prepare("SELECT day, host, number FROM registrations ORDER BY day, host")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    })?;
    Ok(rows)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, folder] = arguments.as_slice() else { return Err("say where the log is, and a folder for the table".into()) };
    std::fs::create_dir_all(folder)?;
    for (day, host, number) in count(Path::new(log), Path::new(folder)).await? {
        writeln!(std::io::stdout(), "{day} {number:>6} {host}")?;
    }
    Ok(())
}
