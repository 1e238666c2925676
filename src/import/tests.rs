//! What each format's files come to: who is taken, with what, and who is refused and why.

use gatebook_events::metadata::AuthMethod;
use serde_json::json;

use super::*;

/// What the only client of a document comes to.
fn only(format: ImportFormat, document: &Value) -> Result<Candidate, String> {
    let text = document.to_string();
    let mut clients = match format {
        ImportFormat::Keycloak => keycloak::read(text.as_bytes()),
        ImportFormat::Hydra => hydra::read(text.as_bytes()),
        ImportFormat::Rfc7591 => panic!("lines are in a file"),
    }
    .unwrap();
    assert_eq!(clients.count, 1);
    clients.entries.next().unwrap().unwrap().read.map_err(|refused| refused.to_string())
}

#[test]
fn a_client_of_keycloak_is_found_alone_in_an_array_and_in_a_realm() {
    let client = json!({ "clientId": "a", "publicClient": true, "redirectUris": ["https://a.example/cb"], "protocol": "openid-connect" });
    for (document, realm) in [
        (client.clone(), None),
        (json!([client]), None),
        (json!({ "realm": "shop", "users": [{ "username": "x", "username": "y" }], "clients": [client] }), Some("shop")),
        (json!([{ "realm": "shop", "clients": [client] }]), Some("shop")),
    ] {
        let found = only(ImportFormat::Keycloak, &document).unwrap();
        assert_eq!(found.newcomer.client_id.as_str(), "a");
        assert_eq!(found.newcomer.from.realm.as_deref(), realm);
        assert_eq!(found.newcomer.parsed.metadata.token_endpoint_auth_method, AuthMethod::None);
    }
}

#[test]
fn what_a_client_of_keycloak_lacks_is_said() {
    let with = |changes: Value| {
        let mut client = json!({ "clientId": "a", "redirectUris": ["https://a.example/cb"], "secret": "x" });
        client.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        only(ImportFormat::Keycloak, &client).map(|candidate| candidate.notes.join("; "))
    };
    assert_eq!(with(json!({})), Ok(String::new()));
    for (changes, why) in [
        (json!({ "redirectUris": ["*"] }), "the redirect URI * contains a wildcard"),
        (json!({ "redirectUris": ["/cb"] }), "there is no root URL for the redirect URI /cb"),
        (json!({ "redirectUris": ["/cb"], "rootUrl": "${authBaseUrl}" }), "there is no root URL for the redirect URI /cb"),
        (json!({ "redirectUris": [] }), "redirect_uris is required for the authorization_code grant"),
        (json!({ "clientAuthenticatorType": "client-jwt" }), "its key is a certificate inside Keycloak: have it publish a key set"),
        (
            json!({ "clientAuthenticatorType": "client-jwt", "attributes": { "use.jwks.string": "true", "jwks.string": "{" } }),
            "its jwks.string is not a JSON object",
        ),
        (json!({ "clientId": "" }), "it has no clientId"),
        (json!({ "clientId": "b\u{e9}ta" }), "a client_id is 1 to 2048 printable ASCII characters"),
        (json!({ "protocol": "docker-v2" }), "its protocol is docker-v2"),
        (json!({ "clientId": "realm-management" }), "it belongs to Keycloak itself"),
    ] {
        assert_eq!(with(changes.clone()), Err(why.to_owned()), "{changes}");
    }
    let referred = with(json!({ "secret": "${vault.shop_a}" }));
    assert_eq!(referred, Ok("without a secret, because the file has a reference to it: rotate it here".to_owned()));
    // A public client's secret is no loss.
    assert_eq!(with(json!({ "publicClient": true, "secret": "**********" })), Ok(String::new()));
}

#[test]
fn a_secret_is_told_from_its_hash() {
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert!(matches!(Brought::of(Some(hash)), Brought::Hashed(_)));
    assert!(matches!(Brought::of(Some("$ecret")), Brought::Clear(_)));
    assert!(matches!(Brought::of(None), Brought::None));
    assert!(matches!(Brought::of(Some("")), Brought::None));
    let dear = hash.replace("m=256", "m=4194304");
    let endless = "x".repeat(1025);
    for unusable in
        ["$2b$12$abc", "$pbkdf2-sha512$i=25000,l=64$c2FsdA$aGFzaA", "$argon2i$v=19$m=256", &dear, "**********", "${vault.x}", &endless]
    {
        assert!(matches!(Brought::of(Some(unusable)), Brought::Unusable(_)), "{unusable}");
    }
}

#[test]
fn what_is_shown_of_a_file_cannot_move_the_cursor() {
    assert_eq!(shown("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
    assert_eq!(shown(&"x".repeat(500)).len(), 203);
}
