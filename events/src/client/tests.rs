//! The life of a client as scenes: every command done, repeated and refused.

use chrono::TimeZone;
use serde_json::json;

use super::*;
use crate::metadata::{self, AuthMethod};
use crate::redirect::RedirectUris;
use crate::redirect_rule::RedirectRule;
use crate::scenario::{self, Scene};
use crate::secret::Rotation;

fn given(history: impl IntoIterator<Item = ClientEvent>) -> Scene<Client> {
    scenario::given(history)
}

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn admin() -> Party {
    Party::Admin(acme())
}

fn stranger() -> Party {
    Party::Admin(TenantId::parse("globex").unwrap())
}

fn secret(hash: &str) -> KeptSecret {
    KeptSecret { hash: SecretHash::try_new(&format!("$argon2id$v=19$m=64,t=1,p=1$c2FsdA${hash}")).unwrap(), expires_at: None }
}

fn metadata(name: &str, method: AuthMethod) -> ClientMetadata {
    let request = json!({ "client_name": name, "redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": method });
    metadata::parse(request.as_object().unwrap().clone()).unwrap().metadata
}

fn confidential() -> ClientMetadata {
    metadata("Example", AuthMethod::ClientSecretBasic)
}

fn public() -> ClientMetadata {
    metadata("Example", AuthMethod::None)
}

fn id() -> ClientId {
    ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap()
}

fn register() -> ClientCommand {
    ClientCommand::Register {
        client_id: id(),
        registration_type: RegistrationType::Dcr,
        home: Some(acme()),
        metadata: confidential(),
        secret: Some(secret("Zmlyc3Q")),
        registration_token: Some(TokenHash([1; 32])),
        ignored: vec!["software_statement".into()],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        at: noon(1),
    }
}

fn registered() -> Registered {
    Registered {
        client_id: id(),
        registration_type: RegistrationType::Dcr,
        home: Some(acme()),
        issued_at: noon(1),
        metadata: confidential(),
        secret: Some(secret("Zmlyc3Q")),
        registration_token: Some(TokenHash([1; 32])),
        ignored: vec!["software_statement".into()],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    }
}

fn a_client() -> ClientEvent {
    ClientEvent::Registered(registered())
}

fn a_public_client() -> ClientEvent {
    ClientEvent::Registered(Registered { metadata: public(), secret: None, ..registered() })
}

fn a_client_that_hosts_its_own_document() -> ClientEvent {
    let client_id = ClientId::parse("https://app.example/client.json").unwrap();
    ClientEvent::Registered(Registered {
        client_id,
        registration_type: RegistrationType::Cimd,
        home: None,
        metadata: public(),
        secret: None,
        registration_token: None,
        ..registered()
    })
}

fn deleted() -> ClientEvent {
    ClientEvent::Deleted(Deleted { reason: Some("left".to_owned()) })
}

fn rotated(secret: KeptSecret, old_valid_until: Option<DateTime<Utc>>) -> ClientEvent {
    ClientEvent::SecretRotated(SecretRotated { secret, old_valid_until, repeat_key: None })
}

fn update(by: Party, metadata: ClientMetadata, secret: Option<KeptSecret>) -> ClientCommand {
    ClientCommand::UpdateMetadata { by, metadata, secret, keep_secret: false, ignored: vec![] }
}

fn updated(metadata: ClientMetadata, secret: Option<KeptSecret>) -> ClientEvent {
    ClientEvent::MetadataUpdated(MetadataUpdated { metadata, secret, keeps_secret: false, ignored: vec![] })
}

fn rotate(by: Party, secret: KeptSecret, old_valid_until: Option<DateTime<Utc>>) -> ClientCommand {
    let rotation = Rotation { at: noon(1), old_valid_until, end_overlap: false, repeat_key: None };
    ClientCommand::RotateSecret { by, secret, rotation }
}

