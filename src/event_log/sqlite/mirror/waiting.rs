//! Who waits for what becomes of a commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatebook_events::envelope::CommitId;
use tokio::sync::oneshot;

use crate::event_log::sqlite::writer::Answer;

/// The commits whose entries are awaited. Of several who wait for one, the last is answered; the others find out otherwise.
#[derive(Debug, Default)]
pub struct Waiting(Arc<Mutex<Waiters>>);

#[derive(Debug, Default)]
struct Waiters {
    drawn: u64,
    by_commit: HashMap<CommitId, (u64, oneshot::Sender<Answer>)>,
}

/// One who waits; forgotten when it is dropped.
pub struct Waiter {
    /// None once somebody else waits for the same commit.
    answer: Option<oneshot::Receiver<Answer>>,
    waiters: Arc<Mutex<Waiters>>,
    commit: CommitId,
    number: u64,
}

impl Waiting {
    /// Waits for a commit from now on.
    pub fn for_commit(&self, commit: CommitId) -> Waiter {
        let (told, answer) = oneshot::channel();
        let mut waiters = lock(&self.0);
        waiters.drawn += 1;
        let number = waiters.drawn;
        waiters.by_commit.insert(commit, (number, told));
        Waiter { answer: Some(answer), waiters: self.0.clone(), commit, number }
    }

    /// Tells whoever waits for it.
    pub fn tell(&self, commit: CommitId, answer: Answer) {
        if let Some((_, told)) = lock(&self.0).by_commit.remove(&commit) {
            // Gone in the same moment.
            let _ = told.send(answer);
        }
    }
}

impl Waiter {
    /// What the entry came to. Never, if somebody else is told.
    pub async fn told(&mut self) -> Answer {
        if let Some(answer) = &mut self.answer
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        self.answer = None;
        std::future::pending().await
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = lock(&self.waiters);
        if waiters.by_commit.get(&self.commit).is_some_and(|(number, _)| *number == self.number) {
            waiters.by_commit.remove(&self.commit);
        }
    }
}

fn lock(waiters: &Mutex<Waiters>) -> MutexGuard<'_, Waiters> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}
