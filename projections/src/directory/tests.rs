//! Scenes about what the directory shows.

use gatebook_events::client::{ClientEvent, Deleted, MetadataUpdated, SecretRotated};
use gatebook_events::look_alike::Face;
use gatebook_events::registration::{
    AdmittedBecause, AdmittedMetadata, Denied, Dormant, MetadataAdmitted, RedirectsApproved, RedirectsNarrowed, RegistrationEvent,
    Requested, Restored, RevivalAsked, Revived, Revoked, Suspended,
};
use gatebook_events::resource_server::{EffectOnExisting, ModesChanged, Renamed, ResourceServerEvent, Retired};
use gatebook_events::secret::{KeptSecret, SecretHash};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;

use super::*;
use crate::read_model::{QueryError, ReadModel, Reader};
use crate::scene::{
    Folder, LOOPBACK, approved, at, change, created, id, key, metadata, of_client, of_registration, of_server, one_client, recorded,
    registered, requested, second, server, staged, tenant, uris,
};

fn show(model: &ReadModel<Directory>) -> RegistrationRow {
    model.reader().client(&tenant("acme"), server(1), &id(1)).unwrap().unwrap()
}

fn next<E: Stored>(model: &mut ReadModel<Directory>, stream: Stream, event: &E) -> RegistrationRow {
    let position = model.position().to_backend() + 1;
    model.apply(&[at(position, stream, event)]).unwrap();
    show(model)
}

fn names(reader: &Reader<Directory>, list: &ListClients) -> Vec<String> {
    reader.clients(list).unwrap().rows.into_iter().map(|row| row.metadata.client_name.unwrap_or_default().into()).collect()
}

fn all() -> ListClients {
    ListClients::all(tenant("acme"), server(1), 10)
}

#[test]
fn a_dormant_client_is_counted_and_listed_as_dormant_and_its_last_decision_stays() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&one_client());
    let due = |model: &ReadModel<Directory>, until: i64| model.reader().approved(server(1), second(until), None, 10).unwrap();
    assert_eq!((due(&model, 2).len(), due(&model, 3).len()), (0, 1), "it was asked for in second 3");
    assert_eq!((due(&model, 3)[0].decided_at, due(&model, 3)[0].position), (second(4), Position::from_backend(4)));
    let steps = [(RegistrationEvent::Dormant(Dormant { idle_since: second(1) }), 4), (RegistrationEvent::RevivalAsked(RevivalAsked {}), 4)];
    for (event, decided) in steps {
        let row = next(&mut model, of_registration(1), &event);
        assert_eq!((row.status(), row.reason, row.decided_at), ("dormant", Reason::Dormant, Some(second(decided))));
        assert_eq!(due(&model, 99), []);
        let page = model.reader().clients(&ListClients { status: Some("dormant".to_owned()), ..all() }).unwrap();
        assert_eq!((page.rows.len(), page.counts.unwrap().by_status), (1, [("dormant", 1)].into()));
    }
    let row = next(&mut model, of_registration(1), &RegistrationEvent::Revived(Revived { reason: Some("back".into()) }));
    assert_eq!((row.status(), row.note.as_deref(), row.decided_at), ("approved", Some("back"), Some(second(7))));
    assert_eq!(due(&model, 3)[0].decided_at, second(7), "it is new again");
}

#[test]
fn pages_of_who_stands_approved_go_on_over_ties_and_types() {
    let folder = Folder::new();
    let mut log = vec![one_client().remove(0)];
    for number in 1..=9_u64 {
        let client = u128::from(number);
        log.push(recorded(number * 3, 0, of_client(client), &registered(client, "Same")));
        log.push(recorded(number * 3 + 1, i64::try_from(number % 2).unwrap(), of_registration(client), &requested(client)));
        log.push(recorded(number * 3 + 2, 5, of_registration(client), &approved()));
    }
    let reader = folder.given::<Directory>(&log).reader();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = reader.approved(server(1), second(9), after, 2).unwrap();
        seen.extend(page.iter().map(|row| row.place.client));
        after = page.last().map(|row| row.place);
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(seen, [2, 4, 6, 8, 1, 3, 5, 7, 9].map(key));
}

