//! What each format's files come to: who is taken, with what, and who is refused and why.

use gatebook_events::metadata::AuthMethod;
use gatebook_events::redirect::RedirectUri;
use serde_json::json;

use super::*;

/// What the only client of a document comes to.
fn only(format: ImportFormat, document: &Value) -> Result<Candidate, String> {
    read_one(format, document).map_err(|why| why.to_string())
}

fn read_one(format: ImportFormat, document: &Value) -> Result<Candidate, NotImported> {
    let text = document.to_string();
    let mut clients = match format {
        ImportFormat::Keycloak => keycloak::read(text.as_bytes()),
        ImportFormat::Hydra => hydra::read(text.as_bytes()),
        ImportFormat::Rfc7591 => panic!("lines are in a file"),
    }
    .unwrap();
    assert_eq!(clients.count, 1);
    clients.entries.next().unwrap().unwrap().read
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
        let mut client = json!({ "clientId": "a", "redirectUris": ["https://a.example/cb"], "secret": "open-sesame" });
        client.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        only(ImportFormat::Keycloak, &client).map(|candidate| candidate.notes.join("; "))
    };
    assert_eq!(with(json!({})), Ok(String::new()));
    for (changes, why) in [
        (json!({ "redirectUris": ["*"] }), "the redirect URI * contains a wildcard"),
        (json!({ "redirectUris": ["/cb"] }), "the redirect URI /cb is not an absolute URI"),
        (json!({ "redirectUris": ["/cb"], "rootUrl": "${authBaseUrl}" }), "the redirect URI /cb is not an absolute URI"),
        (json!({ "redirectUris": [] }), "redirect_uris is required for the authorization_code grant"),
        (json!({ "clientAuthenticatorType": "client-jwt" }), "its key is a certificate inside Keycloak: have it publish a key set"),
        (
            json!({ "clientAuthenticatorType": "client-jwt", "attributes": { "use.jwks.string": "true", "jwks.string": "{" } }),
            "its jwks.string is not a JSON object",
        ),
        (json!({ "clientId": "" }), "it has no clientId"),
        (json!({ "clientId": "b\u{e9}ta" }), "a client_id is 1 to 2048 printable ASCII characters"),
    ] {
        assert_eq!(with(changes.clone()), Err(why.to_owned()), "{changes}");
    }
    let referred = with(json!({ "secret": "${vault.shop_a}" }));
    assert_eq!(referred, Ok("without a secret, because the file has a reference to it: rotate it here".to_owned()));
    // A public client's secret is no loss.
    assert_eq!(with(json!({ "publicClient": true, "secret": "**********" })), Ok(String::new()));
}

#[test]
fn w9_a_client_of_keycloaks_own_or_of_another_protocol_is_skipped_and_not_refused() {
    for (changes, why) in [
        (json!({ "protocol": "docker-v2" }), "its protocol is docker-v2"),
        (json!({ "clientId": "realm-management" }), "it belongs to Keycloak itself"),
        (json!({ "enabled": false }), "it is disabled there"),
        (json!({ "bearerOnly": true }), "it only checks tokens (bearerOnly): enter it as a resource server"),
    ] {
        let mut client = json!({ "clientId": "a", "redirectUris": ["https://a.example/cb"], "secret": "open-sesame" });
        client.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let read = read_one(ImportFormat::Keycloak, &client);
        assert!(matches!(&read, Err(NotImported::Skipped(skipped)) if skipped == why), "{changes}: {read:?}");
    }
}

#[test]
fn a_secret_is_told_from_its_hash() {
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert!(matches!(Brought::of(Some(hash)), Brought::Hashed(_)));
    for clear in [
        "$ecret-of-1",
        "open-sesame",
        "a$b-c-d-e-f",
        "{not closed",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "50%-off-50%!",
    ] {
        assert!(matches!(Brought::of(Some(clear)), Brought::Clear(_)), "{clear}");
    }
    assert!(matches!(Brought::of(None), Brought::None));
    assert!(matches!(Brought::of(Some("")), Brought::None));
    // As Django and Spring write the same hash.
    for prefixed in [format!("argon2{hash}"), format!("{{argon2}}{hash}"), format!("{{argon2@SpringSecurity_v5_8}}{hash}")] {
        assert!(matches!(Brought::of(Some(&prefixed)), Brought::Hashed(_)), "{prefixed}");
    }
}

