//! Scenes about clients that host their own document: what each read model makes of it.

use gatebook_events::admission::RegistrationType;
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{
    self, ClientEvent, ContentHash, ManifestRecovered, ManifestUnreachable, ManifestVersioned, ManifestWithdrawn,
};
use gatebook_events::client::{Registered, Withdrawal};
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::identity::ClientId;
use gatebook_events::registration::{ManifestRef, RegistrationEvent, Requested, RolledBack, StagedChange};
use gatebook_events::resource_server::{ManifestRules, Policy, PolicyChanged, ResourceServerEvent, WithdrawalRule};
use gatebook_events::standing::Reason;
use gatebook_events::stream::Stream;

use crate::approvals::{Approvals, Wish};
use crate::directory::{Directory, ManifestRow};
use crate::history::{History, HistoryQuery};
use crate::scene::{Folder, approved, at, change, created, metadata, of_server, second, server, tenant, uris};

const HERE: &str = "https://app.example/cb";
const THERE: &str = "https://new.example/cb";

fn url() -> ClientId {
    ClientId::parse("https://app.example/client.json").unwrap()
}

fn the_client() -> Stream {
    Stream::Client(url().key())
}

fn the_registration(number: u128) -> Stream {
    Stream::Registration(server(number), url().key())
}

/// An event that belongs to no tenant.
fn of_nobody(position: u64, event: &ClientEvent) -> Envelope {
    let mut envelope = at(position, the_client(), event);
    envelope.event.meta = r#"{"actor":{"kind":"system","id":"poller"}}"#.into();
    envelope
}

fn hash() -> ContentHash {
    ContentHash::of_digest([7; 32])
}

fn versioned(number: u32, name: &str) -> ClientEvent {
    ClientEvent::ManifestVersioned(ManifestVersioned {
        number,
        content_hash: hash(),
        document: "{}".into(),
        metadata: metadata(name, &[HERE, THERE]),
        differences: [].into(),
        warnings: vec![],
        left_out: vec![],
        entered_for: None,
        ignored: vec![],
    })
}

fn requested(owner: &str) -> RegistrationEvent {
    let (tenant, redirect_uris) = (tenant(owner), uris(&[HERE]));
    RegistrationEvent::Requested(Requested {
        tenant,
        client_id: url(),
        registration_type: RegistrationType::Cimd,
        redirect_uris,
        metadata: None,
    })
}

fn registered() -> ClientEvent {
    ClientEvent::Registered(Registered {
        client_id: url(),
        registration_type: RegistrationType::Cimd,
        home: None,
        issued_at: second(0),
        metadata: metadata("App", &[HERE]),
        secret: None,
        registration_token: None,
        ignored: Vec::new(),
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    })
}

/// A resource server of `acme`, and a client there that hosts its own document.
fn one_document() -> Vec<Envelope> {
    vec![
        at(1, of_server(1), &created("acme", None)),
        of_nobody(2, &registered()),
        of_nobody(3, &versioned(1, "App")),
        at(4, the_registration(1), &requested("acme")),
        at(5, the_registration(1), &approved()),
    ]
}

fn staged(serves_at: Option<i64>) -> RegistrationEvent {
    let change = StagedChange {
        change_id: change(7),
        added: uris(&[THERE]),
        removed: uris(&[]),
        result: uris(&[HERE, THERE]),
        metadata: None,
        origin: "manifest".to_owned(),
        manifest: Some(ManifestRef { version: 2, content_hash: hash(), base: Some(1) }),
        serves_at: serves_at.map(second),
    };
    RegistrationEvent::RedirectsStaged(change.into())
}

#[test]
fn the_directory_shows_the_newest_version_and_whether_the_document_is_there() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&one_document());
    let row = |model: &crate::read_model::ReadModel<Directory>| model.reader().client(&tenant("acme"), server(1), &url()).unwrap().unwrap();
    let known = ManifestRow { version: 1, content_hash: hash().to_string(), unreachable_since: None };
    assert_eq!(row(&model).manifest, Some(known));
    model.apply(&[of_nobody(6, &versioned(2, "Renamed"))]).unwrap();
    assert_eq!((row(&model).metadata.client_name.as_deref(), row(&model).manifest.unwrap().version), (Some("Renamed"), 2));
    let missed = ClientEvent::ManifestUnreachable(ManifestUnreachable { since: second(3), failure: "timeout".into() });
    model.apply(&[of_nobody(7, &missed)]).unwrap();
    assert_eq!(row(&model).manifest.unwrap().unreachable_since, Some(second(3)));
    assert_eq!(row(&model).reason, Reason::Approved);
    assert_eq!(model.reader().clients_with_documents(None, 10).unwrap(), [(url().key(), url())]);
    assert_eq!(model.reader().clients_with_documents(Some(url().key()), 10).unwrap(), []);
}