fn rotate_at(at: DateTime<Utc>, secret: KeptSecret, old_valid_until: Option<DateTime<Utc>>) -> ClientCommand {
    let rotation = Rotation { at, old_valid_until, end_overlap: false, repeat_key: None };
    ClientCommand::RotateSecret { by: admin(), secret, rotation }
}

fn delete(by: Party) -> ClientCommand {
    ClientCommand::Delete { by, reason: Some("left".to_owned()) }
}

#[test]
fn a_client_registers_once_and_the_same_registration_again_is_no_news() {
    given([]).when(&register()).then([a_client()]).when(&register()).then_nothing();
}

#[test]
fn an_identifier_that_was_ever_used_is_not_given_to_another_client() {
    let mut later = register();
    let ClientCommand::Register { at, .. } = &mut later else { unreachable!() };
    *at = noon(2);
    given([a_client()]).when(&later).then_refused(Rejection::AlreadyExists);
    given([a_client(), deleted()]).when(&later).then_refused(Rejection::AlreadyExists);
    given([a_client(), deleted()]).when(&register()).then_refused(Rejection::AlreadyExists);
}

#[test]
fn metadata_is_replaced_as_a_whole_and_the_same_metadata_is_no_news() {
    let renamed = metadata("Renamed", AuthMethod::ClientSecretBasic);
    for by in [admin(), Party::Holder, Party::System] {
        let command = update(by, renamed.clone(), None);
        given([a_client()]).when(&command).then([updated(renamed.clone(), None)]).when(&command).then_nothing();
    }
}

#[test]
fn another_members_being_ignored_is_no_news() {
    let command = ClientCommand::UpdateMetadata {
        by: Party::Holder,
        metadata: confidential(),
        secret: None,
        keep_secret: false,
        ignored: vec!["another".into()],
    };
    given([a_client()]).when(&command).then_nothing();
}

#[test]
fn a_client_gets_its_first_secret_with_the_method_that_needs_one_and_keeps_it() {
    let command = update(Party::Holder, confidential(), Some(secret("bmV3")));
    let client = given([a_public_client()])
        .when(&command)
        .then([updated(confidential(), Some(secret("bmV3")))])
        .when(&command)
        .then_nothing()
        .state();
    assert_eq!(client.registered().unwrap().secret, Some(secret("bmV3")));
    // Who has one keeps it: an update is no way to choose or change a secret.
    given([a_client()]).when(&command).then_nothing();
    let renamed = metadata("Renamed", AuthMethod::ClientSecretPost);
    let client =
        given([a_client()]).when(&update(Party::Holder, renamed.clone(), Some(secret("bmV3")))).then([updated(renamed, None)]).state();
    assert_eq!(client.registered().unwrap().secret, Some(secret("Zmlyc3Q")));
}

#[test]
fn a_client_that_becomes_public_loses_its_secrets() {
    let client = given([a_client(), rotated(secret("bmV3"), Some(noon(9)))])
        .when(&update(Party::Holder, public(), Some(secret("YW55"))))
        .then([updated(public(), None)])
        .state();
    let profile = client.registered().unwrap();
    assert_eq!((&profile.secret, &profile.previous_secret), (&None, &None));
}

#[test]
fn a_secret_is_rotated_and_the_old_one_works_until_its_time() {
    let command = rotate(admin(), secret("bmV3"), Some(noon(9)));
    let client = given([a_client()]).when(&command).then([rotated(secret("bmV3"), Some(noon(9)))]).when(&command).then_nothing().state();
    let profile = client.registered().unwrap();
    assert_eq!(profile.secret, Some(secret("bmV3")));
    assert_eq!(profile.previous_secret, Some((secret("Zmlyc3Q").hash, noon(9))));
}

#[test]
fn a_rotation_without_an_overlap_ends_the_old_secret_at_once() {
    let client = given([a_client(), rotated(secret("bmV3"), Some(noon(9)))])
        .when(&rotate_at(noon(9), secret("bmV3ZXI"), None))
        .then([rotated(secret("bmV3ZXI"), None)])
        .state();
    assert_eq!(client.registered().unwrap().previous_secret, None);
}

