//! What one stranger has the service keep or do: used assertions, changes of a registration, long metadata, key sets, near-equal names.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::figure;
use crate::server::Server;

/// The attacker's address, 127.0.0.2, and a bystander's.
const ATTACKER: u8 = 2;
const BYSTANDER: u8 = 3;
const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// No ceiling for what prepares an attack.
const OPEN: (&str, &str) = ("registrations-per-minute", "0");

/// A caller from an address of its own, with connections that stay open.
struct Caller<'a> {
    server: &'a Server,
    http: Client,
}

impl<'a> Caller<'a> {
    fn from(server: &'a Server, last: u8) -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        Self { server, http: Client::builder().no_proxy().local_address(address).timeout(Duration::from_secs(20)).build().unwrap() }
    }

    fn to(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.server.address))
    }

    async fn ask(request: RequestBuilder) -> (u16, Value, Duration) {
        let asked = Instant::now();
        let Ok(answer) = request.send().await else { return (0, Value::Null, asked.elapsed()) };
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap_or_default();
        (status, serde_json::from_slice(&body).unwrap_or_default(), asked.elapsed())
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> (u16, Value, Duration) {
        let request = self.to(Method::POST, path).json(body);
        Self::ask(if let Some(token) = token { request.bearer_auth(token) } else { request }).await
    }

    async fn register(&self, body: &Value) -> (u16, Value, Duration) {
        self.post("/oauth/register", None, body).await
    }

    async fn token(&self, assertion: &str) -> (u16, Value, Duration) {
        let form = format!("grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}", JWT.replace(':', "%3A"));
        let kind = "application/x-www-form-urlencoded";
        Self::ask(self.to(Method::POST, "/oauth/token").header("content-type", kind).body(form)).await
    }
}

fn run(attack: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(attack);
}

/// The middle one, and the longest.
fn felt(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |index: usize| took.get(index).copied().unwrap_or_default();
    format!("p50 {:.2?}, longest {:.2?}", at(took.len() / 2), at(took.len().saturating_sub(1)))
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Keys of a client that signs: how it is registered, and how it signs.
struct Signer(aws_lc_rs::pkcs8::Document);

impl Signer {
    fn new() -> Self {
        let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self(pair.to_pkcs8v1().unwrap())
    }

    fn key(&self) -> EncodingKey {
        EncodingKey::from_ec_der(self.0.as_ref())
    }

    async fn enters(&self, caller: &Caller<'_>, admin: &str, name: &str) -> String {
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&self.key(), Algorithm::ES256).unwrap();
        let body = json!({ "client_name": name, "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [jwk] } });
        let path = "/authsec/resource-servers/67617465-626f-4f6b-8000-000000000001/clients";
        caller.post(path, Some(admin), &body).await.1["client_id"].as_str().unwrap().to_owned()
    }

    fn signs(&self, client: &str, audience: &str, id: usize) -> String {
        let claims =
            json!({ "iss": client, "sub": client, "aud": audience, "iat": seconds(), "exp": seconds() + 590, "jti": id.to_string() });
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key()).unwrap()
    }
}

/// One client of 100,000 assertions, each good for ten minutes.
pub fn assertions(binary: &Path) {
    run(async {
        let server = Server::start(binary, &[OPEN], None);
        let (attacker, bystander) = (Caller::from(&server, ATTACKER), Caller::from(&server, BYSTANDER));
        let (admin, keys, audience) = (server.token("admin", "ada"), Signer::new(), format!("http://{}", server.address));
        let (loud, quiet) = (keys.enters(&bystander, &admin, "loud").await, keys.enters(&bystander, &admin, "quiet").await);
        let first = bystander.token(&keys.signs(&quiet, &audience, 0)).await;
        figure("bystander's client before", first.0);
        let (mut taken, mut held, begun) = (0, 0, Instant::now());
        for id in 0..101_000 {
            match attacker.token(&keys.signs(&loud, &audience, id)).await.0 {
                200 => taken += 1,
                _ => held += 1,
            }
            if held > 100 {
                break;
            }
        }
        figure("assertions that the attacker had taken", taken);
        figure("seconds that took", begun.elapsed().as_secs());
        figure("the attacker's next", attacker.token(&keys.signs(&loud, &audience, 200_000)).await.0);
        figure("bystander's client after", bystander.token(&keys.signs(&quiet, &audience, 1)).await.0);
        figure("memory, in MB", server.memory());
    });
}

/// Metadata of about so many bytes, whose redirect URIs differ from one number to the next.
fn long(bytes: usize, number: usize) -> Value {
    let uri = |place: usize| format!("https://app.example/{number}/{place}/{}", "x".repeat(900));
    json!({ "client_name": "long", "redirect_uris": (0..bytes / 930).map(uri).collect::<Vec<_>>() })
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map_while(Result::ok);
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |found| found.len()) }).sum()
}

