//! Redirect URIs: what may be registered, over HTTP; and what a request may name later. The authorization server asks that, so
//! those lines are held against the matcher that it has from us.

use gatebook_events::redirect::{RedirectUri, RedirectUris};
use serde_json::json;

use crate::answer::Answer;
use crate::house::House;

async fn register(house: &House, uri: &str) -> Answer {
    house.anyone().post("/oauth/register", json!({ "redirect_uris": [uri] })).await
}

/// Each is registered and echoed to the letter.
async fn all_kept(house: &House, uris: &[&str]) {
    for uri in uris {
        assert_eq!(register(house, uri).await.is(201)["redirect_uris"], json!([uri]));
    }
}

/// Each is `invalid_redirect_uri`, and leaves nothing behind.
async fn all_refused(house: &House, uris: &[&str]) {
    let before = house.head().await;
    for uri in uris {
        let answer = register(house, uri).await;
        assert_eq!((answer.status, &answer["error"]), (400, &json!("invalid_redirect_uri")), "{uri:?}");
    }
    assert_eq!(house.head().await, before);
}

#[track_caller]
fn matching(registered: &str, requested: &str, expected: bool) {
    assert_eq!(RedirectUri::parse(registered).unwrap().matches(requested), expected, "{registered} against {requested}");
}

/// MUST · RFC 6749 §3.1.2 · An absolute URI whose query is kept; a fragment, an empty one too, is refused.
#[tokio::test]
async fn u01_a_redirect_uri_is_absolute_and_has_no_fragment() {
    let house = House::open().await;
    all_kept(&house, &["https://app.example/cb", "https://app.example/cb?a=b&c=%20", "https://app.example"]).await;
    all_refused(&house, &["/cb", "//app.example/cb", "app.example/cb", "", "https://app.example/cb#x", "https://app.example/cb#"]).await;
}

/// MUST · RFC 9700 §2.6, RFC 8252 §7.3 · Plain http is for `127.0.0.1`, `[::1]` and `localhost`.
#[tokio::test]
async fn u02_plain_http_is_for_loopback_hosts() {
    let house = House::open().await;
    all_kept(&house, &["http://127.0.0.1/cb", "http://[::1]:9/cb", "http://localhost:33417/cb", "http://localhost/"]).await;
    all_refused(&house, &["http://app.example/cb", "http://192.168.1.10/cb", "http://0.0.0.0/cb", "http://[2001:db8::1]/cb"]).await;
}

/// MUST · RFC 9700 §4.1 · The host is what it seems to be: none that a URL library would read as another, none that only begins
/// or ends like a loopback host.
#[tokio::test]
async fn u03_no_host_passes_for_another() {
    let house = House::open().await;
    let hosts = ["localhost.evil.com", "localhost@evil.com", "127.0.0.1.evil.com", "127.1", "0177.0.0.1", "2130706433", "0x7f.0.0.1"];
    let plain: Vec<String> = hosts.iter().map(|host| format!("http://{host}/cb")).collect();
    all_refused(&house, &plain.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let numbers = ["https://127.1/cb", "https://2130706433/cb", "https://0x7f000001/cb", "https://1.2.3/cb", "https:///cb", "https:/cb"];
    all_refused(&house, &numbers).await;
    all_refused(&house, &["http://[::ffff:127.0.0.1]/cb", "http://[0:0:0:0:0:0:0:1]/cb", "http://localhost./cb", "http://127.0.0.2/cb"])
        .await;
}

/// POLICY · RFC 9700 §4.1 · User information, wildcards, backslashes, white space, control characters and anything outside ASCII
/// are refused.
#[tokio::test]
async fn u04_nothing_is_registered_that_two_readers_could_read_differently() {
    let house = House::open().await;
    all_refused(&house, &["https://user@app.example/cb", "https://user:pw@app.example/cb", "https://@app.example/cb"]).await;
    all_refused(&house, &["https://*.example.com/cb", "https://app.example/*", "https://app.example\\@evil.com/cb"]).await;
    all_refused(&house, &["https://app.example/a b", "https://app.example/\tcb", "https://app.example/\r\ncb", "https://app.example/\0"])
        .await;
    all_refused(&house, &["https://bücher.example/cb", "https://app.example/é", "http://\u{24db}ocalhost/cb"]).await;
}

/// POLICY · RFC 7591 §5 · Schemes that run, open or read something on the user's machine are refused, for native clients too, in
/// any case, and whatever a policy lists.
#[tokio::test]
async fn u05_hostile_schemes_are_refused() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "private_use_schemes": ["javascript", "data", "file", "intent", "view-source"] } })).await;
    let uris = ["javascript:alert(1)", "JavaScript:alert(1)", "javascript://app.example/%0aalert(1)", "data:text/html,x", "vbscript:x"];
    all_refused(&house, &uris).await;
    let uris = ["file:///etc/passwd", "blob:https://app.example/1", "about:blank", "ws://app.example/", "wss://app.example/"];
    all_refused(&house, &uris).await;
    all_refused(&house, &["view-source:https://app.example/", "intent://scan/", "filesystem:https://app.example/x", "jar:x!/"]).await;
}

/// SHOULD · RFC 8252 §7.1, §8.4 · A private-use scheme has a period: the reverse of a domain; with one slash or an authority.
#[tokio::test]
async fn u06_a_private_use_scheme_is_a_domain_reversed() {
    let house = House::open().await;
    all_kept(&house, &["com.example.app:/cb", "com.example.app://callback/path"]).await;
    all_refused(&house, &["myide:/cb", "app://callback", "com.example.app:", "1com.example:/cb"]).await;
}

