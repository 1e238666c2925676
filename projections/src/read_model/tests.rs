//! Scenes about files, checkpoints and stops.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::scene::{Folder, approved, at, of_client, of_registration, one_client, registered, requested, stored};
use crate::{Approvals, Directory, History};

fn position(number: u64) -> Position {
    Position::from_backend(number)
}

#[test]
fn applying_twice_is_applying_once_and_a_checkpoint_outlives_the_process() {
    fn scene<P: Projection>() {
        let folder = Folder::new();
        let mut model = folder.given::<P>(&one_client());
        assert_eq!(model.position(), position(4));
        let once = model.dump().unwrap();
        assert_eq!(model.apply(&one_client()).unwrap(), position(4));
        assert_eq!(model.dump().unwrap(), once);
        drop(model);
        let mut again = ReadModel::<P>::open(folder.path()).unwrap();
        assert_eq!(again.position(), position(4));
        assert_eq!(again.apply(&one_client()).unwrap(), position(4));
        assert_eq!(again.reader().dump().unwrap(), once);
    }
    scene::<Directory>();
    scene::<Approvals>();
    scene::<History>();
}

#[test]
fn a_projection_stops_before_what_it_cannot_read_and_keeps_what_came_before() {
    fn scene<P: Projection>(name: &str, version: u16, data: &str, says: &str) {
        let folder = Folder::new();
        let mut model = ReadModel::<P>::open(folder.path()).unwrap();
        let mut log = one_client();
        log.push(stored(5, 5, of_registration(1), (name, version, data)));
        log.push(at(6, of_client(2), &registered(2, "Later")));
        let error = model.apply(&log).unwrap_err();
        assert_eq!(error.to_string(), format!("the projection {} stopped before {name} at position 5", P::NAME));
        assert!(std::error::Error::source(&error).unwrap().to_string().contains(says), "{error:?}");
        assert_eq!(model.position(), position(4));
        assert_eq!(model.dump().unwrap(), Folder::new().given::<P>(&one_client()).dump().unwrap());
        // It stays there, and goes on once the event can be read.
        assert!(model.apply(&log).is_err());
        log[4] = at(5, of_registration(1), &approved());
        assert_eq!(model.apply(&log).unwrap(), position(6));
    }
    for (name, version, data, says) in [
        ("registration.blessed", 1, "{}", "registration.blessed is not known"),
        ("registration.approved", 2, "{}", "a newer build is needed"),
        ("registration.requested", 1, "{}", "does not have the stored shape"),
    ] {
        scene::<Directory>(name, version, data, says);
        scene::<Approvals>(name, version, data, says);
        scene::<History>(name, version, data, says);
    }
}

#[test]
fn an_event_that_fails_half_way_leaves_no_half() {
    struct Clumsy;
    impl Projection for Clumsy {
        const NAME: &'static str = "clumsy";
        const VERSION: u32 = 1;
        const SCHEMA: &'static str = "CREATE TABLE seen (position INTEGER PRIMARY KEY) STRICT;";
        fn handles(event_name: &str) -> bool {
            event_name != "client.registered"
        }
        type Change = ();
        fn read(_envelope: &Envelope) -> Result<(), ApplyError> {
            Ok(())
        }
        fn apply(tx: &Transaction<'_>, envelope: &Envelope, (): &()) -> Result<(), ApplyError> {
            tx.execute("INSERT INTO seen VALUES (?1)", [envelope.position.to_backend().cast_signed()])?;
            if &*envelope.event.name == "registration.approved" { Err(rusqlite::Error::QueryReturnedNoRows.into()) } else { Ok(()) }
        }
    }
    let folder = Folder::new();
    let mut model = ReadModel::<Clumsy>::open(folder.path()).unwrap();
    assert!(matches!(model.apply(&one_client()), Err(ProjectionError::Event { event_id, .. }) if event_id.0.as_u128() == 4));
    assert_eq!(model.dump().unwrap(), ["checkpoint|3", "seen|1", "seen|3"]);
}

/// The file of the directory.
fn serving() -> String {
    format!("directory@{}.db", Directory::VERSION)
}

#[test]
fn a_file_that_is_damaged_or_of_another_schema_is_started_anew() {
    let folder = Folder::new();
    drop(folder.given::<Directory>(&one_client()));
    let path = folder.path().join(serving());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE clients ADD COLUMN shoe_size INTEGER").unwrap();
    assert_eq!(ReadModel::<Directory>::open(folder.path()).unwrap().position(), Position::START);
    std::fs::write(&path, "this was never a database, whatever its name says").unwrap();
    let mut model = ReadModel::<Directory>::open(folder.path()).unwrap();
    assert_eq!(model.apply(&one_client()).unwrap(), position(4));
}

