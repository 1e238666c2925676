//! What a document's URL may be and what the document may say. Names that start with an id are lines of the conformance
//! table: CIMD draft-01, section numbers as there.

use serde_json::json;

use super::*;

mod informing;

const URL: &str = "https://app.example/oauth/client.json";

fn url(text: &str) -> ManifestUrl {
    ManifestUrl::parse(text).unwrap()
}

fn refused(text: &str) -> ManifestUrlProblem {
    ManifestUrl::parse(text).expect_err(text)
}

/// The smallest acceptable document, with these members besides.
fn document(members: Value) -> Value {
    let mut document = json!({ "client_id": URL, "client_name": "App", "redirect_uris": ["https://app.example/cb"] });
    if let (Value::Object(document), Value::Object(members)) = (&mut document, members) {
        document.extend(members);
    }
    document
}

fn read(document: &Value) -> Result<Manifest, ManifestError> {
    parse(&url(URL), document.to_string().as_bytes(), Profile::Mcp)
}

fn with(members: Value) -> Result<Manifest, ManifestError> {
    read(&document(members))
}

fn without(member: &str) -> Value {
    let mut document = document(json!({}));
    document.as_object_mut().unwrap().remove(member);
    document
}

// ---------------------------------------------------------------- the URL

/// MUST, §3.
#[test]
fn c01_the_scheme_is_https() {
    for text in [
        "http://app.example/client.json",
        "HTTPS://app.example/client.json",
        "hTTps://app.example/client.json",
        "ftp://app.example/client.json",
        "com.example.app://app.example/client.json",
    ] {
        assert_eq!(refused(text), ManifestUrlProblem::NotHttps, "{text}");
    }
    for text in ["", "app.example/client.json", "//app.example/client.json", "https:/app.example/client.json", "https:app.example/c"] {
        assert!(matches!(refused(text), ManifestUrlProblem::Uri(_)), "{text}");
    }
    assert_eq!(url(URL).as_str(), URL);
}

/// MUST have a path, SHOULD NOT be the slash alone, §3.
#[test]
fn c02_there_is_a_path_beyond_the_slash() {
    for text in ["https://app.example", "https://app.example/", "https://app.example//", "https://app.example?a", "https://app.example/?a"]
    {
        assert_eq!(refused(text), ManifestUrlProblem::Path, "{text}");
    }
    for text in ["https://app.example/c", "https://app.example/c/", "https://app.example//c"] {
        assert_eq!(url(text).as_str(), text);
    }
}

/// MUST, §3; `%2e` counts as a dot before any parser has decoded it.
#[test]
fn c03_no_segment_is_a_dot_or_two() {
    for path in ["./c", "../c", "a/./c", "a/../c", "a/..", "a/.", "%2e%2e/c", "%2E./c", ".%2e/c", "a/%2E/c", "a/%2e%2E", "..", "../?c"] {
        assert_eq!(refused(&format!("https://app.example/{path}")), ManifestUrlProblem::DotSegment, "{path}");
    }
    for path in ["...", ".well-known/c", "a..b", "a.", "..a", "%2e%2e%2e", "a?b=../c"] {
        url(&format!("https://app.example/{path}"));
    }
}

/// MUST, §3.
#[test]
fn c04_no_fragment_and_no_user_information() {
    use crate::redirect::RedirectProblem::{Fragment, UserInfo};
    for (text, problem) in [
        ("https://app.example/c#", Fragment),
        ("https://app.example/c#a", Fragment),
        ("https://user@app.example/c", UserInfo),
        ("https://user:secret@app.example/c", UserInfo),
        ("https://@app.example/c", UserInfo),
        ("https://app.example@127.0.0.1/c", UserInfo),
    ] {
        assert_eq!(refused(text), ManifestUrlProblem::Uri(problem), "{text}");
    }
}

/// SHOULD NOT have a query, MAY have a port, §3.
#[test]
fn c05_a_query_is_a_warning_and_a_port_is_fine() {
    let with_port = url("https://app.example:8443/c");
    assert_eq!((with_port.host(), with_port.port(), with_port.authority()), ("app.example", 8443, "app.example:8443"));
    let with_query = url("https://app.example/c?v=1");
    assert_eq!((with_query.path_and_query(), with_query.port()), ("/c?v=1", 443));
    let document = document(json!({ "client_id": with_query.as_str() }));
    let manifest = parse(&with_query, document.to_string().as_bytes(), Profile::Mcp).unwrap();
    assert_eq!(manifest.warnings, [Warning::AuthMethodAssumed, Warning::Query]);
}