#[test]
fn a_registration_is_shown_as_it_stands_after_every_event() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&one_client());
    let row = show(&model);
    assert_eq!((row.status(), row.reason), ("approved", Reason::Approved));
    assert_eq!((row.requested_at, row.decided_at, row.issued_at), (second(3), Some(second(4)), second(0)));
    assert_eq!((row.redirect_uris.clone(), row.home.clone()), (uris(&[LOOPBACK]), Some(tenant("acme"))));
    assert_eq!((row.has_secret, row.family.as_str()), (false, "name:Claude Code http://localhost/oauth/callback"));

    let suspended = RegistrationEvent::Suspended(Suspended { reason: Some("audit".into()) });
    let row = next(&mut model, of_registration(1), &suspended);
    assert_eq!((row.status(), row.note.as_deref(), row.position), ("suspended", Some("audit"), Position::from_backend(5)));
    let row = next(&mut model, of_registration(1), &RegistrationEvent::Revoked(Revoked::default()));
    assert_eq!((row.status(), row.note), ("revoked", None));
    let row = next(&mut model, of_registration(1), &RegistrationEvent::Restored(Restored::default()));
    assert_eq!(row.status(), "suspended");
    let row = next(&mut model, of_registration(1), &approved());
    assert_eq!(row.status(), "approved");

    let both = [LOOPBACK, "https://app.example/cb"];
    let row = next(&mut model, of_registration(1), &staged(7, &both[1..], &both));
    assert_eq!((row.staged.map(|change| change.change_id), row.staged_at), (Some(change(7)), Some(second(9))));
    assert_eq!(row.redirect_uris, uris(&[LOOPBACK]));
    let stale = RegistrationEvent::RedirectsApproved(RedirectsApproved { change_id: change(6), by_policy: false });
    assert_eq!(next(&mut model, of_registration(1), &stale).redirect_uris, uris(&[LOOPBACK]));
    let current = RegistrationEvent::RedirectsApproved(RedirectsApproved { change_id: change(7), by_policy: false });
    let row = next(&mut model, of_registration(1), &current);
    assert_eq!((row.redirect_uris, row.staged, row.staged_at), (uris(&both), None, None));
    let narrowed = RegistrationEvent::RedirectsNarrowed(RedirectsNarrowed { removed: uris(&[LOOPBACK]) });
    assert_eq!(next(&mut model, of_registration(1), &narrowed).redirect_uris, uris(&both[1..]));

    let secret =
        KeptSecret { hash: SecretHash::try_new("$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA").unwrap(), expires_at: Some(second(900)) };
    let row =
        next(&mut model, of_client(1), &ClientEvent::SecretRotated(SecretRotated { secret, old_valid_until: None, repeat_key: None }));
    assert_eq!((row.has_secret, row.secret_expires_at), (true, Some(second(900))));
    assert!(!model.dump().unwrap().concat().contains("argon2id"));
    let renamed =
        MetadataUpdated { metadata: metadata("Other", &["https://new.example/cb"]), secret: None, keeps_secret: false, ignored: vec![] };
    let row = next(&mut model, of_client(1), &ClientEvent::MetadataUpdated(renamed));
    assert_eq!((row.metadata.client_name.as_deref(), row.has_secret), (Some("Other"), false));
    assert_eq!(names(&model.reader(), &ListClients { text: Some("NEW.example".into()), ..all() }), ["Other"]);
    assert_eq!(names(&model.reader(), &ListClients { text: Some("claude".into()), ..all() }), [""; 0]);

    let row = next(&mut model, of_client(1), &ClientEvent::Deleted(Deleted { reason: None }));
    assert_eq!((row.status(), row.reason, row.client_life), ("deleted", Reason::ClientDeleted, client::Life::Deleted));
    assert_eq!(names(&model.reader(), &all()), [""; 0]);
    assert_eq!(names(&model.reader(), &ListClients { status: Some("deleted".into()), ..all() }), ["Other"]);
}

#[test]
fn a_denied_client_may_ask_again_later() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&one_client()[..3]);
    assert_eq!(show(&model).status(), "pending");
    let denied = RegistrationEvent::Denied(Denied { reason: Some("who?".into()), until: Some(second(60)) });
    let row = next(&mut model, of_registration(1), &denied);
    assert_eq!((row.status(), row.denied_until, row.note.as_deref()), ("denied", Some(second(60)), Some("who?")));
    let row = next(&mut model, of_registration(1), &requested(1));
    assert_eq!((row.status(), row.denied_until, row.requested_at), ("pending", None, second(3)));
}

