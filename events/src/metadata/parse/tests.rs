//! The rules of RFC 7591 §2 one by one; R4 to R25 are the lines of the checklist that each test stands for.
//! Why this file is long: every member of RFC 7591 §2 stands here, good and hostile.

use serde_json::json;

use super::*;

const WEB: &str = "https://app.example/cb";
const LOOPBACK: &str = "http://127.0.0.1:33417/cb";
const PRIVATE_USE: &str = "com.example.app:/cb";

fn read(request: Value) -> Result<Parsed, MetadataError> {
    let Value::Object(members) = request else { unreachable!("a request is an object") };
    parse(members)
}

/// A request with one acceptable redirect URI, and these members besides.
fn with(members: Value) -> Result<Parsed, MetadataError> {
    let mut request = json!({ "redirect_uris": [WEB] });
    if let (Value::Object(request), Value::Object(members)) = (&mut request, members) {
        request.extend(members);
    }
    read(request)
}

fn accepted(members: Value) -> ClientMetadata {
    with(members).unwrap().metadata
}

#[track_caller]
fn refused(request: Value, member: &str, problem: &str) {
    let text = request.to_string();
    let error = read(request).unwrap_err();
    assert_eq!((error.member, error.problem.to_string().as_str()), (member, problem), "{text}");
}

// ---------------------------------------------------------------- defaults

#[test]
fn r6_r7_what_is_omitted_gets_the_default_of_the_rfc() {
    let parsed = with(json!({})).unwrap();
    assert_eq!(
        serde_json::to_value(parsed.metadata.members()).unwrap(),
        json!({
            "redirect_uris": [WEB],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "application_type": "web",
        })
    );
    assert_eq!(parsed.ignored, Vec::<Box<str>>::new());
}

#[test]
fn r6_a_native_client_is_public_unless_it_says_otherwise() {
    let table = [
        (json!({ "redirect_uris": [LOOPBACK] }), ApplicationType::Native, AuthMethod::None),
        (json!({ "redirect_uris": ["http://localhost/cb", "http://[::1]/cb", PRIVATE_USE] }), ApplicationType::Native, AuthMethod::None),
        (json!({ "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"] }), ApplicationType::Native, AuthMethod::None),
        (json!({ "redirect_uris": [WEB], "application_type": "native" }), ApplicationType::Native, AuthMethod::None),
        // One answer that leaves the machine is enough to be no native client.
        (json!({ "redirect_uris": [LOOPBACK, WEB] }), ApplicationType::Web, AuthMethod::ClientSecretBasic),
        (json!({ "grant_types": ["client_credentials"] }), ApplicationType::Web, AuthMethod::ClientSecretBasic),
        (
            json!({ "redirect_uris": [LOOPBACK], "token_endpoint_auth_method": "client_secret_post" }),
            ApplicationType::Native,
            AuthMethod::ClientSecretPost,
        ),
        (json!({ "redirect_uris": [WEB], "token_endpoint_auth_method": "none" }), ApplicationType::Web, AuthMethod::None),
    ];
    for (request, application_type, method) in table {
        let metadata = read(request.clone()).unwrap().metadata;
        assert_eq!((metadata.application_type, metadata.token_endpoint_auth_method), (application_type, method), "{request}");
        assert_eq!(metadata.is_confidential(), method != AuthMethod::None);
    }
}

