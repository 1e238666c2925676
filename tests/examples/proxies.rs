//! Gatebook and an authorization server behind one proxy: clients see one issuer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Certificate, Client, Method, Response, StatusCode, redirect};
use serde_json::{Value, json};

use crate::instance::{Caller, DEFAULT_SERVER, Instance, PATIENCE, has, text};
use crate::programs::{Examples, Program, free_port, not_run};

#[tokio::test]
async fn clients_see_one_issuer_behind_nginx() {
    one_issuer("nginx", |world, site| nginx(world, "proxy/nginx.conf", site)).await;
}

#[tokio::test]
async fn clients_see_one_issuer_behind_caddy() {
    one_issuer("caddy", |world, site| caddy(world, "proxy/Caddyfile", site)).await;
}

#[tokio::test]
async fn w2_clients_find_an_issuer_with_a_path_behind_nginx() {
    an_issuer_with_a_path("nginx", |world, site| nginx(world, "proxy/nginx-path.conf", site)).await;
}

#[tokio::test]
async fn w2_clients_find_an_issuer_with_a_path_behind_caddy() {
    an_issuer_with_a_path("caddy", |world, site| caddy(world, "proxy/Caddyfile-path", site)).await;
}

fn nginx(world: &World, example: &str, site: &Site) -> Command {
    let site = world.place(example, site);
    let main = world.examples.file("nginx-main.conf");
    let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|what| format!("{what}_temp_path {what};")).join("\n");
    // Started by root, its workers would be somebody who cannot read a test's folder.
    let user = if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) { "user root;" } else { "" };
    let http = format!("access_log off;\n{scratch}\ninclude {};", site.display());
    fs::write(&main, format!("{user}\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{http}\n}}\n")).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(world.examples.folder()).arg("-c").arg(main).args(["-e", "stderr", "-g", "daemon off;"]);
    command
}

fn caddy(world: &World, example: &str, site: &Site) -> Command {
    let site = world.place(example, site);
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(site).env("HOME", world.examples.folder());
    command.env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    command
}