#[test]
fn a_document_that_was_taken_away_suspends_where_the_policy_says_so_and_counts_say_it_too() {
    let folder = Folder::new();
    let mut model = folder.given::<Directory>(&one_document());
    let withdrawn =
        ClientEvent::ManifestWithdrawn(ManifestWithdrawn { cause: Withdrawal::Gone, failure: "status_404".into(), detail: None });
    model.apply(&[of_nobody(6, &withdrawn)]).unwrap();
    let reader = model.reader();
    let reason = || reader.client(&tenant("acme"), server(1), &url()).unwrap().unwrap().reason;
    let suspended = || reader.resource_server(&tenant("acme"), server(1)).unwrap().unwrap().counts.by_status.get("suspended").copied();
    assert_eq!((reason(), suspended()), (Reason::ManifestWithdrawn, Some(1)));
    let keep = Policy { manifests: ManifestRules { on_withdrawal: WithdrawalRule::Keep, ..ManifestRules::default() }, ..Policy::default() };
    model.apply(&[at(7, of_server(1), &ResourceServerEvent::PolicyChanged(PolicyChanged { policy: keep }))]).unwrap();
    assert_eq!((reason(), suspended()), (Reason::Approved, None));
    let back = [Policy::default()].map(|policy| at(8, of_server(1), &ResourceServerEvent::PolicyChanged(PolicyChanged { policy })));
    model.apply(&back).unwrap();
    model.apply(&[of_nobody(9, &ClientEvent::ManifestRecovered(ManifestRecovered {}))]).unwrap();
    assert_eq!((reason(), suspended()), (Reason::Approved, None));
    let row = reader.client(&tenant("acme"), server(1), &url()).unwrap().unwrap();
    assert_eq!(row.client_life, client::Life::Registered);
}

#[test]
fn going_back_serves_the_earlier_set_and_nothing_waits() {
    let folder = Folder::new();
    let rolled_back = RegistrationEvent::RolledBack(RolledBack {
        version: 1,
        redirect_uris: uris(&[HERE]),
        overridden: uris(&[HERE, THERE]),
        metadata: None,
        overridden_metadata: None,
        reason: None,
    });
    let log = [one_document(), vec![at(6, the_registration(1), &staged(None)), at(7, the_registration(1), &rolled_back)]].concat();
    let row = folder.given::<Directory>(&log).reader().client(&tenant("acme"), server(1), &url()).unwrap().unwrap();
    assert_eq!((row.redirect_uris, row.staged), (uris(&[HERE]), None));
    assert_eq!(Folder::new().given::<Approvals>(&log).reader().waiting_total(&tenant("acme")).unwrap(), 0);
}

#[test]
fn a_soaking_change_waits_in_the_queue_and_is_found_once_it_is_ripe() {
    let folder = Folder::new();
    let log = [one_document(), vec![at(6, the_registration(1), &staged(Some(60)))]].concat();
    let mut model = folder.given::<Approvals>(&log);
    let reader = model.reader();
    let rows = reader.waiting(&tenant("acme"), None, 10).unwrap().rows;
    assert!(
        matches!(&rows[0].wish, Wish::Redirects { manifest: Some(known), serves_at: Some(at), .. } if known.version == 2 && *at == second(60))
    );
    assert_eq!(reader.ripe(second(59), 10).unwrap(), []);
    assert_eq!(reader.ripe(second(60), 10).unwrap(), [(server(1), url().key())]);
    let approved =
        RegistrationEvent::RedirectsApproved(gatebook_events::registration::RedirectsApproved { change_id: change(7), by_policy: true });
    model.apply(&[at(7, the_registration(1), &approved)]).unwrap();
    assert_eq!(reader.ripe(second(60), 10).unwrap(), []);
}

