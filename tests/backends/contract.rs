//! The promises that every event log keeps. A backend joins with `contract!(place)`, where `place` finds it a fresh log.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use gatebook::event_log::{Append, EventLog, Expected, Followed};
use gatebook_events::envelope::{CommitId, Position};
use uuid::Uuid;

use crate::place::{PATIENCE, Place, append, event, events, everything, followed, is_conflict, is_refused, named, stored, stream, write};

/// Has one backend pass every test of this file and of `model.rs`. Takes an `async fn() -> Found`.
macro_rules! contract {
    ($place:path) => {
        $crate::contract::contract!($place:
            a_stream_that_nobody_wrote_to_is_empty,
            what_was_appended_is_read_in_order,
            b2_what_came_after_a_revision_is_read_by_itself,
            a_wrong_belief_is_a_conflict_and_writes_nothing,
            an_append_without_events_or_with_one_twice_is_refused,
            a_retry_is_answered_as_the_first_try_was_and_writes_nothing,
            a_retry_is_answered_so_even_when_the_stream_has_moved_on,
            ids_that_stand_for_something_else_are_refused,
            of_many_writers_with_one_belief_exactly_one_wins,
            an_append_whose_answer_was_lost_is_found_out_by_asking_again,
            every_byte_is_kept,
            a_large_append_is_one_append,
            many_streams_do_not_mix,
            streams_are_found_by_how_their_names_begin,
            following_begins_after_any_position_and_says_when_it_has_caught_up,
            a_follower_at_the_head_hears_of_what_is_appended,
            followers_lose_and_repeat_nothing_while_many_write,
            a_follower_can_stop_anywhere_and_resume,
            no_batch_ends_in_the_middle_of_an_append,
            what_was_acknowledged_is_there_after_reopening,
        );

        #[test]
        fn any_sequence_of_requests_is_answered_as_the_model_answers_it() {
            $crate::model::check(|| Box::pin($place()), module_path!());
        }
    };
    ($place:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                match $place().await {
                    Ok(place) => $crate::contract::$test(&*place).await,
                    Err(reason) => $crate::nats::not_run(module_path!(), &reason),
                }
            }
        )+
    };
}
pub(crate) use contract;

pub async fn a_stream_that_nobody_wrote_to_is_empty(place: &dyn Place) {
    let log = place.open().await;
    let read = log.read(&stream()).await.unwrap();
    assert!(read.events.is_empty());
    assert_eq!(read.revision, None);
    assert_eq!(log.head().await.unwrap(), Position::START);
    assert_eq!(followed(&*log, Position::START).await.unwrap(), (Vec::new(), Position::START));
}

pub async fn what_was_appended_is_read_in_order(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    let (first, second) = (events(1), events(3));
    let created = log.append(append(&stream, Expected::Empty, first.clone())).await.unwrap();
    let changed = log.append(append(&stream, Expected::At(created.revision), second.clone())).await.unwrap();
    assert!(!created.duplicate && !changed.duplicate);
    assert!(created.position < changed.position);

    let read = log.read(&stream).await.unwrap();
    assert_eq!(read.revision, Some(changed.revision));
    assert_eq!(read.events.last().unwrap().revision, changed.revision);
    assert_eq!(read.events.last().unwrap().position, changed.position);
    assert_eq!(read.events[0].revision, created.revision);
    assert_eq!(read.events[0].position, created.position);
    assert!(read.events.iter().all(|one| one.stream == stream));
    assert_eq!(stored(&*log, &stream).await, [first, second].concat());
    assert_eq!(everything(&*log, changed.position).await, read.events);
    assert!(log.head().await.unwrap() >= changed.position);
}

pub async fn b2_what_came_after_a_revision_is_read_by_itself(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    let created = log.append(append(&stream, Expected::Empty, events(2))).await.unwrap();
    let nothing = log.read_after(&stream, created.revision).await.unwrap().unwrap();
    assert_eq!((nothing.events.len(), nothing.revision), (0, Some(created.revision)));
    let changed = log.append(append(&stream, Expected::At(created.revision), events(3))).await.unwrap();
    let since = log.read_after(&stream, created.revision).await.unwrap().unwrap();
    let all = log.read(&stream).await.unwrap();
    assert_eq!((&since.events[..], since.revision), (&all.events[2..], Some(changed.revision)));
    let other = crate::place::stream();
    assert!(log.read_after(&other, created.revision).await.unwrap().is_none(), "a stream that is not there has no such revision");
}