/// MUST, §4.1: what libraries would normalise is refused before anybody can disagree about it.
#[test]
fn c06_a_url_that_has_two_spellings_is_refused() {
    for text in ["https://app.example:443/c", "https://app.example:0443/c", "https://app.example:08443/c"] {
        assert_eq!(refused(text), ManifestUrlProblem::Port, "{text}");
    }
    for text in
        ["https://App.example/c", "https://app.EXAMPLE/c", "https://-app.example/c", "https://app-.example/c", "https://a_b.example/c"]
    {
        assert_eq!(refused(text), ManifestUrlProblem::Host, "{text}");
    }
    for text in ["https://app.example/c?a='", "https://app.example/[c]"] {
        assert_eq!(refused(text), ManifestUrlProblem::Rewritten, "{text}");
    }
    for text in [
        "https://app.example./c",
        "https://app..example/c",
        "https://app.example/a b",
        " https://app.example/c",
        "https://app.example/c\n",
        "https://app.example\\c",
        "https://app.example/\u{e9}",
        "https://\u{ff41}pp.example/c",
        "https://app.example/%zz",
        "https://app%2eexample/c",
        "https://app.example:/c",
        "https://app.example:65536/c",
        &format!("https://app.example/{}", "a".repeat(2029)),
    ] {
        assert!(matches!(refused(text), ManifestUrlProblem::Uri(_)), "{text}");
    }
    url(&format!("https://app.example/{}", "a".repeat(2028)));
}

/// MUST, §6.5: an address in the URL would not be looked up, so it is refused in every spelling.
#[test]
fn c21_a_host_is_a_name_and_never_a_number() {
    for text in ["https://93.184.215.14/c", "https://10.0.0.1/c", "https://[2606:4700::1111]/c", "https://[::ffff:127.0.0.1]/c"] {
        assert_eq!(refused(text), ManifestUrlProblem::Address, "{text}");
    }
    for text in [
        "https://127.1/c",
        "https://0177.0.0.1/c",
        "https://0x7f000001/c",
        "https://2130706433/c",
        "https://app.0x7f/c",
        "https://[::1%25lo]/c",
    ] {
        assert!(matches!(refused(text), ManifestUrlProblem::Uri(_)), "{text}");
    }
}

/// MUST, §6.5: for development only.
#[test]
fn c23_this_very_host_is_for_development() {
    for text in [
        "http://localhost:8080/c",
        "http://127.0.0.1/c",
        "http://[::1]:9/c",
        "https://localhost/c",
        "https://127.0.0.1:8443/c",
        "https://[::1]/c",
    ] {
        assert!(ManifestUrl::parse(text).is_err(), "{text}");
        let url = ManifestUrl::parse_for_development(text).unwrap();
        assert!(url.is_loopback() && url.as_str() == text, "{text}");
    }
    let v6 = ManifestUrl::parse_for_development("http://[::1]:9/c").unwrap();
    assert_eq!((v6.host(), v6.port(), v6.authority()), ("[::1]", 9, "[::1]:9"));
    assert_eq!(ManifestUrl::parse_for_development("https://[::1]/c").unwrap().host(), "[::1]");
    for text in [
        "http://app.example/c",
        "http://127.0.0.2/c",
        "http://[::ffff:127.0.0.1]/c",
        "http://LOCALHOST/c",
        "http://localhost:80/c",
        "http://10.0.0.1/c",
        "http://localhost/",
    ] {
        assert!(ManifestUrl::parse_for_development(text).is_err(), "{text}");
    }
    assert!(!ManifestUrl::parse_for_development(URL).unwrap().is_loopback());
}

#[test]
fn a_client_id_that_claims_to_be_a_url_is_known_from_one_that_is_not() {
    for text in [URL, "http://localhost/c", "HTTPS://APP.EXAMPLE", "https:", "http:app"] {
        assert!(is_url_client_id(text), "{text}");
    }
    for text in ["", "app", "0198c2a0-0000-7000-8000-000000000001", "com.example.app:/c", "htt\u{e9}ps:"] {
        assert!(!is_url_client_id(text), "{text}");
    }
    assert_eq!(url(URL).client_id(), crate::identity::ClientId::parse(URL).unwrap());
}