#[test]
fn modes_and_retirement_show_at_once_in_rows_lists_and_counts() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&one_client());
    let suspend = |old: &[RegistrationType], new: &[RegistrationType]| {
        ResourceServerEvent::ModesChanged(ModesChanged {
            old: old.iter().copied().collect(),
            new: new.iter().copied().collect(),
            effect_on_existing: EffectOnExisting::Suspend,
            also_suspended: Modes::new(),
        })
    };
    let row = next(&mut model, of_server(1), &suspend(&RegistrationType::ALL, &[RegistrationType::Prereg]));
    assert_eq!((row.status(), row.reason, row.registration_status), ("suspended", Reason::ModeSuspended, Status::Approved));
    assert_eq!(names(&model.reader(), &ListClients { status: Some("suspended".into()), ..all() }), ["Claude Code"]);
    assert_eq!(names(&model.reader(), &ListClients { status: Some("approved".into()), ..all() }), [""; 0]);
    let shown = model.reader().resource_server(&tenant("acme"), server(1)).unwrap().unwrap();
    assert_eq!(shown.counts.by_status, BTreeMap::from([("suspended", 1)]));
    assert_eq!(shown.suspended_modes, Modes::from([RegistrationType::Dcr, RegistrationType::Cimd]));

    let row = next(&mut model, of_server(1), &suspend(&[RegistrationType::Prereg], &RegistrationType::ALL));
    assert_eq!(row.status(), "approved");
    let row = next(&mut model, of_server(1), &ResourceServerEvent::Retired(Retired { reason: None }));
    assert_eq!(row.status(), "retired");
    assert_eq!(model.reader().clients(&all()).unwrap().counts.unwrap().by_status, BTreeMap::from([("retired", 1)]));
}

#[test]
fn a_registration_may_come_before_its_client_and_the_rows_are_the_same() {
    let client = |position| recorded(position, 2, of_client(1), &registered(1, "Claude Code"));
    // Both logs hold the registration's events at the same positions; only the client comes before or after them.
    let server_created = one_client().remove(0);
    let (requested, approved) = (recorded(10, 3, of_registration(1), &requested(1)), recorded(11, 4, of_registration(1), &approved()));
    let (folder, other) = (Folder::new(), Folder::new());
    let mut early = folder.given::<Directory>(&[server_created.clone(), requested.clone(), approved.clone()]);
    assert_eq!(early.reader().client(&tenant("acme"), server(1), &id(1)).unwrap(), None);
    assert_eq!(early.reader().clients(&all()).unwrap().counts.unwrap().total, 0);
    early.apply(&[client(20)]).unwrap();
    let late = other.given::<Directory>(&[server_created, client(5), requested, approved]);
    let rows =
        |model: &ReadModel<Directory>| model.dump().unwrap().into_iter().filter(|line| !line.starts_with("checkpoint")).collect::<Vec<_>>();
    assert_eq!(rows(&early), rows(&late));
    assert_eq!(show(&early), show(&late));
}

