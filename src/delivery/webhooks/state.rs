//! What is known of webhooks. It stands in this node's outbox; where nodes share a log, it stands in a note for each webhook, of which
//! the outbox has a copy.
//!
//! Whatever is changed is changed in the copy and then noted. If somebody else was quicker, the note is read and the change made anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gatebook_events::envelope::{EventId, Position, Revision};
use gatebook_events::identity::WebhookId;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use uuid::Uuid;

use super::outbox::{Letter, Outbox, Round, Standing};
use crate::cluster::shared_kv::{NotWritten, Notes, Unavailable};
use crate::platform::side_db::NotKept;

/// While a webhook has so many letters, nothing new is read for it: of each about 400 bytes are noted, and a note has to fit into one
/// message of NATS (1 MB).
const MOST_LETTERS: u64 = 1000;
/// How often a change is tried that others come before.
const TRIES: u32 = 20;
/// Between two attempts to note what was sent, while nobody who keeps notes answers.
const PAUSE: Duration = Duration::from_millis(300);

/// One node's turn to send, drawn when it begins. By this a note tells those who have the turn from those who had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(Uuid);

impl Term {
    /// One that there was not yet.
    pub fn draw() -> Self {
        Self(Uuid::new_v4())
    }
}

/// Why something is not known or not changed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// This node cannot keep it.
    #[error(transparent)]
    Outbox(#[from] NotKept),
    /// Nodes cannot share it now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A note is not as this build writes it.
    #[error("what nodes know of a webhook is not readable for this build")]
    Unreadable(#[from] serde_json::Error),
    /// Others came first, too often.
    #[error("others changed what is known of the webhook meanwhile")]
    Contended,
    /// Another node has the turn.
    #[error("it is another node's turn to send to the webhook")]
    NotOurs,
}

/// A change of what is known.
#[derive(Debug, Clone)]
pub enum Change {
    /// Nothing but whose turn it is.
    None,
    /// What came of a round of sending.
    Round(Round),
    /// Everything that waits is sent now.
    Hasten,
    /// A dead letter is sent again, or all of them.
    Revive(Option<EventId>),
    /// A dead letter is taken out for good.
    Drop(EventId),
    /// It goes on after a position before that to which it came: what came after it is no longer in the log.
    GoBack(Position),
}

/// On whose behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Anybody,
    Taker(Term),
    Holder(Term),
}

/// What is known of all webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    outbox: Outbox,
    shared: Option<Arc<Shared>>,
}

struct Shared {
    notes: Arc<dyn Notes>,
    copies: Mutex<HashMap<WebhookId, Arc<AsyncMutex<Option<Known>>>>>,
}

/// The note that the outbox has a copy of.
#[derive(Debug, Clone, Copy)]
struct Known {
    revision: Option<Revision>,
    term: Option<Term>,
}

/// What a note says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    term: Option<Term>,
    #[serde(flatten)]
    standing: Standing,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    letters: Vec<Letter>,
}

impl Ledger {
    /// What only this node knows.
    pub fn alone(outbox: Outbox) -> Self {
        Self { outbox, shared: None }
    }

    /// What nodes know by these notes.
    pub fn shared(outbox: Outbox, notes: Arc<dyn Notes>) -> Self {
        Self { outbox, shared: Some(Arc::new(Shared { notes, copies: Mutex::default() })) }
    }

    /// The outbox as it is: for whoever has the turn, and wrote what stands there.
    pub fn copy(&self) -> &Outbox {
        &self.outbox
    }

    /// The outbox, once it says of a webhook what all nodes know.
    pub async fn of(&self, webhook: WebhookId) -> Result<&Outbox, LedgerError> {
        if let Some(shared) = &self.shared {
            let copy = shared.copy(webhook);
            shared.read(&self.outbox, webhook, &mut copy.lock().await).await?;
        }
        Ok(&self.outbox)
    }