pub async fn a_wrong_belief_is_a_conflict_and_writes_nothing(place: &dyn Place) {
    let (log, one, other) = (place.open().await, stream(), stream());
    let first = write(&*log, &one, events(1)).await;
    let second = write(&*log, &one, events(2)).await;
    let before = everything(&*log, second.position).await;
    for (stream, expected) in [(&one, Expected::Empty), (&one, Expected::At(first.revision)), (&other, Expected::At(second.revision))] {
        let answer = log.append(append(stream, expected, events(2))).await;
        assert!(is_conflict(&answer), "{expected:?} answered {answer:?}");
    }
    assert!(log.read(&other).await.unwrap().events.is_empty());
    assert_eq!(everything(&*log, second.position).await, before);
    // What conflicted can be tried again with the same ids once the belief is right.
    let mut retried = append(&one, Expected::Empty, events(2));
    assert!(is_conflict(&log.append(retried.clone()).await));
    retried.expected = Expected::At(second.revision);
    assert!(!log.append(retried).await.unwrap().duplicate);
}

pub async fn an_append_without_events_or_with_one_twice_is_refused(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    assert!(is_refused(&log.append(append(&stream, Expected::Empty, Vec::new())).await));
    let twice = event("{}");
    assert!(is_refused(&log.append(append(&stream, Expected::Empty, vec![twice.clone(), twice])).await));
    assert!(log.read(&stream).await.unwrap().events.is_empty());
}

pub async fn a_retry_is_answered_as_the_first_try_was_and_writes_nothing(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    let created = append(&stream, Expected::Empty, events(2));
    let first = log.append(created.clone()).await.unwrap();
    let changed = append(&stream, Expected::At(first.revision), events(3));
    let second = log.append(changed.clone()).await.unwrap();
    let before = everything(&*log, second.position).await;
    for (retry, answer) in [(created, first), (changed, second)] {
        let again = log.append(retry).await.unwrap();
        assert!(again.duplicate);
        assert_eq!((again.revision, again.position), (answer.revision, answer.position));
    }
    assert_eq!(everything(&*log, second.position).await, before);
}

pub async fn a_retry_is_answered_so_even_when_the_stream_has_moved_on(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    let created = append(&stream, Expected::Empty, events(1));
    let first = log.append(created.clone()).await.unwrap();
    let mut latest = write(&*log, &stream, events(1)).await;
    for _ in 0..40 {
        latest = write(&*log, &stream, events(1)).await;
    }
    // Whatever it believes now.
    for expected in [Expected::Empty, Expected::At(first.revision), Expected::At(latest.revision)] {
        let again = log.append(Append { expected, ..created.clone() }).await.unwrap();
        assert!(again.duplicate, "{expected:?}");
        assert_eq!((again.revision, again.position), (first.revision, first.position));
    }
    assert_eq!(log.read(&stream).await.unwrap().events.len(), 42);
}