#[test]
fn t7_a_rotation_within_an_overlap_keeps_the_promise_unless_it_may_end_it() {
    let history = || given([a_client(), rotated(secret("bmV3"), Some(noon(9)))]);
    let early = rotate_at(noon(8), secret("bmV3ZXI"), Some(noon(10)));
    let state = history().when(&early).then_refused(Rejection::OverlapUnderWay(noon(9))).state();
    assert_eq!(state.registered().unwrap().previous_secret, Some((secret("Zmlyc3Q").hash, noon(9))));
    let ClientCommand::RotateSecret { by, secret: newer, rotation } = early else { unreachable!() };
    let ending = ClientCommand::RotateSecret { by, secret: newer.clone(), rotation: Rotation { end_overlap: true, ..rotation } };
    history().when(&ending).then([rotated(newer.clone(), Some(noon(10)))]);
    let revoke = ClientCommand::RevokeOldSecret { by: admin() };
    history().when(&revoke).when(&rotate_at(noon(8), newer.clone(), None)).then([rotated(newer.clone(), None)]);
    history().when(&rotate_at(noon(9), newer.clone(), None)).then([rotated(newer, None)]);
}

#[test]
fn t7_what_an_old_log_says_of_rotations_within_an_overlap_stays_so() {
    let state = given([a_client(), rotated(secret("bmV3"), Some(noon(9))), rotated(secret("bmV3ZXI"), Some(noon(5)))]).state();
    assert_eq!(state.registered().unwrap().previous_secret, Some((secret("bmV3").hash, noon(5))));
}

#[test]
fn t7_the_same_rotation_sent_again_is_no_other() {
    let again = |secret| {
        let rotation = Rotation { at: noon(2), old_valid_until: Some(noon(9)), end_overlap: false, repeat_key: Some("a".into()) };
        ClientCommand::RotateSecret { by: admin(), secret, rotation }
    };
    given([a_client()]).when(&again(secret("bmV3"))).when(&again(secret("bmV3ZXI"))).then_nothing();
}

#[test]
fn a_rotation_never_makes_the_old_secret_live_longer() {
    let expiring = KeptSecret { expires_at: Some(noon(3)), ..secret("Zmlyc3Q") };
    let client = given([ClientEvent::Registered(Registered { secret: Some(expiring), ..registered() })])
        .when(&rotate(admin(), secret("bmV3"), Some(noon(9))))
        .then([rotated(secret("bmV3"), Some(noon(9)))])
        .state();
    assert_eq!(client.registered().unwrap().previous_secret, Some((secret("Zmlyc3Q").hash, noon(3))));
}

#[test]
fn a_client_without_a_secret_has_none_to_rotate() {
    given([a_public_client()]).when(&rotate(admin(), secret("bmV3"), None)).then_refused(Rejection::NoSecret);
}

#[test]
fn the_old_secret_is_ended_before_its_time_once() {
    let command = ClientCommand::RevokeOldSecret { by: admin() };
    let revoked = ClientEvent::SecretRevoked(SecretRevoked {});
    given([a_client(), rotated(secret("bmV3"), Some(noon(9)))]).when(&command).then([revoked]).when(&command).then_nothing();
    given([a_client()]).when(&command).then_nothing();
}

#[test]
fn a_registration_token_is_replaced_and_the_same_token_again_is_no_news() {
    let registration_token = TokenHash([2; 32]);
    let command = ClientCommand::RotateRegistrationToken { by: Party::Holder, registration_token };
    let event = ClientEvent::RegistrationTokenRotated(RegistrationTokenRotated { registration_token });
    let client = given([a_client()]).when(&command).then([event]).when(&command).then_nothing().state();
    assert_eq!(client.registered().unwrap().registration_token, Some(registration_token));
}