#[test]
fn every_order_shows_each_client_once_over_ties() {
    let folder = Folder::new();
    let mut log = vec![at(1, of_server(1), &created("acme", None))];
    for number in 1..=20_u128 {
        let position = 2 + 3 * u64::try_from(number).unwrap();
        // Three moments and three names, so that every key has ties; and not every client is let in.
        let moment = i64::try_from(number % 3).unwrap();
        log.push(recorded(
            position,
            0,
            of_client(number),
            &registered(number, ["Bär|a", "bär|A", "Zoo"][usize::try_from(number % 3).unwrap()]),
        ));
        log.push(recorded(position + 1, moment, of_registration(number), &requested(number)));
        if number % 2 == 0 {
            log.push(recorded(position + 2, 9, of_registration(number), &approved()));
        }
    }
    let reader = folder.given::<Directory>(&log).reader();
    for sort in [Sort::NewestFirst, Sort::OldestFirst, Sort::Name] {
        let mut keys = Vec::new();
        let mut list = ListClients { sort, limit: 3, ..all() };
        for page in 0.. {
            let answer = reader.clients(&list).unwrap();
            assert_eq!(answer.counts.is_some(), page == 0);
            keys.extend(answer.rows.iter().map(|row| match sort {
                Sort::NewestFirst | Sort::WaitingFirst => {
                    (-row.requested_at.timestamp(), String::new(), row.client_key.0.as_u128().wrapping_neg())
                }
                Sort::OldestFirst => (row.requested_at.timestamp(), String::new(), row.client_key.0.as_u128()),
                Sort::Name => (0, row.metadata.client_name.as_ref().unwrap().to_lowercase(), row.client_key.0.as_u128()),
            }));
            list.cursor = answer.next_cursor.map(|cursor| cursor.to_string().parse().unwrap());
            if list.cursor.is_none() {
                break;
            }
        }
        assert_eq!(keys.len(), 20, "{sort:?}");
        assert!(keys.is_sorted_by(|a, b| a < b), "{sort:?}: {keys:?}");
    }
    let counts = reader.clients(&all()).unwrap().counts.unwrap();
    assert_eq!((counts.total, counts.by_status), (20, BTreeMap::from([("approved", 10), ("pending", 10)])));
    assert_eq!(counts.by_type, BTreeMap::from([(RegistrationType::Dcr, 20), (RegistrationType::Cimd, 0), (RegistrationType::Prereg, 0)]));

    let page = reader.clients(&ListClients { limit: 3, ..all() }).unwrap();
    let foreign = ListClients { sort: Sort::Name, cursor: page.next_cursor, ..all() };
    assert!(matches!(reader.clients(&foreign), Err(QueryError::Cursor(_))));
    let pending = ListClients { status: Some("pending".into()), limit: 100, ..all() };
    assert_eq!(reader.clients(&pending).unwrap().rows.len(), 10);
    assert_eq!(reader.clients(&ListClients { status: Some("odd".into()), ..all() }).unwrap().rows, []);
    assert_eq!(reader.clients(&ListClients { registration_type: Some(RegistrationType::Cimd), ..all() }).unwrap().rows, []);
    assert_eq!(reader.clients(&ListClients { tenant: tenant("other"), ..all() }).unwrap().rows, []);
}

#[test]
fn a_text_filter_means_what_it_says() {
    let folder = Folder::new();
    let mut log = vec![at(1, of_server(1), &created("acme", None))];
    for (number, name) in [(1, "100% pure"), (2, "100 pure"), (3, "under_score"), (4, "underXscore"), (5, "back\\slash"), (6, "ÄRGER")] {
        log.push(at(number * 2, of_client(number.into()), &registered(number.into(), name)));
        log.push(at(number * 2 + 1, of_registration(number.into()), &requested(number.into())));
    }
    let reader = folder.given::<Directory>(&log).reader();
    let found = |text: &str| names(&reader, &ListClients { text: Some(text.to_owned()), sort: Sort::OldestFirst, ..all() });
    assert_eq!(found("0%"), ["100% pure"]);
    assert_eq!(found("r_s"), ["under_score"]);
    assert_eq!(found("\\"), ["back\\slash"]);
    assert_eq!(found("ärg"), ["ÄRGER"]);
    assert_eq!(found("LOCALHOST").len(), 6);
    assert_eq!(found(id(2).as_str()), ["100 pure"]);
    assert_eq!(found("'"), [""; 0]);
    let family = ListClients { family: Some("name:100 pure http://localhost/oauth/callback".to_owned()), ..all() };
    assert_eq!(names(&reader, &family), ["100 pure"]);
}

#[test]
fn a_family_is_what_instances_of_one_program_share() {
    let cimd = ClientId::parse("https://App.example/client.json").unwrap();
    let mut said = metadata("X", &["http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"]);
    assert_eq!(text::family(&id(1), RegistrationType::Dcr, &said), "name:X http://127.0.0.1/cb");
    said.software_id = Some("app".into());
    assert_eq!(text::family(&id(1), RegistrationType::Dcr, &said), "software:app");
    assert_eq!(text::family(&cimd, RegistrationType::Cimd, &said), "document:app.example");
}

#[test]
fn resource_servers_are_found_by_tenant_id_and_resource() {
    let folder = Folder::new();
    let (files, mail) = ("https://files.example/mcp", "https://mail.example/mcp");
    let mut model = folder.given::<Directory>(&[at(1, of_server(1), &created("acme", Some(files)))]);
    let reader = model.reader();
    model
        .apply(&[
            at(2, of_server(2), &created("other", Some(files))),
            at(3, of_server(3), &created("acme", None)),
            at(4, of_server(3), &ResourceServerEvent::Renamed(Renamed { name: "Mail".into(), resource: WebUri::parse(mail).ok() })),
        ])
        .unwrap();
    let ids: Vec<_> = reader.resource_servers(&tenant("acme")).unwrap().into_iter().map(|row| (row.id, row.name)).collect();
    assert_eq!(ids, [(server(1), "Files".to_owned()), (server(3), "Mail".to_owned())]);
    assert_eq!(reader.resource_server(&tenant("acme"), server(2)).unwrap(), None);
    let retired = ResourceServerEvent::Retired(Retired { reason: None });
    model.apply(&[at(5, of_server(1), &retired), at(6, of_server(3), &retired)]).unwrap();
    assert_eq!(reader.resource_server(&tenant("acme"), server(1)).unwrap().unwrap().life, resource_server::Life::Retired);
}

