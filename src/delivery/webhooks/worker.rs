//! Carries one webhook's messages: first what was not taken and is due, then what is new. Of one stream nothing is sent before what
//! came before it was taken; streams do not wait for each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::outbox::{Letter, Outbox, Round};
use super::{Bell, Office};
use crate::aggregates::{Cause, CommandError};
use crate::delivery::cloud_event;
use crate::delivery::webhooks::commands::KnownWebhook;
use crate::delivery::webhooks::lease::HOLDS;
use crate::delivery::webhooks::sender::{Message, NotTaken, Snag};
use crate::delivery::webhooks::state::{LedgerError, Term};
use crate::platform::side_db::NotKept;
use crate::read_models::Follower;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use gatebook_events::envelope::{Actor, ActorKind, Position};
use gatebook_events::identity::{TenantId, WebhookId};
use gatebook_events::webhook::{Disabled, DisabledBecause, Life, Start, Wish};
use gatebook_projections::history::HistoryRow;

/// How many events are read at a time.
const BATCH: usize = 64;
/// How many streams are sent from at a time.
const AT_ONCE: usize = 8;
/// While so many letters wait, nothing new is read: a receiver that is down has the log wait for it, not a table.
const MOST_WAITING: u64 = 256;
/// After so many attempts, in about a day, a letter is dead.
const MOST_ATTEMPTS: u32 = 12;
/// The pause after the first attempt; then three times as long, and so on.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// The longest pause of one letter.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(8);
/// The longest pause that a receiver may ask for.
const LONGEST_WISH: TimeDelta = TimeDelta::hours(24);
/// After so many failures in a row the receiver as a whole is left alone for a while, and then tried with one message.
const SETBACKS: u32 = 2;
/// The longest that it is.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(10);
/// A receiver that took nothing for so long is sent nothing more until an administrator says so.
const PATIENCE: TimeDelta = TimeDelta::days(5);
/// How long a courier waits that could not do its work, or whose webhook is disabled and might be enabled on another node.
const TICK: Duration = Duration::from_secs(5);
/// Between two looks at the note by a courier that nobody wakes: it may not have been told of what was asked for elsewhere.
const HEARS: Duration = Duration::from_secs(60);
/// So many events that nobody wanted are read before that is noted, if they come within one such time.
const UNNOTED: usize = 1000;
/// How long a courier waits whose note is not this turn's. A little longer than a turn that was lost is held, so that of one that is
/// held still the note was cleared by hand.
const RETAKE: Duration = HOLDS.saturating_add(Duration::from_secs(1));

/// One webhook's courier.
pub(super) struct Courier {
    pub(super) id: WebhookId,
    pub(super) office: Arc<Office>,
    pub(super) bell: Arc<Bell>,
    /// Whose turn this is; none where there is one node.
    term: Option<Term>,
    /// Whether what is known of the webhook was taken over.
    taken: bool,
    setbacks: AtomicU32,
    rest_until: Option<DateTime<Utc>>,
    /// How far was read while there was nothing to send; not worth writing down at once.
    read: Position,
    /// How many events that nobody wanted were read since that was last noted.
    unnoted: usize,
    /// When the note was last looked at for what is asked for elsewhere.
    heard: Instant,
}

/// What a courier does next.
enum Next {
    /// There may be more to do.
    Again,
    /// Nothing before this time, or before something new is there, if it may be sent.
    Wait { until: Option<DateTime<Utc>>, or_new: bool },
    /// Nothing while the webhook is as it is.
    Sleep,
    /// The webhook is no more.
    Over,
}