#[test]
fn a_registration_as_real_clients_send_it_is_accepted() {
    let metadata = read(json!({
        "client_name": "Claude Code",
        "redirect_uris": ["http://localhost:33417/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
    }))
    .unwrap()
    .metadata;
    assert_eq!(metadata.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    assert_eq!(metadata.response_types, [ResponseType::Code]);
    assert!(!metadata.needs_secret());
}

#[test]
fn nulls_and_empty_texts_count_as_omitted_whatever_the_member() {
    for nothing in [json!(null), json!("")] {
        let mut request = json!({ "redirect_uris": [WEB] });
        for name in [
            "token_endpoint_auth_method",
            "grant_types",
            "response_types",
            "application_type",
            "client_name",
            "client_name#fr",
            "client_uri",
            "logo_uri",
            "tos_uri",
            "policy_uri",
            "scope",
            "contacts",
            "jwks_uri",
            "jwks",
            "software_id",
            "software_version",
            "x_unknown",
        ] {
            request.as_object_mut().unwrap().insert(name.to_owned(), nothing.clone());
        }
        assert_eq!(read(request).unwrap(), with(json!({})).unwrap());
    }
    for empty in ["grant_types", "response_types", "contacts"] {
        assert_eq!(with(json!({ empty: [] })).unwrap(), with(json!({})).unwrap(), "{empty}");
    }
    assert_eq!(accepted(json!({ "scope": "   " })).scope, None);
    assert_eq!(accepted(json!({ "contacts": ["", "a@b.example"] })).contacts, ["a@b.example".into()]);
}

// ---------------------------------------------------------------- what is ignored

#[test]
fn r4_r17_members_that_are_not_known_are_named_in_order_and_their_values_are_not_kept() {
    let parsed = with(json!({
        "zeta": "sesame-value",
        "software_statement": "ey.sesame-value.x",
        "client_id": "sesame-value",
        "client_secret": "sesame-value",
        "alpha": { "nested": "sesame-value" },
        "Client_Name": "sesame-value",
    }))
    .unwrap();
    let names = ["Client_Name", "alpha", "client_id", "client_secret", "software_statement", "zeta"];
    assert_eq!(parsed.ignored, names.map(Box::from));
    assert!(!format!("{parsed:?}").contains("sesame-value"));
    assert_eq!(parsed.metadata, accepted(json!({})));
}

#[test]
fn names_that_are_ignored_are_bounded_in_number_and_length_and_printable() {
    let mut request = json!({ "redirect_uris": [WEB], "x".repeat(64): 1, "y".repeat(65): 1, "tab\t": 1, "na\u{ef}ve": 1 });
    assert_eq!(read(request.clone()).unwrap().ignored, ["x".repeat(64).into_boxed_str()]);
    for number in 0..100 {
        request.as_object_mut().unwrap().insert(format!("a{number:03}"), json!(1));
    }
    let ignored = read(request).unwrap().ignored;
    assert_eq!((ignored.len(), ignored.first().unwrap().as_ref(), ignored.last().unwrap().as_ref()), (50, "a000", "a049"));
}

// ---------------------------------------------------------------- redirect URIs

#[test]
fn r5_a_redirect_based_grant_needs_a_redirect_uri_and_no_other_grant_does() {
    let required = "is required for the authorization_code grant";
    refused(json!({}), "redirect_uris", required);
    refused(json!({ "redirect_uris": [] }), "redirect_uris", required);
    refused(json!({ "redirect_uris": null }), "redirect_uris", required);
    refused(json!({ "grant_types": ["client_credentials", "authorization_code"] }), "redirect_uris", required);
    for grant in ["client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"] {
        let metadata = read(json!({ "grant_types": [grant] })).unwrap().metadata;
        assert!(metadata.redirect_uris.is_empty() && metadata.response_types.is_empty(), "{grant}");
    }
}

#[test]
fn r5_r15_redirect_uris_that_are_no_list_of_good_uris_are_refused_as_redirect_uris() {
    let shape = "is not an array of strings";
    refused(json!({ "redirect_uris": WEB }), "redirect_uris", shape);
    refused(json!({ "redirect_uris": [WEB, 7] }), "redirect_uris", "is not a string");
    refused(json!({ "redirect_uris": [[WEB]] }), "redirect_uris", "is not a string");
    refused(json!({ "redirect_uris": { "0": WEB } }), "redirect_uris", shape);
    refused(json!({ "redirect_uris": [""] }), "redirect_uris", "is empty");
    refused(json!({ "redirect_uris": [WEB, "https://app.example/#"] }), "redirect_uris", "has a fragment");
    for request in [json!({ "redirect_uris": 1 }), json!({}), json!({ "redirect_uris": ["javascript:alert(1)"] })] {
        assert!(matches!(read(request).unwrap_err().problem, Problem::Redirect(_) | Problem::RedirectUri(_)));
    }
}

#[test]
fn r24_a_repeated_redirect_uri_counts_once() {
    assert_eq!(accepted(json!({ "redirect_uris": [WEB, LOOPBACK, WEB] })).redirect_uris.len(), 2);
}

#[test]
fn r25_a_client_that_calls_itself_web_has_only_https_redirect_uris() {
    let problem = "is a loopback or private-use URI, which application_type \"web\" does not allow; right is https, or \"native\"";
    for uri in [LOOPBACK, "http://localhost/cb", PRIVATE_USE] {
        refused(json!({ "application_type": "web", "redirect_uris": [WEB, uri] }), "redirect_uris", problem);
        assert!(read(json!({ "application_type": "native", "redirect_uris": [WEB, uri] })).is_ok(), "{uri}");
        assert!(read(json!({ "redirect_uris": [WEB, uri] })).is_ok(), "{uri}");
    }
    let problem = "is none that is supported here; supported are web and native";
    refused(json!({ "application_type": "spa", "redirect_uris": [WEB] }), "application_type", problem);
}

// ---------------------------------------------------------------- grants and response types

#[test]
fn r8_inconsistent_grants_and_response_types_are_refused() {
    let uris = json!([WEB]);
    refused(
        json!({ "redirect_uris": uris, "grant_types": ["authorization_code"], "response_types": ["token"] }),
        "response_types",
        "lacks code, which the authorization_code grant needs",
    );
    refused(
        json!({ "redirect_uris": uris, "response_types": ["id_token token"] }),
        "response_types",
        "lacks code, which the authorization_code grant needs",
    );
    refused(
        json!({ "grant_types": ["client_credentials"], "response_types": ["code"] }),
        "response_types",
        "has code, which needs the authorization_code grant",
    );
    refused(
        json!({ "grant_types": ["client_credentials"], "response_types": ["token"] }),
        "response_types",
        "has no response type that is supported here; supported is code, and none may be said",
    );
}

#[test]
fn r9_r10_what_is_not_supported_is_left_out_and_nothing_left_is_refused() {
    let metadata = accepted(json!({
        "grant_types": ["implicit", "authorization_code", "password", "refresh_token", "authorization_code"],
        "response_types": ["token", "code", "code"],
    }));
    assert_eq!(metadata.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    assert_eq!(metadata.response_types, [ResponseType::Code]);
    for grants in [json!(["implicit"]), json!(["password"]), json!(["AUTHORIZATION_CODE"]), json!([""])] {
        refused(json!({ "redirect_uris": [WEB], "grant_types": grants }), "grant_types", NO_GRANT);
    }
}

#[test]
fn a_public_client_has_no_client_credentials_grant() {
    let problem = "has client_credentials, which a client with token_endpoint_auth_method \"none\" cannot use";
    refused(json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none" }), "grant_types", problem);
    refused(json!({ "redirect_uris": [LOOPBACK], "grant_types": ["authorization_code", "client_credentials"] }), "grant_types", problem);
}

// ---------------------------------------------------------------- keys

fn key() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "kid": "1", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" })
}

#[test]
fn r11_keys_come_by_value_or_by_reference_and_never_both() {
    let set = json!({ "keys": [key()] });
    let by_value = accepted(json!({ "jwks": set, "token_endpoint_auth_method": "private_key_jwt" }));
    assert_eq!(by_value.jwks.unwrap().as_value(), &set);
    let uri = "https://app.example/jwks.json";
    let by_reference = accepted(json!({ "jwks_uri": uri, "token_endpoint_auth_method": "private_key_jwt" }));
    assert_eq!(by_reference.jwks_uri.unwrap().as_str(), uri);
    refused(json!({ "redirect_uris": [WEB], "jwks": set, "jwks_uri": uri }), "jwks", "and jwks_uri must not both be present");
    refused(json!({ "redirect_uris": [WEB], "jwks_uri": "http://app.example/jwks.json" }), "jwks_uri", "is not an https URL");
    refused(
        json!({ "redirect_uris": [WEB], "token_endpoint_auth_method": "private_key_jwt" }),
        "token_endpoint_auth_method",
        "is private_key_jwt, which needs jwks or jwks_uri",
    );
}

/// Generators write such a set where they have none.
#[test]
fn w5_a_key_set_without_a_key_counts_as_absent() {
    for empty in [json!({}), json!({ "keys": [] }), json!({ "keys": null })] {
        let beside =
            accepted(json!({ "jwks": empty, "jwks_uri": "https://app.example/jwks", "token_endpoint_auth_method": "private_key_jwt" }));
        assert!(beside.jwks.is_none() && beside.jwks_uri.is_some(), "{empty}");
        for method in ["none", "client_secret_basic"] {
            assert!(accepted(json!({ "jwks": empty, "token_endpoint_auth_method": method })).jwks.is_none(), "{empty} {method}");
        }
        let needed = json!({ "redirect_uris": [WEB], "jwks": empty, "token_endpoint_auth_method": "private_key_jwt" });
        refused(needed, "token_endpoint_auth_method", "is private_key_jwt, which needs jwks or jwks_uri");
    }
}

#[test]
fn r12_private_or_symmetric_key_material_is_refused() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut private = key();
        private.as_object_mut().unwrap().insert(member.to_owned(), json!("AQAB"));
        let set = json!({ "keys": [key(), private] });
        refused(
            json!({ "redirect_uris": [WEB], "jwks": set }),
            "jwks",
            "is a key with private or symmetric key material; right are public keys",
        );
    }
}

#[test]
fn r12_a_key_set_has_one_to_ten_keys_of_a_known_form() {
    let shape = "is not an object with an array \"keys\" of one to ten keys";
    for set in [json!([]), json!("text"), json!({ "a": 1 }), json!({ "keys": {} })] {
        // An empty text is an omission, any other text is not a set.
        refused(json!({ "redirect_uris": [WEB], "jwks": set }), "jwks", shape);
    }
    refused(json!({ "redirect_uris": [WEB], "jwks": { "keys": vec![key(); 11] } }), "jwks", shape);
    refused(json!({ "redirect_uris": [WEB], "jwks": { "keys": ["text"] } }), "jwks", "is a key that is not an object");
    assert!(with(json!({ "jwks": { "keys": vec![key(); 10] } })).is_ok());
    for set in [json!({ "keys": [{}] }), json!({ "keys": [{ "kty": 1 }] })] {
        refused(json!({ "redirect_uris": [WEB], "jwks": set }), "jwks", "is a key without a \"kty\"");
    }
    // Such a number was another one after it had been stored; a fuzz target found it.
    for number in [json!(1e-8), json!(0.5), json!(3.3e66), json!(-0.0)] {
        let mut key = key();
        key["exp"] = json!([number]);
        let problem = "has a number that is not a whole one of at most 64 bits";
        refused(json!({ "redirect_uris": [WEB], "jwks": { "keys": [key] } }), "jwks", problem);
    }
    let mut key = key();
    key["exp"] = json!(1_900_000_000);
    assert!(with(json!({ "jwks": { "keys": [key] } })).is_ok());
}

// ---------------------------------------------------------------- texts for people

#[test]
fn r13_members_with_a_language_tag_are_kept_under_their_whole_name_beside_the_untagged_one() {
    let metadata = accepted(json!({
        "client_name": "Example",
        "client_name#ja-Jpan-JP": "\u{4f8b}",
        "client_name#fr": "Exemple",
        "client_uri#fr": "https://app.example/fr",
        "logo_uri#de-CH-1996": "https://app.example/logo",
        "tos_uri#en": "https://app.example/tos",
        "policy_uri#en": "http://app.example/policy",
    }));
    assert_eq!(metadata.localized.len(), 6);
    let members = metadata.members();
    assert_eq!(members.get("client_name"), Some(&json!("Example")));
    assert_eq!(members.get("client_name#ja-Jpan-JP"), Some(&json!("\u{4f8b}")));
    assert_eq!(members.get("logo_uri#de-CH-1996"), Some(&json!("https://app.example/logo")));
    assert_eq!(members.get("localized"), None);
}

#[test]
fn r14_a_malformed_language_tag_makes_an_unknown_member() {
    let names = [
        "client_name#",
        "client_name#-fr",
        "client_name#fr-",
        "client_name#fr--CA",
        "client_name#f1",
        "client_name#fr_CA",
        "client_name#toolonglanguage",
        "client_name#fr#CA",
        "scope#fr",
        "redirect_uris#fr",
        "client_name#a-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa",
    ];
    for name in names {
        let parsed = with(json!({ name: "text" })).unwrap();
        assert_eq!((parsed.metadata.localized.len(), parsed.ignored), (0, vec![Box::from(name)]), "{name}");
    }
}

#[test]
fn r14_localized_members_are_judged_like_their_untagged_ones_and_bounded_in_number() {
    let bad = "with a language tag is no name: too long, nothing to see, or hidden characters";
    let link = "with a language tag is not an http or https URL";
    refused(json!({ "redirect_uris": [WEB], "client_name#fr": "\u{202e}elpmaxE" }), "client_name", bad);
    refused(json!({ "redirect_uris": [WEB], "logo_uri#fr": "javascript:alert(1)" }), "logo_uri", link);
    refused(json!({ "redirect_uris": [WEB], "client_name#fr": 7 }), "client_name", "with a language tag is not a string");
    let many = |count: usize| {
        let mut request = json!({ "redirect_uris": [WEB] });
        for number in 0..count {
            request.as_object_mut().unwrap().insert(format!("client_name#fr-x{number:03}"), json!("Exemple"));
        }
        request
    };
    assert_eq!(read(many(50)).unwrap().metadata.localized.len(), 50);
    refused(many(51), "client_name", "and the other localized members are more than 50");
}

#[test]
fn r23_a_text_for_people_is_short_and_hides_or_reorders_nothing() {
    for member in ["client_name", "software_id", "software_version"] {
        // 256 characters, not bytes.
        assert!(with(json!({ member: "\u{4f8b}".repeat(256) })).is_ok(), "{member}");
        refused(json!({ "redirect_uris": [WEB], member: "x".repeat(257) }), member, "is longer than 256 characters");
    }
    // The controls of Unicode's bidirectional algorithm, and what looks like nothing at all.
    let misleading = "\0\t\n\r\u{7f}\u{85}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\
                      \u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
    for character in misleading.chars() {
        let error = with(json!({ "client_name": format!("pay{character}pal") })).unwrap_err();
        assert_eq!(error.member, "client_name");
        assert!(error.to_string().contains("character"), "{error}");
    }
    for name in ["Caf\u{e9} \u{1f9ea}", "\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}", "O'Brien & S\u{f8}n <b>"] {
        assert_eq!(accepted(json!({ "client_name": name })).client_name.as_deref(), Some(name));
    }
}

#[test]
fn r23_contacts_are_at_most_ten_short_texts() {
    assert_eq!(accepted(json!({ "contacts": vec!["ops@app.example"; 10] })).contacts.len(), 10);
    let said = |contacts: Value| with(json!({ "contacts": contacts })).unwrap_err().to_string();
    assert_eq!(said(json!(vec!["ops@app.example"; 11])), "contacts has more than 10 entries");
    assert_eq!(said(json!(["a", "x".repeat(257)])), "contacts[1] is longer than 256 characters");
    assert!(said(json!(["a\nb"])).starts_with("contacts[0] has a control character"));
}

#[test]
fn r16_links_are_web_urls_and_are_kept_to_the_letter() {
    for member in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
        for link in ["https://app.example", "http://App.Example:8080/a%20b?c=d"] {
            assert_eq!(accepted(json!({ member: link })).members().get(member), Some(&json!(link)));
        }
        refused(json!({ "redirect_uris": [WEB], member: "javascript:alert(1)" }), member, "is not an http or https URL");
        refused(json!({ "redirect_uris": [WEB], member: "/relative" }), member, "is not an absolute URI");
        refused(json!({ "redirect_uris": [WEB], member: "https://user@app.example/" }), member, "has user information before the host");
    }
}

