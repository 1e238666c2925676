//! What runs beside a mirror: one takes in what comes, and replaces a file that is broken; the other asks how far it should be.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use gatebook_events::envelope::Position;

use super::file::{self, MirrorFile};
use super::{OpenError, Parts};
use crate::event_log::{BrokenChain, Closed, LogError};

/// How often the head is asked for unless somebody wants to know sooner.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long the answer, and what is in it, may take until it is asked for anew.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two attempts to follow.
const PAUSE: Duration = Duration::from_millis(200);
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// How often a file is replaced while the service runs. A disk that breaks every one of them is for people.
const REPLACED: u32 = 3;
/// A head that stands before what was read here, so often in a row, is no new leader that catches up: entries were lost.
const BEHIND: u32 = 20;

/// Why nothing is taken in.
enum Stop {
    /// The file is not what was written.
    File(BrokenChain),
    /// The shared log does not answer, or is itself broken.
    Shared(LogError),
}

/// Opens a mirror that holds what was written: one that does not is put aside and begun anew.
pub fn open_whole(path: &Path, of: &str) -> Result<(MirrorFile, Vec<PathBuf>), OpenError> {
    let broken = match MirrorFile::open(path, of) {
        Ok(file) => match file.check() {
            Ok(_) => return Ok((file, Vec::new())),
            Err(broken) => broken.to_string(),
        },
        // What SQLite or the format does not make sense of. Whatever else is wrong would be wrong with a new file too.
        Err(error @ (OpenError::Sqlite(_) | OpenError::File(super::super::OpenError::Sqlite(_) | super::super::OpenError::NotALog(_)))) => {
            error.to_string()
        }
        Err(error) => return Err(error),
    };
    let aside = file::put_aside(path)?;
    tracing::error!(path = %path.display(), put_aside = %aside.display(), %broken, "the mirror is not what was written; it is put aside and fetched anew from the cluster");
    Ok((MirrorFile::open(path, of)?, vec![aside]))
}

/// Takes in what comes until it is aborted.
pub async fn feed(parts: Arc<Parts>) {
    let mut replaced = 0;
    loop {
        let Some(file) = parts.file.borrow().clone() else { return };
        let mut doubt = parts.doubt.subscribe();
        let stop = tokio::select! {
            stop = take_in(&parts, &file) => stop,
            Ok(broken) = doubt.wait_for(Option::is_some) => Stop::File(broken.clone().unwrap_or_else(unknown)),
        };
        match stop {
            Stop::File(broken) if replaced < REPLACED => {
                replaced += 1;
                if let Err(error) = replace(&parts, file, &broken).await {
                    tracing::error!(%error, "the mirror could not be replaced");
                    return parts.note(Some(&error.to_string()));
                }
            }
            Stop::File(broken) => {
                tracing::error!(%broken, "the mirror broke again and again; it is not replaced any more");
                parts.file.send_replace(None);
                return parts.note(Some(&broken.to_string()));
            }
            Stop::Shared(error) => {
                match &error {
                    LogError::Broken(_) => tracing::error!(%error, "the cluster's event log cannot be read on"),
                    LogError::Unavailable(_) => tracing::warn!(%error, "the cluster's event log is not followed at the moment"),
                }
                parts.note(Some(&error.to_string()));
                // A break over there does not mend itself in a moment.
                tokio::time::sleep(if matches!(error, LogError::Broken(_)) { LONG_PAUSE } else { PAUSE }).await;
            }
        }
    }
}

fn unknown() -> BrokenChain {
    BrokenChain { position: Position::START, event: None, stream: None, wrong: crate::event_log::Wrong::Unreadable }
}

async fn take_in(parts: &Parts, file: &MirrorFile) -> Stop {
    let mut following = parts.shared.follow(*file.upto.borrow());
    while let Some(entries) = following.next().await {
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return Stop::Shared(error),
        };
        let commits: Vec<_> = entries.iter().map(|entry| entry.commit.id).collect();
        match file.keep(entries).await {
            Ok(answers) => commits.into_iter().zip(answers).for_each(|(commit, answer)| parts.waiting.tell(commit, answer)),
            Err(LogError::Broken(broken)) => return Stop::File(broken),
            Err(error) => return Stop::Shared(error),
        }
        parts.upto.send_replace(*file.upto.borrow());
        parts.note(None);
    }
    Stop::Shared(LogError::Unavailable(Box::new(Closed)))
}

async fn replace(parts: &Parts, file: Arc<MirrorFile>, broken: &BrokenChain) -> Result<(), OpenError> {
    parts.file.send_replace(None);
    parts.fresh.send_replace(None);
    file.close().await;
    let (path, of) = (parts.path.clone(), parts.shared.identity().to_owned());
    let opened = tokio::task::spawn_blocking(move || {
        let aside = file::put_aside(&path)?;
        Ok::<_, OpenError>((MirrorFile::open(&path, &of)?, aside))
    });
    let (file, aside) = opened.await.map_err(|_| OpenError::Unreachable)??;
    tracing::error!(
        path = %parts.path.display(), put_aside = %aside.display(), %broken,
        "the mirror is not what was written; it is put aside and fetched anew from the cluster"
    );
    parts.story.lock().unwrap_or_else(PoisonError::into_inner).put_aside.push(aside);
    parts.doubt.send_replace(None);
    parts.upto.send_replace(*file.upto.borrow());
    parts.file.send_replace(Some(Arc::new(file)));
    Ok(())
}

/// Asks for the head now and then, and notes since when everything is in.
pub async fn watch_head(parts: Arc<Parts>) {
    let mut behind = 0;
    loop {
        let asked = Instant::now();
        match tokio::time::timeout(ANSWER, parts.shared.head()).await {
            Ok(Ok(head)) => {
                let upto = *parts.upto.borrow();
                if head < upto {
                    // A new leader may not have taken in all that was agreed on.
                    behind += 1;
                    if behind == BEHIND {
                        tracing::error!(%head, %upto, "the cluster's event log ends before what this node has read of it: it has lost entries");
                        parts.note(Some("the cluster's event log has lost entries that this node has"));
                    }
                } else {
                    behind = 0;
                    parts.head.send_replace(head);
                    let mut upto = parts.upto.subscribe();
                    if let Ok(Ok(_)) = tokio::time::timeout(ANSWER, upto.wait_for(|upto| *upto >= head)).await {
                        parts.know_all_since(asked);
                        parts.note(None);
                    }
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "the head of the cluster's event log could not be asked for"),
            Err(_) => tracing::debug!("the head of the cluster's event log was not told in time"),
        }
        // Whoever asked while the answer was on its way wants to hear of a later one.
        let _either = tokio::time::timeout(INTERVAL, parts.asked.notified()).await;
    }
}

impl Parts {
    /// Remembers what keeps the mirror from taking in anything; none where nothing does.
    pub fn note(&self, trouble: Option<&str>) {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).trouble = trouble.map(Arc::from);
    }
}
