//! Scenes about the list by family, the order in which what waits comes first, and the days on which clients came.

use gatebook_events::registration::{RegistrationEvent, Suspended};

use super::*;
use crate::read_model::QueryError;
use crate::scene::{
    Folder, approved, at, created, of_client, of_registration, of_server, recorded, registered, requested, second, server, staged, tenant,
};

const RELAY: &str = "https://relay.example/cb";

/// Twelve clients of three names, each a family; some wait, one is suspended, and for one a change waits.
fn twelve() -> Vec<Envelope> {
    let mut log = vec![at(1, of_server(1), &created("acme", None))];
    for number in 1..=12_u128 {
        let position = 10 * u64::try_from(number).unwrap();
        let moment = i64::try_from(number).unwrap();
        let name = ["Amber", "Birch", "Cedar"][usize::try_from(number % 3).unwrap()];
        log.push(recorded(position, moment, of_client(number), &registered(number, name)));
        log.push(recorded(position + 1, moment, of_registration(number), &requested(number)));
        // Of Birch, three wait.
        if number % 3 != 1 || number == 1 {
            log.push(recorded(position + 2, moment, of_registration(number), &approved()));
        }
    }
    log.push(recorded(200, 50, of_registration(3), &RegistrationEvent::Suspended(Suspended { reason: None })));
    log
}

fn list() -> ListClients {
    ListClients { sort: Sort::WaitingFirst, ..ListClients::all(tenant("acme"), server(1), 100) }
}

#[test]
fn a_family_is_one_row_with_the_sum_of_its_clients() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&twelve());
    let reader = model.reader();
    let page = reader.families(&list()).unwrap().unwrap();
    let told: Vec<_> =
        page.rows.iter().map(|row| (row.sample.metadata.client_name.as_deref().unwrap(), row.number, row.by_status.clone())).collect();
    assert_eq!(
        told,
        [
            ("Birch", 4, BTreeMap::from([("approved", 1), ("pending", 3)])),
            ("Amber", 4, BTreeMap::from([("approved", 3), ("suspended", 1)])),
            ("Cedar", 4, BTreeMap::from([("approved", 4)])),
        ]
    );
    assert_eq!((page.families, page.counts.total, page.next_cursor), (3, 12, None));
    assert_eq!(
        (page.rows[0].latest, &page.rows[0].sample.client_id),
        (second(10), &crate::scene::id(10)),
        "the last of them stands for it"
    );

    // The same as the flat list counts, whatever the filter.
    for status in ["pending", "approved", "suspended", "revoked"] {
        let filtered = ListClients { status: Some(status.to_owned()), ..list() };
        let sum: u64 = reader.families(&filtered).unwrap().unwrap().rows.iter().map(|row| row.number).sum();
        assert_eq!(sum, reader.clients(&filtered).unwrap().rows.len() as u64, "{status}");
    }
    let one = reader.families(&ListClients { text: Some("BIRCH".to_owned()), ..list() }).unwrap().unwrap();
    assert_eq!((one.rows.len(), one.rows[0].number), (1, 4));
    assert_eq!(reader.clients(&ListClients { family: Some(one.rows[0].family.clone()), ..list() }).unwrap().rows.len(), 4);
    assert_eq!(reader.families(&ListClients { tenant: tenant("other"), ..list() }).unwrap(), None);

    // A change that waits counts as waiting.
    model.apply(&[recorded(201, 51, of_registration(11), &staged(7, &[RELAY], &[RELAY]))]).unwrap();
    let page = reader.families(&list()).unwrap().unwrap();
    let told: Vec<_> = page.rows.iter().map(|row| (row.sample.metadata.client_name.as_deref().unwrap(), row.staged)).collect();
    assert_eq!(told, [("Cedar", 1), ("Birch", 0), ("Amber", 0)]);
}

#[test]
fn every_page_of_families_goes_on_where_the_one_before_ended() {
    let folder = Folder::new();
    let reader = folder.given::<Directory>(&twelve()).reader();
    for (sort, order) in [
        (Sort::WaitingFirst, ["Birch", "Amber", "Cedar"]),
        (Sort::NewestFirst, ["Amber", "Cedar", "Birch"]),
        (Sort::OldestFirst, ["Birch", "Cedar", "Amber"]),
        (Sort::Name, ["Amber", "Birch", "Cedar"]),
    ] {
        let mut names = Vec::new();
        let mut list = ListClients { sort, limit: 1, ..list() };
        loop {
            let page = reader.families(&list).unwrap().unwrap();
            names.extend(page.rows.iter().map(|row| row.sample.metadata.client_name.clone().unwrap()));
            list.cursor = page.next_cursor.map(|cursor| cursor.to_string().parse().unwrap());
            if list.cursor.is_none() {
                break;
            }
        }
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), order, "{sort:?}");
    }
    let foreign = reader.clients(&ListClients { limit: 1, ..list() }).unwrap().next_cursor;
    assert!(matches!(reader.families(&ListClients { cursor: foreign, ..list() }), Err(QueryError::Cursor(_))));
}

#[test]
fn what_waits_comes_first_and_every_client_once() {
    let folder = Folder::new();
    let reader = folder.given::<Directory>(&twelve()).reader();
    for limit in [1, 2, 3, 5, 100] {
        let mut seen = Vec::new();
        let mut list = ListClients { limit, ..list() };
        loop {
            let page = reader.clients(&list).unwrap();
            seen.extend(page.rows.iter().map(|row| row.client_key.0.as_u128() & 0xff));
            list.cursor = page.next_cursor.map(|cursor| cursor.to_string().parse().unwrap());
            if list.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [10, 7, 4, 12, 11, 9, 8, 6, 5, 3, 2, 1], "{limit}");
    }
}

#[test]
fn days_are_counted_by_how_clients_came_and_for_their_own_tenant() {
    let folder = Folder::new();
    let day = 86_400;
    let mut log = twelve();
    log.push(recorded(300, 2 * day, of_client(20), &registered(20, "Late")));
    log.push(recorded(301, 2 * day, of_registration(20), &requested(20)));
    let reader = folder.given::<Directory>(&log).reader();
    let days = reader.registrations_by_day(&tenant("acme"), second(0)).unwrap();
    let first = second(0).timestamp() / day;
    let dcr = |day, number| DayCount { day, registration_type: RegistrationType::Dcr, number };
    assert_eq!(days, [dcr(first, 12), dcr(first + 2, 1)]);
    assert_eq!(reader.registrations_by_day(&tenant("acme"), second(day)).unwrap(), [dcr(first + 2, 1)]);
    assert_eq!(reader.registrations_by_day(&tenant("other"), second(0)).unwrap(), []);
}
