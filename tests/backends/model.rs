//! Random requests against a log, each answer compared with that of a plain list.

use std::pin::Pin;

use gatebook::event_log::{Append, AppendError, Appended, EventLog, Expected};
use gatebook_events::envelope::{Position, StreamName};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::place::{Found, append, events, everything, followed, named};

/// One step of a random history. Numbers choose among what there is at that moment.
#[derive(Debug, Clone)]
enum Step {
    /// A new write that believes what is so, or that the stream is empty, or that it stands where it stood some writes ago.
    Append { stream: usize, belief: Belief, count: usize },
    /// An earlier write again, whether it stands or not.
    Retry { which: usize, belief: Belief },
    /// An earlier write's ids with one byte changed.
    Forge { which: usize },
    /// Everything after some event.
    Follow { after: usize },
}

#[derive(Debug, Clone, Copy)]
enum Belief {
    Right,
    Empty,
    Old(usize),
}

/// A write that stands, with its answer, or one that was turned down.
struct Tried {
    append: Append,
    answer: Option<Appended>,
}

/// What a plain list of all writes knows.
#[derive(Default)]
struct Model(Vec<Tried>);

impl Model {
    fn standing(&self, stream: &StreamName) -> impl DoubleEndedIterator<Item = Appended> {
        self.0.iter().filter(move |tried| tried.append.stream == *stream).filter_map(|tried| tried.answer)
    }

    fn expected(&self, stream: &StreamName, belief: Belief) -> Expected {
        let revisions: Vec<_> = self.standing(stream).map(|answer| answer.revision).collect();
        match belief {
            Belief::Right => Expected::from(revisions.last().copied()),
            Belief::Empty => Expected::Empty,
            Belief::Old(_) if revisions.is_empty() => Expected::Empty,
            Belief::Old(which) => Expected::At(revisions[which % revisions.len()]),
        }
    }

    fn events(&self) -> Vec<(StreamName, gatebook_events::envelope::StoredEvent)> {
        let mut standing: Vec<_> = self.0.iter().filter(|tried| tried.answer.is_some()).collect();
        standing.sort_by_key(|tried| tried.answer.map(|answer| answer.position));
        let one_by_one = |tried: &&Tried| {
            let Append { stream, events, .. } = tried.append.clone();
            events.into_iter().map(move |event| (stream.clone(), event))
        };
        standing.iter().flat_map(one_by_one).collect()
    }
}

/// Runs random histories, each in a place of its own.
pub fn check(place: impl Fn() -> Pin<Box<dyn Future<Output = Found>>>, backend: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Err(reason) = runtime.block_on(place()) {
        crate::nats::not_run(backend, &reason);
        return;
    }
    let belief = prop_oneof![3 => Just(Belief::Right), 1 => Just(Belief::Empty), 1 => (0..8usize).prop_map(Belief::Old)];
    let step = prop_oneof![
        6 => (0..3usize, belief.clone(), 1..4usize)
            .prop_map(|(stream, belief, count)| Step::Append { stream, belief, count }),
        2 => (any::<usize>(), belief).prop_map(|(which, belief)| Step::Retry { which, belief }),
        1 => any::<usize>().prop_map(|which| Step::Forge { which }),
        1 => any::<usize>().prop_map(|after| Step::Follow { after }),
    ];
    let histories = proptest::collection::vec(step, 1..40);
    let config = Config { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&histories, |steps| {
        runtime.block_on(async {
            let place = place().await.map_err(TestCaseError::fail)?;
            let log = place.open().await;
            play(&*log, steps).await;
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

async fn play(log: &dyn EventLog, steps: Vec<Step>) {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append { stream, belief, count } => {
                let stream = named(&format!("client-{stream}"));
                let expected = model.expected(&stream, belief);
                request(log, &mut model, append(&stream, expected, events(count))).await;
            }
            Step::Retry { which, belief } if !model.0.is_empty() => {
                let Tried { append, answer } = &model.0[which % model.0.len()];
                let expected = model.expected(&append.stream, belief);
                let append = Append { expected, ..append.clone() };
                if let Some(stands) = *answer {
                    let again = log.append(append).await.unwrap();
                    assert_eq!(again, Appended { duplicate: true, ..stands });
                } else {
                    let index = which % model.0.len();
                    model.0.remove(index);
                    request(log, &mut model, append).await;
                }
            }
            Step::Forge { which } if !model.0.is_empty() => {
                let Tried { append, answer } = &model.0[which % model.0.len()];
                let mut forged = append.clone();
                forged.events[0].data = "{\"forged\":true}".into();
                if answer.is_some() {
                    let answer = log.append(forged).await;
                    assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
                }
            }
            Step::Follow { after } => {
                let all = everything(log, log.head().await.unwrap()).await;
                let (from, expected) = match after.checked_rem(all.len()) {
                    Some(index) => (all[index].position, &all[index + 1..]),
                    None => (Position::START, &all[..]),
                };
                assert_eq!(followed(log, from).await.unwrap().0, expected);
            }
            Step::Retry { .. } | Step::Forge { .. } => {}
        }
    }
    let head = model.0.iter().filter_map(|tried| tried.answer).map(|answer| answer.position).max();
    let all = everything(log, head.unwrap_or_default()).await;
    assert_eq!(all.into_iter().map(|one| (one.stream, one.event)).collect::<Vec<_>>(), model.events());
    for stream in (0..3).map(|stream| named(&format!("client-{stream}"))) {
        let read = log.read(&stream).await.unwrap();
        assert_eq!(read.revision, model.standing(&stream).next_back().map(|last| last.revision));
        let own = model.events().into_iter().filter(|(of, _)| *of == stream).map(|(_, event)| event);
        assert_eq!(read.events.into_iter().map(|one| one.event).collect::<Vec<_>>(), own.collect::<Vec<_>>());
    }
}

/// A write that was never acknowledged stands exactly if its belief is right.
async fn request(log: &dyn EventLog, model: &mut Model, append: Append) {
    let right = append.expected == model.expected(&append.stream, Belief::Right);
    let answer = match log.append(append.clone()).await {
        Ok(answer) => {
            // A backend whose own answer was lost on the way asks again by itself, and then finds what it had written.
            assert!(right, "{append:?} was let in");
            Some(answer)
        }
        Err(AppendError::Conflict { .. }) => {
            assert!(!right, "{append:?} was turned away");
            None
        }
        Err(error) => panic!("{append:?}: {error:?}"),
    };
    model.0.push(Tried { append, answer });
}