    /// Has the outbox say what all nodes know, for whoever has the turn still.
    pub async fn hear(&self, webhook: WebhookId, term: Option<Term>) -> Result<(), LedgerError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let copy = shared.copy(webhook);
        let known = shared.read(&self.outbox, webhook, &mut copy.lock().await).await?;
        if known.term == term { Ok(()) } else { Err(LedgerError::NotOurs) }
    }

    /// Whether there is room for more letters.
    pub fn has_room(&self, standing: &Standing) -> bool {
        self.shared.is_none() || standing.waiting + standing.dead + standing.held < MOST_LETTERS
    }

    /// Takes a webhook over: whoever had it before notes nothing more. Where nothing was noted yet, what this node knows is.
    pub async fn take(&self, webhook: WebhookId, term: Term, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.change_by(By::Taker(term), webhook, &Change::None, now).await.map(drop)
    }

    /// Changes what somebody asks for, at whichever node. Says how many letters that was.
    pub async fn change(&self, webhook: WebhookId, change: Change, now: DateTime<Utc>) -> Result<usize, LedgerError> {
        self.change_by(By::Anybody, webhook, &change, now).await
    }

    /// Notes what came of a round, however long that takes: who has the turn no longer is stopped by it, or from outside.
    pub async fn note(&self, webhook: WebhookId, round: Round, now: DateTime<Utc>, term: Option<Term>) -> Result<(), LedgerError> {
        let (by, change) = (term.map_or(By::Anybody, By::Holder), Change::Round(round));
        loop {
            match self.change_by(by, webhook, &change, now).await {
                Err(LedgerError::Unavailable(error)) => {
                    tracing::warn!(%webhook, %error, "what was sent to a webhook cannot be noted now");
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done.map(drop),
            }
        }
    }

    /// Forgets a webhook that is no more.
    pub async fn forget(&self, webhook: WebhookId) -> Result<(), LedgerError> {
        self.outbox.forget(webhook).await?;
        let Some(shared) = &self.shared else { return Ok(()) };
        let copy = shared.copy(webhook);
        let mut copied = copy.lock().await;
        *copied = None;
        match shared.notes.read(&note(webhook)).await? {
            Some(found) if !found.text.is_empty() => {
                match shared.notes.write(&note(webhook), bytes::Bytes::new(), Some(found.revision)).await {
                    Ok(_) => Ok(()),
                    Err(NotWritten::Conflict) => Err(LedgerError::Contended),
                    Err(NotWritten::Unavailable(error)) => Err(error.into()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn change_by(&self, by: By, webhook: WebhookId, change: &Change, now: DateTime<Utc>) -> Result<usize, LedgerError> {
        let Some(shared) = &self.shared else { return Ok(self.outbox.change(webhook, change, now).await?) };
        let copy = shared.copy(webhook);
        let mut copied = copy.lock().await;
        if !matches!(by, By::Holder(_)) {
            // Who does not have the turn has not heard of everything.
            *copied = None;
        }
        for _ in 0..TRIES {
            let known = match *copied {
                Some(known) => known,
                None => shared.read(&self.outbox, webhook, &mut copied).await?,
            };
            let term = match by {
                By::Holder(term) if known.term != Some(term) => return Err(LedgerError::NotOurs),
                By::Anybody | By::Holder(_) => known.term,
                By::Taker(term) => Some(term),
            };
            // Until it is noted, the copy is none.
            *copied = None;
            let number = self.outbox.change(webhook, change, now).await?;
            if number == 0 && by == By::Anybody {
                *copied = Some(known);
                return Ok(0);
            }
            let (mut standing, mut letters) = self.outbox.all(webhook).await?;
            let most = usize::try_from(MOST_LETTERS).unwrap_or(usize::MAX);
            if known.revision.is_none() && letters.len() > most {
                // More than fit into a note, from when there was none: what is after the last one kept is read, and sent, again.
                letters.truncate(most);
                standing.position = letters.last().map(|letter| letter.position);
                self.outbox.replace(webhook, standing.clone(), letters.clone()).await?;
            }
            let text = serde_json::to_vec(&Entry { term, standing, letters })?;
            match shared.notes.write(&note(webhook), text.into(), known.revision).await {
                Ok(revision) => {
                    *copied = Some(Known { revision: Some(revision), term });
                    return Ok(number);
                }
                Err(NotWritten::Conflict) => {}
                Err(NotWritten::Unavailable(error)) => return Err(error.into()),
            }
        }
        Err(LedgerError::Contended)
    }
}

impl Shared {
    fn copy(&self, webhook: WebhookId) -> Arc<AsyncMutex<Option<Known>>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).entry(webhook).or_default().clone()
    }

    /// Has the outbox be a copy of the note. Where there is none, the outbox stays as it is.
    async fn read(&self, outbox: &Outbox, webhook: WebhookId, copied: &mut MutexGuard<'_, Option<Known>>) -> Result<Known, LedgerError> {
        let known = match self.notes.read(&note(webhook)).await? {
            None => Known { revision: None, term: None },
            Some(found) => match **copied {
                Some(known) if known.revision == Some(found.revision) => known,
                _ => {
                    let entry: Entry = if found.text.is_empty() { Entry::default() } else { serde_json::from_slice(&found.text)? };
                    outbox.replace(webhook, entry.standing, entry.letters).await?;
                    Known { revision: Some(found.revision), term: entry.term }
                }
            },
        };
        **copied = Some(known);
        Ok(known)
    }
}

fn note(webhook: WebhookId) -> String {
    format!("webhook-{webhook}")
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::cluster::shared_kv::Note;

    const HOOK: WebhookId = WebhookId(Uuid::from_u128(1));

    /// Notes of this process.
    #[derive(Default)]
    struct InMemory(Mutex<HashMap<String, Note>>);

    #[async_trait]
    impl Notes for InMemory {
        async fn read(&self, key: &str) -> Result<Option<Note>, Unavailable> {
            Ok(self.0.lock().unwrap().get(key).cloned())
        }

        async fn write(&self, key: &str, text: Bytes, known: Option<Revision>) -> Result<Revision, NotWritten> {
            let mut notes = self.0.lock().unwrap();
            let before = notes.get(key).map(|note| note.revision);
            if before != known {
                return Err(NotWritten::Conflict);
            }
            let revision = Revision::from_backend(before.map_or(0, Revision::to_backend) + 1);
            notes.insert(key.to_owned(), Note { text, revision });
            Ok(revision)
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn letter(position: u64, dead: bool) -> Letter {
        Letter {
            position: Position::from_backend(position),
            stream: format!("stream-{position}"),
            event_id: EventId(Uuid::from_u128(u128::from(position))),
            name: "client.registered".to_owned(),
            attempts: 1,
            next_at: at(0),
            tried_at: Some(at(0)),
            trouble: Some("status_500".to_owned()),
            dead_at: dead.then(|| at(0)),
        }
    }

    fn round(position: u64, letters: Vec<Letter>) -> Round {
        Round { position: Some(Position::from_backend(position)), letters, ..Round::default() }
    }

    fn two() -> (Ledger, Ledger, TempDir) {
        let (notes, folder): (Arc<dyn Notes>, _) = (Arc::new(InMemory::default()), tempfile::tempdir().unwrap());
        let ledger = |name: &str| Ledger::shared(Outbox::open(&folder.path().join(name)).unwrap(), notes.clone());
        (ledger("one.db"), ledger("other.db"), folder)
    }

    async fn known(ledger: &Ledger) -> (Standing, Vec<Letter>) {
        ledger.of(HOOK).await.unwrap().all(HOOK).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_takes_the_turn_goes_on_where_the_last_one_was_and_that_one_notes_nothing_more() {
        let (one, other, _folder) = two();
        let (first, second) = (Term::draw(), Term::draw());
        one.take(HOOK, first, at(0)).await.unwrap();
        one.note(HOOK, round(8, vec![letter(3, false), letter(5, true)]), at(0), Some(first)).await.unwrap();
        other.take(HOOK, second, at(1)).await.unwrap();
        assert_eq!(known(&other).await, known(&one).await);
        let late = one.note(HOOK, round(9, vec![letter(9, false)]), at(2), Some(first)).await;
        assert!(matches!(late, Err(LedgerError::NotOurs)), "{late:?}");
        let (standing, letters) = known(&one).await;
        assert_eq!((standing.position, letters), (Some(Position::from_backend(8)), vec![letter(3, false), letter(5, true)]));
        other.note(HOOK, Round { taken: vec![Position::from_backend(3)], ..Round::default() }, at(3), Some(second)).await.unwrap();
        assert_eq!(known(&one).await.1, [letter(5, true)]);
    }

    #[tokio::test]
    async fn what_is_asked_for_elsewhere_stands_when_the_holder_notes_next() {
        let (one, other, _folder) = two();
        let term = Term::draw();
        assert_eq!(other.change(HOOK, Change::Revive(None), at(0)).await.unwrap(), 0, "nothing is noted");
        one.take(HOOK, term, at(0)).await.unwrap();
        one.note(HOOK, round(8, vec![letter(3, false), letter(5, true), letter(6, true)]), at(0), Some(term)).await.unwrap();
        assert_eq!(other.change(HOOK, Change::Revive(Some(letter(5, true).event_id)), at(1)).await.unwrap(), 1);
        assert_eq!(other.change(HOOK, Change::Drop(letter(6, true).event_id), at(1)).await.unwrap(), 1);
        one.note(HOOK, Round { taken: vec![Position::from_backend(3)], ..Round::default() }, at(2), Some(term)).await.unwrap();
        let revived = Letter { attempts: 0, next_at: at(1), ..letter(5, false) };
        assert_eq!((known(&one).await.1, known(&other).await.1), (vec![revived.clone()], vec![revived]));
        one.forget(HOOK).await.unwrap();
        assert_eq!(known(&other).await, (Standing::default(), Vec::new()));
    }

    #[tokio::test]
    async fn what_this_node_knew_before_there_were_notes_is_the_beginning_of_them() {
        let (one, other, _folder) = two();
        one.copy().note(HOOK, round(8, vec![letter(5, true)]), at(0)).await.unwrap();
        one.take(HOOK, Term::draw(), at(1)).await.unwrap();
        assert_eq!(known(&other).await.1, [letter(5, true)]);
    }

    #[tokio::test]
    async fn of_more_letters_than_fit_into_a_note_the_first_ones_begin_it_and_the_rest_is_read_again() {
        let (one, other, _folder) = two();
        let old = (1..=MOST_LETTERS * 3).map(|number| letter(number * 2, number % 2 == 0)).collect();
        one.copy().note(HOOK, round(9_000, old), at(0)).await.unwrap();
        one.take(HOOK, Term::draw(), at(1)).await.unwrap();
        let (standing, letters) = known(&other).await;
        assert_eq!((letters.len(), standing.position), (1000, Some(Position::from_backend(2000))));
        assert_eq!(letters.last(), Some(&letter(2000, true)));
        assert_eq!(one.copy().all(HOOK).await.unwrap(), (standing, letters), "the copy is what is noted");
    }

    #[tokio::test]
    async fn the_holder_hears_what_was_asked_for_elsewhere_without_being_told_and_whether_the_note_is_still_its_own() {
        let (one, other, _folder) = two();
        let (first, second) = (Term::draw(), Term::draw());
        one.take(HOOK, first, at(0)).await.unwrap();
        one.note(HOOK, round(8, vec![letter(5, true)]), at(0), Some(first)).await.unwrap();
        assert_eq!(other.change(HOOK, Change::Revive(None), at(1)).await.unwrap(), 1);
        assert_eq!(one.copy().due(HOOK, at(1), 9).await.unwrap(), []);
        one.hear(HOOK, Some(first)).await.unwrap();
        assert_eq!(one.copy().due(HOOK, at(1), 9).await.unwrap(), [Letter { attempts: 0, next_at: at(1), ..letter(5, false) }]);
        other.take(HOOK, second, at(2)).await.unwrap();
        let late = one.hear(HOOK, Some(first)).await;
        assert!(matches!(late, Err(LedgerError::NotOurs)), "{late:?}");
    }

    #[tokio::test]
    async fn a_note_with_all_the_letters_that_it_may_have_fits_into_a_message() {
        let (one, _other, _folder) = two();
        let term = Term::draw();
        one.take(HOOK, term, at(0)).await.unwrap();
        let stream = format!("registration-{}-{}", Uuid::from_u128(1), Uuid::from_u128(2));
        let long = |number| Letter { stream: stream.clone(), ..letter(1_000_000_000 + number, number % 2 == 0) };
        assert!(one.has_room(&one.copy().standing(HOOK).await.unwrap()));
        // One batch more than there is room for may come before that is seen.
        one.note(HOOK, round(9_000_000_000, (0..MOST_LETTERS + 64).map(long).collect()), at(0), Some(term)).await.unwrap();
        assert!(!one.has_room(&one.copy().standing(HOOK).await.unwrap()));
        let size = one.shared.as_ref().unwrap().notes.read(&note(HOOK)).await.unwrap().unwrap().text.len();
        assert!(size < 700_000, "{size} bytes");
    }
}
