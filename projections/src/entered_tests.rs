//! Scenes about texts that administrators of several tenants entered for one document: what each read model shows to whom.

use gatebook_events::Aggregate;
use gatebook_events::admission::RegistrationType;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{
    Client, ClientEvent, ContentHash, ManifestRecovered, ManifestVersioned, ManifestWithdrawn, Registered, Withdrawal,
};
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::identity::ClientId;
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationEvent, Requested};
use gatebook_events::standing::Reason;
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;

use crate::approvals::Approvals;
use crate::directory::{Directory, ListClients, RegistrationRow};
use crate::history::{History, HistoryQuery};
use crate::read_model::{Checked, ReadModel};
use crate::scene::{Folder, approved, at, created, metadata, of_server, second, server, tenant};

const HERE: &str = "https://app.example/cb";

/// Of the tenants, the first has the resource server 1, and so on.
const TENANTS: [&str; 3] = ["acme", "globex", "hooli"];

fn url() -> ClientId {
    ClientId::parse("https://app.example/client.json").unwrap()
}

fn the_client() -> Stream {
    Stream::Client(url().key())
}

fn of(owner: Option<&str>, mut envelope: Envelope) -> Envelope {
    envelope.event.meta = match owner {
        Some(owner) => format!(r#"{{"tenant":"{owner}","actor":{{"kind":"admin","id":"ada"}}}}"#).into(),
        None => r#"{"actor":{"kind":"system","id":"documents"}}"#.into(),
    };
    envelope
}

fn said(name: &str) -> ClientMetadata {
    metadata(name, &[HERE])
}

fn registered(name: &str, entered_for: Option<&str>) -> ClientEvent {
    ClientEvent::Registered(Registered {
        client_id: url(),
        registration_type: RegistrationType::Cimd,
        home: None,
        issued_at: second(0),
        metadata: said(name),
        secret: None,
        registration_token: None,
        ignored: Vec::new(),
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: entered_for.map(tenant),
    })
}

fn versioned(number: u32, name: &str, entered_for: Option<&str>) -> ClientEvent {
    ClientEvent::ManifestVersioned(ManifestVersioned {
        number,
        content_hash: ContentHash::of_digest([u8::try_from(number).unwrap(); 32]),
        document: "{}".into(),
        metadata: said(name),
        differences: [].into(),
        warnings: vec![],
        left_out: vec![],
        entered_for: entered_for.map(tenant),
        ignored: vec![],
    })
}

fn requested(owner: &str, admitted: Option<&str>) -> RegistrationEvent {
    RegistrationEvent::Requested(Requested {
        tenant: tenant(owner),
        client_id: url(),
        registration_type: RegistrationType::Cimd,
        redirect_uris: said("").redirect_uris,
        metadata: admitted.map(|name| AdmittedMetadata::of(&said(name)).into()),
    })
}

/// Events one after the other, each of a tenant or of none.
fn log(events: Vec<(Option<&str>, Stream, &dyn AnyOf)>) -> Vec<Envelope> {
    events.into_iter().zip(1..).map(|((owner, stream, event), position)| of(owner, event.envelope(position, stream))).collect()
}

trait AnyOf {
    fn envelope(&self, position: u64, stream: Stream) -> Envelope;
}

impl<E: Stored> AnyOf for E {
    fn envelope(&self, position: u64, stream: Stream) -> Envelope {
        at(position, stream, self)
    }
}

fn the_registration(number: u128) -> Stream {
    Stream::Registration(server(number), url().key())
}

/// The resource servers of three tenants, of which two entered a text each.
fn two_texts() -> Vec<Envelope> {
    let mut all = Vec::new();
    let mut next = |owner: Option<&str>, stream: Stream, event: &dyn AnyOf| {
        all.push(of(owner, event.envelope(all.len() as u64 + 1, stream)));
    };
    for (owner, number) in TENANTS.into_iter().zip(1..) {
        next(Some(owner), of_server(number), &created(owner, None));
    }
    for ((owner, number), name) in TENANTS.into_iter().zip(1..).zip(["Mine", "Theirs"]) {
        next(Some(owner), the_client(), &registered(name, Some(owner)));
        next(Some(owner), the_client(), &versioned(1, name, Some(owner)));
        next(Some(owner), the_registration(number), &requested(owner, None));
    }
    next(Some("acme"), the_registration(1), &approved());
    all
}

fn go_on(model: &mut ReadModel<impl crate::Projection>, owner: Option<&str>, stream: Stream, event: &impl Stored) -> Envelope {
    let envelope = of(owner, at(model.position().to_backend() + 1, stream, event));
    model.apply(std::slice::from_ref(&envelope)).unwrap();
    envelope
}

fn row(model: &ReadModel<Directory>, number: usize) -> Option<RegistrationRow> {
    model.reader().client(&tenant(TENANTS[number - 1]), server(number as u128), &url()).unwrap()
}

fn named(model: &ReadModel<Directory>, number: usize) -> Option<String> {
    row(model, number).and_then(|row| row.claimed.client_name.map(String::from))
}

/// How many clients a list of this tenant shows that is filtered by a text.
fn found(model: &ReadModel<Directory>, number: usize, text: &str) -> usize {
    let all = ListClients::all(tenant(TENANTS[number - 1]), server(number as u128), 10);
    model.reader().clients(&ListClients { text: Some(text.to_owned()), ..all }).unwrap().rows.len()
}

/// What the directory shows and decisions would not rest on.
fn disagreements(folder: &Folder, log: &[Envelope]) -> Vec<&'static str> {
    let checked = Checked::<Directory>::open(folder.path()).unwrap().unwrap();
    let fold = |stream: Stream| log.iter().filter(move |one| one.stream == stream.name()).map(|one| &one.event);
    let client = fold(the_client())
        .fold(Client::default(), |client, event| client.evolve(&ClientEvent::decode(&event.name, event.version, &event.data).unwrap()));
    let mut all = Vec::new();
    for number in 1..=TENANTS.len() as u128 {
        let registration = fold(the_registration(number)).fold(Registration::default(), |registration, event| {
            registration.evolve(&RegistrationEvent::decode(&event.name, event.version, &event.data).unwrap())
        });
        if registration.tenant.is_some() {
            all.extend(Directory::disagreements(&checked, (server(number), url().key()), &client, &registration).unwrap());
        }
    }
    all
}