// ---------------------------------------------------------------- scope and types

#[test]
fn r15_r23_a_scope_is_one_short_text_of_the_characters_that_rfc_6749_allows() {
    assert_eq!(accepted(json!({ "scope": "mcp:read  mcp:write mcp:read" })).scope.unwrap().as_str(), "mcp:read mcp:write");
    assert_eq!(accepted(json!({ "scope": "!#$%&'()*+,-./:;<=>?@[]^_`{|}~" })).scope.unwrap().tokens().count(), 1);
    assert!(with(json!({ "scope": "x".repeat(4096) })).is_ok());
    let problem = "has a character that RFC 6749 section 3.3 does not allow, or is too long";
    for scope in ["a\"b", "a\\b", "a\tb", "a\nb", "caf\u{e9}", "a\u{7f}"] {
        refused(json!({ "redirect_uris": [WEB], "scope": scope }), "scope", problem);
    }
    refused(json!({ "redirect_uris": [WEB], "scope": "x".repeat(4097) }), "scope", problem);
}

#[test]
fn r15_a_known_member_of_another_json_type_is_refused() {
    let texts = [
        "token_endpoint_auth_method",
        "application_type",
        "client_name",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "scope",
        "jwks_uri",
        "software_id",
        "software_version",
    ];
    for member in texts {
        for value in [json!(1), json!(true), json!(["read"]), json!({}), json!([])] {
            refused(json!({ "redirect_uris": [WEB], member: value }), member, "is not a string");
        }
    }
    for member in ["grant_types", "response_types", "contacts"] {
        for value in [json!("authorization_code"), json!(1), json!({})] {
            refused(json!({ "redirect_uris": [WEB], member: value }), member, "is not an array of strings");
        }
        for value in [json!([1]), json!([null])] {
            refused(json!({ "redirect_uris": [WEB], member: value }), member, "is not a string");
        }
    }
}

