//! The names that approved clients bear, and whom a client from elsewhere looks like.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::look_alike::{Face, Folded, Likeness, Origin};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::AdmittedMetadata;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};

use super::Directory;
use crate::column::{Id, Json, Word};
use crate::read_model::{QueryError, Reader};

/// The most of those that are looked at which share one pattern with a name, those that were there first. A name that is the same to
/// the eye is always found.
const MOST_OF_A_PATTERN: u32 = 64;

/// Where in the log the names last changed that begin alike or end alike, by a hash of that and of their tenant. One character apart,
/// two names begin or end with the same three. Only for the life of the process: it says which answers are no longer good.
static CHANGED: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

thread_local! {
    /// The places in [`CHANGED`] that the event at hand touches.
    static TOUCHED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The position of the last event that may have changed whom a client with this name looks like. What was asked of a directory that
/// showed that position is still so.
pub fn last_change(tenant: &TenantId, name: &Folded) -> Position {
    let changed = places(tenant.as_str(), name.as_str()).into_iter().filter_map(|place| CHANGED.get(place));
    Position::from_backend(changed.map(|changed| changed.load(Ordering::SeqCst)).max().unwrap_or_default())
}

/// Says of the names that an event touched that it did.
pub(super) fn tell(position: Position) {
    for place in TOUCHED.take() {
        if let Some(changed) = CHANGED.get(place) {
            changed.fetch_max(position.to_backend(), Ordering::SeqCst);
        }
    }
}

fn places(tenant: &str, folded: &str) -> [usize; 2] {
    let begin = folded.char_indices().nth(3).map_or(folded, |(at, _)| folded.get(..at).unwrap_or(folded));
    let end = folded.char_indices().rev().nth(2).map_or(folded, |(at, _)| folded.get(at..).unwrap_or(folded));
    [(0_u8, begin), (1, end)].map(|part| {
        let mut hasher = DefaultHasher::new();
        (tenant, part).hash(&mut hasher);
        usize::try_from(hasher.finish() % CHANGED.len() as u64).unwrap_or_default()
    })
}

/// Takes note that clients which look like this one may look like another now, or like none.
pub(super) fn touch(tx: &Transaction<'_>, key: ClientKey) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached("SELECT DISTINCT tenant, folded FROM registrations WHERE client_key = ?1 AND folded <> ''")?;
    let mut rows = statement.query([Id(key.0)])?;
    while let Some(row) = rows.next()? {
        let places = places(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?);
        TOUCHED.with_borrow_mut(|touched| touched.extend(places));
    }
    Ok(())
}

/// An approved client from elsewhere that another looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookAlike {
    /// Who it is.
    pub client_id: ClientId,
    /// Its name.
    pub client_name: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// How much alike they look.
    pub likeness: Likeness,
}

/// When a name was first borne, and by which registration. Of two names, the one that is less was there first.
type Bearer = (i64, Id, Id);

impl Reader<Directory> {
    /// The approved client of the tenant that this face looks like, though it comes from elsewhere. Only one that was there before
    /// everybody approved with this very face: who was first looks like nobody. The one that was there first, if there are several.
    /// `client` is whose face it is, where it may bear the name already with another one, before a change of its redirect URIs.
    ///
    /// A registration bears a name while it stands approved or is dormant, whatever became of its mode and resource server.
    pub fn look_alike(&self, tenant: &TenantId, face: &Face, client: Option<ClientKey>) -> Result<Option<LookAlike>, QueryError> {
        if face.name.is_empty() {
            return Ok(None);
        }
        let origin = face.origin.to_string();
        self.with(|connection| {
            let own = own(connection, tenant, (&face.name, &origin), client)?;
            let before = |found: &Found| own.is_none_or(|own| place(found.bearer) < place(own));
            if let Some(same) = first_from_elsewhere(connection, tenant, &face.name, &origin)?.filter(before) {
                return Ok(shown(connection, &same, Likeness::Same)?);
            }
            let nearest = nearest(connection, tenant, &face.name, &origin)?.filter(before);
            Ok(nearest.map(|near| shown(connection, &near, Likeness::Near)).transpose()?.flatten())
        })
    }
}

