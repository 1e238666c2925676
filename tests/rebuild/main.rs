//! Rebuilt equals live: whatever happened, and however it reached the read models, their rows follow from the events alone.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod beside;
mod history;
mod models;

use gatebook_events::envelope::{Envelope, Position};
use proptest::prelude::*;

use history::{House, Step, steps};
use models::Models;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rebuilt_equals_live(steps in steps()) {
        let live = lived(&steps);
        let events = live.house.events();
        let shown = live.models.dump();
        prop_assert_eq!(&Models::built(&events, events.len()).dump(), &shown, "built in one go");
        prop_assert_eq!(&Models::built(&events, 1).dump(), &shown, "built event by event");
        let mut twice = Models::built(&events, 7);
        twice.apply(&events);
        twice.apply(&events[events.len() / 2..]);
        prop_assert_eq!(&twice.dump(), &shown, "applied twice");
    }

    #[test]
    fn the_order_between_streams_does_not_matter(steps in steps(), lots in any::<u64>()) {
        let events = lived(&steps).house.events();
        let directory = Models::built(&events, events.len()).directory();
        let approvals = Models::built(&events, events.len()).approvals();
        let kinds = |order: [&'static str; 4]| move |stream: &str| order.iter().position(|kind| stream.starts_with(kind));
        let orders = [
            (
                "tokens, registrations, clients, resource servers",
                by_rank(&events, kinds(["initial_access_token-", "registration-", "client-", "resource_server-"])),
            ),
            (
                "resource servers, registrations, clients, tokens",
                by_rank(&events, kinds(["resource_server-", "registration-", "client-", "initial_access_token-"])),
            ),
            ("shuffled", shuffled(&events, lots)),
        ];
        for (order, events) in orders {
            let reordered = Models::built(&events, 5);
            prop_assert_eq!(&reordered.directory(), &directory, "{}", order);
            prop_assert_eq!(&reordered.approvals(), &approvals, "{}", order);
        }
    }
}

/// Nothing above would show anything if the steps led nowhere.
#[test]
fn the_random_histories_have_every_kind_of_event() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        seen.extend(lived(&steps).house.events().iter().map(|envelope| envelope.event.name.to_string()));
    }
    let known = history::every_name();
    let missing: Vec<&&str> = known.iter().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "no history has {missing:?}");
}

struct Lived {
    house: House,
    models: Models,
}

/// Takes the steps one by one, and shows them to the read models in the batches that the steps themselves say.
fn lived(steps: &[Step]) -> Lived {
    let (house, mut models) = (House::new(), Models::new());
    let mut shown = 0;
    for step in steps {
        match step {
            Step::Show(count) => {
                let events = house.events();
                let upto = events.len().min(shown + count);
                models.apply(&events[shown..upto]);
                shown = upto;
            }
            Step::Reopen => models.reopen(),
            Step::Rebuild => models.rebuild_beside(&house.events()[..shown]),
            other => house.take(other),
        }
    }
    models.apply(&house.events()[shown..]);
    Lived { house, models }
}

/// All events of the streams of the lowest rank, then those of the next.
fn by_rank(events: &[Envelope], rank: impl Fn(&str) -> Option<usize>) -> Vec<Envelope> {
    let mut events = events.to_vec();
    events.sort_by_key(|envelope| rank(envelope.stream.as_str()));
    renumbered(events)
}

/// Any order in which each stream keeps its own.
fn shuffled(events: &[Envelope], mut lots: u64) -> Vec<Envelope> {
    let mut streams: std::collections::BTreeMap<&str, std::collections::VecDeque<&Envelope>> = std::collections::BTreeMap::new();
    for envelope in events {
        streams.entry(envelope.stream.as_str()).or_default().push_back(envelope);
    }
    let mut streams: Vec<_> = streams.into_values().collect();
    let mut order = Vec::new();
    while !streams.is_empty() {
        lots = lots.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(lots >> 33).unwrap() % streams.len();
        order.extend(streams[at].pop_front().cloned());
        if streams[at].is_empty() {
            streams.swap_remove(at);
        }
    }
    renumbered(order)
}

fn renumbered(mut events: Vec<Envelope>) -> Vec<Envelope> {
    for (place, envelope) in (1..).zip(&mut events) {
        envelope.position = Position::from_backend(place);
    }
    events
}