#[test]
fn auth_methods_that_are_not_supported_are_refused_rather_than_replaced() {
    for method in ["client_secret_jwt", "tls_client_auth", "NONE", "client_secret_basic "] {
        refused(json!({ "redirect_uris": [WEB], "token_endpoint_auth_method": method }), "token_endpoint_auth_method", NO_METHOD);
    }
}

#[test]
fn a_refusal_names_which_entry_of_a_list_is_at_fault_and_what_is_right() {
    let said = |members: Value| with(members).unwrap_err().to_string();
    let fragment = json!({ "redirect_uris": [WEB, LOOPBACK, "https://app.example/#"] });
    assert_eq!(said(fragment), "redirect_uris[2] has a fragment");
    assert_eq!(said(json!({ "redirect_uris": [WEB, "http://app.example/cb"] })).split(' ').next(), Some("redirect_uris[1]"));
    assert_eq!(said(json!({ "redirect_uris": [WEB, 7] })), "redirect_uris[1] is not a string");
    let web = json!({ "application_type": "web", "redirect_uris": [WEB, LOOPBACK] });
    assert!(said(web).starts_with("redirect_uris[1] is a loopback"));
    assert_eq!(said(json!({ "grant_types": ["authorization_code", 1] })), "grant_types[1] is not a string");
    let mut private = key();
    private["d"] = json!("AQAB");
    assert!(said(json!({ "jwks": { "keys": [key(), private] } })).starts_with("jwks[1] is a key with private"));
    for grant in GrantType::ALL {
        assert!(NO_GRANT.contains(grant.as_str()), "{}", grant.as_str());
    }
    for method in AuthMethod::ALL {
        assert!(NO_METHOD.contains(method.as_str()), "{}", method.as_str());
    }
}