pub async fn ids_that_stand_for_something_else_are_refused(place: &dyn Place) {
    let (log, one, other) = (place.open().await, stream(), stream());
    let written = append(&one, Expected::Empty, events(2));
    let answer = log.append(written.clone()).await.unwrap();
    let at = Expected::At(answer.revision);
    let fresh = || CommitId(Uuid::now_v7());

    let mut other_content = written.clone();
    other_content.events[1].data = Arc::from(r#"{"n":"other"}"#);
    let mut reordered = written.clone();
    reordered.events.reverse();
    let mut fewer = written.clone();
    fewer.events.pop();
    let mut more = written.clone();
    more.events.extend(events(1));
    let other_events = Append { expected: at, events: events(2), ..written.clone() };
    let other_stream = Append { stream: other.clone(), ..written.clone() };
    let event_used_elsewhere =
        Append { stream: other.clone(), commit: fresh(), events: vec![event("{}"), written.events[1].clone()], ..written };
    for (what, wrong) in [
        ("other content", other_content),
        ("another order", reordered),
        ("fewer events", fewer),
        ("more events", more),
        ("other events", other_events),
        ("another stream", other_stream),
        ("an event id of another stream", event_used_elsewhere),
    ] {
        let answer = log.append(wrong).await;
        assert!(is_refused(&answer), "{what}: {answer:?}");
    }
    assert_eq!(log.read(&one).await.unwrap().events.len(), 2);
    assert!(log.read(&other).await.unwrap().events.is_empty());
    assert_eq!(everything(&*log, answer.position).await.len(), 2);
}

pub async fn of_many_writers_with_one_belief_exactly_one_wins(place: &dyn Place) {
    const WRITERS: usize = 16;
    const ROUNDS: usize = 25;
    let (log, stream) = (place.open().await, stream());
    let mut expected = Expected::Empty;
    for round in 1..=ROUNDS {
        let racing = (0..WRITERS).map(|writer| {
            // Of different sizes, so that half an append would be seen.
            let (log, append) = (log.clone(), append(&stream, expected, events(1 + writer % 3)));
            tokio::spawn(async move { (append.events.clone(), log.append(append).await) })
        });
        let answers: Vec<_> = join_all(racing).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}, {expected:?}");
        let others: Vec<_> = answers.iter().map(|(_, answer)| answer).filter(|answer| answer.is_err() && !is_conflict(answer)).collect();
        assert!(others.is_empty(), "round {round}: who does not win is told of a conflict, and not {others:?}");
        let (events, Ok(won)) = winners[0] else { unreachable!("winners were answered with Ok") };
        assert!(stored(&*log, &stream).await.ends_with(events));
        expected = Expected::At(won.revision);
    }
    let read = log.read(&stream).await.unwrap();
    assert_eq!(Expected::from(read.revision), expected);
}

pub async fn an_append_whose_answer_was_lost_is_found_out_by_asking_again(place: &dyn Place) {
    const TRIES: u64 = 60;
    let (log, stream) = (place.open().await, stream());
    let mut expected = Expected::Empty;
    for attempt in 0..TRIES {
        let append = append(&stream, expected, events(2));
        // Given up at some point between being sent and being answered.
        let _ = tokio::time::timeout(Duration::from_micros(attempt * 20), log.append(append.clone())).await;
        let found_out = log.append(append).await.unwrap();
        expected = Expected::At(found_out.revision);
    }
    let read = log.read(&stream).await.unwrap();
    let ids: HashSet<_> = read.events.iter().map(|one| one.event.id).collect();
    assert_eq!((ids.len() as u64, read.events.len() as u64), (TRIES * 2, TRIES * 2));
}