struct Found {
    bearer: Bearer,
    origin: String,
}

fn place((since, client, server): Bearer) -> (i64, uuid::Uuid, uuid::Uuid) {
    (since, client.0, server.0)
}

fn bearer(row: &Row<'_>) -> rusqlite::Result<Bearer> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// Who was first approved with this very face, or this client itself with this name if that was before.
fn own(
    connection: &Connection,
    tenant: &TenantId,
    (name, origin): (&Folded, &str),
    client: Option<ClientKey>,
) -> rusqlite::Result<Option<Bearer>> {
    const SELECT: &str = "SELECT since, client_key, resource_server FROM names WHERE tenant = ?1 AND folded = ?2 AND origin = ?3 \
        UNION ALL SELECT borne_since, client_key, resource_server FROM registrations \
        WHERE client_key = ?4 AND tenant = ?1 AND folded = ?2 AND borne_since IS NOT NULL ORDER BY 1, 2, 3 LIMIT 1";
    let client = client.map(|client| Id(client.0));
    connection.prepare_cached(SELECT)?.query_row((tenant.as_str(), name.as_str(), origin, client), bearer).optional()
}

/// The first of another origin; at most one row is passed over.
fn first_from_elsewhere(connection: &Connection, tenant: &TenantId, name: &Folded, origin: &str) -> rusqlite::Result<Option<Found>> {
    const SELECT: &str = "SELECT since, client_key, resource_server, origin FROM names INDEXED BY names_by_time \
        WHERE tenant = ?1 AND folded = ?2 AND origin <> ?3 ORDER BY since, client_key, resource_server LIMIT 1";
    let found = |row: &Row<'_>| Ok(Found { bearer: bearer(row)?, origin: row.get(3)? });
    connection.prepare_cached(SELECT)?.query_row((tenant.as_str(), name.as_str(), origin), found).optional()
}

/// The first from elsewhere whose name is one character apart from this: as many looks as the name has characters, whatever others
/// call themselves. Of each pattern those that were there first are looked at.
fn nearest(connection: &Connection, tenant: &TenantId, name: &Folded, origin: &str) -> rusqlite::Result<Option<Found>> {
    const SELECT: &str = "SELECT n.since, n.client_key, n.resource_server, r.origin, r.folded FROM near_names n JOIN registrations r \
        ON r.client_key = n.client_key AND r.resource_server = n.resource_server \
        WHERE n.tenant = ?1 AND n.pattern = ?2 ORDER BY n.since, n.client_key, n.resource_server LIMIT ?3";
    if !name.has_neighbours() {
        return Ok(None);
    }
    let mut nearest: Option<Found> = None;
    let mut take = |found: Option<Found>| nearest = [nearest.take(), found].into_iter().flatten().min_by_key(|found| place(found.bearer));
    let mut statement = connection.prepare_cached(SELECT)?;
    for pattern in name.patterns_of_neighbours() {
        let mut rows = statement.query((tenant.as_str(), pattern, MOST_OF_A_PATTERN))?;
        while let Some(row) = rows.next()? {
            let found = Found { bearer: bearer(row)?, origin: row.get(3)? };
            if found.origin != origin && name.likeness(&Folded::stored(&row.get::<_, String>(4)?)) == Some(Likeness::Near) {
                take(Some(found));
                break;
            }
        }
    }
    for shorter in name.shorter_neighbours().iter().filter(|shorter| name.likeness(shorter) == Some(Likeness::Near)) {
        take(first_from_elsewhere(connection, tenant, shorter, origin)?);
    }
    Ok(nearest)
}

fn shown(connection: &Connection, found: &Found, likeness: Likeness) -> rusqlite::Result<Option<LookAlike>> {
    const SELECT: &str = "SELECT client_id, metadata, admitted FROM registrations JOIN clients \
        ON clients.key = client_key AND clients.entered_for = registrations.entered_for WHERE client_key = ?1 AND resource_server = ?2";
    let mut statement = connection.prepare_cached(SELECT)?;
    let (_, client, server) = found.bearer;
    let shown = statement.query_row((client, server), |row| {
        let claimed = row.get::<_, Json<ClientMetadata>>(1)?.0.client_name;
        let admitted = row.get::<_, Option<Json<AdmittedMetadata>>>(2)?;
        let name = admitted.map_or(claimed, |admitted| admitted.0.client_name);
        Ok(LookAlike {
            client_id: row.get::<_, Word<ClientId>>(0)?.0,
            client_name: name.map(String::from),
            origin: Origin::stored(&found.origin),
            likeness,
        })
    });
    shown.optional()
}

/// What a registration bears, by its client's row and its own.
macro_rules! borne {
    () => {
        "folded = coalesce(admitted_folded, (SELECT folded FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for), ''), \
         borne_since = CASE WHEN status IN ('approved', 'dormant', 'returning') THEN \
         (SELECT max(approved_at, origin_at, coalesce(admitted_named_at, named_at)) \
         FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for AND life <> 'deleted' AND coalesce(admitted_folded, clients.folded) <> '') END "
    };
}

/// Brings what a client's registrations bear up to date: at one resource server, or at all. It follows from the client's and the
/// registrations' rows alone, so that it does not matter whose events come first.
pub(super) fn bear(tx: &Transaction<'_>, key: ClientKey, server: Option<ResourceServerId>) -> rusqlite::Result<()> {
    const BEAR: &str =
        concat!("UPDATE registrations SET ", borne!(), "WHERE client_key = :client AND (:server IS NULL OR resource_server = :server)");
    let parameters = named_params! { ":client": Id(key.0), ":server": server.map(|server| Id(server.0)) };
    let before = tx.total_changes();
    let rows = tx.prepare_cached(BEAR)?.execute(parameters)?;
    // More than the registrations themselves changed: the names of their tenants did.
    if tx.total_changes() - before > rows as u64 { touch(tx, key) } else { Ok(()) }
}

/// The same at all resource servers that a row of a client describes, which has another name, by which its registrations are sorted too.
pub(super) fn renamed(tx: &Transaction<'_>, (key, entered_for): (ClientKey, &str), name_key: &str) -> rusqlite::Result<()> {
    const RENAMED: &str = concat!(
        "UPDATE registrations SET name_key = coalesce(admitted_name, ?2), ",
        borne!(),
        "WHERE client_key = ?1 AND entered_for = ?3"
    );
    tx.prepare_cached(RENAMED)?.execute((Id(key.0), name_key, entered_for))?;
    touch(tx, key)
}

#[cfg(test)]
mod tests {
    use gatebook_events::admission::RegistrationType;
    use gatebook_events::client::{ClientEvent, Deleted, MetadataUpdated};
    use gatebook_events::envelope::Envelope;
    use gatebook_events::redirect::RedirectUris;
    use gatebook_events::registration::{Dormant, RedirectsApproved, RegistrationEvent, Requested, Restored, Revoked};
    use gatebook_events::stream::Stream;

    use super::*;
    use crate::ReadModel;
    use crate::scene::{
        Folder, LOOPBACK, approved, at, change, created, id, key, metadata, of_client, of_registration, of_server, recorded, registered,
        second, server, staged, tenant, uris,
    };

    const WEB: &str = "https://evil.example/cb";

    fn face(name: &str, uris: &RedirectUris) -> Face {
        Face::of(Some(name), (&id(0), RegistrationType::Dcr), uris)
    }

    /// Whom a client with this name and redirect URIs looks like, and how much, to the tenant `acme`.
    fn whom(model: &ReadModel<Directory>, name: &str, redirect_uris: &[&str]) -> Option<(ClientId, Likeness)> {
        let found = model.reader().look_alike(&tenant("acme"), &face(name, &uris(redirect_uris)), None).unwrap();
        found.map(|found| (found.client_id, found.likeness))
    }

    fn requested(number: u128, redirect_uris: &[&str]) -> RegistrationEvent {
        let (tenant, redirect_uris) = (tenant("acme"), uris(redirect_uris));
        RegistrationEvent::Requested(Requested {
            tenant,
            client_id: id(number),
            registration_type: RegistrationType::Dcr,
            redirect_uris,
            metadata: None,
        })
    }

    /// A client that comes at a position, a second later for each.
    fn comes(position: u64, number: u128, name: &str, redirect_uris: &[&str]) -> [Envelope; 3] {
        [
            at(position, of_client(number), &registered(number, name)),
            at(position + 1, of_registration(number), &requested(number, redirect_uris)),
            at(position + 2, of_registration(number), &approved()),
        ]
    }

    /// Two programs on users' machines with one name, and one of that name from elsewhere that came later.
    fn three() -> Vec<Envelope> {
        let mut log = vec![at(1, of_server(1), &created("acme", None))];
        log.extend(comes(10, 1, "Claude Code", &[LOOPBACK]));
        log.extend(comes(20, 2, "claude-code", &[LOOPBACK]));
        log.extend(comes(30, 3, "CIaude Code", &[WEB]));
        log
    }

    fn next(model: &mut ReadModel<Directory>, stream: Stream, event: &impl gatebook_events::stored::Stored) {
        let position = model.position().to_backend() + 1;
        model.apply(&[at(position, stream, event)]).unwrap();
    }

    #[test]
    fn whoever_comes_later_from_elsewhere_looks_like_who_was_first() {
        let folder = Folder::new();
        let model = folder.given::<Directory>(&three());
        let first = |likeness| Some((id(1), likeness));
        assert_eq!(whom(&model, "CIaude Code", &[WEB]), first(Likeness::Same));
        assert_eq!(whom(&model, "Claude Codes", &["https://other.example/cb"]), first(Likeness::Near));
        assert_eq!(whom(&model, "Claude Code", &[LOOPBACK]), None, "who was first looks like nobody, nor does the next of them");
        assert_eq!(whom(&model, "Cursor", &[WEB]), None);
        assert_eq!(whom(&model, "\u{2728}", &[WEB]), None);
        let found = model.reader().look_alike(&tenant("acme"), &face("Claude Code", &uris(&[WEB])), None).unwrap().unwrap();
        assert_eq!((found.client_name.as_deref(), found.origin), (Some("Claude Code"), Origin::default()));
        assert_eq!(model.reader().look_alike(&tenant("other"), &face("Claude Code", &uris(&[WEB])), None).unwrap(), None);
    }

    #[test]
    fn a_name_is_borne_while_its_client_is_approved_and_called_so() {
        let folder = Folder::new();
        let mut model = folder.given::<Directory>(&three()[..7]);
        let newcomer = |model: &ReadModel<Directory>| whom(model, "Claude Code", &[WEB]).map(|(who, _)| who);
        assert_eq!(whom(&model, "Claude Codes", &[LOOPBACK]), None, "nothing tells apart what stays on the machine");
        next(&mut model, of_registration(1), &RegistrationEvent::Revoked(Revoked::default()));
        assert_eq!(newcomer(&model), Some(id(2)));
        next(&mut model, of_client(2), &ClientEvent::Deleted(Deleted { reason: None }));
        assert_eq!(newcomer(&model), None);
        next(&mut model, of_registration(1), &RegistrationEvent::Restored(Restored::default()));
        assert_eq!(newcomer(&model), Some(id(1)));
        let other = MetadataUpdated { metadata: metadata("Other", &[LOOPBACK]), secret: None, keeps_secret: false, ignored: vec![] };
        next(&mut model, of_client(1), &ClientEvent::MetadataUpdated(other));
        assert_eq!(newcomer(&model), None);
        assert_eq!(whom(&model, "Other", &[WEB]), Some((id(1), Likeness::Same)));
    }

    #[test]
    fn a_dormant_client_keeps_its_place() {
        let folder = Folder::new();
        let mut model = folder.given::<Directory>(&three());
        for number in [1, 2] {
            let dormant = RegistrationEvent::Dormant(Dormant { idle_since: second(1) });
            next(&mut model, of_registration(number), &dormant);
        }
        assert_eq!(whom(&model, "Claude Code", &[WEB]), Some((id(1), Likeness::Same)), "it may be back at any moment");
        next(&mut model, of_registration(1), &RegistrationEvent::Revoked(Revoked::default()));
        next(&mut model, of_registration(1), &RegistrationEvent::Restored(Restored::default()));
        assert_eq!(whom(&model, "Claude Code", &[WEB]), Some((id(1), Likeness::Same)));
    }

    #[test]
    fn an_interruption_costs_nobody_the_first_place_and_a_new_name_or_host_does() {
        let folder = Folder::new();
        let mut model = folder.given::<Directory>(&three());
        let of_evil = |model: &ReadModel<Directory>| whom(model, "Claude Code", &[WEB]).map(|(who, _)| who);
        let of_first = |model: &ReadModel<Directory>| whom(model, "Claude Code", &[LOOPBACK]).map(|(who, _)| who);
        for number in [1, 2] {
            next(&mut model, of_registration(number), &RegistrationEvent::Revoked(Revoked::default()));
        }
        assert_eq!((of_evil(&model), of_first(&model)), (None, Some(id(3))));
        for number in [2, 1] {
            next(&mut model, of_registration(number), &RegistrationEvent::Restored(Restored::default()));
        }
        assert_eq!((of_evil(&model), of_first(&model)), (Some(id(1)), None));
        for name in ["Other", "Claude Code"] {
            for number in [1, 2] {
                let renamed = MetadataUpdated { metadata: metadata(name, &[LOOPBACK]), secret: None, keeps_secret: false, ignored: vec![] };
                next(&mut model, of_client(number), &ClientEvent::MetadataUpdated(renamed));
            }
        }
        assert_eq!((of_evil(&model), of_first(&model)), (None, Some(id(3))), "whoever takes a name again is the newcomer");
        // The one from elsewhere moves to where the others are, and is theirs; then away again.
        for (number, uri) in [(1, LOOPBACK), (2, "https://third.example/cb")] {
            next(&mut model, of_registration(3), &staged(number, &[uri], &[uri]));
            let approved = RedirectsApproved { change_id: change(number), by_policy: false };
            next(&mut model, of_registration(3), &RegistrationEvent::RedirectsApproved(approved));
        }
        assert_eq!(of_first(&model), None);
        assert_eq!(whom(&model, "Claude Code", &["https://third.example/cb"]), Some((id(1), Likeness::Same)));
    }

    #[test]
    fn a_documents_host_is_where_its_client_comes_from() {
        let folder = Folder::new();
        let url = ClientId::parse("https://App.example/client.json").unwrap();
        let ClientEvent::Registered(mut document) = registered(9, "Claude Code") else { unreachable!() };
        (document.client_id, document.home, document.registration_type) = (url.clone(), None, RegistrationType::Cimd);
        let (tenant, kind) = (tenant("acme"), RegistrationType::Cimd);
        let asked = |redirect_uris| Requested {
            tenant: tenant.clone(),
            client_id: url.clone(),
            registration_type: kind,
            redirect_uris,
            metadata: None,
        };
        let stream = Stream::Registration(server(1), url.key());
        let mut log = three()[..4].to_vec();
        log.push(at(20, Stream::Client(url.key()), &ClientEvent::Registered(document)));
        log.push(at(21, stream, &RegistrationEvent::Requested(asked(uris(&[LOOPBACK, WEB])))));
        log.push(at(22, stream, &approved()));
        let model = folder.given::<Directory>(&log);
        let face = Face::of(Some("Claude Code"), (&url, kind), &uris(&[LOOPBACK]));
        let found = model.reader().look_alike(&tenant, &face, None).unwrap().unwrap();
        assert_eq!(found.client_id, id(1), "a document cannot say that it is the program on the user's machine");
        assert_eq!(whom(&model, "Claude Code", &[LOOPBACK]), None);
        let entered = Face::of(Some("Claude Code"), (&id(5), RegistrationType::Prereg), &uris(&["https://app.example/x"]));
        let entered = model.reader().look_alike(&tenant, &entered, None).unwrap();
        assert_eq!(entered.map(|found| found.client_id), Some(id(1)), "the same host is the same origin, and that came later");
    }

    #[test]
    fn a_client_that_moves_looks_like_others_that_were_there_before_it_and_never_like_itself() {
        let folder = Folder::new();
        let model = folder.given::<Directory>(&three());
        let wider = face("Claude Code", &uris(&[LOOPBACK, "https://relay.example/cb"]));
        let moves = |number| model.reader().look_alike(&tenant("acme"), &wider, Some(key(number))).unwrap().map(|found| found.client_id);
        assert_eq!((moves(1), moves(2), moves(3)), (None, Some(id(1)), Some(id(1))));
        assert_eq!(moves(4), Some(id(1)));
    }

    #[test]
    fn the_names_are_the_same_in_whatever_order_the_streams_come() {
        let of = |stream: Stream, events: &[Envelope]| -> Vec<Envelope> {
            events.iter().filter(|envelope| envelope.stream == stream.name()).cloned().collect()
        };
        let mut log = three();
        let renamed = MetadataUpdated { metadata: metadata("Claude Code", &[WEB]), secret: None, keeps_secret: false, ignored: vec![] };
        log.push(recorded(40, 40, of_client(2), &ClientEvent::MetadataUpdated(renamed)));
        log.push(recorded(41, 41, of_registration(1), &RegistrationEvent::Revoked(Revoked::default())));
        let rows = |log: &[Envelope]| -> Vec<String> {
            let folder = Folder::new();
            let mut model = ReadModel::<Directory>::open(folder.path()).unwrap();
            for (position, envelope) in (1..).zip(log) {
                let position = gatebook_events::envelope::Position::from_backend(position);
                model.apply(&[Envelope { position, ..envelope.clone() }]).unwrap();
            }
            model.dump().unwrap().into_iter().filter(|line| line.starts_with("names")).collect()
        };
        let late: Vec<Envelope> =
            (1..=3).rev().flat_map(|number| [of(of_registration(number), &log), of(of_client(number), &log)].concat()).collect();
        let live = rows(&log);
        assert_eq!(live.len(), 2, "{live:?}");
        assert_eq!(rows(&late), live);
    }

    #[test]
    fn b8_three_thousand_near_names_hide_no_earlier_one_and_need_no_more_looks() {
        let folder = Folder::new();
        let mut log = vec![at(1, of_server(1), &created("acme", None))];
        log.extend(comes(10, 1, "Claud\u{9fa5} Code", &[LOOPBACK]));
        for number in 0..3000_u32 {
            let letter = char::from_u32(0x4e00 + number).unwrap();
            let name = if number % 2 == 0 { format!("Claud{letter} Code") } else { format!("Claude{letter} Code") };
            log.extend(comes(100 + 3 * u64::from(number), 100 + u128::from(number), &name, &["https://flood.example/cb"]));
        }
        let model = folder.given::<Directory>(&log);
        assert_eq!(whom(&model, "Claudf Code", &[WEB]), Some((id(1), Likeness::Near)), "whatever stands before it in a list");
        assert_eq!(whom(&model, "Claud Code", &[WEB]), Some((id(1), Likeness::Near)), "shorter by one");
        let asked = Folded::of("Claudf Code");
        assert_eq!(asked.patterns_of_neighbours().len() + asked.shorter_neighbours().len(), 10 + 11 + 10);
    }

    #[test]
    fn b8_what_a_name_looks_like_is_as_it_was_unless_a_name_like_it_changed() {
        let folder = Folder::new();
        let mut model = folder.given::<Directory>(&three());
        let claude = Folded::of("Claude Code");
        let last = || last_change(&tenant("acme"), &claude).to_backend();
        let before = last();
        let mut next = |events: [Envelope; 3]| model.apply(&events).unwrap();
        next(comes(1000, 20, "Zebra Reader", &["https://zebra.example/cb"]));
        next(comes(1010, 21, "claude code", &[LOOPBACK]));
        assert_eq!(last(), before, "another name, and one more of those that are there");
        next(comes(1020, 22, "Claudia Code", &["https://zebra.example/cb"]));
        assert_eq!(last(), 1022, "a name that ends alike");
        next(comes(1030, 23, "Claude Code", &["https://zebra.example/cb"]));
        assert_eq!(last(), 1032, "a new origin of the name itself");
    }
}
