//! Keycloak: the export of a realm, an array of them, or clients alone as the administration console and `kcadm` give them
//! (`ClientRepresentation`).

use std::io::Read;

use chrono::DateTime;
use gatebook_events::client::{ImportFormat, ImportedFrom};
use gatebook_events::identity::ClientId;
use gatebook_events::metadata::{AuthMethod, GrantType};
use serde_json::{Map, Value};

use super::{Brought, Candidate, Clients, Entry, NotImported, Refused, Unreadable, all, candidate, objects, shown, text, texts};

/// The clients that every realm has for Keycloak itself.
const ITS_OWN: [&str; 6] = ["account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"];
/// The longest name of a realm.
const LONGEST_REALM: usize = 255;

type Members = Map<String, Value>;

pub(super) fn read(document: impl Read) -> Result<Clients, Unreadable> {
    const NO_CLIENTS: Unreadable = Unreadable::NoClients("there is neither a realm with clients nor a client in the file");
    let mut entries = Vec::new();
    for mut object in objects::read(document)? {
        if let Some(clients) = object.remove("clients") {
            let clients = objects::of_array(clients).ok_or(NO_CLIENTS)?;
            let realm = text(&object, "realm");
            entries.extend((1..).zip(clients).map(|(number, client)| entry(number, realm, &client)));
        } else if object.contains_key("clientId") {
            entries.push(entry(entries.len() + 1, None, &object));
        } else {
            return Err(NO_CLIENTS);
        }
    }
    Ok(all(entries, None))
}

fn entry(number: usize, realm: Option<&str>, client: &Members) -> Entry {
    let place = realm.map_or_else(|| format!("client {number}"), |realm| format!("realm {}, client {number}", shown(realm)));
    Entry { place, id: text(client, "clientId").map(str::to_owned), read: translate(realm, client) }
}

fn translate(realm: Option<&str>, client: &Members) -> Result<Candidate, NotImported> {
    let id = text(client, "clientId").ok_or(Refused::Because("it has no clientId"))?;
    if realm.is_some_and(|realm| realm.len() > LONGEST_REALM || realm.chars().any(char::is_control)) {
        return Err(Refused::Because("the name of its realm is too long or has control characters").into());
    }
    if let Some(why) = no_client_for_here(realm, id, client) {
        return Err(NotImported::Skipped(why));
    }
    Ok(convert(realm, id, client)?)
}

fn convert(realm: Option<&str>, id: &str, client: &Members) -> Result<Candidate, Refused> {
    let client_id = ClientId::brought(id)?;
    let attributes = client.get("attributes").and_then(Value::as_object);
    let attribute = |name: &str| attributes.and_then(|attributes| text(attributes, name));

    let mut members = Map::new();
    // Keycloak's own names are keys of its translations.
    let name = text(client, "name").filter(|name| !name.starts_with("${"));
    put(&mut members, "client_name", name.or(Some(id)));
    put(&mut members, "client_uri", text(client, "baseUrl").filter(|url| url.starts_with("https://") && !url.contains("${")));
    for (member, from) in [("logo_uri", "logoUri"), ("policy_uri", "policyUri"), ("tos_uri", "tosUri")] {
        put(&mut members, member, attribute(from));
    }
    members.insert("redirect_uris".to_owned(), redirect_uris(client).into());
    members.insert("grant_types".to_owned(), grants(client, attribute("oauth2.device.authorization.grant.enabled"))?.into());
    let method = method(client)?;
    members.insert("token_endpoint_auth_method".to_owned(), method.as_str().into());
    if method == AuthMethod::PrivateKeyJwt {
        keys(&mut members, attribute)?;
    }
    let scopes: Vec<&str> = ["defaultClientScopes", "optionalClientScopes"].iter().flat_map(|name| texts(client.get(*name))).collect();
    put(&mut members, "scope", Some(scopes.join(" ").as_str()).filter(|scope| !scope.is_empty()));

    let from = ImportedFrom { format: ImportFormat::Keycloak, realm: realm.map(Box::from), id: Some(Box::from(id)) };
    let until = attribute("client.secret.expiration.time").and_then(|seconds| seconds.parse().ok());
    let until = until.filter(|seconds| *seconds != 0).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let mut candidate = candidate((client_id, from), members, Brought::of(text(client, "secret")), until)?;
    let dropped = dropped(client);
    if !dropped.is_empty() {
        candidate.notes.push(format!("without the settings {}, which have no meaning here", dropped.join(", ")));
    }
    for (flow, grant) in [("implicitFlowEnabled", "implicit"), ("directAccessGrantsEnabled", "password")] {
        if is(client, flow) == Some(true) {
            candidate.notes.push(format!("without the grant {grant}, which is not supported here"));
        }
    }
    Ok(candidate)
}