pub async fn every_byte_is_kept(place: &dyn Place) {
    let log = place.open().await;
    let mut odd: Vec<_> = [
        r#"{ "spaced" :  1.0 , "a":1e3,"a":2 }"#,
        r#"{"quotes":"\"'`; DROP TABLE events; --","back":"\\","slash":"\/"}"#,
        "{\"controls\":\"\\u0000\\n\\t\",\"lines\":\r\n\"\u{2028}\"}",
        "{\"wide\":\"Zażółć 漢字 🦀 e\u{301} \u{202e}rtl\u{feff}\"}",
        "{}",
        "null",
    ]
    .into_iter()
    .map(event)
    .collect();
    odd.push(event(&format!(r#"{{"large":"{}"}}"#, "ü".repeat(40_000))));
    odd[0].meta = Arc::from(r#"{"actor":{"kind":"client","id":"https://app.example/ü?a='b'"} , "request_id":"\u00e9"}"#);
    odd[1].name = Arc::from("registration.redirects_staged");
    odd[1].version = u16::MAX;
    let stream = named("registration-67617465-626f-4f6b-8000-000000000001-0192f0a1-7c5e-7000-8000-00000000000a");
    let answer = log.append(append(&stream, Expected::Empty, odd.clone())).await.unwrap();
    assert_eq!(stored(&*log, &stream).await, odd);
    let all = everything(&*log, answer.position).await;
    assert_eq!(all.into_iter().map(|one| one.event).collect::<Vec<_>>(), odd);
}

pub async fn a_large_append_is_one_append(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    let eight_kib = format!(r#"{{"filled":"{}"}}"#, "x".repeat(8 << 10));
    let large: Vec<_> = (0..128).map(|_| event(&eight_kib)).collect();
    let mut following = log.follow(Position::START);
    assert!(matches!(following.next().await, Some(Ok(Followed::CaughtUp(Position::START)))));
    log.append(append(&stream, Expected::Empty, large.clone())).await.unwrap();
    assert_eq!(stored(&*log, &stream).await, large);
    let mut seen = Vec::new();
    while seen.len() < large.len() {
        if let Followed::Events(events) = following.next().await.unwrap().unwrap() {
            seen.extend(events.into_iter().map(|one| one.event));
        }
    }
    assert_eq!(seen, large);
}

pub async fn streams_are_found_by_how_their_names_begin(place: &dyn Place) {
    let log = place.open().await;
    let named = |name: &str| gatebook_events::envelope::StreamName(Arc::from(name));
    for name in ["kind-1", "kind-2", "kin-1", "kinder-1", "Kind-3", "other-kind-1"] {
        write(&*log, &named(name), events(2)).await;
    }
    let mut found = log.streams("kind-").await.unwrap();
    found.sort();
    assert_eq!(found, [named("kind-1"), named("kind-2")]);
    assert!(log.streams("kind-3").await.unwrap().is_empty());
}

pub async fn many_streams_do_not_mix(place: &dyn Place) {
    let log = place.open().await;
    // Names of which one begins with another must be kept apart.
    let streams: Vec<_> = (0..300).map(|n| named(&format!("client-{n}"))).collect();
    let mut last = Position::START;
    let mut written = Vec::new();
    for chunk in streams.chunks(50) {
        let writing = chunk.iter().map(|stream| async {
            let events = events(2);
            let first = log.append(append(stream, Expected::Empty, vec![events[0].clone()])).await.unwrap();
            let second = append(stream, Expected::At(first.revision), vec![events[1].clone()]);
            (events, log.append(second).await.unwrap().position)
        });
        for (events, position) in join_all(writing).await {
            written.push(events);
            last = last.max(position);
        }
    }
    for (stream, events) in streams.iter().zip(&written) {
        assert_eq!(&stored(&*log, stream).await, events);
    }
    let all = everything(&*log, last).await;
    assert_eq!(all.len(), 600);
    assert!(streams.iter().all(|stream| all.iter().filter(|one| one.stream == *stream).count() == 2));
}

pub async fn following_begins_after_any_position_and_says_when_it_has_caught_up(place: &dyn Place) {
    let log = place.open().await;
    let mut last = Position::START;
    for _ in 0..30 {
        last = write(&*log, &stream(), events(2)).await.position;
    }
    let all = everything(&*log, last).await;
    assert_eq!(all.len(), 60);
    for (index, one) in all.iter().enumerate() {
        assert_eq!(followed(&*log, one.position).await.unwrap(), (all[index + 1..].to_vec(), last));
    }
}

pub async fn a_follower_at_the_head_hears_of_what_is_appended(place: &dyn Place) {
    let (log, stream) = (place.open().await, stream());
    let before = write(&*log, &stream, events(3)).await;
    let hearing = async {
        let mut following = log.follow(before.position);
        assert!(matches!(following.next().await, Some(Ok(Followed::CaughtUp(at))) if at == before.position));
        for _ in 0..20 {
            let appended = write(&*log, &stream, events(1)).await;
            let Some(Ok(Followed::Events(heard))) = following.next().await else { panic!("it hears of one event") };
            assert_eq!(heard.len(), 1);
            assert_eq!(heard[0].position, appended.position);
            assert_eq!(&heard[0], log.read(&stream).await.unwrap().events.last().unwrap());
            let Some(Ok(Followed::CaughtUp(at))) = following.next().await else { panic!("it has caught up again") };
            assert_eq!(at, appended.position);
        }
    };
    tokio::time::timeout(PATIENCE, hearing).await.expect("a follower hears of what is appended");
}

pub async fn followers_lose_and_repeat_nothing_while_many_write(place: &dyn Place) {
    const WRITERS: usize = 8;
    const APPENDS: usize = 150;
    let log = place.open().await;
    let writing = (0..WRITERS).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            let stream = stream();
            let mut expected = Expected::Empty;
            for _ in 0..APPENDS {
                let appended = log.append(append(&stream, expected, events(1 + writer % 2))).await.unwrap();
                expected = Expected::At(appended.revision);
            }
        })
    });
    let total = (WRITERS / 2) * APPENDS * 3;
    let following = (0..3).map(|_| {
        let mut following = log.follow(Position::START);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < total {
                match following.next().await.unwrap().unwrap() {
                    Followed::Events(events) => seen.extend(events),
                    Followed::CaughtUp(at) => {
                        assert_eq!(at, seen.last().map_or(Position::START, |last: &gatebook_events::envelope::Envelope| last.position));
                    }
                }
            }
            seen
        })
    });
    let (following, writing): (Vec<_>, Vec<_>) = (following.collect(), writing.collect());
    let seen = tokio::time::timeout(PATIENCE, join_all(following)).await.expect("every follower sees every event");
    join_all(writing).await.into_iter().for_each(Result::unwrap);
    let all = everything(&*log, log.head().await.unwrap()).await;
    assert_eq!(all.len(), total);
    for seen in seen {
        assert!(seen.unwrap() == all, "a follower saw what others saw, in the same order");
    }
}