proptest::proptest! {
    #[test]
    fn whatever_url_is_accepted_is_kept_to_the_letter_and_splits_without_loss(text in "https://[a-z0-9.:%@\\[\\]-]{0,20}[ -~]{0,30}") {
        if let Ok(url) = ManifestUrl::parse_for_development(&text) {
            proptest::prop_assert_eq!(url.as_str(), text.as_str());
            let whole = format!("https://{}{}", url.authority(), url.path_and_query());
            proptest::prop_assert_eq!(whole.as_str(), text.as_str());
            proptest::prop_assert!(url.authority().starts_with(url.host()) && url.port() > 0);
            proptest::prop_assert!(!url.host().contains('@'));
        }
    }
}

// ---------------------------------------------------------------- the document

/// MUST, §4.1: simple string comparison.
#[test]
fn c06_the_document_names_its_url_to_the_letter() {
    assert!(with(json!({})).is_ok());
    for other in [
        json!("https://APP.example/oauth/client.json"),
        json!("https://app.example:443/oauth/client.json"),
        json!("https://app.example/oauth/client.json/"),
        json!("https://app.example/oauth/%63lient.json"),
        json!("http://app.example/oauth/client.json"),
        json!(" https://app.example/oauth/client.json"),
        json!([URL]),
        json!(null),
        json!(""),
    ] {
        assert_eq!(with(json!({ "client_id": other })), Err(ManifestError::ClientId));
    }
    assert_eq!(read(&without("client_id")), Err(ManifestError::ClientId));
}

/// MUST, §4.1.
#[test]
fn c09_it_is_one_json_object_that_reads_in_one_way() {
    for text in ["", "[]", "null", "{", "{}{}", "\u{feff}{}", "<!doctype html>", "{\"client_id\": 1, \"client_id\": 2}"] {
        let error = parse(&url(URL), text.as_bytes(), Profile::Mcp).unwrap_err();
        assert_eq!(error.trouble(), Trouble::NotJson, "{text}");
    }
    let repeated = format!("{{\"client_id\": \"https://evil.example/c\", \"client_id\": \"{URL}\"}}");
    assert_eq!(parse(&url(URL), repeated.as_bytes(), Profile::Mcp).unwrap_err().trouble(), Trouble::NotJson);
    assert_eq!(parse(&url(URL), b"{\"a\": \"\xff\"}", Profile::Mcp), Err(ManifestError::Json(JsonProblem::NotUtf8)));
}

/// MUST NOT, §4.1.
#[test]
fn c10_a_way_to_authenticate_that_needs_a_shared_secret_is_refused() {
    for method in ["client_secret_basic", "client_secret_post", "client_secret_jwt", "client_secret_whatever"] {
        let offered = json!({ "token_endpoint_auth_method": method, "token_endpoint_auth_methods_supported": ["none"] });
        for members in [json!({ "token_endpoint_auth_method": method }), offered] {
            assert_eq!(with(members).unwrap_err().trouble(), Trouble::AuthMethod, "{method}");
        }
    }
    assert_eq!(with(json!({ "token_endpoint_auth_method": "tls_client_auth" })).unwrap_err().trouble(), Trouble::AuthMethod);
    assert_eq!(with(json!({ "token_endpoint_auth_method": ["none"] })).unwrap_err().trouble(), Trouble::Metadata);
    let only_secrets = json!({ "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"] });
    assert_eq!(with(only_secrets).unwrap_err().trouble(), Trouble::AuthMethod);
}

/// MUST NOT, §4.1.
#[test]
fn c11_a_secret_in_the_document_is_refused_whatever_its_value() {
    for members in [
        json!({ "client_secret": "hunter2" }),
        json!({ "client_secret": null }),
        json!({ "client_secret": "" }),
        json!({ "client_secret_expires_at": 0 }),
        json!({ "client_secret_expires_at": null, "token_endpoint_auth_method": "none" }),
    ] {
        assert_eq!(with(members.clone()).unwrap_err().trouble(), Trouble::Secret, "{members}");
    }
}

/// MUST NOT, §4.1 of draft-02.
#[test]
fn c12_private_key_material_is_refused() {
    let key = |extra: &str| {
        let mut key = json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" });
        key[extra] = json!("AA");
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key] } })
    };
    assert_eq!(with(key("kid")).unwrap().metadata.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert_eq!(
            with(key(private)).unwrap_err().to_string(),
            "jwks[0] is a key with private or symmetric key material; right are public keys",
            "{private}"
        );
    }
}

