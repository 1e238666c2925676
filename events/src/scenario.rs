//! Tests as scenes: `given` what happened, `when` something is asked, `then` this happens, or that is the refusal.

use crate::{Aggregate, Rejection};

/// A history, and what was asked after it.
#[derive(Debug)]
pub struct Scene<A: Aggregate> {
    state: A,
    outcome: Option<Result<Vec<A::Event>, Rejection>>,
}

/// Starts a scene with what happened before.
pub fn given<A: Aggregate>(history: impl IntoIterator<Item = A::Event>) -> Scene<A> {
    Scene { state: history.into_iter().fold(A::default(), |state, event| state.evolve(&event)), outcome: None }
}

impl<A: Aggregate> Scene<A> {
    /// Asks. What follows from an earlier question is part of the history.
    #[must_use]
    pub fn when(mut self, command: &A::Command) -> Self {
        if let Some(Ok(events)) = self.outcome.take() {
            self.state = events.iter().fold(self.state, A::evolve);
        }
        self.outcome = Some(self.state.decide(command));
        self
    }

    /// Expects these events, and no others.
    ///
    /// # Panics
    /// When something else happened; this is for tests.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Self {
        assert_eq!(self.outcome, Some(Ok(expected.into_iter().collect())));
        self
    }

    /// Expects that nothing happened because it already holds.
    ///
    /// # Panics
    /// When something happened or was refused; this is for tests.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// Expects this refusal.
    ///
    /// # Panics
    /// When something else happened; this is for tests.
    #[track_caller]
    pub fn then_refused(self, expected: Rejection) -> Self {
        assert_eq!(self.outcome, Some(Err(expected)));
        self
    }

    /// The state after everything.
    pub fn state(self) -> A {
        match self.outcome {
            Some(Ok(events)) => events.iter().fold(self.state, A::evolve),
            Some(Err(_)) | None => self.state,
        }
    }
}
