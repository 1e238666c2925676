//! Scenes about what operators decide about projections.

use uuid::Uuid;

use super::*;
use crate::scenario::given;

fn skip(version: u32, event: u128, reason: &str) -> EventSkipped {
    EventSkipped {
        projection_version: version,
        event_id: EventId(Uuid::from_u128(event)),
        event_name: "client.exploded".into(),
        position: "42".into(),
        reason: reason.into(),
    }
}

#[test]
fn an_event_is_skipped_once_by_each_version_and_never_without_a_reason() {
    let asked = |version, reason| UpkeepCommand::Skip(skip(version, 7, reason));
    let one = ProjectionEvent::EventSkipped(skip(2, 7, "written by a build that was withdrawn"));
    given::<Upkeep>([]).when(&asked(2, "written by a build that was withdrawn")).then([one.clone()]);
    given::<Upkeep>([one.clone()]).when(&asked(2, "once more")).then_nothing();
    let other = ProjectionEvent::EventSkipped(skip(3, 7, "still there"));
    given::<Upkeep>([one.clone()]).when(&asked(3, "still there")).then([other]);
    for blank in ["", " \n"] {
        given::<Upkeep>([one.clone()]).when(&asked(3, blank)).then_refused(Rejection::NoReason);
    }
}

#[test]
fn a_skip_is_taken_back_once_for_a_reason_and_may_be_made_again() {
    let back =
        |version, reason: &str| SkipTakenBack { projection_version: version, event_id: EventId(Uuid::from_u128(7)), reason: reason.into() };
    let asked = |version, reason| UpkeepCommand::TakeBack(back(version, reason));
    let skipped = ProjectionEvent::EventSkipped(skip(2, 7, "not known"));
    let taken_back = ProjectionEvent::SkipTakenBack(back(2, "this build knows it"));
    given::<Upkeep>([skipped.clone()]).when(&asked(2, "this build knows it")).then([taken_back.clone()]);
    given::<Upkeep>([skipped.clone(), taken_back.clone()]).when(&asked(2, "once more")).then_nothing();
    given::<Upkeep>([skipped.clone()]).when(&asked(3, "another version")).then_nothing();
    given::<Upkeep>([skipped.clone()]).when(&asked(2, " ")).then_refused(Rejection::NoReason);
    let again = UpkeepCommand::Skip(skip(2, 7, "it is not"));
    given::<Upkeep>([skipped, taken_back]).when(&again).then([ProjectionEvent::EventSkipped(skip(2, 7, "it is not"))]);
}

#[test]
fn a_version_leaves_out_what_it_was_told_to_and_nothing_else() {
    let upkeep = [skip(2, 7, "a"), skip(2, 9, "b"), skip(3, 8, "c")]
        .into_iter()
        .fold(Upkeep::default(), |upkeep, skip| upkeep.evolve(&ProjectionEvent::EventSkipped(skip)));
    let left_out = |version| upkeep.left_out(version).map(|id| id.0.as_u128()).collect::<Vec<_>>();
    assert_eq!((left_out(2), left_out(3), left_out(4)), (vec![7, 9], vec![8], vec![]));
}

#[test]
fn a_projection_has_one_name() {
    for name in ["directory", "a", "registrations_per_day_2", "x".repeat(32).as_str()] {
        assert_eq!(ProjectionName::parse(name).unwrap().to_string(), name);
    }
    for name in ["", "Directory", "a-b", "a b", "a ", "ä", "x".repeat(33).as_str()] {
        assert!(ProjectionName::parse(name).is_err(), "{name}");
    }
}