#[test]
fn r8_a_name_has_something_to_see_and_joiners_where_words_need_them() {
    for name in ["\u{3164}", "\u{115f}", "\u{2800}", " ", "\u{a0}\u{3000}", "\u{fe0f}", "\u{200d}"] {
        assert_eq!(with(json!({ "client_name": name })).unwrap_err().member, "client_name", "{name:?}");
        assert_eq!(with(json!({ "client_name#fr": name })).unwrap_err().member, "client_name", "{name:?}");
    }
    for name in [
        "\u{646}\u{631}\u{645}\u{200c}\u{627}\u{641}\u{632}\u{627}\u{631}",
        "\u{1f469}\u{200d}\u{1f4bb} Agent",
        "\u{915}\u{94d}\u{200d}\u{937}",
    ] {
        assert_eq!(accepted(json!({ "client_name": name })).client_name.as_deref(), Some(name));
    }
}

#[test]
fn a_refusal_names_the_member_in_ascii_and_repeats_nothing_that_was_sent() {
    let table = [
        json!({ "redirect_uris": ["https://\u{e9}.example/sesame-value"] }),
        json!({ "redirect_uris": [WEB], "client_name": "sesame-value\u{202e}" }),
        json!({ "redirect_uris": [WEB], "scope": "sesame-value\"" }),
        json!({ "redirect_uris": [WEB], "jwks": { "keys": [{ "kty": "oct", "k": "sesame-value" }] } }),
        json!({ "redirect_uris": [WEB], "client_name#fr": ["sesame-value"] }),
    ];
    for request in table {
        let sentence = read(request).unwrap_err().to_string();
        assert!(sentence.is_ascii() && !sentence.contains("sesame-value") && !sentence.ends_with('.'), "{sentence}");
    }
}