#[test]
fn w15_a_list_shows_each_tenant_the_text_that_it_entered_and_finds_nothing_of_another_one() {
    let folder = Folder::new();
    let mut all = two_texts();
    let mut model = folder.given::<Directory>(&all);
    assert_eq!((named(&model, 1), named(&model, 2), row(&model, 3)), (Some("Mine".to_owned()), Some("Theirs".to_owned()), None));
    assert_eq!((found(&model, 1, "mine"), found(&model, 1, "theirs"), found(&model, 2, "theirs")), (1, 0, 1));
    let versions = |model: &ReadModel<Directory>| [1, 2].map(|number| row(model, number).unwrap().version.client);
    assert_eq!(versions(&model), [2, 2], "neither counts the other's events");
    assert_eq!(model.reader().clients_with_documents(None, 10).unwrap(), [(url().key(), url())]);
    assert_eq!(model.reader().documents_by_health_of(&tenant("acme")).unwrap()[0], ("good", 1));
    assert_eq!(disagreements(&folder, &all), [""; 0]);
    // Another text of one tenant changes nothing for the other.
    let before = row(&model, 1);
    all.push(go_on(&mut model, Some("globex"), the_client(), &versioned(2, "Newer", Some("globex"))));
    assert_eq!((row(&model, 1), named(&model, 2)), (before, Some("Newer".to_owned())));
    assert_eq!(disagreements(&folder, &all), [""; 0]);
}

#[test]
fn w15_what_the_host_answers_is_shown_to_all_and_what_it_takes_away_is_gone_for_all() {
    let folder = Folder::new();
    let mut all = two_texts();
    let mut model = folder.given::<Directory>(&all);
    let gone = ClientEvent::ManifestWithdrawn(ManifestWithdrawn { cause: Withdrawal::Gone, failure: "status_404".into(), detail: None });
    all.push(go_on(&mut model, None, the_client(), &gone));
    assert_eq!((row(&model, 1).unwrap().reason, disagreements(&folder, &all)), (Reason::ManifestWithdrawn, vec![]));
    all.push(go_on(&mut model, Some("acme"), the_client(), &versioned(2, "Mine again", Some("acme"))));
    assert_eq!((row(&model, 1).unwrap().reason, disagreements(&folder, &all)), (Reason::Approved, vec![]));
    all.push(go_on(&mut model, None, the_client(), &registered("The host's", None)));
    all.push(go_on(&mut model, None, the_client(), &versioned(3, "The host's", None)));
    all.push(go_on(&mut model, Some("hooli"), the_registration(3), &requested("hooli", None)));
    for number in 1..=3 {
        assert_eq!(named(&model, number).as_deref(), Some("The host's"), "{number}");
        assert_eq!((found(&model, number, "the host"), found(&model, number, "mine")), (1, 0), "{number}");
    }
    let versions = [1, 2, 3].map(|number| row(&model, number).unwrap().version.client);
    assert_eq!(versions, [6, 5, 3], "of its own texts, and of what happened to all");
    assert_eq!(model.reader().documents_by_health().unwrap(), [("good", 1), ("unreachable", 0), ("withdrawn", 0)]);
    assert_eq!(disagreements(&folder, &all), [""; 0]);
}