pub async fn a_follower_can_stop_anywhere_and_resume(place: &dyn Place) {
    let log = place.open().await;
    let mut last = Position::START;
    for _ in 0..40 {
        last = write(&*log, &stream(), events(1)).await.position;
    }
    let (mut seen, mut at) = (Vec::new(), Position::START);
    while at < last {
        // Dropped after its first batch, of which only the first seven events were dealt with.
        let next = log.follow(at).next().await.unwrap().unwrap();
        let Followed::Events(events) = next else { panic!("there is more after {at}") };
        seen.extend(events.into_iter().take(7));
        at = seen.last().unwrap().position;
    }
    assert_eq!(seen, everything(&*log, last).await);
}

pub async fn no_batch_ends_in_the_middle_of_an_append(place: &dyn Place) {
    const APPENDS: usize = 300;
    const EVENTS: usize = 7;
    let log = place.open().await;
    let writing = async |log: &dyn EventLog| {
        let appends = (0..APPENDS).map(|_| log.append(append(&stream(), Expected::Empty, events(EVENTS))));
        join_all(appends).await.into_iter().map(|answer| answer.unwrap().position).max().unwrap()
    };
    let whole = async |log: &dyn EventLog, upto: Position| {
        let (mut following, mut at) = (log.follow(Position::START), Position::START);
        while at < upto {
            if let Followed::Events(events) = following.next().await.unwrap().unwrap() {
                assert_eq!(events.len() % EVENTS, 0, "after {at}");
                assert_eq!(events[0].stream, events[EVENTS - 1].stream);
                at = events.last().unwrap().position;
            }
        }
    };
    let last = writing(&*log).await;
    whole(&*log, last).await;
    if place.keeps() {
        drop(log);
        whole(&*place.open().await, last).await;
    }
}

pub async fn what_was_acknowledged_is_there_after_reopening(place: &dyn Place) {
    if !place.keeps() {
        return;
    }
    let (stream, created) = (stream(), events(2));
    let log = place.open().await;
    let retry = append(&stream, Expected::Empty, created.clone());
    let first = log.append(retry.clone()).await.unwrap();
    let all = everything(&*log, first.position).await;
    drop(log);

    let log = place.open().await;
    assert_eq!(log.head().await.unwrap(), first.position);
    assert_eq!(stored(&*log, &stream).await, created);
    assert_eq!(everything(&*log, first.position).await, all);
    assert!(log.append(retry).await.unwrap().duplicate);
    let second = log.append(append(&stream, Expected::At(first.revision), events(1))).await.unwrap();
    assert!(second.position > first.position);
    assert!(is_conflict(&log.append(append(&stream, Expected::Empty, events(1))).await));
}
