//! What only informs is left out of a document where it cannot be used; what decides is not.

use super::*;

#[test]
fn w4_a_member_that_only_informs_is_left_out_by_name_and_the_rest_is_read() {
    for (member, value) in [
        ("logo_uri", json!("/l.png")),
        ("client_uri", json!("app")),
        ("tos_uri", json!(7)),
        ("policy_uri", json!(["https://app.example/p"])),
        ("client_name", json!("a\u{202e}b")),
        ("client_name#fr", json!(1)),
        ("logo_uri#fr", json!("/l.png")),
        ("software_id", json!({})),
        ("software_version", json!(1)),
        ("contacts", json!("ops@app.example")),
        ("scope", json!(["a", "b"])),
        ("scope", json!("a\"b")),
        ("application_type", json!("browser")),
        ("response_types", json!(["token"])),
        ("response_types", json!("code")),
        ("grant_types", json!("authorization_code")),
        ("jwks_uri", json!("http://app.example/jwks")),
        ("jwks_uri", json!("https://10.0.0.1/jwks")),
        ("jwks", json!({ "keys": [{}] })),
    ] {
        let manifest = with(json!({ member: value, "token_endpoint_auth_method": "none" })).unwrap();
        assert_eq!(left_out(&manifest), [member], "{value}");
        assert_eq!(manifest.warnings, [Warning::LeftOut], "{member}");
        let without = with(json!({ "token_endpoint_auth_method": "none" })).unwrap().metadata;
        let nameless = crate::metadata::ClientMetadata { client_name: None, ..without.clone() };
        assert_eq!(manifest.metadata, if member == "client_name" { nameless } else { without }, "{member}");
    }
    let web = json!({ "application_type": "web", "redirect_uris": ["https://app.example/cb", "http://localhost/cb"] });
    let manifest = with(web).unwrap();
    assert_eq!((left_out(&manifest), manifest.metadata.redirect_uris.len()), (vec!["application_type"], 2));
}

#[test]
fn w4_what_decides_still_makes_a_document_unusable() {
    let keyed = |members: Value| {
        let mut keyed = json!({ "token_endpoint_auth_method": "private_key_jwt" });
        if let (Value::Object(keyed), Value::Object(members)) = (&mut keyed, members) {
            keyed.extend(members);
        }
        keyed
    };
    for members in [
        json!({ "redirect_uris": "https://app.example/cb" }),
        json!({ "redirect_uris": ["/cb", 1] }),
        json!({ "token_endpoint_auth_method": 1 }),
        json!({ "token_endpoint_auth_method": "none", "jwks": { "keys": [{ "kty": "oct", "k": "AA" }] } }),
        json!({ "token_endpoint_auth_method": "none", "jwks": { "keys": [{ "kty": "EC", "d": "AA" }] }, "jwks_uri": "/x" }),
        keyed(json!({})),
        keyed(json!({ "jwks": {} })),
        keyed(json!({ "jwks_uri": "http://app.example/jwks" })),
        keyed(json!({ "jwks_uri": "https://10.0.0.1/jwks" })),
        keyed(json!({ "jwks": { "keys": [{}] } })),
    ] {
        assert!(with(members.clone()).is_err(), "{members}");
    }
}

#[test]
fn w5_a_key_set_without_a_key_says_nothing_in_a_document() {
    for empty in [json!({}), json!({ "keys": [] })] {
        let beside =
            with(json!({ "jwks": empty, "jwks_uri": "https://app.example/jwks", "token_endpoint_auth_method": "private_key_jwt" }));
        assert_eq!(left_out(&beside.unwrap()), Vec::<&str>::new(), "{empty}");
        assert!(with(json!({ "jwks": empty, "token_endpoint_auth_method": "none" })).unwrap().metadata.jwks.is_none(), "{empty}");
        // It is no key to prove anything by.
        let offered = json!({ "jwks": empty, "token_endpoint_auth_methods_supported": ["private_key_jwt"] });
        assert_eq!(with(offered).unwrap_err().trouble(), Trouble::AuthMethod);
    }
}