#[test]
fn what_was_built_beside_takes_the_place_of_what_serves() {
    let folder = Folder::new();
    let mut live = folder.given::<Directory>(&one_client()[..2]);
    let reader = live.reader();
    assert_eq!(reader.dump().unwrap(), live.dump().unwrap());
    let mut built = ReadModel::<Directory>::open_building(folder.path()).unwrap();
    built.apply(&one_client()).unwrap();
    built.index().unwrap();
    let expected = built.dump().unwrap();
    // A query that is under way sees its own moment to the end.
    reader
        .with(|connection| {
            let count = |connection: &Connection| {
                connection.query_row("SELECT count(*) FROM registrations", [], |row| row.get::<_, i64>(0)).unwrap()
            };
            assert_eq!(count(connection), 0);
            live.replace_with(built).unwrap();
            assert_eq!(count(connection), 0);
            Ok(())
        })
        .unwrap();
    assert_eq!(live.position(), position(4));
    assert_eq!(reader.dump().unwrap(), expected);
    live.apply(&[at(5, of_client(2), &registered(2, "Next"))]).unwrap();
    assert_eq!(reader.dump().unwrap(), live.dump().unwrap());
    drop((live, reader));
    assert!(!folder.files().concat().contains("building"), "{:?}", folder.files());
    assert_eq!(ReadModel::<Directory>::open(folder.path()).unwrap().position(), position(5));
}

#[test]
fn an_interrupted_build_goes_on_from_its_checkpoint_and_may_be_begun_again() {
    let folder = Folder::new();
    drop(folder.given::<Directory>(&one_client()[..1]));
    assert!(!ReadModel::<Directory>::has_unfinished_build(folder.path()));
    let mut interrupted = ReadModel::<Directory>::open_building(folder.path()).unwrap();
    interrupted.apply(&one_client()[..2]).unwrap();
    drop(interrupted);
    assert!(ReadModel::<Directory>::has_unfinished_build(folder.path()));
    let mut built = ReadModel::<Directory>::open_building(folder.path()).unwrap();
    assert_eq!(built.position(), position(2));
    built.index().unwrap();
    drop(built);
    let mut built = ReadModel::<Directory>::open_building(folder.path()).unwrap();
    assert_eq!(built.position(), position(2), "one that has its indexes already is as good");
    built.apply(&one_client()).unwrap();
    built.finish().unwrap();
    assert_eq!(folder.files(), [serving()]);
    let live = ReadModel::<Directory>::open(folder.path()).unwrap();
    assert_eq!(live.position(), position(4));
    assert_eq!(live.dump().unwrap(), Folder::new().given::<Directory>(&one_client()).dump().unwrap());

    ReadModel::<Directory>::open_building(folder.path()).unwrap().apply(&one_client()).unwrap();
    assert_eq!(ReadModel::<Directory>::begin_building(folder.path()).unwrap().position(), Position::START);
}

#[test]
fn a_build_from_before_the_machine_was_started_begins_anew() {
    let folder = Folder::new();
    let mut interrupted = ReadModel::<Directory>::open_building(folder.path()).unwrap();
    interrupted.apply(&one_client()).unwrap();
    let path = interrupted.path().to_owned();
    drop(interrupted);
    assert_eq!(ReadModel::<Directory>::open_building(folder.path()).unwrap().position(), position(4));
    for another in [i64::from(u32::MAX >> 4), 0, -1] {
        ReadModel::<Directory>::begin_building(folder.path()).unwrap().apply(&one_client()).unwrap();
        Connection::open(&path).unwrap().pragma_update(None, "user_version", another).unwrap();
        assert_eq!(ReadModel::<Directory>::open_building(folder.path()).unwrap().position(), Position::START, "{another}");
    }
}

#[test]
fn an_event_that_is_left_out_moves_the_checkpoint_and_nothing_else() {
    let folder = Folder::new();
    let mut model = ReadModel::<Directory>::open(folder.path()).unwrap();
    let mut log = one_client();
    let poison = stored(5, 5, of_registration(1), ("registration.blessed", 1, "{}"));
    model.leave_out([poison.event.id]);
    log.push(poison);
    log.push(at(6, of_client(2), &registered(2, "Later")));
    assert_eq!(model.apply(&log).unwrap(), position(6));
    let mut without = log.clone();
    without.remove(4);
    assert_eq!(model.dump().unwrap(), Folder::new().given::<Directory>(&without).dump().unwrap());
}