#[test]
fn a_client_is_found_only_by_its_own_tenant_and_its_exact_identifier() {
    let folder = Folder::new();
    let url = ClientId::parse("https://app.example/client.json").unwrap();
    let mut log = one_client();
    let ClientEvent::Registered(mut document) = registered(9, "App") else { unreachable!() };
    (document.client_id, document.home, document.registration_type) = (url.clone(), None, RegistrationType::Cimd);
    let asked = Requested {
        tenant: tenant("acme"),
        client_id: url.clone(),
        registration_type: RegistrationType::Cimd,
        redirect_uris: uris(&[]),
        metadata: None,
    };
    log.push(at(5, Stream::Client(url.key()), &ClientEvent::Registered(document)));
    log.push(at(6, Stream::Registration(server(1), url.key()), &RegistrationEvent::Requested(asked)));
    let reader = folder.given::<Directory>(&log).reader();
    let row = reader.client(&tenant("acme"), server(1), &url).unwrap().unwrap();
    assert_eq!((row.client_id, row.registration_type, row.home), (url.clone(), RegistrationType::Cimd, None));
    let alias = ClientId::of_key(url.key());
    assert_eq!(reader.client(&tenant("acme"), server(1), &alias).unwrap(), None);
    assert_eq!(reader.client(&tenant("other"), server(1), &url).unwrap(), None);
    assert_eq!(reader.client(&tenant("acme"), server(2), &url).unwrap(), None);
    assert_eq!(reader.registrations_of(key(1)).unwrap(), [(server(1), tenant("acme"))]);
    assert_eq!(reader.registrations_of(key(2)).unwrap(), []);
}

#[test]
fn r3_a_row_shows_what_was_admitted_beside_what_is_claimed_and_bears_the_admitted_name() {
    let folder = Folder::new();
    let (said, says) = (metadata("Claude Code", &[LOOPBACK]), metadata("Big Bank", &[LOOPBACK]));
    let RegistrationEvent::Requested(asked) = requested(1) else { unreachable!() };
    let asked = RegistrationEvent::Requested(Requested { metadata: Some(AdmittedMetadata::of(&said).into()), ..asked });
    let updated = MetadataUpdated { metadata: says.clone(), secret: None, keeps_secret: false, ignored: vec![] };
    let mut model = folder.given::<Directory>(&[
        at(1, of_server(1), &created("acme", None)),
        at(2, of_client(1), &registered(1, "Claude Code")),
        at(3, of_registration(1), &asked),
        at(4, of_registration(1), &approved()),
        at(5, of_client(1), &ClientEvent::MetadataUpdated(updated)),
    ]);
    let row = show(&model);
    assert_eq!((row.metadata.client_name.as_deref(), row.claimed.client_name.as_deref()), (Some("Claude Code"), Some("Big Bank")));
    assert_eq!(row.version, AnswerVersion { client: 2, registration: 2, document: 0 });
    let borne = |model: &ReadModel<Directory>, name| {
        let face = Face::of(Some(name), (&id(7), RegistrationType::Dcr), &uris(&["https://evil.example/cb"]));
        model.reader().look_alike(&tenant("acme"), &face, None).unwrap().map(|other| other.client_name)
    };
    assert_eq!(borne(&model, "Claude Code"), Some(Some("Claude Code".to_owned())));
    assert_eq!(borne(&model, "Big Bank"), None, "what nobody admitted is nobody's name");
    let admitted = MetadataAdmitted { metadata: AdmittedMetadata::of(&says).into(), because: AdmittedBecause::Policy };
    let row = next(&mut model, of_registration(1), &RegistrationEvent::MetadataAdmitted(admitted));
    assert_eq!(row.metadata.client_name.as_deref(), Some("Big Bank"));
    assert_eq!((borne(&model, "Claude Code"), borne(&model, "Big Bank")), (None, Some(Some("Big Bank".to_owned()))));
}
