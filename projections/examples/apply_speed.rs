//! How fast the projections take events in, and how fast they answer then: `cargo run --release --example apply_speed [clients]`.

use std::sync::Arc;
use std::time::Instant;

use gatebook_events::admission::RegistrationType;
use gatebook_events::envelope::{Envelope, EventId, Position, Revision, StoredEvent};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::look_alike::Face;
use gatebook_events::redirect::RedirectUris;
use gatebook_events::stream::Stream;
use gatebook_projections::directory::{ListClients, Sort};
use gatebook_projections::history::HistoryQuery;
use gatebook_projections::{Approvals, Directory, History, Projection, ReadModel};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error>;

const META: &str = r#"{"tenant":"default","actor":{"kind":"anonymous","via":"dcr"},"request_id":"018f2c3e-0000-7000-8000-000000000000","origin":"203.0.113.0/24"}"#;

fn main() -> Result<(), Failure> {
    let clients: u64 = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let dir = std::env::temp_dir().join(format!("gatebook-apply-speed-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let mut directory = ReadModel::<Directory>::open(&dir)?;
    fill(&mut directory, "serving", clients)?;
    let mut history = ReadModel::<History>::open(&dir)?;
    fill(&mut history, "serving", clients)?;
    fill(&mut ReadModel::<Approvals>::open(&dir)?, "serving", clients)?;
    fill(&mut ReadModel::<Directory>::open_building(&dir)?, "building", clients)?;

    let tenant = TenantId::default_tenant();
    let all = ListClients::all(tenant.clone(), ResourceServerId::DEFAULT, 50);
    let reader = directory.reader();
    let by_name = ListClients { sort: Sort::Name, ..all.clone() };
    let by_type = ListClients { registration_type: Some(RegistrationType::Prereg), ..all.clone() };
    let nothing = ListClients { text: Some("no such client".to_owned()), ..all.clone() };
    let family = ListClients { family: Some("no such family".to_owned()), ..all.clone() };
    for (what, list) in
        [("newest", &all), ("by name", &by_name), ("empty type", &by_type), ("absent text", &nothing), ("absent family", &family)]
    {
        time(what, || reader.clients(list))?;
    }
    let last = reader.clients(&all)?.rows.pop().ok_or("no rows")?;
    time("one client", || reader.client(&tenant, ResourceServerId::DEFAULT, &last.client_id))?;
    // Every name begins alike and most have dozens of neighbours: as hard as it gets for names that nobody chose to make it so.
    let url = ClientId::parse("https://other.example/client.json")?;
    for (what, name) in [("same name", "CIient 4711"), ("similar name", "Client 4711x"), ("no such name", "Something Else")] {
        let face = Face::of(Some(name), (&url, RegistrationType::Cimd), &RedirectUris::default());
        time(what, || reader.look_alike(&tenant, &face, None))?;
    }
    let history = history.reader();
    time("history", || history.events(&HistoryQuery::all(tenant.clone(), 50)))?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn time<T, E: std::error::Error + 'static>(what: &str, ask: impl Fn() -> Result<T, E>) -> Result<(), Failure> {
    ask()?;
    let start = Instant::now();
    for _ in 0..10 {
        ask()?;
    }
    eprintln!("{what:>14}: {:?}", start.elapsed() / 10);
    Ok(())
}

fn fill<P: Projection>(model: &mut ReadModel<P>, kind: &str, clients: u64) -> Result<(), Failure> {
    let created = r#"{"tenant":"default","name":"default","registration_modes":["dcr","cimd","prereg"],"policy":{}}"#;
    model.apply(&[envelope(1, Stream::ResourceServer(ResourceServerId::DEFAULT), "resource_server.created", created)])?;
    let mut spent = std::time::Duration::ZERO;
    let mut batch = Vec::with_capacity(1002);
    for client in 0..clients {
        batch.extend(one_client(client));
        if batch.len() >= 1000 || client + 1 == clients {
            let start = Instant::now();
            model.apply(&batch)?;
            spent += start.elapsed();
            batch.clear();
        }
    }
    let events = u32::try_from(clients * 3)?;
    eprintln!("{:>10} {kind}: {:.0} events/s", P::NAME, f64::from(events) / spent.as_secs_f64());
    Ok(())
}

fn one_client(number: u64) -> [Envelope; 3] {
    // Spread like random identifiers.
    let key = ClientKey(Uuid::from_u128(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)));
    let position = 2 + number * 3;
    let registered = format!(
        r#"{{"client_id":"{key}","registration_type":"dcr","home":"default","issued_at":"2026-03-01T12:00:00Z","metadata":{{"redirect_uris":["http://localhost:33417/oauth/callback"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"application_type":"native","client_name":"Client {number}"}},"registration_token":"{}"}}"#,
        "a5".repeat(32)
    );
    let requested = format!(
        r#"{{"tenant":"default","client_id":"{key}","registration_type":"dcr","redirect_uris":["http://localhost:33417/oauth/callback"]}}"#
    );
    let registration = Stream::Registration(ResourceServerId::DEFAULT, key);
    [
        envelope(position, Stream::Client(key), "client.registered", &registered),
        envelope(position + 1, registration, "registration.requested", &requested),
        envelope(position + 2, registration, "registration.approved", "{}"),
    ]
}

fn envelope(position: u64, stream: Stream, name: &str, data: &str) -> Envelope {
    Envelope {
        position: Position::from_backend(position),
        stream: stream.name(),
        revision: Revision::from_backend(0),
        event: StoredEvent {
            id: EventId(Uuid::from_u128(0x018f_2c3e_0000_7000_8000_0000_0000_0000 + u128::from(position))),
            name: Arc::from(name),
            version: 1,
            recorded_at: chrono::DateTime::UNIX_EPOCH
                + chrono::TimeDelta::milliseconds(1_772_366_400_000 + i64::try_from(position).unwrap_or(0)),
            meta: Arc::from(META),
            data: Arc::from(data),
        },
    }
}
