//! Keycloak: the export of a realm, an array of them, or clients alone as the administration console and `kcadm` give them
//! (`ClientRepresentation`).

use std::io::Read;

use gatebook_events::client::{ImportFormat, ImportedFrom};
use gatebook_events::identity::ClientId;
use gatebook_events::metadata::{AuthMethod, GrantType};
use serde_json::{Map, Value};

use super::{Brought, Candidate, Clients, Entry, Refused, Unreadable, all, candidate, objects, shown, text, texts};

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

fn translate(realm: Option<&str>, client: &Members) -> Result<Candidate, Refused> {
    let id = text(client, "clientId").ok_or(Refused::Because("it has no clientId"))?;
    if realm.is_some_and(|realm| realm.len() > LONGEST_REALM || realm.chars().any(char::is_control)) {
        return Err(Refused::Because("the name of its realm is too long or has control characters"));
    }
    stands_for_a_client(realm, id, client)?;
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
    members.insert("redirect_uris".to_owned(), redirect_uris(client)?.into());
    members.insert("grant_types".to_owned(), grants(client, attribute("oauth2.device.authorization.grant.enabled"))?.into());
    let method = method(client)?;
    members.insert("token_endpoint_auth_method".to_owned(), method.as_str().into());
    if method == AuthMethod::PrivateKeyJwt {
        keys(&mut members, attribute)?;
    }
    let scopes: Vec<&str> = ["defaultClientScopes", "optionalClientScopes"].iter().flat_map(|name| texts(client.get(*name))).collect();
    put(&mut members, "scope", Some(scopes.join(" ").as_str()).filter(|scope| !scope.is_empty()));

    let from = ImportedFrom { format: ImportFormat::Keycloak, realm: realm.map(Box::from), id: Some(Box::from(id)) };
    let mut candidate = candidate((client_id, from), members, Brought::of(text(client, "secret")), None)?;
    for (flow, grant) in [("implicitFlowEnabled", "implicit"), ("directAccessGrantsEnabled", "password")] {
        if is(client, flow) == Some(true) {
            candidate.notes.push(format!("without the grant {grant}, which is not supported here"));
        }
    }
    Ok(candidate)
}

fn stands_for_a_client(realm: Option<&str>, id: &str, client: &Members) -> Result<(), Refused> {
    if ITS_OWN.contains(&id) || (realm == Some("master") && id.ends_with("-realm")) {
        return Err(Refused::Because("it belongs to Keycloak itself"));
    }
    match text(client, "protocol") {
        None | Some("openid-connect") => {}
        Some(other) => return Err(Refused::About { what: "its protocol is", text: shown(other) }),
    }
    if is(client, "bearerOnly") == Some(true) {
        return Err(Refused::Because("it only checks tokens (bearerOnly): enter it as a resource server"));
    }
    if is(client, "enabled") == Some(false) {
        return Err(Refused::Because("it is disabled there"));
    }
    Ok(())
}

/// What begins with a slash follows the root URL, as Keycloak puts the two together.
fn redirect_uris(client: &Members) -> Result<Vec<String>, Refused> {
    let root = text(client, "rootUrl");
    let whole = |uri: &str| match (uri.strip_prefix('/'), root) {
        (None, _) => Ok(uri.to_owned()),
        (Some(_), Some(root)) if !root.contains("${") => Ok(format!("{root}{uri}")),
        (Some(_), _) => Err(Refused::About { what: "there is no root URL for the redirect URI", text: shown(uri) }),
    };
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