#[test]
fn what_readers_ask_is_answered_through_every_swap() {
    let folder = Folder::new();
    let mut live = folder.given::<Directory>(&one_client());
    let expected = live.dump().unwrap();
    let reader = live.reader();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = 0;
                    while !done.load(std::sync::atomic::Ordering::Acquire) || answers == 0 {
                        assert_eq!(reader.dump().unwrap(), expected);
                        answers += 1;
                    }
                })
            })
            .collect();
        for _ in 0..40 {
            let mut built = ReadModel::<Directory>::begin_building(folder.path()).unwrap();
            built.apply(&one_client()).unwrap();
            live.replace_with(built).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        for asker in asking {
            asker.join().unwrap();
        }
    });
}

/// One projection in three versions: the second has the first one's schema, the third does not.
struct Tally<const VERSION: u32>;

impl<const VERSION: u32> Projection for Tally<VERSION> {
    const NAME: &'static str = "tally";
    const VERSION: u32 = VERSION;
    const SCHEMA: &'static str =
        if VERSION < 3 { "CREATE TABLE seen (position INTEGER, by INTEGER) STRICT;" } else { "CREATE TABLE seen (by INTEGER) STRICT;" };
    const SERVED_BY: &'static [u32] = if VERSION == 1 { &[] } else { &[2, 1] };

    fn handles(_event_name: &str) -> bool {
        true
    }

    type Change = ();

    fn read(_envelope: &Envelope) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(tx: &Transaction<'_>, _envelope: &Envelope, (): &()) -> Result<(), ApplyError> {
        let columns = if VERSION < 3 { "(NULL, ?1)" } else { "(?1)" };
        tx.execute(&format!("INSERT INTO seen VALUES {columns}"), [VERSION])?;
        Ok(())
    }
}

#[test]
fn an_older_version_of_the_same_schema_serves_until_this_one_is_built() {
    let folder = Folder::new();
    drop(folder.given::<Tally<1>>(&one_client()));
    let (mut live, found) = ReadModel::<Tally<2>>::open_to_serve(folder.path()).unwrap();
    assert_eq!((found, live.position()), (Found::Older(1), position(4)));
    let reader = live.reader();
    let mut built = ReadModel::<Tally<2>>::open_building(folder.path()).unwrap();
    built.apply(&one_client()).unwrap();
    let expected = built.dump().unwrap();
    assert_ne!(reader.dump().unwrap(), expected);
    live.replace_with(built).unwrap();
    assert_eq!((reader.dump().unwrap(), live.path().ends_with("tally@2.db")), (expected, true));
    drop((live, reader));
    let files: Vec<String> = folder.files().into_iter().filter(|name| !name.contains(".db-")).collect();
    assert_eq!(files, ["tally@1.db", "tally@2.db"], "it goes when it is told to");
    // A version that goes back finds its own.
    assert_eq!(ReadModel::<Tally<1>>::open_to_serve(folder.path()).unwrap().1, Found::Current);
    let (live, found) = ReadModel::<Tally<3>>::open_to_serve(folder.path()).unwrap();
    assert_eq!((found, live.position()), (Found::Nothing, Position::START), "what has another schema cannot answer");
}

#[test]
fn other_versions_go_and_other_projections_stay() {
    let folder = Folder::new();
    let left = ["directory@77.db", "directory@77.db-wal", "directory@0.building.db", "directory@1.building.db-journal"];
    for name in left.iter().chain(&["history@1.db", "directory@x.db"]) {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    drop(ReadModel::<Directory>::open(folder.path()).unwrap());
    assert_eq!(ReadModel::<Directory>::remove_older_versions(folder.path()).unwrap().len(), 3);
    assert_eq!(folder.files(), [serving().as_str(), "directory@x.db", "history@1.db"]);
}

fn dumped<P: Projection>(batches: &[&[Envelope]]) -> Vec<String> {
    let folder = Folder::new();
    let mut model = ReadModel::<P>::open(folder.path()).unwrap();
    for batch in batches {
        model.apply(batch).unwrap();
    }
    model.dump().unwrap()
}

#[test]
fn events_that_come_together_leave_what_they_leave_apart() {
    let mut log = one_client();
    // A second registration that is there already is not entered again, and one that comes before its client waits for it.
    log.push(at(5, of_registration(1), &requested(1)));
    log.push(at(6, of_registration(1), &approved()));
    log.push(at(7, of_registration(2), &requested(2)));
    log.push(at(8, of_registration(2), &approved()));
    log.push(at(9, of_client(2), &registered(2, "Codex")));
    let apart: Vec<&[Envelope]> = log.chunks(1).collect();
    assert_eq!(dumped::<crate::Directory>(&[&log]), dumped::<crate::Directory>(&apart));
    assert_eq!(dumped::<crate::Approvals>(&[&log]), dumped::<crate::Approvals>(&apart));
    assert_eq!(dumped::<crate::History>(&[&log]), dumped::<crate::History>(&apart));
}