#[test]
fn what_was_parsed_is_stored_and_read_back_without_loss_and_parses_to_itself() {
    let first = with(json!({
        "application_type": "native",
        "redirect_uris": [WEB, LOOPBACK, PRIVATE_USE],
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "client_name": "Example",
        "client_name#fr": "Exemple",
        "client_uri": "https://app.example",
        "scope": "mcp:read",
        "contacts": ["ops@app.example"],
        "jwks": { "keys": [key()] },
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.2",
    }))
    .unwrap();
    let stored = serde_json::to_string(&first.metadata).unwrap();
    assert_eq!(serde_json::from_str::<ClientMetadata>(&stored).unwrap(), first.metadata);
    // A client that sends back what it was answered (RFC 7592 §2.2) changes nothing.
    assert_eq!(parse(first.metadata.members()).unwrap(), first);
}

#[test]
fn r25_a_client_may_send_back_the_type_that_it_was_told_and_is_not_held_to_it() {
    let mixed = json!({ "redirect_uris": ["https://app.example/cb", "http://localhost:8787/cb"], "token_endpoint_auth_method": "none" });
    let Value::Object(mixed) = mixed else { panic!("an object") };
    let registered = parse(mixed.clone()).unwrap().metadata;
    assert_eq!(registered.application_type, ApplicationType::Web);
    let mut sent_back = mixed;
    sent_back.insert("application_type".to_owned(), "web".into());
    assert!(parse(sent_back.clone()).is_err(), "as a choice of its own it would not fit");
    assert_eq!(parse_replacement(sent_back, &registered).unwrap().metadata, registered);
}
