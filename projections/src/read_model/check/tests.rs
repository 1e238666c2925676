//! Scenes about tables that are not what the events say.

use super::*;
use crate::read_model::ReadModel;
use crate::scene::{Folder, approved, at, of_client, of_registration, one_client, registered, requested};
use crate::{Approvals, Directory, History};

fn two_clients() -> Vec<Envelope> {
    let mut log = one_client();
    log.push(at(5, of_client(2), &registered(2, "Other")));
    log.push(at(6, of_registration(2), &requested(2)));
    log.push(at(7, of_registration(2), &approved()));
    log
}

/// The tables after somebody did this to them, held against a fold of these events.
fn found<P: Projection>(done: &str, events: &[Envelope], compare: Compare) -> Vec<Difference> {
    let folder = Folder::new();
    drop(folder.given::<P>(&two_clients()));
    Connection::open(ReadModel::<P>::file(folder.path())).unwrap().execute_batch(done).unwrap();
    let mut checked = Checked::<P>::open(folder.path()).unwrap().unwrap();
    assert_eq!(checked.position(), Position::from_backend(7));
    assert_eq!(checked.damage().unwrap(), Vec::<String>::new());
    checked.fold(events, &HashSet::new()).unwrap();
    checked.differences(compare, 8).unwrap()
}

#[test]
fn tables_that_are_right_differ_in_nothing_whole_or_by_a_sample() {
    fn scene<P: Projection>() {
        let all = two_clients();
        assert_eq!(found::<P>("", &all, Compare::Everything), []);
        assert_eq!(found::<P>("", &one_client(), Compare::SomeStreams), []);
        // What came after the tables' moment is not missed.
        let mut more = all.clone();
        more.push(at(8, of_client(3), &registered(3, "Late")));
        assert_eq!(found::<P>("", &more, Compare::Everything), []);
    }
    scene::<Directory>();
    scene::<Approvals>();
    scene::<History>();
}

#[test]
fn a_row_that_differs_is_missing_or_is_too_much_is_named() {
    let of = |table: &str, row: String, what: &str| Difference { table: table.to_owned(), row, what: what.to_owned() };
    let key = crate::scene::key(2).to_string();
    let all = two_clients();
    let done = "UPDATE clients SET metadata = CAST(x'ff' AS TEXT), search = '' WHERE client_id LIKE '%2'";
    assert_eq!(found::<Directory>(done, &all, Compare::Everything), [of("clients", format!("{key} \"\""), "differs in metadata, search")]);
    assert_eq!(found::<Directory>(done, &one_client(), Compare::SomeStreams), [], "it is not in the sample");
    let done = "DELETE FROM clients WHERE client_id LIKE '%2'";
    assert_eq!(found::<Approvals>(done, &all, Compare::SomeStreams), [of("clients", key, "is missing")]);
    let done = "DELETE FROM events WHERE position = 6; INSERT INTO events SELECT 9, id, name, version, recorded_at, tenant, resource_server, \
        client_key, actor_kind, actor_id, actor_via, request_id, causation_id, origin, stream, data FROM events WHERE position = 7";
    let expected = [of("events", "6".to_owned(), "is missing"), of("events", "9".to_owned(), "should not be there")];
    assert_eq!(found::<History>(done, &all, Compare::Everything), expected);
    let counts = found::<Directory>("UPDATE counts SET number = number + 1", &all, Compare::Everything);
    assert!(counts.iter().all(|one| one.table == "counts" && one.what == "differs in number") && !counts.is_empty(), "{counts:?}");
    assert_eq!(found::<Directory>("UPDATE counts SET number = number + 1", &one_client(), Compare::SomeStreams), []);
}

#[test]
fn tables_of_another_build_and_none_at_all_are_told_apart() {
    let folder = Folder::new();
    assert!(Checked::<Directory>::open(folder.path()).unwrap().is_none());
    drop(folder.given::<Directory>(&one_client()));
    Connection::open(ReadModel::<Directory>::file(folder.path())).unwrap().execute_batch("CREATE TABLE more (x)").unwrap();
    let checked = Checked::<Directory>::open(folder.path()).unwrap().unwrap();
    assert_eq!(checked.damage().unwrap(), ["its tables are not those of this build"]);
}