/// Why a courier cannot do its work now.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("the webhook cannot be read")]
    Command(#[from] CommandError),
    #[error("the outbox cannot be kept")]
    Outbox(#[from] NotKept),
    #[error("what is known of the webhook cannot be read or noted")]
    Ledger(#[from] LedgerError),
    #[error("the history cannot be read")]
    History(#[from] gatebook_projections::read_model::QueryError),
    #[error("the event cannot be rendered")]
    Event(#[from] serde_json::Error),
    #[error("a thread ended early")]
    Thread,
}

/// An event that is to be sent, and what is known of it while it is not taken.
struct Errand {
    row: HistoryRow,
    letter: Letter,
}

/// How an errand ended.
enum Ending {
    Taken(Position),
    Not(Letter, Option<NotTaken>),
}

impl Courier {
    pub(super) fn new(id: WebhookId, office: Arc<Office>, bell: Arc<Bell>, term: Option<Term>) -> Self {
        Self {
            id,
            office,
            bell,
            term,
            taken: term.is_none(),
            setbacks: AtomicU32::new(0),
            rest_until: None,
            read: Position::START,
            unnoted: 0,
            heard: Instant::now(),
        }
    }

    /// Carries until the webhook is deleted. When the turn is another node's, it is aborted.
    pub(super) async fn run(mut self) -> WebhookId {
        loop {
            match self.turn().await {
                Ok(Next::Again) => {}
                Ok(Next::Wait { until, or_new }) => self.wait(until, or_new).await,
                Ok(Next::Sleep) => drop(tokio::time::timeout(TICK, self.bell.woken.notified()).await),
                Ok(Next::Over) => return self.id,
                Err(Hindrance::Ledger(LedgerError::NotOurs)) => {
                    tracing::warn!(webhook = %self.id, "what is known of a webhook was cleared or is another turn's, and is taken again soon");
                    tokio::time::sleep(RETAKE).await;
                    // What was read is not known to be taken: whoever cleared the note has everything begin anew.
                    (self.taken, self.read, self.unnoted) = (false, Position::START, 0);
                }
                Err(hindrance) => {
                    let cause = std::error::Error::source(&hindrance).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(webhook = %self.id, error = %hindrance, %cause, "a webhook's messages cannot be carried now");
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }

    async fn wait(&self, until: Option<DateTime<Utc>>, or_new: bool) {
        let time = async {
            match until {
                // The clock may be set back meanwhile.
                Some(until) => drop(tokio::time::timeout(HEARS, self.office.clock().until(until)).await),
                None => std::future::pending().await,
            }
        };
        let new = async {
            if !or_new || !self.office.history.moved_past(self.read).await {
                std::future::pending::<()>().await;
            }
        };
        let hear = async {
            if self.term.is_none() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until((self.heard + HEARS).into()).await;
        };
        tokio::select! {
            () = self.bell.woken.notified() => {}
            () = time => {}
            () = new => {}
            () = hear => {}
        }
    }

    async fn turn(&mut self) -> Result<Next, Hindrance> {
        let Some(known) = self.office.commands.webhook(self.id).await? else {
            self.office.ledger.forget(self.id).await?;
            return Ok(Next::Over);
        };
        if let Some(term) = self.term.filter(|_| !self.taken) {
            self.take_over(term).await?;
        }
        let (Life::Active, Some(tenant), Some(wish)) = (known.webhook.life, known.webhook.tenant.clone(), known.webhook.wish.clone())
        else {
            return Ok(Next::Sleep);
        };
        let insisted = self.bell.insisted.swap(false, Ordering::Relaxed);
        if insisted {
            (self.rest_until, *self.setbacks.get_mut()) = (None, 0);
        }
        if insisted || self.heard.elapsed() >= HEARS {
            // Whoever insists may have changed letters at another node.
            self.heard = Instant::now();
            self.office.ledger.hear(self.id, self.term).await?;
            if std::mem::take(&mut self.unnoted) > 0 {
                let round = Round { position: Some(self.read), ..Round::default() };
                self.note(round, self.office.clock().now()).await?;
            }
        }
        let now = self.office.clock().now();
        // A rest that is longer than any was begun while the clock was ahead.
        if let Some(until) = self.rest_until.filter(|until| now < *until && *until - now <= LONGEST_WISH + LONGEST_REST) {
            return Ok(Next::Wait { until: Some(until), or_new: false });
        }
        self.rest_until = None;
        let office = self.office.clone();
        // Tables that show another log, or none yet, are not what webhooks are told of.
        office.history.until(|progress| progress.serves).await.ok_or(Hindrance::Thread)?;
        let outbox = office.ledger.copy();
        let due = outbox.due(self.id, now, BATCH).await?;
        let sent = !due.is_empty();
        if sent {
            let (errands, round) = self.errands(due, now).await?;
            if self.send(&known, errands, round).await? {
                return Ok(Next::Again);
            }
        }
        let standing = outbox.standing(self.id).await?;
        let or_new = standing.waiting < MOST_WAITING && office.ledger.has_room(&standing);
        if or_new {
            let begin = match known.webhook.start {
                Start::Now => known.created,
                Start::Beginning => Position::START,
                Start::After(position) => Position::from_backend(position),
            };
            // One that went back goes back no further than to where it begins.
            let start = standing.position.map_or(begin, |position| position.max(begin));
            if self.send_new(&known, (&tenant, &wish), start.max(self.read)).await? {
                return Ok(Next::Again);
            }
        }
        if sent {
            return Ok(Next::Again);
        }
        Ok(Next::Wait { until: outbox.next_at(self.id).await?, or_new })
    }

    /// Goes on from where the turn before ended.
    async fn take_over(&mut self, term: Term) -> Result<(), Hindrance> {
        self.office.ledger.take(self.id, term, self.office.clock().now()).await?;
        let noted = self.outbox().standing(self.id).await?.position.unwrap_or_default();
        // What is noted has to be shown here before it is sent: what the history does not have is taken for lost.
        self.office.history.until(|progress| progress.position >= noted).await.ok_or(Hindrance::Thread)?;
        self.taken = true;
        Ok(())
    }

    /// Notes what came of a round, with what the log hashes to at the position.
    async fn note(&self, mut round: Round, now: DateTime<Utc>) -> Result<(), Hindrance> {
        if let Some(position) = round.position {
            let hash = self.office.commands.log().hash_at(position).await.map_err(CommandError::from)?;
            round.hash = Some(*hash.as_bytes());
        }
        Ok(self.office.ledger.note(self.id, round, now, self.term).await?)
    }

    fn outbox(&self) -> &Outbox {
        self.office.ledger.copy()
    }

    /// Sends what is new, if anything is.
    async fn send_new(&mut self, known: &KnownWebhook, (tenant, wish): (&TenantId, &Wish), after: Position) -> Result<bool, Hindrance> {
        let shown = self.office.history.progress().position;
        let (reader, of) = (self.office.history.reader().clone(), tenant.clone());
        let told = tokio::task::spawn_blocking(move || reader.told(&of, after, BATCH)).await.map_err(|_| Hindrance::Thread)??;
        if told.position == after {
            // Nothing of this tenant up to what was shown before the query, so there is no need to look there again.
            self.read = after.max(shown);
            return Ok(false);
        }
        let behind = self.outbox().streams(self.id).await?;
        let (mut round, read) = (Round { position: Some(told.position), ..Round::default() }, told.rows.len().max(1));
        let mut errands = Vec::new();
        for row in told.rows.into_iter().filter(|row| wish.wants(&row.name, row.resource_server)) {
            let letter = letter(&row, self.office.clock().now());
            if behind.contains(&row.stream) {
                round.letters.push(letter);
            } else {
                errands.push(Errand { row, letter });
            }
        }
        let nothing = errands.is_empty() && round.letters.is_empty() && behind.is_empty();
        if nothing && self.term.is_some() && self.unnoted + read < UNNOTED {
            // Not worth a note, which is written in several places: whoever takes the turn next reads them again.
            (self.read, self.unnoted) = (told.position, self.unnoted + read);
            return Ok(true);
        }
        self.send(known, errands, round).await?;
        self.unnoted = 0;
        Ok(true)
    }

    /// The events of letters. What the history leaves out since it was built anew cannot be sent.
    async fn errands(&self, letters: Vec<Letter>, now: DateTime<Utc>) -> Result<(Vec<Errand>, Round), Hindrance> {
        let reader = self.office.history.reader().clone();
        let read = move || -> Result<_, Hindrance> {
            let (mut errands, mut round) = (Vec::new(), Round::default());
            for letter in letters {
                match reader.at(letter.position)? {
                    Some(row) => errands.push(Errand { row, letter }),
                    None => round.letters.push(Letter { dead_at: Some(now), trouble: Some("not_in_history".to_owned()), ..letter }),
                }
            }
            Ok((errands, round))
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| Hindrance::Thread)?
    }

    /// Sends, notes what came of it, and says whether there is a reason to send nothing more for now.
    async fn send(&mut self, known: &KnownWebhook, errands: Vec<Errand>, mut round: Round) -> Result<bool, Hindrance> {
        let mut streams: Vec<Vec<Errand>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for errand in errands {
            let place = *places.entry(errand.row.stream.clone()).or_insert(streams.len());
            match streams.get_mut(place) {
                Some(stream) => stream.push(errand),
                None => streams.push(vec![errand]),
            }
        }
        // Whoever failed before is tried with one message first.
        let at_once = if self.setbacks.load(Ordering::Relaxed) >= SETBACKS { 1 } else { AT_ONCE };
        let (this, enough) = (&*self, &AtomicBool::new(false));
        let sending = stream::iter(streams).map(|stream| this.send_in_order(known, stream, enough));
        let endings: Vec<_> = sending.buffer_unordered(at_once).collect().await;
        let (mut gone, mut asked_for) = (false, None);
        for ending in endings.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            match ending {
                Ending::Taken(position) => round.taken.push(position),
                Ending::Not(letter, not_taken) => {
                    if let Some(not_taken) = not_taken {
                        gone |= not_taken.trouble == Snag::Status(410);
                        asked_for = asked_for.max(wished_pause(&not_taken));
                        round.trouble = Some(not_taken.trouble.to_string());
                    }
                    round.letters.push(letter);
                }
            }
        }
        let now = self.office.clock().now();
        let only_failed = round.trouble.is_some() && round.taken.is_empty();
        self.note(round, now).await?;
        self.rest_until = asked_for.map(|pause| now + pause);
        if only_failed {
            self.judge(known, gone, now).await?;
        }
        Ok(self.rest_until.is_some())
    }

    /// Has a receiver that took nothing left alone, for a while or for good.
    async fn judge(&mut self, known: &KnownWebhook, gone: bool, now: DateTime<Utc>) -> Result<(), Hindrance> {
        let standing = self.outbox().standing(self.id).await?;
        let because = match standing.failing_since {
            _ if gone => Some(DisabledBecause::Gone),
            Some(since) if now - since >= PATIENCE => Some(DisabledBecause::Failing),
            _ => None,
        };
        if let Some(because) = because {
            tracing::warn!(webhook = %self.id, because = because.as_str(), "a webhook is disabled");
            let actor = Actor { kind: ActorKind::System, id: Some("webhooks".to_owned()), via: None };
            let cause = Cause { actor, tenant: known.webhook.tenant.clone(), request_id: None, origin: None };
            self.office.commands.rest_webhook(&cause, self.id, Disabled { because, reason: None }).await?;
            self.rest_until = Some(now);
            return Ok(());
        }
        let setbacks = self.setbacks.load(Ordering::Relaxed);
        let rest = (setbacks >= SETBACKS).then(|| now + jittered(pause(setbacks - SETBACKS, 2, LONGEST_REST)));
        self.rest_until = self.rest_until.max(rest);
        Ok(())
    }

    /// The events of one stream, until one is not taken, or the round as a whole failed `enough`; the rest waits.
    async fn send_in_order(&self, known: &KnownWebhook, errands: Vec<Errand>, enough: &AtomicBool) -> Result<Vec<Ending>, Hindrance> {
        let mut endings = Vec::with_capacity(errands.len());
        let mut stopped = false;
        for Errand { row, letter } in errands {
            if stopped || enough.load(Ordering::Relaxed) {
                endings.push(Ending::Not(letter, None));
                continue;
            }
            match self.send_one(known, &row).await? {
                Ok(()) => {
                    self.setbacks.store(0, Ordering::Relaxed);
                    self.office.count("taken");
                    endings.push(Ending::Taken(row.position));
                }
                Err(not_taken) => {
                    if self.setbacks.fetch_add(1, Ordering::Relaxed) + 1 >= SETBACKS || wished_pause(&not_taken).is_some() {
                        enough.store(true, Ordering::Relaxed);
                    }
                    self.office.count("failed");
                    let now = self.office.clock().now();
                    endings.push(Ending::Not(again(letter, &not_taken, now), Some(not_taken)));
                    stopped = true;
                }
            }
        }
        Ok(endings)
    }

    async fn send_one(&self, known: &KnownWebhook, row: &HistoryRow) -> Result<Result<(), NotTaken>, Hindrance> {
        let Some(wish) = &known.webhook.wish else { return Ok(Ok(())) };
        let now = self.office.clock().now();
        let (id, timestamp, body) = (row.id.0.to_string(), now.timestamp(), cloud_event::render(row, &self.office.source)?);
        let sign = |generation| self.office.key.derive_webhook_secret(self.id, generation).sign(&id, timestamp, &body);
        let signatures = known.webhook.generations(now).map(sign).collect::<Vec<_>>().join(" ");
        let message = Message { url: &wish.url, id: &id, timestamp, signatures: &signatures, body };
        Ok(self.office.post.send(message).await)
    }
}

/// An event that waits to be sent.
fn letter(row: &HistoryRow, now: DateTime<Utc>) -> Letter {
    Letter {
        position: row.position,
        stream: row.stream.clone(),
        event_id: row.id,
        name: row.name.clone(),
        attempts: 0,
        next_at: now,
        tried_at: None,
        trouble: None,
        dead_at: None,
    }
}

/// The same after an attempt that failed.
fn again(letter: Letter, not_taken: &NotTaken, now: DateTime<Utc>) -> Letter {
    let attempts = letter.attempts.saturating_add(1);
    let next_at = now + jittered(pause(attempts - 1, 3, LONGEST_PAUSE));
    let dead_at = (attempts >= MOST_ATTEMPTS).then_some(now);
    Letter { attempts, next_at, tried_at: Some(now), trouble: Some(not_taken.trouble.to_string()), dead_at, ..letter }
}

/// For how long the receiver as a whole asks to be left alone (RFC 9110 §10.2.3).
fn wished_pause(not_taken: &NotTaken) -> Option<TimeDelta> {
    match not_taken.trouble {
        Snag::Status(429 | 503) => TimeDelta::from_std(not_taken.retry_after?).ok().map(|pause| pause.min(LONGEST_WISH)),
        Snag::Status(_) | Snag::Unanswered(_) => None,
    }
}

fn pause(number: u32, factor: i32, longest: TimeDelta) -> TimeDelta {
    let factor = factor.saturating_pow(number.min(20));
    FIRST_PAUSE.checked_mul(factor).unwrap_or(longest).min(longest)
}

/// Up to a fifth longer, so that receivers that failed together are not tried together.
fn jittered(pause: TimeDelta) -> TimeDelta {
    let mut drawn = [0; 1];
    // Without random numbers there is no jitter, and nothing else is lost.
    let _none = getrandom::fill(&mut drawn);
    let [drawn] = drawn;
    pause + pause * i32::from(drawn) / (5 * 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_up_to_its_bound_and_all_attempts_take_about_a_day() {
        let all: Vec<i64> = (0..MOST_ATTEMPTS - 1).map(|number| pause(number, 3, LONGEST_PAUSE).num_seconds()).collect();
        assert_eq!(all, [5, 15, 45, 135, 405, 1215, 3645, 10_935, 28_800, 28_800, 28_800]);
        assert!((20..30).contains(&(all.iter().sum::<i64>() / 3600)));
        assert_eq!(pause(u32::MAX, 3, LONGEST_PAUSE), LONGEST_PAUSE);
        for _ in 0..100 {
            let drawn = jittered(TimeDelta::seconds(10));
            assert!((10_000..12_000).contains(&drawn.num_milliseconds()), "{drawn}");
        }
    }
}
