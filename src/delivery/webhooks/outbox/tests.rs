//! What the outbox holds after this and that became of its letters.

use super::*;

const HOOK: WebhookId = WebhookId(Uuid::from_u128(1));

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn place(number: u64) -> Position {
    Position::from_backend(number)
}

fn letter(position: u64, stream: &str, next_at: i64) -> Letter {
    Letter {
        position: place(position),
        stream: stream.to_owned(),
        event_id: EventId(Uuid::from_u128(u128::from(position))),
        name: "client.registered".to_owned(),
        attempts: 1,
        next_at: at(next_at),
        tried_at: Some(at(0)),
        trouble: Some("status 500".to_owned()),
        dead_at: None,
    }
}

fn dead(position: u64, stream: &str) -> Letter {
    Letter { dead_at: Some(at(1)), ..letter(position, stream, 0) }
}

async fn positions(outbox: &Outbox, now: i64) -> Vec<u64> {
    outbox.due(HOOK, at(now), 10).await.unwrap().iter().map(|letter| letter.position.to_backend()).collect()
}

#[tokio::test]
async fn of_each_stream_only_the_first_letter_is_due_and_none_behind_a_dead_one() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&folder.path().join("webhooks.db")).unwrap();
    let letters = vec![letter(3, "a", 10), letter(4, "a", 0), letter(5, "b", 0), dead(6, "c"), letter(7, "c", 0), letter(8, "d", 5)];
    outbox.note(HOOK, Round { position: Some(place(8)), letters, ..Round::default() }, at(0)).await.unwrap();
    assert_eq!(positions(&outbox, 4).await, [5]);
    assert_eq!(positions(&outbox, 10).await, [5, 8, 3]);
    assert_eq!(outbox.next_at(HOOK).await.unwrap(), Some(at(0)));
    let standing = outbox.standing(HOOK).await.unwrap();
    assert_eq!((standing.waiting, standing.dead, standing.held), (4, 1, 1));
    outbox.note(HOOK, Round { taken: vec![place(3), place(5)], ..Round::default() }, at(10)).await.unwrap();
    assert_eq!(positions(&outbox, 10).await, [4, 8]);
    assert_eq!(outbox.dead(HOOK, Position::START, 10).await.unwrap(), [(dead(6, "c"), 1)]);
    assert_eq!(outbox.revive(HOOK, Some(EventId(Uuid::from_u128(6))), at(11)).await.unwrap(), 1);
    assert_eq!(positions(&outbox, 11).await, [4, 8, 6]);
    outbox.forget(HOOK).await.unwrap();
    assert_eq!(outbox.standing(HOOK).await.unwrap(), Standing::default());
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_a_position_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhooks.db");
    {
        let outbox = Outbox::open(&path).unwrap();
        let trouble = Some("timed_out".to_owned());
        outbox.note(HOOK, Round { position: Some(place(8)), trouble: trouble.clone(), ..Round::default() }, at(0)).await.unwrap();
        outbox.note(HOOK, Round { position: Some(place(5)), trouble, ..Round::default() }, at(9)).await.unwrap();
    }
    let outbox = Outbox::open(&path).unwrap();
    let standing = outbox.standing(HOOK).await.unwrap();
    assert_eq!((standing.position, standing.failing_since, standing.failed_at), (Some(place(8)), Some(at(0)), Some(at(9))));
    outbox.note(HOOK, Round { taken: vec![place(3)], ..Round::default() }, at(20)).await.unwrap();
    let standing = outbox.standing(HOOK).await.unwrap();
    assert_eq!((standing.taken_at, standing.failing_since, standing.trouble), (Some(at(20)), None, None));
}

#[tokio::test]
async fn all_that_is_kept_can_be_written_down_and_put_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = |name: &str| Outbox::open(&folder.path().join(name)).unwrap();
    let (here, there) = (outbox("here.db"), outbox("there.db"));
    let letters = vec![letter(3, "a", 10), dead(6, "c"), letter(7, "c", 0)];
    let trouble = Some("timed_out".to_owned());
    here.note(HOOK, Round { position: Some(place(8)), letters, trouble, ..Round::default() }, at(0)).await.unwrap();
    let (standing, letters) = here.all(HOOK).await.unwrap();
    let written = serde_json::to_string(&(&standing, &letters)).unwrap();
    there.note(HOOK, Round { position: Some(place(2)), letters: vec![letter(1, "z", 0)], ..Round::default() }, at(0)).await.unwrap();
    let (standing, letters) = serde_json::from_str(&written).unwrap();
    there.replace(HOOK, standing, letters).await.unwrap();
    assert_eq!(there.all(HOOK).await.unwrap(), here.all(HOOK).await.unwrap());
    assert_eq!(there.standing(HOOK).await.unwrap().failing_since, Some(at(0)));
}
