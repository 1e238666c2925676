//! The life of a resource server as scenes, and what its rules make of a client.
#![expect(clippy::option_option, clippy::unnecessary_wraps, reason = "as the members that they fill have it")]

use serde_json::{Value, json};

use super::*;
use crate::admission::Admission;
use crate::admission::Status;
use crate::clamps::Clamps;
use crate::metadata::GrantType;
use crate::metadata::{self, AuthMethod};
use crate::redirect_rule::RedirectRule;
use crate::scenario::{self, Scene};
use crate::scope::Scope;
use RegistrationType::{Cimd, Dcr, Prereg};

fn given(history: impl IntoIterator<Item = ResourceServerEvent>) -> Scene<ResourceServer> {
    scenario::given(history)
}

/// What the judge says of a client that comes alone, or is entered by an administrator.
fn admit(server: &ResourceServer, by: RegistrationType, metadata: ClientMetadata) -> Result<(ClientMetadata, Admission), Rejection> {
    let coming = if by == Prereg { Coming::entered(by) } else { Coming::alone(by) };
    server.judge(coming, metadata).map(|judgement| (judgement.metadata, judgement.admission))
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn modes<const N: usize>(modes: [RegistrationType; N]) -> Modes {
    Modes::from(modes)
}

fn resource() -> Option<WebUri> {
    Some(WebUri::parse("https://mcp.example/").unwrap())
}

fn create(tenant: TenantId, name: &str) -> ResourceServerCommand {
    ResourceServerCommand::Create {
        tenant,
        name: name.to_owned(),
        resource: resource(),
        modes: modes([Dcr, Cimd, Prereg]),
        policy: Policy::default(),
    }
}

fn created_with(registration_modes: Modes, policy: Policy) -> ResourceServerEvent {
    ResourceServerEvent::Created(Created { tenant: acme(), name: "docs".to_owned(), resource: resource(), registration_modes, policy })
}

fn created() -> ResourceServerEvent {
    created_with(modes([Dcr, Cimd, Prereg]), Policy::default())
}

fn retired() -> ResourceServerEvent {
    ResourceServerEvent::Retired(Retired { reason: None })
}

fn nothing_to_edit() -> ResourceServerCommand {
    ResourceServerCommand::Edit { name: None, resource: None, modes: None, effect_on_existing: EffectOnExisting::Keep, policy: None }
}

fn rename(name: Option<&str>, resource: Option<Option<WebUri>>) -> ResourceServerCommand {
    ResourceServerCommand::Edit {
        name: name.map(str::to_owned),
        resource,
        modes: None,
        effect_on_existing: EffectOnExisting::Keep,
        policy: None,
    }
}

fn renamed(name: &str, resource: Option<WebUri>) -> ResourceServerEvent {
    ResourceServerEvent::Renamed(Renamed { name: name.to_owned(), resource })
}

fn admit_only(modes: Modes, effect: EffectOnExisting) -> ResourceServerCommand {
    ResourceServerCommand::Edit { name: None, resource: None, modes: Some(modes), effect_on_existing: effect, policy: None }
}

fn modes_changed(old: Modes, new: Modes, effect_on_existing: EffectOnExisting) -> ResourceServerEvent {
    ResourceServerEvent::ModesChanged(ModesChanged { old, new, effect_on_existing, also_suspended: Modes::new() })
}

fn client(members: Value) -> ClientMetadata {
    let Value::Object(members) = members else { unreachable!() };
    metadata::parse(members).unwrap().metadata
}

fn with_redirect(uri: &str) -> ClientMetadata {
    client(json!({ "redirect_uris": [uri], "token_endpoint_auth_method": "none" }))
}

// ---------------------------------------------------------------- commands

#[test]
fn a_resource_server_is_created_once() {
    given([])
        .when(&create(acme(), "docs"))
        .then([created()])
        .when(&create(acme(), "docs"))
        .then_nothing()
        .when(&create(acme(), "files"))
        .then_refused(Rejection::AlreadyExists);
    let globex = TenantId::parse("globex").unwrap();
    given([created()]).when(&create(globex, "docs")).then_refused(Rejection::AlreadyExists);
    given([created(), retired()]).when(&create(acme(), "docs")).then_refused(Rejection::AlreadyExists);
}

#[test]
fn the_name_and_the_resource_change_apart_and_what_is_absent_stays() {
    given([created()])
        .when(&rename(Some("files"), None))
        .then([renamed("files", resource())])
        .when(&rename(Some("files"), None))
        .then_nothing()
        .when(&rename(None, Some(None)))
        .then([renamed("files", None)])
        .when(&rename(None, Some(None)))
        .then_nothing()
        .when(&nothing_to_edit())
        .then_nothing();
}

#[test]
fn modes_and_policy_change_once_and_several_edits_are_several_events() {
    let policy = Policy { redirect_changes: Admission::Auto, ..Policy::default() };
    let edit = ResourceServerCommand::Edit {
        name: Some("files".to_owned()),
        resource: None,
        modes: Some(modes([Prereg])),
        effect_on_existing: EffectOnExisting::Suspend,
        policy: Some(policy.clone()),
    };
    given([created()])
        .when(&edit)
        .then([
            renamed("files", resource()),
            modes_changed(modes([Dcr, Cimd, Prereg]), modes([Prereg]), EffectOnExisting::Suspend),
            ResourceServerEvent::PolicyChanged(PolicyChanged { policy }),
        ])
        .when(&edit)
        .then_nothing();
}

#[test]
fn a_resource_server_retires_once() {
    let retire = ResourceServerCommand::Retire { reason: None };
    given([created()]).when(&retire).then([retired()]).when(&retire).then_nothing();
    given([]).when(&retire).then_refused(Rejection::NoSuchResourceServer);
}

#[test]
fn a_resource_server_that_is_not_active_cannot_be_edited() {
    given([]).when(&nothing_to_edit()).then_refused(Rejection::NoSuchResourceServer);
    given([created(), retired()]).when(&rename(Some("files"), None)).then_refused(Rejection::NoSuchResourceServer);
}

#[test]
fn an_event_that_does_not_fit_leaves_the_resource_server_as_it_was() {
    assert_eq!(given([renamed("files", None), retired()]).state(), ResourceServer::default());
    assert_eq!(given([created(), retired(), renamed("files", None)]).state(), given([created(), retired()]).state());
    let other = created_with(modes([Prereg]), Policy::default());
    assert_eq!(given([created(), other]).state(), given([created()]).state());
}

// ---------------------------------------------------------------- modes

#[test]
fn a_type_that_is_switched_off_suspends_existing_registrations_only_if_that_was_said() {
    let all = modes([Dcr, Cimd, Prereg]);
    let kept = given([created()]).when(&admit_only(modes([Prereg]), EffectOnExisting::Keep)).state();
    assert_eq!((kept.modes, kept.suspended), (modes([Prereg]), modes([])));
    let suspended = given([created()])
        .when(&admit_only(modes([Prereg]), EffectOnExisting::Suspend))
        .then([modes_changed(all, modes([Prereg]), EffectOnExisting::Suspend)])
        .state();
    assert_eq!(suspended.suspended, modes([Dcr, Cimd]));
}

#[test]
fn a_suspended_type_comes_back_when_it_is_admitted_again_and_not_before() {
    let server = given([created()])
        .when(&admit_only(modes([Prereg]), EffectOnExisting::Suspend))
        .when(&admit_only(modes([]), EffectOnExisting::Keep))
        .when(&admit_only(modes([Cimd]), EffectOnExisting::Keep))
        .state();
    assert_eq!((server.modes, server.suspended), (modes([Cimd]), modes([Dcr])));
}

#[test]
fn r5_registrations_of_a_type_that_is_off_already_are_suspended_once_that_is_said() {
    let off = modes([Prereg]);
    let suspended = |old: Modes| {
        let also_suspended = modes([Dcr, Cimd]);
        ResourceServerEvent::ModesChanged(ModesChanged {
            old: old.clone(),
            new: old,
            effect_on_existing: EffectOnExisting::Suspend,
            also_suspended,
        })
    };
    let of_what_is_off = ResourceServerCommand::Edit {
        name: None,
        resource: None,
        modes: None,
        effect_on_existing: EffectOnExisting::Suspend,
        policy: None,
    };
    for edit in [&admit_only(off.clone(), EffectOnExisting::Suspend), &of_what_is_off] {
        let server = given([created()])
            .when(&admit_only(off.clone(), EffectOnExisting::Keep))
            .when(edit)
            .then([suspended(off.clone())])
            .when(edit)
            .then_nothing()
            .when(&admit_only(off.clone(), EffectOnExisting::Keep))
            .then_nothing()
            .state();
        assert_eq!((server.modes, server.suspended), (off.clone(), modes([Dcr, Cimd])));
    }
    given([created()]).when(&of_what_is_off).then_refused(Rejection::NoTypeIsOff);
}

#[test]
fn only_the_admitted_types_get_in() {
    let server = given([created_with(modes([Cimd]), Policy::default())]).state();
    let metadata = with_redirect("https://a.example/cb");
    assert_eq!(admit(&server, Cimd, metadata.clone()).map(|(_, admission)| admission), Ok(Admission::Auto));
    assert_eq!(admit(&server, Dcr, metadata.clone()), Err(Rejection::ModeNotAdmitted(Dcr)));
    assert_eq!(admit(&server, Prereg, metadata.clone()), Err(Rejection::ModeNotAdmitted(Prereg)));
    let gone = given([created(), retired()]).state();
    assert_eq!(admit(&gone, Cimd, metadata.clone()), Err(Rejection::NoSuchResourceServer));
    assert_eq!(admit(&ResourceServer::default(), Cimd, metadata), Err(Rejection::NoSuchResourceServer));
}

// ---------------------------------------------------------------- rules

fn admission_by(policy: Policy, uri: &str) -> Result<Admission, Rejection> {
    let server = given([created_with(modes([Dcr, Cimd, Prereg]), policy)]).state();
    admit(&server, Dcr, with_redirect(uri)).map(|(_, admission)| admission)
}

#[test]
fn each_type_has_its_own_admission_and_the_stricter_of_type_and_rules_wins() {
    let policy = Policy {
        admission: Admissions { dcr: Admission::Review, ..Admissions::default() },
        redirect_rules: vec![RedirectRule::Loopback],
        outside_rules: OutsideRules::Review,
        ..Policy::default()
    };
    let server = given([created_with(modes([Dcr, Cimd, Prereg]), policy)]).state();
    let admission = |kind, uri| admit(&server, kind, with_redirect(uri)).map(|(_, admission)| admission);
    assert_eq!(admission(Cimd, "http://127.0.0.1/cb"), Ok(Admission::Auto));
    assert_eq!(admission(Dcr, "http://127.0.0.1/cb"), Ok(Admission::Review));
    assert_eq!(admission(Cimd, "https://a.example/cb"), Ok(Admission::Review));
    assert_eq!(admission(Prereg, "https://a.example/cb"), Ok(Admission::Review));
}

#[test]
fn a_scheme_without_a_period_has_to_be_listed() {
    assert_eq!(admission_by(Policy::default(), "cursor://anysphere.cursor-mcp/oauth/callback"), Ok(Admission::Auto));
    assert_eq!(admission_by(Policy::default(), "com.example.app:/cb"), Ok(Admission::Auto));
    assert_eq!(admission_by(Policy::default(), "myapp://cb"), Err(Rejection::SchemeNotListed("myapp://cb".to_owned())));
}

#[test]
fn a_redirect_uri_outside_the_rules_is_refused_or_reviewed() {
    let uri = "https://evil.example/cb";
    let rules = |outside_rules| Policy { redirect_rules: vec![RedirectRule::Loopback], outside_rules, ..Policy::default() };
    assert_eq!(admission_by(rules(OutsideRules::Refuse), uri), Err(Rejection::RedirectOutsideRules(uri.to_owned())));
    assert_eq!(admission_by(rules(OutsideRules::Review), uri), Ok(Admission::Review));
}

#[test]
fn a_rule_expects_what_it_says_and_nothing_that_only_looks_like_it() {
    let host = |path_prefix: &str| RedirectRule::Host { host: "a.example".to_owned(), path_prefix: path_prefix.to_owned() };
    let table = [
        (RedirectRule::Exact { uri: "https://a.example/cb".to_owned() }, "https://a.example/cb", true),
        (RedirectRule::Exact { uri: "https://a.example/cb".to_owned() }, "https://a.example/cb/", false),
        (host("/"), "https://a.example/anything?x=1", true),
        (host("/"), "https://A.Example/anything", true),
        (host("/app/"), "https://a.example/app/cb", true),
        (host("/app/"), "https://a.example/other", false),
        (host("/app/"), "https://a.example/app/../other", false),
        (host("/app/"), "https://a.example/app/%2E%2e/other", false),
        (host("/app/"), "https://a.example/app/..%2fother", false),
        (host("/app/"), "https://a.example/app/..%5Cother", false),
        (host("/"), "https://a.example:8443/", false),
        (host("/"), "https://a.example", false),
        (host("/"), "https://a.example.evil.example/", false),
        (host("/"), "https://evil.example/?https://a.example/", false),
        (RedirectRule::Loopback, "http://localhost:33417/cb", true),
        (RedirectRule::Loopback, "http://[::1]/cb", true),
        (RedirectRule::Loopback, "https://localhost/cb", false),
        (RedirectRule::Scheme { scheme: "com.example.app".to_owned() }, "COM.example.app:/cb", true),
        (RedirectRule::Scheme { scheme: "com.example.app".to_owned() }, "com.example.apps:/cb", false),
        (RedirectRule::Scheme { scheme: "https".to_owned() }, "https://a.example/", false),
    ];
    for (rule, uri, expected) in table {
        assert_eq!(rule.expects(&crate::redirect::RedirectUri::parse(uri).unwrap()), expected, "{rule:?} and {uri}");
    }
}

#[test]
fn r7_a_path_that_some_server_reads_as_another_one_is_below_nothing() {
    let rule = RedirectRule::Host { host: "a.example".to_owned(), path_prefix: "/app".to_owned() };
    let expects = |path: &str| rule.expects(&crate::redirect::RedirectUri::parse(&format!("https://a.example{path}")).unwrap());
    for path in ["/app", "/app/cb", "/app/a.b/..c", "/app/%41", "/app/%2541", "/app/cb;v=1", "/app/%E2%82%AC"] {
        assert!(expects(path), "{path}");
    }
    for path in [
        "/app/..;/x",
        "/app/..;a=b/x",
        "/app/.;/x",
        "/app/%252e%252e/x",
        "/app/%25252e./x",
        "/app/%252fx",
        "/app/%255c..",
        "/app/%c0%ae%c0%ae/x",
        "/app/%e0%80%ae./x",
        "/app/%2e%2e%3b/x",
        "/app/%ff",
    ] {
        assert!(!expects(path), "{path}");
    }
}

#[test]
fn a_client_that_registers_itself_gets_only_the_grants_that_need_a_user() {
    let server = given([created()]).state();
    let asked = client(json!({
        "redirect_uris": ["https://a.example/cb"],
        "grant_types": ["authorization_code", "client_credentials"],
    }));
    let (admitted, _) = admit(&server, Dcr, asked.clone()).unwrap();
    assert_eq!(admitted.grant_types, [GrantType::AuthorizationCode]);
    let (admitted, _) = admit(&server, Prereg, asked.clone()).unwrap();
    assert_eq!(admitted, asked);
    let machine = client(json!({ "grant_types": ["client_credentials"] }));
    assert_eq!(admit(&server, Dcr, machine.clone()), Err(Rejection::GrantsNotAdmitted));
    assert!(admit(&server, Prereg, machine).is_ok());
}

#[test]
fn r8_a_client_that_does_not_get_the_authorization_code_grant_does_not_get_code() {
    let policy = Policy { self_registered_grants: vec![GrantType::DeviceCode], ..Policy::default() };
    let server = given([created_with(modes([Dcr]), policy)]).state();
    let asked = client(json!({
        "redirect_uris": ["https://a.example/cb"],
        "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
    }));
    assert_eq!(asked.token_endpoint_auth_method, AuthMethod::ClientSecretBasic);
    let (admitted, _) = admit(&server, Dcr, asked).unwrap();
    assert_eq!((admitted.grant_types, admitted.response_types), (vec![GrantType::DeviceCode], vec![]));
}

#[test]
fn the_scope_is_cut_to_the_ceiling() {
    let ceiling = Scope::parse("mcp:read mcp:write").unwrap();
    let server = given([created_with(modes([Dcr]), Policy { scope_ceiling: ceiling, ..Policy::default() })]).state();
    let scope = |asked: &str| {
        let metadata = client(json!({ "redirect_uris": ["https://a.example/cb"], "scope": asked }));
        admit(&server, Dcr, metadata).unwrap().0.scope.unwrap().as_str().to_owned()
    };
    assert_eq!(scope("mcp:read admin"), "mcp:read");
    assert_eq!(scope(""), "mcp:read mcp:write");
}

#[test]
fn issuers_of_software_statements_are_named_once_each_with_one_way_to_their_keys() {
    let check = |issuers: Value| {
        let software_statement_issuers = serde_json::from_value(issuers).unwrap();
        Policy { software_statement_issuers, ..Policy::default() }.check()
    };
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" });
    check(json!([{ "issuer": "a", "jwks_uri": "https://a.example/jwks" }, { "issuer": "b", "jwks": { "keys": [key] } }])).unwrap();
    check(json!([{ "issuer": "a", "jwks_uri": "http://127.0.0.1:8000/jwks" }])).unwrap();
    for bad in [
        json!([{ "issuer": "a" }]),
        json!([{ "issuer": "", "jwks_uri": "https://a.example/jwks" }]),
        json!([{ "issuer": "a", "jwks_uri": "http://a.example/jwks" }]),
        json!([{ "issuer": "a", "jwks_uri": "https://u@a.example/jwks" }]),
        json!([{ "issuer": "a", "jwks_uri": "https://a.example/jwks", "jwks": { "keys": [key] } }]),
        json!([{ "issuer": "a", "jwks": { "keys": [] } }]),
        json!([{ "issuer": "a", "jwks": { "keys": [{ "kty": "oct", "k": "AA" }] } }]),
        json!([{ "issuer": "a", "jwks_uri": "https://a.example/1" }, { "issuer": "a", "jwks_uri": "https://a.example/2" }]),
    ] {
        assert!(check(bad.clone()).is_err(), "{bad}");
    }
    assert!(Policy { require_software_statement: true, ..Policy::default() }.check().is_err());
}

#[test]
fn where_statements_are_wanted_only_a_client_that_registers_itself_needs_one() {
    let policy = Policy { require_software_statement: true, ..Policy::default() };
    let bare = with_redirect("https://app.example/cb");
    assert_eq!(policy.constrain(Dcr, bare.clone()), Err(Rejection::SoftwareStatementRequired));
    assert!(policy.constrain(Prereg, bare.clone()).is_ok());
    let statement = metadata::SoftwareStatement { statement: "a.b.c".into(), issuer: "a".into() };
    assert!(policy.constrain(Dcr, ClientMetadata { software_statement: Some(statement), ..bare }).is_ok());
}

// ---------------------------------------------------------------- caps

const CAP: NonZeroU32 = NonZeroU32::new(10).unwrap();

fn fill(of: CapOf, cap: NonZeroU32, count: u64) -> Fill {
    Fill { of, cap, count }
}

fn note(count: u64) -> ResourceServerCommand {
    ResourceServerCommand::NoteFill(fill(CapOf::ResourceServer, CAP, count))
}

fn neared(count: u64) -> ResourceServerEvent {
    ResourceServerEvent::CapNeared(CapNeared { of: CapOf::ResourceServer, cap: CAP, count })
}

fn eased(count: u64) -> ResourceServerEvent {
    ResourceServerEvent::CapEased(CapEased { of: CapOf::ResourceServer, cap: CAP, count })
}

#[test]
fn that_a_cap_is_near_is_told_once_until_it_eased() {
    given([created()]).when(&note(7)).then_nothing();
    given([created()]).when(&note(8)).then([neared(8)]).when(&note(8)).then_nothing().when(&note(10)).then_nothing();
    given([created(), neared(8)]).when(&note(7)).then_nothing().when(&note(9)).then_nothing();
    given([created(), neared(8)]).when(&note(6)).then([eased(6)]).when(&note(5)).then_nothing().when(&note(8)).then([neared(8)]);
}

#[test]
fn another_cap_and_the_cap_of_another_are_told_anew() {
    let twenty = NonZeroU32::new(20).unwrap();
    let higher = |count| ResourceServerCommand::NoteFill(fill(CapOf::ResourceServer, twenty, count));
    given([created(), neared(8)])
        .when(&higher(15))
        .then_nothing()
        .when(&higher(16))
        .then([ResourceServerEvent::CapNeared(CapNeared { of: CapOf::ResourceServer, cap: twenty, count: 16 })])
        .when(&higher(17))
        .then_nothing();
    let of_tenant = ResourceServerCommand::NoteFill(fill(CapOf::Tenant, CAP, 9));
    let told = ResourceServerEvent::CapNeared(CapNeared { of: CapOf::Tenant, cap: CAP, count: 9 });
    given([created(), neared(8)]).when(&of_tenant).then([told]);
}

#[test]
fn nobody_is_warned_about_a_resource_server_that_is_not_there() {
    given([]).when(&note(10)).then_nothing();
    given([created(), retired()]).when(&note(10)).then_nothing();
}

#[test]
fn a_cap_has_room_below_it_and_counts_who_may_act_or_may_again() {
    assert_eq!(fill(CapOf::Tenant, CAP, 9).room(), Ok(()));
    assert_eq!(fill(CapOf::Tenant, CAP, 10).room(), Err(Rejection::Full(CapOf::Tenant)));
    assert_eq!(fill(CapOf::Tenant, CAP, 11).room(), Err(Rejection::Full(CapOf::Tenant)));
    let in_turn = [Status::None, Status::Pending, Status::Approved, Status::Denied, Status::Suspended, Status::Revoked];
    assert_eq!(in_turn.map(takes_room), [false, true, true, false, true, false]);
    assert_eq!([Status::Dormant, Status::Returning].map(takes_room), [true, true], "it comes back without registering anew");
}

#[test]
fn r2_a_required_token_is_asked_of_the_types_that_the_policy_names() {
    let metadata = with_redirect("https://app.example/cb");
    let clamps = Clamps::default();
    let comings = [
        Coming::alone(Dcr),
        Coming::alone(Cimd),
        Coming::itself(Some(&clamps)),
        Coming { by: Cimd, warrant: Warrant::Token(&clamps) },
        Coming::entered(Cimd),
        Coming::entered(Prereg),
    ];
    let refused = |required, types: Modes| {
        let policy = Policy { require_initial_access_token: required, initial_access_token_for: types, ..Policy::default() };
        let server = given([created_with(modes([Dcr, Cimd, Prereg]), policy)]).state();
        comings.map(|coming| server.judge(coming, metadata.clone()) == Err(Rejection::InitialAccessTokenRequired))
    };
    let by_default = Policy::default().initial_access_token_for;
    assert_eq!(refused(false, modes([Dcr, Cimd])), [false; 6]);
    assert_eq!(refused(true, by_default), [true, false, false, false, false, false]);
    assert_eq!(refused(true, modes([Cimd])), [false, true, false, false, false, false]);
    assert_eq!(refused(true, modes([Dcr, Cimd])), [true, true, false, false, false, false]);
    for types in [modes([]), modes([Prereg]), modes([Dcr, Prereg])] {
        assert!(Policy { initial_access_token_for: types, ..Policy::default() }.check().is_err());
    }
}

#[test]
fn r2_a_policy_that_was_stored_before_asks_those_who_register_themselves() {
    let stored = json!(Policy { require_initial_access_token: true, ..Policy::default() });
    assert!(stored.get("initial_access_token_for").is_none());
    let read: Policy = serde_json::from_value(stored).unwrap();
    assert!(read.wants_token(Dcr) && !read.wants_token(Cimd) && !read.wants_token(Prereg));
}

#[test]
fn r1_a_document_cannot_come_by_a_token_that_bounds_its_client() {
    let server = given([created_with(modes([Dcr, Cimd]), Policy::default())]).state();
    let clamps = Clamps { grant_types: vec![GrantType::AuthorizationCode], ..Clamps::default() };
    let coming = Coming { by: Cimd, warrant: Warrant::Token(&clamps) };
    assert_eq!(server.judge(coming, with_redirect("https://app.example/cb")), Err(Rejection::DocumentCannotBeClamped));
}