/// Our choice, documented in ARCHITECTURE.md: the RFC 7591 default would be a secret, which a document cannot have.
#[test]
fn c13_an_omitted_way_to_authenticate_is_none() {
    let manifest = with(json!({})).unwrap();
    assert_eq!((manifest.metadata.token_endpoint_auth_method, &*manifest.warnings), (AuthMethod::None, &[Warning::AuthMethodAssumed][..]));
    for (offered, keys, taken) in [
        (json!(["private_key_jwt", "none"]), true, AuthMethod::None),
        (json!(["private_key_jwt", "client_secret_basic"]), true, AuthMethod::PrivateKeyJwt),
        (json!(["none", "client_secret_basic"]), false, AuthMethod::None),
    ] {
        for chosen in [json!(null), json!("attest_jwt_client_auth")] {
            let mut members = json!({ "token_endpoint_auth_methods_supported": offered, "token_endpoint_auth_method": chosen });
            if keys {
                members["jwks_uri"] = json!("https://app.example/jwks");
            }
            let manifest = with(members).unwrap();
            assert_eq!(manifest.metadata.token_endpoint_auth_method, taken, "{offered}");
            assert_eq!(manifest.warnings, [Warning::AuthMethodNegotiated]);
        }
    }
    let keyless = json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt"] });
    assert_eq!(with(keyless).unwrap_err().trouble(), Trouble::AuthMethod);
    // What it can do beside what it chose says nothing.
    let chosen = json!({ "token_endpoint_auth_method": "none", "token_endpoint_auth_methods_supported": ["private_key_jwt"] });
    assert_eq!(with(chosen).unwrap().warnings, []);
}

/// MUST, MCP 2026-07-28, client registration.
#[test]
fn c14_the_mcp_profile_needs_a_name_and_a_redirect_uri() {
    for (member, values) in [("client_name", [json!(null), json!(""), json!("  ")]), ("redirect_uris", [json!(null), json!(""), json!([])])]
    {
        assert_eq!(read(&without(member)), Err(ManifestError::Missing(member)));
        for value in values {
            assert_eq!(with(json!({ member: value })), Err(ManifestError::Missing(member)));
        }
    }
    let nameless = without("client_name").to_string();
    assert_eq!(parse(&url(URL), nameless.as_bytes(), Profile::Ietf).unwrap().metadata.client_name, None);
    let device = json!({ "client_id": URL, "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"] }).to_string();
    assert!(parse(&url(URL), device.as_bytes(), Profile::Ietf).unwrap().metadata.redirect_uris.is_empty());
    let nothing = json!({ "client_id": URL }).to_string();
    assert_eq!(parse(&url(URL), nothing.as_bytes(), Profile::Ietf).unwrap_err().trouble(), Trouble::Metadata);
}

fn left_out(manifest: &Manifest) -> Vec<&str> {
    manifest.left_out.iter().map(|left_out| &*left_out.member).collect()
}

/// MUST, §4.5: what could not be matched safely is not registered.
#[test]
fn c16_every_redirect_uri_is_one_that_may_be_registered() {
    for uri in
        ["http://app.example/cb", "https://app.example/cb#f", "javascript:alert(1)", "https://*.example/cb", "https://a@b.example/", "/cb"]
    {
        let manifest = with(json!({ "redirect_uris": ["https://app.example/cb", uri] })).unwrap();
        let kept: Vec<_> = manifest.metadata.redirect_uris.iter().map(crate::redirect::RedirectUri::as_str).collect();
        assert_eq!(kept, ["https://app.example/cb"], "{uri}");
        assert_eq!(left_out(&manifest), ["redirect_uris"], "{uri}");
        let error = with(json!({ "redirect_uris": [uri] })).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Metadata, "{uri}");
    }
    assert_eq!(with(json!({ "redirect_uris": "https://app.example/cb" })).unwrap_err().trouble(), Trouble::Metadata);
}

/// MAY, §6.1: another host is shown, not refused.
#[test]
fn c17_an_answer_that_goes_to_another_host_is_a_warning() {
    let warnings = |uris: Value| with(json!({ "redirect_uris": uris, "token_endpoint_auth_method": "none" })).unwrap().warnings;
    assert_eq!(warnings(json!(["https://relay.example/cb"])), [Warning::RedirectElsewhere]);
    assert_eq!(
        warnings(json!(["https://app.example:8443/cb", "http://localhost/cb", "com.example.app:/cb", "https://APP.example/cb"])),
        []
    );
}

