//! `gatebook token`: one line on standard output, good for what it says and nothing else.

use std::fs;

use reqwest::Method;
use serde_json::json;

use crate::flag;
use crate::instance::{Caller, DEFAULT_SERVER, Instance, refusal, run, said, text, token};
use crate::place;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_one_line_and_is_good_for_its_role_and_tenant() {
    let (_folder, data) = place();
    // Where there is no data folder a key would be made that no service knows.
    let asked = ["token", "--role", "admin", "--tenant", "default", "--data", flag(&data)];
    let told = refusal(run(&asked));
    assert!(told.contains("there is no data folder with a key at") && !data.exists(), "{told}");

    let service = Instance::start(&data);
    let output = run(&asked);
    assert_eq!(text(output.stderr.clone()), "");
    let line = said(output);
    assert_eq!(line.lines().count(), 1);
    assert_eq!(line.trim_end().split('.').count(), 3, "{line}");

    let anyone = Caller::anyone(&service);
    let admin = anyone.with(line.trim_end());
    let viewer = anyone.with(&token(&data, "viewer", "default"));
    let auditor = anyone.with(&token(&data, "auditor", "default"));
    let stranger = anyone.with(&token(&data, "admin", "acme"));
    let (enter, entry) = (format!("{DEFAULT_SERVER}/clients"), json!({ "client_name": "nightly" }));
    for (who, caller, expected) in
        [("admin", &admin, [201, 200, 200]), ("auditor", &auditor, [403, 200, 200]), ("viewer", &viewer, [403, 403, 200])]
    {
        let answers = [
            caller.call(Method::POST, &enter, Some(&entry)).await.unwrap().0,
            caller.call(Method::GET, "/authsec/audit/events", None).await.unwrap().0,
            caller.call(Method::GET, &enter, None).await.unwrap().0,
        ];
        assert_eq!(answers, expected, "{who}");
    }
    for (who, caller, expected) in [("another tenant", &stranger, 404), ("nobody", &anyone, 401)] {
        for (method, body) in [(Method::GET, None), (Method::POST, Some(&entry))] {
            assert_eq!(caller.call(method, &enter, body).await.unwrap().0, expected, "{who}");
        }
    }
    let (_elsewhere, other) = place();
    Instance::start(&other).stop();
    let forged = anyone.with(&token(&other, "admin", "default"));
    assert_eq!(forged.call(Method::GET, &enter, None).await.unwrap().0, 401, "another instance's token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_secret_makes_tokens_that_only_it_makes() {
    let (folder, data) = place();
    let secret = folder.path().join("secret");
    fs::write(&secret, "a secret that is quite long enough for HS256, and then some").unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let service = Instance::start_with(&data, &["--admin-jwt-secret-file", flag(&secret)]);
    let configured = said(run(&["token", "--role", "admin", "--data", flag(&data), "--admin-jwt-secret-file", flag(&secret)]));
    let path = format!("{DEFAULT_SERVER}/clients");
    let anyone = Caller::anyone(&service);
    assert_eq!(anyone.with(configured.trim_end()).call(Method::GET, &path, None).await.unwrap().0, 200);
    // A key of the data folder is not made beside the configured one.
    let told = refusal(run(&["token", "--role", "admin", "--data", flag(&data)]));
    assert!(told.contains("there is no data folder with a key at"), "{told}");
}

#[test]
fn with_a_public_key_there_is_nothing_to_make_a_token_with() {
    let (folder, data) = place();
    let key = folder.path().join("key.pem");
    // The P-256 key of RFC 7515, appendix A.3.
    let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
    fs::write(&key, pem).unwrap();
    let issuer = ["--admin-jwt-issuer", "https://id.example.com", "--admin-jwt-audience", "gatebook"];
    let asked = ["token", "--role", "admin", "--data", flag(&data), "--admin-jwt-public-key-file", flag(&key)];
    let told = refusal(run(&[&asked[..], &issuer[..]].concat()));
    assert!(told.contains("failed to make a token"), "{told}");
    assert!(told.contains("`admin-jwt-public-key-file` is configured, so only whoever has the private key can"), "{told}");
    assert!(!data.exists(), "no key is made beside the one that is configured");
}

#[test]
fn what_is_no_role_tenant_or_duration_is_refused() {
    let (_folder, data) = place();
    for (flags, word) in [
        (&["--role", "root"][..], "root"),
        (&["--role", "admin", "--tenant", "a/b"], "tenant"),
        (&["--role", "admin", "--expires", "soon"], "30m"),
        (&[], "--role"),
    ] {
        let told = refusal(run(&[&["token", "--data", flag(&data)][..], flags].concat()));
        assert!(told.contains(word), "{flags:?}: {told}");
    }
    assert!(!data.exists(), "a refusal leaves nothing behind");
}