/// POLICY · RFC 8252 §7.1 · A scheme without a period is welcome where the resource server's policy lists it; `cursor` is listed in
/// a fresh instance.
#[tokio::test]
async fn u07_a_policy_may_list_schemes_without_a_period() {
    let house = House::open().await;
    let cursor = "cursor://anysphere.cursor-mcp/oauth/callback";
    all_kept(&house, &[cursor]).await;
    house.edit_default(json!({ "policy": { "private_use_schemes": ["myide"] } })).await;
    all_kept(&house, &["myide://cb"]).await;
    all_refused(&house, &[cursor]).await;
}

/// MUST · RFC 9700 §2.1, §4.1.3 · (the matcher) Redirect URIs are compared as texts: no case, port, slash or percent-encoding is
/// made alike.
#[test]
fn u08_redirect_uris_are_compared_as_texts() {
    matching("https://a.example/cb", "https://a.example/cb", true);
    for other in
        ["https://A.example/cb", "https://a.example/CB", "https://a.example/cb/", "https://a.example:443/cb", "HTTPS://a.example/cb"]
    {
        matching("https://a.example/cb", other, false);
    }
    matching("https://a.example/%7Ecb", "https://a.example/~cb", false);
    matching("https://a.example/%7Ecb", "https://a.example/%7ecb", false);
    matching("https://a.example", "https://a.example/", false);
    matching("https://a.example/cb?a=1&b=2", "https://a.example/cb?b=2&a=1", false);
}

/// MUST · RFC 8252 §7.3 · (the matcher) A loopback redirect matches with any port, registered with one or without; scheme, host,
/// path and query are still compared.
#[test]
fn u09_the_port_of_a_loopback_redirect_is_not_compared() {
    for registered in ["http://127.0.0.1/cb?a=1", "http://127.0.0.1:33417/cb?a=1"] {
        for requested in ["http://127.0.0.1/cb?a=1", "http://127.0.0.1:1/cb?a=1", "http://127.0.0.1:65535/cb?a=1"] {
            matching(registered, requested, true);
        }
        for requested in
            ["http://127.0.0.1:9/cb", "http://127.0.0.1:9/cb?a=2", "http://127.0.0.1:9/other?a=1", "https://127.0.0.1:9/cb?a=1"]
        {
            matching(registered, requested, false);
        }
    }
}

/// SHOULD · RFC 9700 §4.1.3, RFC 8252 §8.3 · (the matcher) `localhost` is a loopback host too, and none of the three stands for
/// another.
#[test]
fn u10_localhost_is_a_loopback_host_and_not_another_name_of_the_address() {
    let hosts = ["127.0.0.1", "[::1]", "localhost"];
    for registered in hosts {
        for requested in hosts {
            matching(&format!("http://{registered}/cb"), &format!("http://{requested}:33417/cb"), registered == requested);
        }
    }
}

/// POLICY · RFC 3986 §3.2.3 · (the matcher, and HTTP) A port is a number from 1 to 65535. Port 80 and none are alike on a loopback
/// host only; a port of an https URI is compared.
#[tokio::test]
async fn u11_ports_are_numbers_and_forgiven_on_loopback_hosts_only() {
    let house = House::open().await;
    all_refused(
        &house,
        &["https://app.example:0/cb", "https://app.example:65536/cb", "http://localhost:99999/cb", "https://a.example:/cb"],
    )
    .await;
    matching("http://127.0.0.1/cb", "http://127.0.0.1:80/cb", true);
    for port in ["0", "65536", "99999", "", "+80", "80a"] {
        matching("http://127.0.0.1/cb", &format!("http://127.0.0.1:{port}/cb"), false);
    }
    matching("https://a.example:444/cb", "https://a.example:445/cb", false);
    matching("https://localhost/cb", "https://localhost:444/cb", false);
    matching("com.example.app://h/cb", "com.example.app://h:1/cb", false);
}

/// MUST · RFC 6749 §3.1.2.3, §3.1.2.4 · (the matcher) Of several registered URIs the one that the request names is found, and nothing
/// stands in for one that is not. To insist on `redirect_uri`, and to show the error rather than send it, is the authorization
/// server's.
#[test]
fn u12_what_was_not_registered_matches_none_of_several() {
    let registered = RedirectUris::parse(["https://a.example/cb", "https://b.example/cb", "http://localhost/cb"]).unwrap();
    assert_eq!(registered.matching("https://b.example/cb").unwrap().as_str(), "https://b.example/cb");
    assert_eq!(registered.matching("http://localhost:50000/cb").unwrap().as_str(), "http://localhost/cb");
    for requested in ["", "https://c.example/cb", "https://a.example/other", "http://127.0.0.1:50000/cb"] {
        assert_eq!(registered.matching(requested), None, "{requested}");
    }
}

/// SHOULD · RFC 9700 §4.1.3 · (the matcher) What is registered is a whole URI, never the beginning of one.
#[test]
fn u13_a_registered_uri_is_no_prefix() {
    for requested in ["https://a.example/cb/more", "https://a.example/cb?x=1", "https://a.example/cb/../evil", "https://a.example/cbx"] {
        matching("https://a.example/cb", requested, false);
    }
    matching("http://localhost/", "http://localhost:9/cb", false);
}
