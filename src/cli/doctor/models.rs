//! The read models: their files, how far they are, and their rows against a fresh fold of the events.

use std::collections::HashSet;

use gatebook_events::envelope::{Envelope, EventId, Position, StreamName};
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, client::Client, registration::Registration};
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use gatebook_projections::read_model::{Checked, Compare, Difference, OpenError, Projection, ReadModel};

use super::Report;
use super::log::{Examined, head};
use crate::bootstrap::{log_in_use, open_log_read_only};
use crate::cli::chain;
use crate::config::Config;
use crate::config::data_dir;
use crate::event_log::EventLog;
use crate::read_models::build;

/// How many rows that differ are named.
const MOST: usize = 8;

pub(super) async fn examine<P: Projection>(config: &Config, examined: &Examined, full: bool, report: &mut Report) {
    let advice = if log_in_use(config) {
        format!("`gatebook rebuild {} --url` with the URL of the service", P::NAME)
    } else {
        format!("`gatebook rebuild {}`", P::NAME)
    };
    if let Err(what) = held_against::<P>(config, examined, full, &advice, report).await {
        report.finding(P::NAME, what, advice);
    }
}

/// Fails where nothing more can be found out.
async fn held_against<P: Projection>(
    config: &Config,
    examined: &Examined,
    full: bool,
    advice: &str,
    report: &mut Report,
) -> Result<(), String> {
    let unfinished = ReadModel::<P>::has_unfinished_build(&data_dir::read_models(config));
    let opened = Checked::<P>::open(&data_dir::read_models(config));
    let Some(mut checked) = opened.map_err(|error: OpenError| chain(&error))? else {
        report.fine(P::NAME, "not built yet; a start builds it");
        return Ok(());
    };
    if unfinished && !log_in_use(config) {
        report.finding(P::NAME, "a build of it was interrupted", "start the service, which brings it to its end");
    }
    let damage = checked.damage().map_err(|error| chain(&error))?;
    if !damage.is_empty() {
        return Err(format!("the file is damaged: {}", damage.join("; ")));
    }
    // Asked for after the moment at which the tables are looked at, so that they cannot have seen more.
    let (shown, head) = (checked.position(), head(config).await?);
    if shown > head {
        let what = format!("it shows events up to position {shown}, and the log ends at {head}: the log is not the one it was");
        let lost = "if nobody put an older log in its place, its last events are lost: restore a backup that has them; otherwise";
        report.finding(P::NAME, what, format!("{lost} {advice}"));
        return Ok(());
    }
    let left_out = left_out::<P>(config).await?;
    let compare = if full { Compare::Everything } else { Compare::SomeStreams };
    let folded = match compare {
        Compare::Everything => fold_all(config, &mut checked, &left_out)?,
        Compare::SomeStreams => fold_some(config, &examined.sample.streams(), &mut checked, &left_out).await?,
    };
    let mut found = checked.differences(compare, MOST).map_err(|error| chain(&error))?;
    if P::NAME == Directory::NAME {
        let log = open_log_read_only(config).map_err(|error| chain(&error))?;
        for (key, servers) in examined.sample.clients() {
            if found.len() < MOST {
                found.extend(disagreements(&log, &checked, &left_out, (key, servers.iter().copied())).await?);
            }
        }
    }
    for Difference { table, row, what } in &found {
        report.finding(P::NAME, format!("the row {row} of its table {table} {what}"), advice);
    }
    if found.is_empty() {
        let behind = if shown < head { format!("at position {shown} of {head}; ") } else { String::new() };
        let of = match compare {
            Compare::Everything => "every row is".to_owned(),
            Compare::SomeStreams => format!("the rows of {} clients are", examined.sample.clients().count()),
        };
        report.fine(P::NAME, format!("version {}; {behind}{of} what a fresh fold of {folded} events makes", P::VERSION));
    }
    Ok(())
}

/// What every projection leaves out.
pub(super) async fn all_left_out(config: &Config) -> Result<[HashSet<EventId>; 3], String> {
    Ok([left_out::<Directory>(config).await?, left_out::<Approvals>(config).await?, left_out::<History>(config).await?])
}

async fn left_out<P: Projection>(config: &Config) -> Result<HashSet<EventId>, String> {
    let log = open_log_read_only(config).map_err(|error| chain(&error))?;
    let log: std::sync::Arc<dyn EventLog> = std::sync::Arc::new(log);
    Ok(build::left_out::<P>(&log).await.map_err(|error| chain(&error))?.into_iter().collect())
}

fn fold_all<P: Projection>(config: &Config, checked: &mut Checked<P>, left_out: &HashSet<EventId>) -> Result<u64, String> {
    let log = open_log_read_only(config).map_err(|error| chain(&error))?;
    let (mut folded, mut failed) = (0, None);
    let walked = log.verify_and_look(
        |_, _| (),
        |events| {
            if failed.is_none() {
                failed = checked.fold(events, left_out).err();
                folded += events.iter().filter(|one| one.position <= checked.position()).count() as u64;
            }
        },
    );
    walked.map_err(|error| chain(&error))?;
    failed.map_or(Ok(folded), |error| Err(chain(&error)))
}

async fn fold_some<P: Projection>(
    config: &Config,
    streams: &[StreamName],
    checked: &mut Checked<P>,
    left_out: &HashSet<EventId>,
) -> Result<u64, String> {
    let log = open_log_read_only(config).map_err(|error| chain(&error))?;
    let mut events = Vec::new();
    for stream in streams {
        let read = log.read(stream).await.map_err(|error| chain(&error))?;
        events.extend(read.events.into_iter().filter(|one| one.position <= checked.position()));
    }
    events.sort_unstable_by_key(|one| one.position);
    checked.fold(&events, left_out).map_err(|error| chain(&error))?;
    Ok(events.len() as u64)
}

/// What is shown of a client otherwise than decisions take it to be: the states that they rest on, folded up to where the
/// tables are. Nothing where an event was left out of the tables, by which the two differ as was decided.
async fn disagreements<P: Projection>(
    log: &impl EventLog,
    checked: &Checked<P>,
    left_out: &HashSet<EventId>,
    (key, servers): (ClientKey, impl Iterator<Item = ResourceServerId>),
) -> Result<Vec<Difference>, String> {
    let upto = checked.position();
    let Some(client) = state::<Client>(log, Stream::Client(key), upto, left_out).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for server in servers {
        let stream = Stream::Registration(server, key);
        let Some(registration) = state::<Registration>(log, stream, upto, left_out).await? else { continue };
        let differing = Directory::disagreements(checked, (server, key), &client, &registration).map_err(|error| chain(&error))?;
        if !differing.is_empty() {
            let what = format!("shows another {} than decisions rest on", differing.join(", "));
            found.push(Difference { table: "registrations".to_owned(), row: format!("{key} {server}"), what });
        }
    }
    Ok(found)
}

async fn state<A: Aggregate>(
    log: &impl EventLog,
    stream: Stream,
    upto: Position,
    left_out: &HashSet<EventId>,
) -> Result<Option<A>, String> {
    let read = log.read(&stream.name()).await.map_err(|error| chain(&error))?;
    let mut state = A::default();
    for Envelope { event, .. } in read.events.iter().filter(|one| one.position <= upto) {
        if left_out.contains(&event.id) {
            return Ok(None);
        }
        state = state.evolve(&A::Event::decode(&event.name, event.version, &event.data).map_err(|error| chain(&error))?);
    }
    Ok(Some(state))
}