#[test]
fn w8_a_stored_hash_a_template_or_a_mask_is_no_secret() {
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let dear = hash.replace("m=256", "m=4194304");
    let endless = "x1".repeat(513);
    for (text, why) in [
        ("pbkdf2_sha256$600000$Zsalt$8sVYo+yyPbmVdlEFBhKgUYHhMBUPkgdqlnGmZV2Ux2I=", "the file has only a hash of it"),
        ("bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuv", "the file has only a hash of it"),
        ("scrypt:32768:8:1$salt$0123abcd", "the file has only a hash of it"),
        ("{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG", "the file has only a hash of it"),
        ("{noop}open-sesame", "the file has only a hash of it"),
        ("{SSHA}pAssw0rdpAssw0rd", "the file has only a hash of it"),
        ("$2b$12$abc", "the file has only a hash of it"),
        ("$pbkdf2-sha512$i=25000,l=64$c2FsdA$aGFzaA", "the file has only a hash of it"),
        ("$argon2i$v=19$m=256", "the file has only a hash of it"),
        (&dear, "the file has only a hash of it"),
        ("$(env:CLIENT_SECRET)", "the file has a reference to it"),
        ("${vault.shop_a}", "the file has a reference to it"),
        ("{{ lookup('env', 'X') }}", "the file has a reference to it"),
        ("<client secret>", "the file has a reference to it"),
        ("%CLIENT_SECRET%", "the file has a reference to it"),
        ("ENC(G6N718UuyPE5bHyWKyuLQSm02auQPUtm)", "the file has a reference to it"),
        ("env:CLIENT_SECRET", "the file has a reference to it"),
        ("**********", "the file shows a mask instead of it"),
        ("xxxxxxxxxxxx", "the file shows a mask instead of it"),
        ("[REDACTED]", "the file shows a mask instead of it"),
        ("********cafe", "the file shows a mask instead of it"),
        ("geh\u{e9}imnis-1", "it has characters that RFC 6749 does not allow in a secret"),
        ("short", "it is shorter than 8 characters"),
        (&endless, "it is longer than 1024 bytes"),
    ] {
        assert!(matches!(Brought::of(Some(text)), Brought::Unusable(because) if because == why), "{text}");
    }
}

#[test]
fn w9_what_can_come_comes_and_each_loss_is_noted() {
    let with = |members: Value| {
        let from = ImportedFrom { format: ImportFormat::Rfc7591, realm: None, id: Some("a".into()) };
        let client = (ClientId::brought("a").unwrap(), from);
        let Value::Object(members) = members else { panic!("members") };
        candidate(client, members, Brought::of(Some("open-sesame")), None).map_err(|refused| refused.to_string())
    };
    let machine = json!({ "grant_types": ["client_credentials"], "redirect_uris": ["https://*.example/cb", "/*"], "token_endpoint_auth_method": "client_secret_basic" });
    let machine = with(machine).unwrap();
    assert_eq!(machine.notes, ["without its redirect URIs, which its grants do not use"]);
    assert!(machine.newcomer.parsed.metadata.redirect_uris.is_empty());
    let mixed = with(json!({ "redirect_uris": ["https://a.example/cb", "https://a.example/*"], "x_team": "blue" })).unwrap();
    assert_eq!(
        mixed.notes,
        [
            "without the redirect URI https://a.example/*, which contains a wildcard",
            "without the members x_team, which have no meaning here"
        ]
    );
    assert_eq!(mixed.newcomer.parsed.metadata.redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>(), ["https://a.example/cb"]);
    let both =
        with(json!({ "redirect_uris": ["https://a.example/*"], "grant_types": ["authorization_code", "client_credentials"] })).unwrap();
    assert_eq!(
        both.notes,
        [
            "without the redirect URI https://a.example/*, which contains a wildcard",
            "without the grant authorization_code, which needs a redirect URI"
        ]
    );
    assert_eq!(both.newcomer.parsed.metadata.grant_types, [GrantType::ClientCredentials]);
    let web = with(json!({ "redirect_uris": ["https://a.example/cb", "http://localhost/cb"], "application_type": "web" })).unwrap();
    assert_eq!(
        web.notes,
        ["without the redirect URI http://localhost/cb, which leads to the user's machine, which a client of the type web cannot have"]
    );
    let none = with(json!({ "redirect_uris": ["https://a.example/*"] }));
    assert_eq!(none.unwrap_err(), "the redirect URI https://a.example/* contains a wildcard");
}

#[test]
fn what_is_shown_of_a_file_cannot_move_the_cursor() {
    assert_eq!(shown("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
    assert_eq!(shown(&"x".repeat(500)).len(), 203);
}