/// Why this is nothing to register: a client of Keycloak's own, of another protocol, one that never asks for tokens, or one that
/// was switched off there. Registering that one and suspending it would let it act in between.
fn no_client_for_here(realm: Option<&str>, id: &str, client: &Members) -> Option<String> {
    let why = if ITS_OWN.contains(&id) || (realm == Some("master") && id.ends_with("-realm")) {
        "it belongs to Keycloak itself".to_owned()
    } else if let Some(other) = text(client, "protocol").filter(|protocol| *protocol != "openid-connect") {
        format!("its protocol is {}", shown(other))
    } else if is(client, "bearerOnly") == Some(true) {
        "it only checks tokens (bearerOnly): enter it as a resource server".to_owned()
    } else if is(client, "enabled") == Some(false) {
        "it is disabled there".to_owned()
    } else {
        return None;
    };
    Some(why)
}

/// Settings of a client that mean something in Keycloak and nothing here, where they were chosen.
fn dropped(client: &Members) -> Vec<&'static str> {
    const CHOSEN: [&str; 4] = ["protocolMappers", "authorizationSettings", "authenticationFlowBindingOverrides", "registeredNodes"];
    const ATTRIBUTES: [&str; 4] =
        ["post.logout.redirect.uris", "backchannel.logout.url", "frontchannel.logout.url", "access.token.lifespan"];
    let chosen = |value: Option<&Value>| match value {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        _ => false,
    };
    let attributes = client.get("attributes").and_then(Value::as_object);
    let members = CHOSEN.into_iter().filter(|name| chosen(client.get(*name)));
    members.chain(ATTRIBUTES.into_iter().filter(|name| chosen(attributes.and_then(|attributes| attributes.get(*name))))).collect()
}

/// What begins with a slash follows the root URL, as Keycloak puts the two together; without one it stays as it is, which is no
/// redirect URI.
fn redirect_uris(client: &Members) -> Vec<String> {
    let root = text(client, "rootUrl").filter(|root| !root.contains("${")).unwrap_or_default().trim_end_matches('/');
    let whole = |uri: &str| if uri.starts_with('/') { format!("{root}{uri}") } else { uri.to_owned() };
    texts(client.get("redirectUris")).map(whole).collect()
}

/// Keycloak has the standard flow on where nothing is said, and the others off.
fn grants(client: &Members, device: Option<&str>) -> Result<Vec<&'static str>, Refused> {
    let mut grants = Vec::new();
    if is(client, "standardFlowEnabled") != Some(false) {
        grants.extend([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    }
    if is(client, "serviceAccountsEnabled") == Some(true) {
        grants.push(GrantType::ClientCredentials);
    }
    if device == Some("true") {
        grants.push(GrantType::DeviceCode);
    }
    if grants.is_empty() {
        return Err(Refused::Because("it has no flow that is supported here"));
    }
    Ok(grants.into_iter().map(GrantType::as_str).collect())
}

fn method(client: &Members) -> Result<AuthMethod, Refused> {
    if is(client, "publicClient") == Some(true) {
        return Ok(AuthMethod::None);
    }
    match text(client, "clientAuthenticatorType") {
        None | Some("client-secret") => Ok(AuthMethod::ClientSecretBasic),
        Some("client-jwt") => Ok(AuthMethod::PrivateKeyJwt),
        Some(other) => Err(Refused::About { what: "it authenticates in a way that is not supported here,", text: shown(other) }),
    }
}

fn keys<'a>(members: &mut Members, attribute: impl Fn(&str) -> Option<&'a str>) -> Result<(), Refused> {
    if attribute("use.jwks.url") == Some("true") {
        put(members, "jwks_uri", attribute("jwks.url"));
    } else if attribute("use.jwks.string") == Some("true") {
        let keys = attribute("jwks.string").unwrap_or_default();
        let keys = gatebook_events::json::object(keys.as_bytes()).map_err(|_| Refused::Because("its jwks.string is not a JSON object"))?;
        members.insert("jwks".to_owned(), keys.into());
    } else {
        return Err(Refused::Because("its key is a certificate inside Keycloak: have it publish a key set"));
    }
    Ok(())
}

fn is(client: &Members, name: &str) -> Option<bool> {
    client.get(name).and_then(Value::as_bool)
}

fn put(members: &mut Members, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), value.into());
    }
}
