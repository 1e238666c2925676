//! Servers that ask who one is, and that are asked who they are: TLS, passwords, tokens and credentials files.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::instance::{Caller, Instance, gatebook, refusal};
use crate::nats::{self, Nats};
use crate::nodes::{register, until};
use crate::papers::{Authority, Operator, Papers};

/// Who is refused for good is told so well before the time that a cluster has to come up.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Servers with these lines in their configuration; none where there is no program for them, which is then said.
fn servers(what: &str, count: usize, configuration: &str) -> Option<Nats> {
    Nats::start_with(count, configuration).map_err(|reason| nats::not_run(what, &reason)).ok()
}

/// A node that says everything that it has to say.
fn node(papers: &Papers, log: &str, more: &[&str]) -> Command {
    let mut command = gatebook(&["serve", "--listen", "127.0.0.1:0", "--log-level", "trace", "--log", log]);
    command.args(["--data", &papers.path("data")]).args(more);
    command
}

/// What a node says that is not let in.
fn refused(command: &mut Command) -> String {
    let started = Instant::now();
    let said = refusal(command.output().unwrap());
    assert!(started.elapsed() < AT_ONCE, "it tried for {:?}\n{said}", started.elapsed());
    said.lines().last().unwrap().to_owned()
}

/// Has a node that is let in keep a registration and come back to it. Returns all that it said meanwhile.
async fn keeps_a_registration(papers: &Papers, log: &str, more: &[&str]) -> String {
    let first = Instance::of(node(papers, log, more));
    let (client, holder) = register(&Caller::anyone(&first), "Claude Code").await;
    let (out, err) = first.stop();
    let again = Instance::of(node(papers, log, more));
    let path = format!("/oauth/register/{client}");
    let (status, body) = Caller::anyone(&again).with(&holder).call(Method::GET, &path, None).await.unwrap();
    assert_eq!((status, &body["client_name"]), (200, &json!("Claude Code")), "{body}");
    let (more_out, more_err) = again.stop();
    [out, err, more_out, more_err].concat()
}