#[test]
fn w15_the_rows_are_the_same_in_whatever_order_the_streams_come() {
    let mut all = two_texts();
    all.push(of(None, at(20, the_client(), &registered("The host's", None))));
    all.push(of(None, at(21, the_client(), &versioned(3, "The host's", None))));
    for upto in [9, all.len()] {
        let rows = |log: &[Envelope]| -> Vec<String> {
            let folder = Folder::new();
            let mut model = ReadModel::<Directory>::open(folder.path()).unwrap();
            for (position, envelope) in (1..).zip(log) {
                model.apply(&[Envelope { position: Position::from_backend(position), ..envelope.clone() }]).unwrap();
            }
            model.dump().unwrap().into_iter().filter(|line| line.starts_with("names") || line.starts_with("clients")).collect()
        };
        let (clients, others): (Vec<_>, Vec<_>) = all[..upto].iter().cloned().partition(|one| one.stream == the_client().name());
        assert_eq!(rows(&[others, clients].concat()), rows(&all[..upto]));
    }
}

#[test]
fn w15_a_log_of_a_build_that_knew_one_text_only_gives_the_same_lists() {
    for says_the_same in [true, false] {
        let folder = Folder::new();
        let mut all = log(vec![
            (Some("acme"), of_server(1), &created("acme", None)),
            (Some("globex"), of_server(2), &created("globex", None)),
            (Some("acme"), the_client(), &registered("Mine", None)),
            (Some("acme"), the_client(), &versioned(1, "Mine", Some("acme"))),
            (Some("acme"), the_registration(1), &requested("acme", Some("Mine"))),
            (Some("acme"), the_registration(1), &approved()),
        ]);
        let mut model = folder.given::<Directory>(&all);
        assert_eq!((named(&model, 1).as_deref(), row(&model, 1).unwrap().version.client), (Some("Mine"), 2));
        assert_eq!(disagreements(&folder, &all), [""; 0]);
        let (name, answered) = if says_the_same {
            ("Mine", ClientEvent::ManifestRecovered(ManifestRecovered {}))
        } else {
            ("The host's", versioned(2, "The host's", None))
        };
        all.push(go_on(&mut model, None, the_client(), &answered));
        all.push(go_on(&mut model, Some("globex"), the_registration(2), &requested("globex", Some(name))));
        let shown = [1, 2].map(|number| (named(&model, number), row(&model, number).unwrap().version.document));
        let document = if says_the_same { 1 } else { 2 };
        assert_eq!(shown, [1, 2].map(|_| (Some(name.to_owned()), document)));
        assert_eq!(disagreements(&folder, &all), [""; 0]);
        let approvals = Folder::new().given::<Approvals>(&all).reader().waiting(&tenant("globex"), None, 10).unwrap();
        assert_eq!(approvals.rows[0].version, row(&model, 2).unwrap().version);
    }
}

#[test]
fn w15_the_approvals_name_a_client_as_its_tenant_entered_it_and_in_the_same_state_as_the_list() {
    let folder = Folder::new();
    let (all, others) = (two_texts(), Folder::new());
    let (mut approvals, mut directory) = (folder.given::<Approvals>(&all), others.given::<Directory>(&all));
    let waiting = |model: &ReadModel<Approvals>| -> (Option<String>, AnswerVersion) {
        let row = model.reader().waiting(&tenant("globex"), None, 10).unwrap().rows.remove(0);
        (row.client_name, row.version)
    };
    assert_eq!(waiting(&approvals), (Some("Theirs".to_owned()), row(&directory, 2).unwrap().version));
    for event in [registered("The host's", None), versioned(2, "The host's", None)] {
        go_on(&mut approvals, None, the_client(), &event);
        go_on(&mut directory, None, the_client(), &event);
    }
    assert_eq!(waiting(&approvals), (Some("The host's".to_owned()), row(&directory, 2).unwrap().version));
}

#[test]
fn w15_the_history_of_a_tenant_has_its_own_texts_and_what_the_host_said() {
    let folder = Folder::new();
    let mut model = folder.given::<History>(&two_texts());
    go_on(&mut model, None, the_client(), &registered("The host's", None));
    go_on(&mut model, None, the_client(), &versioned(2, "The host's", None));
    go_on(&mut model, Some("hooli"), the_registration(3), &requested("hooli", None));
    let seen = |owner: &str| {
        let query = HistoryQuery { client_id: Some(url()), newest_first: false, ..HistoryQuery::all(tenant(owner), 100) };
        let rows = model.reader().events(&query).unwrap().rows;
        rows.into_iter().map(|row| row.data).filter(|data| data.contains("client_name")).collect::<Vec<_>>()
    };
    for (owner, name, other) in [("acme", "Mine", "Theirs"), ("globex", "Theirs", "Mine")] {
        let told = seen(owner);
        assert_eq!(told.len(), 4, "{owner}: {told:?}");
        assert!(told.iter().any(|data| data.contains(name)) && !told.iter().any(|data| data.contains(other)), "{owner}: {told:?}");
    }
    assert!(seen("hooli").iter().all(|data| data.contains("The host's")) && seen("hooli").len() == 2);
}