#[test]
fn a_client_is_deleted_once_and_its_credentials_are_void() {
    let client = given([a_client(), rotated(secret("bmV3"), Some(noon(9)))])
        .when(&delete(Party::Holder))
        .then([deleted()])
        .when(&delete(Party::Holder))
        .then_nothing()
        .state();
    assert_eq!(client.registered(), None);
    let profile = client.profile.unwrap();
    assert_eq!((profile.secret, profile.previous_secret, profile.registration_token), (None, None, None));
}

fn every_change(by: &Party) -> [ClientCommand; 5] {
    [
        update(by.clone(), public(), None),
        rotate(by.clone(), secret("bmV3"), None),
        ClientCommand::RevokeOldSecret { by: by.clone() },
        ClientCommand::RotateRegistrationToken { by: by.clone(), registration_token: TokenHash([2; 32]) },
        delete(by.clone()),
    ]
}

#[test]
fn only_the_homes_administrators_touch_what_all_registrations_share() {
    for command in every_change(&stranger()) {
        given([a_client()]).when(&command).then_refused(Rejection::NotHome);
    }
    for command in every_change(&admin()) {
        given([a_client_that_hosts_its_own_document()]).when(&command).then_refused(Rejection::NotHome);
    }
    let renamed = metadata("Renamed", AuthMethod::None);
    given([a_client_that_hosts_its_own_document()]).when(&update(Party::System, renamed.clone(), None)).then([updated(renamed, None)]);
}

#[test]
fn a_client_that_does_not_exist_cannot_be_changed() {
    for command in every_change(&admin()) {
        given([]).when(&command).then_refused(Rejection::NoSuchClient);
    }
    for command in every_change(&Party::Holder).into_iter().take(4) {
        given([a_client(), deleted()]).when(&command).then_refused(Rejection::NoSuchClient);
    }
}

#[test]
fn an_event_that_does_not_fit_leaves_the_client_as_it_was() {
    assert_eq!(given([rotated(secret("bmV3"), None), deleted()]).state(), Client::default());
    assert_eq!(given([a_client(), a_public_client()]).state(), given([a_client()]).state());
    let gone = given([a_client(), deleted()]).state();
    assert_eq!(given([a_client(), deleted(), a_client(), rotated(secret("bmV3"), None)]).state(), gone);
}

#[test]
fn no_hash_is_printed_by_mistake() {
    let printed = format!("{:?}", given([a_client()]).state());
    assert!(!printed.contains("Zmlyc3Q") && !printed.contains("0101"), "{printed}");
}

#[test]
fn a_client_stays_within_what_the_token_allows_that_it_came_by() {
    let only_a = Clamps { redirect_rules: vec![RedirectRule::Exact { uri: "https://a.example/cb".to_owned() }], ..Clamps::default() };
    let token = InitialAccessTokenId(uuid::Uuid::from_u128(9));
    let mut by_token = register();
    let ClientCommand::Register { initial_access_token, clamps, .. } = &mut by_token else { unreachable!() };
    (*initial_access_token, *clamps) = (Some(token), only_a.clone());
    let registered = ClientEvent::Registered(Registered { initial_access_token: Some(token), clamps: only_a, ..registered() });
    given([]).when(&by_token).then([registered.clone()]).when(&by_token).then_nothing();

    let elsewhere = RedirectUris::parse(["https://a.example/cb", "https://b.example/cb"]).unwrap();
    let wider = ClientMetadata { redirect_uris: elsewhere, ..confidential() };
    let refused = Rejection::RedirectOutsideClamps("https://b.example/cb".to_owned());
    for by in [Party::Holder, admin(), Party::System] {
        given([registered.clone()]).when(&update(by, wider.clone(), None)).then_refused(refused.clone());
    }
    let ClientCommand::Register { metadata, .. } = &mut by_token else { unreachable!() };
    *metadata = wider;
    given([]).when(&by_token).then_refused(refused);
}