/// MUST, §6.5 of draft-02: URLs inside the document are fetched under the same rules.
#[test]
fn c22_the_urls_inside_are_held_to_the_same_rules() {
    for uri in
        ["https://10.0.0.1/jwks", "https://[::1]/jwks", "https://localhost/jwks", "https://app.example", "https://app.example/../jwks"]
    {
        let error = with(json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri })).unwrap_err();
        assert_eq!(error.to_string(), "jwks_uri is not a URL that a client's document may name", "{uri}");
    }
    for uri in ["file:///etc/passwd", "data:image/png;base64,AA", "gopher://app.example/"] {
        let manifest = with(json!({ "logo_uri": uri })).unwrap();
        assert_eq!((manifest.metadata.logo_uri.as_ref(), left_out(&manifest)), (None, vec!["logo_uri"]), "{uri}");
    }
    let logo = |uri: &str| with(json!({ "logo_uri": uri, "token_endpoint_auth_method": "none" })).unwrap().warnings;
    assert_eq!(logo("https://app.example/logo.png"), []);
    assert_eq!(logo("https://cdn.example/logo.png"), [Warning::LogoElsewhere]);
    let own = ManifestUrl::parse_for_development("http://localhost:9/c").unwrap();
    let document = document(json!({ "client_id": own.as_str(), "jwks_uri": "https://localhost:9/jwks" })).to_string();
    assert!(parse(&own, document.as_bytes(), Profile::Mcp).is_ok());
}

/// MUST, §4.1.
#[test]
fn c33_members_that_nobody_knows_are_ignored_and_their_names_kept() {
    let manifest = with(json!({ "resource": "x", "vendor": { "a": [1] }, "registration_access_token": "t" })).unwrap();
    assert_eq!(manifest.ignored, ["registration_access_token", "resource", "vendor"].map(Box::from));
}

#[test]
fn grants_that_cannot_be_given_are_left_out_and_one_must_remain() {
    let grants = |members: Value| {
        let manifest = with(members).unwrap();
        (manifest.metadata.grant_types, manifest.warnings.contains(&Warning::GrantStripped))
    };
    let code = vec![GrantType::AuthorizationCode];
    assert_eq!(grants(json!({})), (code.clone(), false));
    assert_eq!(grants(json!({ "grant_types": ["authorization_code", "implicit", "urn:x"] })), (code.clone(), true));
    assert_eq!(grants(json!({ "grant_types": ["authorization_code", "client_credentials"] })), (code, true));
    let keys = json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/j" });
    assert_eq!(grants(keys), (vec![GrantType::ClientCredentials], false));
    assert_eq!(grants(json!({ "grant_types": [1, "authorization_code"] })), (vec![GrantType::AuthorizationCode], true));
    for bad in [json!(["implicit"]), json!(["client_credentials"]), json!([1])] {
        assert_eq!(with(json!({ "grant_types": bad })).unwrap_err().trouble(), Trouble::Metadata, "{bad}");
    }
}

#[derive(Deserialize)]
struct Vendor {
    about: String,
    document: Value,
    method: String,
    grants: Vec<String>,
    warnings: Vec<String>,
    ignored: Vec<Box<str>>,
}

#[test]
fn the_documents_of_known_vendors_are_accepted() {
    let vendors: Vec<Vendor> = serde_json::from_str(include_str!("../../tests/vendor_documents.json")).unwrap();
    assert_eq!(vendors.len(), 6);
    for vendor in vendors {
        let url = url(vendor.document["client_id"].as_str().unwrap());
        for profile in Profile::ALL {
            let manifest = parse(&url, vendor.document.to_string().as_bytes(), *profile).expect(&vendor.about);
            assert_eq!(manifest.metadata.token_endpoint_auth_method.as_str(), vendor.method, "{}", vendor.about);
            let grants: Vec<_> = manifest.metadata.grant_types.iter().map(|grant| grant.as_str()).collect();
            assert_eq!(grants, vendor.grants, "{}", vendor.about);
            let warnings: Vec<_> = manifest.warnings.iter().map(|warning| warning.as_str()).collect();
            assert_eq!(warnings, vendor.warnings, "{}", vendor.about);
            assert_eq!(manifest.ignored, vendor.ignored, "{}", vendor.about);
        }
    }
}

#[test]
fn the_words_for_troubles_are_distinct_and_say_what_they_mean_for_the_document() {
    let mut words: Vec<_> = Trouble::ALL.iter().map(|trouble| trouble.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Trouble::ALL.len());
    let of = |kind| Trouble::ALL.iter().filter(|trouble| trouble.kind() == kind).count();
    assert_eq!((of(TroubleKind::Transport), of(TroubleKind::Withdrawn), of(TroubleKind::NotTried)), (9, 2, 3));
}