/// A server's certificate for this machine by its name, and the lines of the configuration that have it shown.
fn shown(papers: &Papers, by: &Authority, more: &str) -> String {
    let (certificate, key) = by.certify("localhost");
    let (certificate, key) = (papers.file("server.pem", &certificate), papers.file("server.key", &key));
    format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\"{more} }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_over_tls_is_where_the_servers_prove_their_name() {
    let (papers, ours, theirs) = (Papers::new(), Authority::new(), Authority::new());
    let Some(nats) = servers("NATS over TLS", 1, &shown(&papers, &ours, "")) else { return };
    let (trusted, other) = (papers.file("ca.pem", &ours.pem), papers.file("other.pem", &theirs.pem));
    let log = format!("tls://{}", nats.at("localhost"));
    keeps_a_registration(&papers, &log, &["--nats-ca-file", &trusted]).await;
    // The server's wish for TLS is enough; the URI need not say so.
    keeps_a_registration(&papers, &log.replace("tls://", "nats://"), &["--nats-ca-file", &trusted]).await;

    for mut unknown in [node(&papers, &log, &[]), node(&papers, &log, &["--nats-ca-file", &other])] {
        let said = refused(&mut unknown);
        assert!(said.contains("cannot agree on TLS") && said.ends_with("invalid peer certificate: UnknownIssuer"), "{said}");
    }
    let said = refused(&mut node(&papers, &format!("tls://{}", nats.at("127.0.0.1")), &["--nats-ca-file", &trusted]));
    assert!(said.contains("not valid for name \"127.0.0.1\"") && said.contains("localhost"), "{said}");
    for (content, path) in [("hello", papers.file("hello.pem", "hello")), ("nothing", papers.path("nowhere.pem"))] {
        let said = refused(&mut node(&papers, &log, &["--nats-ca-file", &path]));
        assert!(said.contains(&format!("cannot use {path}: ")), "{content}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_authorities_are_trusted_unless_others_are_named() {
    let (papers, ours, theirs) = (Papers::new(), Authority::new(), Authority::new());
    let Some(nats) = servers("NATS over TLS with the system's authorities", 1, &shown(&papers, &ours, "")) else { return };
    let (system, other) = (papers.file("system.pem", &ours.pem), papers.file("other.pem", &theirs.pem));
    let log = format!("tls://{}", nats.at("localhost"));
    let mut command = node(&papers, &log, &[]);
    command.env("SSL_CERT_FILE", &system).env_remove("SSL_CERT_DIR");
    register(&Caller::anyone(&Instance::of(command)), "Claude Code").await;
    let mut command = node(&papers, &log, &["--nats-ca-file", &other]);
    let said = refused(command.env("SSL_CERT_FILE", &system));
    assert!(said.ends_with("UnknownIssuer"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_not_told_a_password_where_the_uri_wants_tls() {
    let papers = Papers::new();
    let Some(nats) = servers("NATS without the TLS that was asked for", 1, "authorization { user: gate, password: changeit }\n") else {
        return;
    };
    let said = refused(&mut node(&papers, &format!("tls://gate:changeit@{}", nats.at("localhost")), &[]));
    assert!(said.contains("cannot agree on TLS") && !said.contains("changeit"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let (papers, ours, theirs) = (Papers::new(), Authority::new(), Authority::new());
    let trusted = papers.file("ca.pem", &ours.pem);
    let wanted = shown(&papers, &ours, &format!(", ca_file: \"{trusted}\", verify: true"));
    let Some(nats) = servers("NATS with certificates on both sides", 1, &wanted) else { return };
    let log = format!("tls://{}", nats.at("localhost"));
    let shown_by = |authority: &Authority, who: &str| {
        let (certificate, key) = authority.certify(who);
        [papers.file(&format!("{who}.pem"), &certificate), papers.file(&format!("{who}.key"), &key)]
    };
    let (known, stranger) = (shown_by(&ours, "known"), shown_by(&theirs, "stranger"));
    let with = |[certificate, key]: [&str; 2]| {
        node(&papers, &log, &["--nats-ca-file", &trusted, "--nats-certificate", certificate, "--nats-certificate-key", key])
    };

    let [certificate, key] = &known;
    let flags = ["--nats-ca-file", &trusted, "--nats-certificate", certificate, "--nats-certificate-key", key];
    keeps_a_registration(&papers, &log, &flags).await;

    let said = refused(&mut node(&papers, &log, &["--nats-ca-file", &trusted]));
    assert!(said.contains("cannot agree on TLS") && said.contains("CertificateRequired"), "{said}");
    let said = refused(&mut with([&stranger[0], &stranger[1]]));
    assert!(said.contains("cannot agree on TLS") && said.contains("alert"), "{said}");
    let said = refused(&mut with([certificate, &stranger[1]]));
    assert!(said.contains("cannot agree on TLS"), "{said}");
    let half = papers.file("half.key", "-----BEGIN PRIVATE KEY\nchangeit\n");
    let said = refused(&mut with([certificate, &half]));
    assert!(said.contains(&format!("cannot use {half}: ")) && !said.contains("changeit"), "{said}");
    let said = refused(&mut with([key, key]));
    assert!(said.contains(&format!("cannot use {key}: ")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_with_tls_lose_one_and_nobody_notices() {
    let (papers, ours) = (Papers::new(), Authority::new());
    let Some(mut nats) = servers("three NATS servers over TLS", 3, &shown(&papers, &ours, "")) else { return };
    let trusted = papers.file("ca.pem", &ours.pem);
    let node = Instance::of(node(&papers, &format!("tls://{}", nats.at("localhost")), &["--nats-ca-file", &trusted]));
    let anyone = Caller::anyone(&node);
    for lost in 0..3 {
        register(&anyone, "Claude Code").await;
        nats.kill(lost);
        until("the others go on", async || {
            let body = json!({ "client_name": "VS Code", "redirect_uris": ["http://127.0.0.1/cb"] });
            (anyone.call(Method::POST, "/oauth/register", Some(&body)).await.unwrap().0 == 201).then_some(())
        })
        .await;
        nats.run(lost);
        nats.until_ready();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_a_password_and_says_it_to_nobody_else() {
    let papers = Papers::new();
    let Some(nats) = servers("NATS with a password", 1, "authorization { user: gate, password: \"ch@nge:it\" }\n") else { return };
    let log = |login: &str| format!("nats://{login}{}", nats.at("127.0.0.1"));
    let said = keeps_a_registration(&papers, &log("gate:ch%40nge%3Ait@"), &[]).await;
    assert!(!said.contains("ch@nge:it") && !said.contains("ch%40nge%3Ait"), "it told its password\n{said}");
    for login in ["", "gate:wrong-word@", "nobody:ch%40nge%3Ait@", "wrong-word@"] {
        let said = refused(&mut node(&papers, &log(login), &[]));
        assert!(said.contains("do not let us in") && !said.contains("wrong-word") && !said.contains("nge"), "{login}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_and_is_said_to_nobody_else() {
    let papers = Papers::new();
    let Some(nats) = servers("NATS with a token", 1, "authorization { token: \"s3cret-word\" }\n") else { return };
    let said = keeps_a_registration(&papers, &format!("nats://s3cret-word@{}", nats.at("127.0.0.1")), &[]).await;
    assert!(!said.contains("s3cret-word"), "it told its token\n{said}");
    let said = refused(&mut node(&papers, &format!("nats://wrong-word@{}", nats.at("127.0.0.1")), &[]));
    assert!(said.contains("do not let us in") && !said.contains("wrong-word"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_lets_in_whom_the_operator_vouches_for() {
    let (papers, operator) = (Papers::new(), Operator::new());
    let Some(nats) = servers("NATS with credentials files", 1, &operator.configuration) else { return };
    let log = format!("nats://{}", nats.at("127.0.0.1"));
    let (ours, seed) = operator.credentials();
    let file = papers.file("gatebook.creds", &ours);
    let said = keeps_a_registration(&papers, &log, &["--nats-credentials", &file]).await;
    assert!(!said.contains(&seed), "it told its seed\n{said}");

    let (theirs, their_seed) = Operator::new().credentials();
    let stranger = papers.file("stranger.creds", &theirs);
    for mut unknown in [node(&papers, &log, &[]), node(&papers, &log, &["--nats-credentials", &stranger])] {
        let said = refused(&mut unknown);
        assert!(said.contains("do not let us in") && !said.contains(&their_seed), "{said}");
    }
    let cut = papers.file("cut.creds", &ours.replace(&seed, &seed[..20]));
    for path in [&cut, &papers.file("none.creds", &seed), &papers.path("nowhere.creds")] {
        let said = refused(&mut node(&papers, &log, &["--nats-credentials", path]));
        assert!(said.contains(&format!("cannot use {path}: ")) && !said.contains(&seed[..20]), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_goes_where_tls_and_a_password_are_wanted() {
    let (papers, ours) = (Papers::new(), Authority::new());
    let configuration = shown(&papers, &ours, "") + "authorization { user: gate, password: changeit }\n";
    let Some(nats) = servers("a feed over TLS", 1, &configuration) else { return };
    let (trusted, feed) = (papers.file("ca.pem", &ours.pem), format!("tls://gate:changeit@{}", nats.at("localhost")));
    let node = Instance::of(node(&papers, "sqlite", &["--feed", &feed, "--nats-ca-file", &trusted]));
    let anyone = Caller::anyone(&node);
    register(&anyone, "Claude Code").await;
    until("both events of the registration are published", async || {
        let health = anyone.get("/health").await;
        (health["feed"]["position"].as_str()?.parse::<u64>().ok()? > 2 && health["feed"]["trouble"].is_null()).then_some(())
    })
    .await;
    let (_, said) = node.stop();
    assert!(!said.contains("changeit"), "it told its password\n{said}");
}