#[test]
fn what_happens_to_a_document_is_in_the_history_of_every_tenant_that_it_is_registered_with() {
    let folder = Folder::new();
    let mut log = one_document();
    log.push(at(6, of_server(2), &created("acme", None)));
    log.push(of_nobody(7, &versioned(2, "Renamed")));
    let mut model = folder.given::<History>(&log);
    let reader = model.reader();
    let seen = |owner: &str, newest_first| {
        let query = HistoryQuery { newest_first, ..HistoryQuery::all(tenant(owner), 100) };
        reader.events(&query).unwrap().rows.iter().map(|row| row.position.to_backend()).collect::<Vec<_>>()
    };
    assert_eq!(seen("acme", false), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(seen("globex", false), [0; 0]);
    // A tenant that it comes to later sees what was before, and only of this client.
    let mut coming = at(8, the_registration(3), &requested("globex"));
    coming.event.meta = r#"{"tenant":"globex","actor":{"kind":"anonymous"}}"#.into();
    model.apply(&[coming, of_nobody(9, &versioned(3, "Again"))]).unwrap();
    assert_eq!(seen("globex", true), [9, 8, 7, 3, 2]);
    assert_eq!(seen("acme", true), [9, 7, 6, 5, 4, 3, 2, 1]);
    let of_client = HistoryQuery { client_id: Some(url()), limit: 2, ..HistoryQuery::all(tenant("globex"), 2) };
    let page = reader.events(&of_client).unwrap();
    assert_eq!(page.rows.iter().map(|row| row.position.to_backend()).collect::<Vec<_>>(), [9, 8]);
    let next = HistoryQuery { cursor: page.next_cursor, limit: 10, ..of_client };
    assert_eq!(reader.events(&next).unwrap().rows.iter().map(|row| row.position.to_backend()).collect::<Vec<_>>(), [7, 3, 2]);
    assert!(reader.event(&tenant("globex"), page.rows[0].id).unwrap().is_some());
    assert!(reader.event(&tenant("nobody"), page.rows[0].id).unwrap().is_none());
}

#[test]
fn whoever_passes_events_on_once_hears_of_a_client_of_nobody_when_it_comes() {
    let folder = Folder::new();
    let mut elsewhere = at(4, the_registration(2), &requested("other"));
    elsewhere.event.meta = r#"{"tenant":"other","actor":{"kind":"system"}}"#.into();
    let reader = folder
        .given::<History>(&[
            of_nobody(1, &versioned(1, "App")),
            at(2, of_server(1), &created("acme", None)),
            of_nobody(3, &versioned(2, "App")),
            elsewhere,
            of_nobody(5, &versioned(3, "App")),
            at(6, the_registration(1), &requested("acme")),
            of_nobody(7, &versioned(4, "App")),
            at(8, the_registration(1), &approved()),
        ])
        .reader();
    let told = |owner: &str, after: u64, limit| {
        let told = reader.told(&tenant(owner), Position::from_backend(after), limit).unwrap();
        (told.rows.iter().map(|row| row.position.to_backend()).collect::<Vec<_>>(), told.position.to_backend())
    };
    assert_eq!(told("acme", 0, 100), (vec![2, 1, 3, 5, 6, 7, 8], 8));
    assert_eq!(told("acme", 5, 100), (vec![1, 3, 5, 6, 7, 8], 8), "at the place where it comes, wherever one begins");
    assert_eq!(told("acme", 6, 100), (vec![7, 8], 8));
    assert_eq!(told("acme", 0, 2), (vec![2], 2), "what is not its turn yet counts as read");
    assert_eq!(told("acme", 8, 100), (vec![], 8));
    assert_eq!(told("other", 0, 100), (vec![1, 3, 4, 5, 7], 7));
    assert_eq!(told("third", 0, 100), (vec![], 0));
    let everything: Vec<_> =
        reader.everything_after(Position::from_backend(2), 4).unwrap().iter().map(|row| row.position.to_backend()).collect();
    assert_eq!(everything, [3, 4, 5, 6]);
    assert_eq!(reader.at(Position::from_backend(4)).unwrap().unwrap().tenant, Some(tenant("other")));
    assert_eq!(reader.at(Position::from_backend(9)).unwrap(), None);
}