/// One client changes itself 300 times, as long as it may be.
pub fn changes(binary: &Path) {
    run(async {
        let server = Server::start(binary, &[OPEN], None);
        let (attacker, bystander) = (Caller::from(&server, ATTACKER), Caller::from(&server, BYSTANDER));
        let decider = server.token("decider", "authorization-server");
        let mut bytes = 60_000;
        let mut own = attacker.register(&long(bytes, 0)).await;
        if own.0 != 201 {
            bytes = 15_000;
            own = attacker.register(&long(bytes, 0)).await;
        }
        figure("bytes of the metadata that it is let in with", bytes);
        let (id, token) =
            (own.1["client_id"].as_str().unwrap().to_owned(), own.1["registration_access_token"].as_str().unwrap().to_owned());
        let before = size(&server.data());
        let (mut changed, mut cost) = (0_u64, Vec::new());
        for number in 1..=300 {
            let mut body = long(bytes, number);
            body["client_id"] = id.clone().into();
            let put = attacker.to(Method::PUT, &format!("/oauth/register/{id}")).bearer_auth(&token).json(&body);
            if Caller::ask(put).await.0 == 200 {
                changed += 1;
                cost.push(bystander.post("/oauth/decisions", Some(&decider), &json!({ "client_id": id })).await.2);
            }
        }
        figure("changes of 300 that were taken", changed);
        figure("KB on disk for each", (size(&server.data()) - before) / 1024 / changed.max(1));
        figure("a decision about it, after the last changes", felt(cost.split_off(cost.len().saturating_sub(10))));
        figure("memory, in MB", server.memory());
    });
}

/// Registrations as long as they may be, at the usual ceiling for one source.
pub fn long_metadata(binary: &Path) {
    run(async {
        let server = Server::start(binary, &[], None);
        let attacker = Caller::from(&server, ATTACKER);
        for bytes in [60_000, 15_000] {
            let before = size(&server.data());
            let mut taken = 0_u64;
            for number in 0..30 {
                taken += u64::from(attacker.register(&long(bytes, number)).await.0 == 201);
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            let each = (size(&server.data()) - before) / 1024 / taken.max(1);
            figure(&format!("of 30 with {bytes} bytes taken"), taken);
            figure("KB on disk for each", each);
            figure("GB a day from one source", if taken == 0 { 0 } else { each * 60 * 24 * 60 / (1 << 20) });
        }
    });
}

/// 700 clients whose key sets are each at another URL that does not answer, then a client with a document that is new.
pub fn key_sets(binary: &Path) {
    run(async {
        let server = Server::start(binary, &[OPEN, ("allow-loopback-manifests", "true")], None);
        let (attacker, bystander) = (Caller::from(&server, ATTACKER), Caller::from(&server, BYSTANDER));
        let decider = server.token("decider", "authorization-server");
        let (keys, audience) = (Signer::new(), format!("http://{}", server.address));
        let url = host_a_document();
        // A port that was just given back: each fetch ends at once.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut ids = Vec::new();
        for number in 0..700 {
            let body = json!({ "client_name": format!("agent {number}"), "redirect_uris": ["https://app.example/cb"],
                "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": format!("https://localhost:{closed}/{number}") });
            ids.extend(attacker.register(&body).await.1["client_id"].as_str().map(str::to_owned));
        }
        let mut refused = 0;
        for (number, id) in ids.iter().enumerate() {
            refused += u64::from(attacker.token(&keys.signs(id, &audience, number)).await.0 == 503);
        }
        figure("calls that the attacker made", ids.len());
        figure("of them not tried, with 503", refused);
        let asked = bystander.post("/oauth/decisions", Some(&decider), &json!({ "client_id": url })).await;
        figure("a decision about a bystander's new document", format!("{} {}", asked.1["decision"], asked.1["reason"]));
    });
}

/// A document of a client on this machine; its URL.
fn host_a_document() -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/client.json", listener.local_addr().unwrap());
    let body = json!({ "client_id": url, "client_name": "Bystander", "redirect_uris": ["https://bystander.example/cb"] }).to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _head = stream.read(&mut [0; 4096]);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _gone = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

/// 3,000 names that differ by one character from a bystander's, and others who write meanwhile.
pub fn near_names(binary: &Path) {
    run(async {
        let server = Server::start(binary, &[OPEN], None);
        let (attacker, bystander) = (Caller::from(&server, ATTACKER), Caller::from(&server, BYSTANDER));
        let decider = server.token("decider", "authorization-server");
        let named = |name: &str, uri: &str| json!({ "client_name": name, "redirect_uris": [uri], "token_endpoint_auth_method": "none" });
        let own = bystander.register(&named("Claude Code", "http://localhost:4000/cb")).await.1["client_id"].clone();
        let decide = async |write: bool| {
            let mut took = Vec::new();
            for number in 0..100 {
                if write {
                    bystander.register(&named(&format!("Weather {number}"), "https://weather.example/cb")).await;
                }
                took.push(bystander.post("/oauth/decisions", Some(&decider), &json!({ "client_id": own })).await.2);
            }
            felt(took)
        };
        figure("decisions before", decide(false).await);
        figure("decisions before, each after a write of others", decide(true).await);
        for number in 0..3000_u32 {
            let letter = char::from_u32(0x4e00 + number).unwrap();
            attacker.register(&named(&format!("Claud{letter} Code"), "https://flood.example/cb")).await;
        }
        figure("decisions after", decide(false).await);
        figure("decisions after, each after a write of others", decide(true).await);
        let mut took = Vec::new();
        for number in 0..100 {
            let fresh = bystander.register(&named("Claude Codf", &format!("https://h{number}.example/cb"))).await.1["client_id"].clone();
            took.push(bystander.post("/oauth/decisions", Some(&decider), &json!({ "client_id": fresh })).await.2);
        }
        figure("first decisions about clients that are new", felt(took));
    });
}