/// RFC 8414 §3.1 behind a proxy: the metadata are where clients look for them, name one issuer, and all that they lead to is there.
async fn an_issuer_with_a_path(proxy: &str, start: impl FnOnce(&World, &Site) -> Command) {
    const PATH: &str = "/realms/acme";
    if !has(proxy) {
        return not_run(&format!("an issuer with a path behind {proxy}"), "it is not installed");
    }
    let world = World::new(Examples::without_packages());
    let port = free_port();
    let issuer = format!("https://localhost:{port}{PATH}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authorization_server = listener.local_addr().unwrap().port();
    let document = json!({ "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        "authorization_response_iss_parameter_supported": true });
    let pages = axum::Router::new().route(
        &format!("{PATH}/.well-known/openid-configuration"),
        axum::routing::get(move || std::future::ready(axum::Json(document.clone()))),
    );
    tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
    let trust = world.certificate.to_str().unwrap();
    let flags = [
        "--public-url",
        &issuer,
        "--upstream-issuer",
        &issuer,
        "--trusted-proxies",
        "127.0.0.1",
        "--address-detail",
        "full",
        "--extra-ca-file",
        trust,
    ];
    let service = Instance::start_with(&world.examples.file("data"), &flags);
    let site = Site { port, register: service.url.clone(), authorization_server };
    let _proxy = Program::start(&mut start(&world, &site), &world.examples.file("proxy.log"), port);
    let host = Outside { http: world.client(), issuer: format!("https://localhost:{port}") };

    let metadata: Value = host.get(&format!("/.well-known/oauth-authorization-server{PATH}")).await.json().await.unwrap();
    assert_eq!(metadata["issuer"], issuer, "{metadata}");
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true, "{metadata}");
    let outside = Outside { http: host.http.clone(), issuer };
    let at = |path: &str| json!(format!("{}{path}", outside.issuer));
    assert_eq!(metadata["registration_endpoint"], at("/oauth/register"), "{metadata}");
    let admin = Caller::admin(&service, &world.examples.file("data"));
    outside.registers(&admin).await;
    let of_tokens: Value = host.get(&format!("/.well-known/oauth-authorization-server{PATH}/oauth")).await.json().await.unwrap();
    assert_eq!((&of_tokens["issuer"], &of_tokens["token_endpoint"]), (&at("/oauth"), &at("/oauth/token")), "{of_tokens}");
    let keys = outside.http.get(of_tokens["jwks_uri"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(keys.status(), StatusCode::OK);
    for path in ["/oauth/token", &format!("{}/oauth/register", rs())] {
        let answer = outside.http.post(format!("{}{path}", outside.issuer)).body("x").send().await.unwrap();
        assert!(answer.headers().contains_key("x-request-id"), "{path} does not lead to the register: {}", answer.status());
    }
    outside.reaches_nothing_else().await;
}

/// Where the proxy listens and what it is in front of.
struct Site {
    port: u16,
    register: String,
    authorization_server: u16,
}

struct World {
    examples: Examples,
    certificate: PathBuf,
    key: PathBuf,
}

impl World {
    fn new(examples: Examples) -> Self {
        let (certificate, key) = draw_certificate(examples.folder());
        Self { examples, certificate, key }
    }

    /// Somebody outside, who trusts the proxy's certificate.
    fn client(&self) -> Client {
        let pem = Certificate::from_pem(&fs::read(&self.certificate).unwrap()).unwrap();
        Client::builder().no_proxy().timeout(PATIENCE).redirect(redirect::Policy::none()).tls_certs_merge([pem]).build().unwrap()
    }

    /// The example as it stands there, with the places of this test. Each place that it names has to be in it.
    fn place(&self, example: &str, site: &Site) -> PathBuf {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let mut config = fs::read_to_string(self.examples.file(example)).unwrap();
        let register = site.register.strip_prefix("http://").unwrap();
        let places: Vec<(&str, String)> = match example {
            "proxy/nginx.conf" | "proxy/nginx-path.conf" => vec![
                ("listen 443 ssl;", format!("listen 127.0.0.1:{} ssl;", site.port)),
                ("/etc/ssl/auth.example.com.pem", certificate.to_string()),
                ("/etc/ssl/auth.example.com.key", key.to_string()),
                ("server_name auth.example.com;", "server_name localhost;".to_owned()),
            ],
            _ => vec![(
                "\nauth.example.com {",
                format!("\n{{\nadmin off\nauto_https off\n}}\nhttps://localhost:{} {{\nbind 127.0.0.1\ntls {certificate} {key}", site.port),
            )],
        };
        let behind = [("127.0.0.1:8080", register.to_owned()), ("127.0.0.1:3000", format!("127.0.0.1:{}", site.authorization_server))];
        for (written, meant) in places.into_iter().chain(behind) {
            assert!(config.contains(written), "{example} does not say `{written}`");
            config = config.replace(written, &meant);
        }
        let file = self.examples.file("site.conf");
        fs::write(&file, config).unwrap();
        file
    }

    /// One of the example's programs, which trusts the proxy's certificate.
    fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(self.examples.file(script)).env("NODE_EXTRA_CA_CERTS", &self.certificate).env_remove("LISTEN");
        command
    }
}

/// Everything that has to hold behind a proxy.
async fn one_issuer(proxy: &str, start: impl FnOnce(&World, &Site) -> Command) {
    if !has(proxy) {
        return not_run(&format!("one issuer behind {proxy}"), "it is not installed");
    }
    let Some(examples) = Examples::take(&format!("one issuer behind {proxy}")) else { return };
    let world = World::new(examples);
    let (port, authorization_server, resource_server) = (free_port(), free_port(), free_port());
    let issuer = format!("https://localhost:{port}");
    let data = world.examples.file("data");
    let trust = world.certificate.to_str().unwrap();
    let service = Instance::start_with(
        &data,
        &[
            &["--public-url", &issuer, "--upstream-issuer", &issuer, "--trusted-proxies", "127.0.0.1"][..],
            &["--address-detail", "full", "--extra-ca-file", trust],
            // There are two resource servers below, and MCP clients name none when they register.
            &["--default-resource-server", DEFAULT_SERVER.rsplit('/').next().unwrap()],
        ]
        .concat(),
    );
    let admin = Caller::admin(&service, &data);
    let resource = format!("http://127.0.0.1:{resource_server}/mcp");
    let (status, _) = admin.call(Method::PATCH, DEFAULT_SERVER, Some(&json!({ "resource": resource }))).await.unwrap();
    assert_eq!(status, 200);
    let scopes = ["gatebook:decide", "gatebook:authenticate"];
    let token = admin.post("/authsec/service-tokens", &json!({ "label": "example", "scopes": scopes })).await;
    let places = [
        ("ISSUER", issuer.as_str()),
        ("GATEBOOK", &service.url),
        ("REGISTRATION_ENDPOINT", &format!("{issuer}/oauth/register")),
        ("SERVICE_TOKEN", token["service_token"].as_str().unwrap()),
        ("RESOURCE", &resource),
        ("TOKEN_ISSUER", &format!("{issuer}/oauth")),
        ("BEHIND_PROXY", "1"),
    ];
    let log = |name: &str| world.examples.file(name);
    let mut command = world.node("oidc-provider/server.js");
    let command = command.envs(places).env("LISTEN", authorization_server.to_string());
    let _authorization_server = Program::start(command, &log("oidc-provider.log"), authorization_server);
    let _resource_server = Program::start(world.node("mcp-server/server.js").envs(places), &log("mcp-server.log"), resource_server);
    let site = Site { port, register: service.url.clone(), authorization_server };
    let _proxy = Program::start(&mut start(&world, &site), &log("proxy.log"), port);

    let outside = Outside { http: world.client(), issuer };
    outside.metadata_are_of_one_issuer().await;
    let client = outside.registers(&admin).await;
    outside.the_authorization_server_holds_to_the_register(&client, &resource).await;
    outside.reaches_nothing_else().await;

    outside.a_job_calls(&admin, &resource).await;

    let walk = |arguments: &[&str]| {
        let output = world.node("client.js").args([&resource, "--yes"]).args(arguments).output().unwrap();
        format!("{}{}", text(output.stdout), text(output.stderr))
    };
    let said = walk(&[]);
    assert!(said.contains("\nwhoami: developer by "), "{said}\n{}", fs::read_to_string(log("oidc-provider.log")).unwrap());
    let id = said.lines().find_map(|line| line.strip_prefix("client_id: ")).unwrap();
    admin.post(&format!("{DEFAULT_SERVER}/clients/{id}/suspend"), &json!({ "reason": "a test" })).await;
    let said = walk(&["--client-id", id]);
    assert_eq!(said.lines().last(), Some("refused: unauthorized_client: this client may not act here: suspended"), "{said}");
}

/// Somebody who only sees the proxy.
struct Outside {
    http: Client,
    issuer: String,
}

impl Outside {
    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.issuer)).send().await.unwrap()
    }

    /// RFC 8414 §3.3, RFC 9207 §2.4
    async fn metadata_are_of_one_issuer(&self) {
        let document: Value = self.get("/.well-known/oauth-authorization-server").await.json().await.unwrap();
        let at = |path: &str| json!(format!("{}{path}", self.issuer));
        assert_eq!(document["issuer"], at(""), "{document}");
        assert_eq!(document["registration_endpoint"], at("/oauth/register"), "{document}");
        assert_eq!(document["authorization_endpoint"], at("/auth"), "{document}");
        assert_eq!(document["token_endpoint"], at("/token"), "{document}");
        assert_eq!(document["authorization_response_iss_parameter_supported"], true, "{document}");
        // The authorization server's answers name the one issuer, so a resource server has none of its own.
        assert_eq!(self.get(&format!("/.well-known/oauth-authorization-server{}", rs())).await.status(), StatusCode::NOT_FOUND);
        let of_tokens: Value = self.get("/.well-known/oauth-authorization-server/oauth").await.json().await.unwrap();
        assert_eq!((&of_tokens["issuer"], &of_tokens["token_endpoint"]), (&at("/oauth"), &at("/oauth/token")), "{of_tokens}");
    }

    /// A client registers and manages itself; what it says about where it comes from is not believed.
    async fn registers(&self, admin: &Caller) -> Value {
        let request = self.http.post(format!("{}/oauth/register", self.issuer));
        let request = request.header("Forwarded", "for=203.0.113.9").header("X-Forwarded-For", "203.0.113.9");
        let body =
            json!({ "client_name": "Portable", "redirect_uris": ["http://127.0.0.1:1/callback"], "token_endpoint_auth_method": "none" });
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let client: Value = response.json().await.unwrap();
        let place = client["registration_client_uri"].as_str().unwrap();
        assert!(place.starts_with(&format!("{}/oauth/register/", self.issuer)), "{client}");
        let read = self.http.get(place).bearer_auth(client["registration_access_token"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(read.status(), StatusCode::OK);
        let history = admin.get(&format!("/authsec/audit/events?client_id={}", client["client_id"].as_str().unwrap())).await;
        assert_eq!(history["events"][0]["origin"], "127.0.0.1", "{history}");
        client
    }

    /// PKCE, the redirect URI and the resource: each that is wrong is refused, and another port on loopback is not wrong.
    async fn the_authorization_server_holds_to_the_register(&self, client: &Value, resource: &str) {
        const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let id = client["client_id"].as_str().unwrap();
        let good = [
            ("client_id", id),
            ("redirect_uri", "http://127.0.0.1:54321/callback"),
            ("response_type", "code"),
            ("resource", resource),
            ("scope", "mcp:tools"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for (name, value, expected) in [
            ("client_id", id, "/interaction/"),
            ("code_challenge", "", "error=invalid_request"),
            ("code_challenge_method", "plain", "error=invalid_request"),
            ("resource", "https://elsewhere.example/", "error=invalid_target"),
            ("redirect_uri", "http://127.0.0.1:54321/elsewhere", "invalid_redirect_uri"),
            ("redirect_uri", "http://localhost:54321/callback", "invalid_redirect_uri"),
            ("client_id", "nobody", "invalid_client"),
        ] {
            let asked = good.map(|(known, usual)| (known, if known == name { value } else { usual }));
            let mut url = url::Url::parse(&format!("{}/auth", self.issuer)).unwrap();
            url.query_pairs_mut().extend_pairs(asked.into_iter().filter(|(_, value)| !value.is_empty()));
            let response = self.http.get(url.as_str()).header(ACCEPT, "text/html").send().await.unwrap();
            let answer = match response.headers().get(LOCATION) {
                Some(place) => place.to_str().unwrap().to_owned(),
                None => response.text().await.unwrap(),
            };
            assert!(answer.contains(expected), "{name}={value}: {answer}");
        }
    }

    /// A client that acts for itself gets a token and calls with it; the keys that it is checked with are found through the proxy. One
    /// that was made for another resource server is not good here.
    async fn a_job_calls(&self, admin: &Caller, resource: &str) {
        const ELSEWHERE: &str = "https://elsewhere.example/mcp";
        let other = admin.post("/authsec/resource-servers", &json!({ "name": "elsewhere", "resource": ELSEWHERE })).await;
        let other = format!("/authsec/resource-servers/{}", other["id"].as_str().unwrap());
        for (server, named, status) in [(DEFAULT_SERVER, resource, 200), (&other, ELSEWHERE, 401)] {
            let job = admin.post(&format!("{server}/clients"), &json!({ "client_name": "nightly", "scope": "mcp:tools" })).await;
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            let form = form.extend_pairs([("grant_type", "client_credentials"), ("resource", named)]).finish();
            let request = self.http.post(format!("{}/oauth/token", self.issuer)).body(form);
            let request = request.basic_auth(job["client_id"].as_str().unwrap(), job["client_secret"].as_str());
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            let token: Value = request.send().await.unwrap().json().await.unwrap();
            let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "whoami", "arguments": {} } });
            let call = self.http.post(resource).bearer_auth(token["access_token"].as_str().unwrap()).json(&call);
            let answer = call.header(ACCEPT, "application/json, text/event-stream").send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{named}");
            assert_eq!(answer.text().await.unwrap().contains("allowed mcp:tools"), status == 200);
        }
    }

    /// What administrators and the authorization server itself ask is not there; each answer of Gatebook's has an `X-Request-Id`.
    async fn reaches_nothing_else(&self) {
        for path in ["/authsec/resource-servers", "/oauth/clients/x", "/oauth/decisions", "/oauth/authenticate", "/health"] {
            let response = self.get(path).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(response.headers().get("x-request-id").is_none(), "{path} leads to the register");
        }
        let refusal = self.get("/oauth/register/nobody").await;
        assert_eq!((refusal.status(), refusal.headers().contains_key("x-request-id")), (StatusCode::UNAUTHORIZED, true));
    }
}

/// The default resource server, as clients name it in a path.
fn rs() -> String {
    DEFAULT_SERVER.replace("/authsec/resource-servers/", "/rs/")
}

/// A certificate for `localhost` that vouches for itself.
fn draw_certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let places = (folder.join("localhost.pem"), folder.join("localhost.key"));
    fs::write(&places.0, certificate.pem()).unwrap();
    fs::write(&places.1, key.serialize_pem()).unwrap();
    places
}
