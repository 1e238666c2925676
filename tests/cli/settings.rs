//! Settings and the data folder: three ways to say one thing, and clear words where that cannot be.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::flag;
use crate::instance::{Caller, DEFAULT_SERVER, Instance, claude, gatebook, refusal, run};
use crate::place;

#[tokio::test(flavor = "multi_thread")]
async fn flag_variable_and_file_agree() {
    let (folder, data) = place();
    let file = folder.path().join("gatebook.toml");
    fs::write(
        &file,
        format!("listen = \"127.0.0.1:0\"\ndata = {data:?}\npublic-url = \"https://clients.example.com\"\nregistrations-per-minute = 2\nlog-level = \"warn\"\n"),
    )
    .unwrap();
    let flags = {
        let mut command = gatebook(&["serve", "--listen", "127.0.0.1:0", "--data", flag(&data), "--log-level", "warn"]);
        command.args(["--public-url", "https://clients.example.com", "--registrations-per-minute", "2"]);
        command
    };
    let variables = {
        let mut command = gatebook(&["serve"]);
        command.env("GATEBOOK_LISTEN", "127.0.0.1:0").env("GATEBOOK_DATA", &data).env("GATEBOOK_LOG_LEVEL", "warn");
        command.env("GATEBOOK_PUBLIC_URL", "https://clients.example.com").env("GATEBOOK_REGISTRATIONS_PER_MINUTE", "2");
        command
    };
    let toml = gatebook(&["serve", "--config", flag(&file)]);
    for (how, command) in [("flags", flags), ("variables", variables), ("file", toml)] {
        let service = Instance::of(command);
        let anyone = Caller::anyone(&service);
        let created = anyone.post("/oauth/register", &claude(45_000)).await;
        let uri = created["registration_client_uri"].as_str().unwrap();
        assert!(uri.starts_with("https://clients.example.com/oauth/register/"), "{how}: {uri}");
        anyone.post("/oauth/register", &claude(45_001)).await;
        let (status, body) = anyone.call(reqwest::Method::POST, "/oauth/register", Some(&claude(45_002))).await.unwrap();
        assert_eq!(status, 429, "{how}: {body}");
        assert!(data.join("log.db").exists(), "{how}");
        service.stop();
    }
    // A flag goes before a variable, and a variable before the file.
    let (_elsewhere, other) = place();
    let mut command = gatebook(&["serve", "--config", flag(&file), "--public-url", "https://flag.example.com"]);
    command.env("GATEBOOK_PUBLIC_URL", "https://variable.example.com").env("GATEBOOK_DATA", &other);
    let service = Instance::of(command);
    let created = Caller::anyone(&service).post("/oauth/register", &claude(45_000)).await;
    assert!(created["registration_client_uri"].as_str().unwrap().starts_with("https://flag.example.com/"), "{created}");
    assert!(other.join("log.db").exists());
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let (folder, data) = place();
    let told = refusal(run(&["serve", "--data", flag(&data), "--lisen", "127.0.0.1:0"]));
    assert!(told.contains("--lisen") && told.contains("--listen"), "{told}");

    let file = folder.path().join("gatebook.toml");
    fs::write(&file, "listen = \"127.0.0.1:0\"\nlisten-port = 8080\n").unwrap();
    let told = refusal(run(&["serve", "--data", flag(&data), "--config", flag(&file)]));
    assert!(told.contains("listen-port") && told.contains("line 2") && told.contains(flag(&file)), "{told}");

    let missing = folder.path().join("missing.toml");
    let told = refusal(run(&["serve", "--data", flag(&data), "--config", flag(&missing)]));
    assert!(told.contains("missing.toml"), "{told}");
    for (given, word) in [
        (["--listen", "localhost"], "listen"),
        (["--public-url", "clients.example.com"], "public-url"),
        (["--log", "postgres://x"], "log"),
        (["--trusted-proxies", "everybody"], "trusted-proxies"),
        (["--admin-jwt-audience", ""], "admin-jwt-audience"),
        (["--internal-manifests", "http://wiki.example/client.json"], "internal-manifests"),
        (["--manifest-bytes", "1000000"], "manifest-bytes"),
    ] {
        let told = refusal(run(&["serve", "--data", flag(&data), given[0], given[1]]));
        assert!(told.contains(word), "{given:?}: {told}");
    }
    assert!(!data.exists(), "a refusal leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_on_the_same_folder_is_refused() {
    let (_folder, data) = place();
    let first = Instance::start(&data);
    let told = refusal(run(&["serve", "--listen", "127.0.0.1:0", "--data", flag(&data)]));
    assert!(told.contains("in use by another gatebook") && told.contains(flag(&data)), "{told}");
    Caller::anyone(&first).post("/oauth/register", &claude(45_000)).await;
    first.stop();
    // The lock goes with its holder, however that ended.
    Instance::start(&data).kill();
    Instance::start(&data).stop();
}

#[test]
fn documents_from_this_very_host_are_a_setting_that_is_heard() {
    let (_folder, data) = place();
    let (_, quiet) = Instance::start(&data).stop();
    assert!(!quiet.contains("development"), "{quiet}");
    let (_, heard) = Instance::start_with(&data, &["--allow-loopback-manifests"]).stop();
    assert!(heard.contains("WARN") && heard.contains("for development only, never in production"), "{heard}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (_folder, data) = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = refusal(run(&["serve", "--listen", &address, "--data", flag(&data)]));
    assert!(told.contains(&format!("failed to listen on {address}")) && told.contains("in use"), "{told}");
    assert!(!data.exists(), "a refusal leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_data_folder_is_for_its_owner_only() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    Caller::anyone(&service).post("/oauth/register", &claude(45_000)).await;
    admin.get(&format!("{DEFAULT_SERVER}/clients")).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&data), 0o700);
    let mut seen = Vec::new();
    for folder in [data.clone(), data.join("read-models")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                assert_eq!(mode(&path), 0o600, "{name}");
                seen.push(name);
            }
        }
    }
    assert!(seen.iter().filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "key")).count() >= 2, "{seen:?}");
    assert!(seen.iter().any(|name| name == "log.db"), "{seen:?}");
    let (greeting, _) = service.stop();
    assert!(greeting.starts_with("listening on http://127.0.0.1:"), "{greeting}");
    assert!(greeting.contains("gatebook token --data"), "a key was made, so the greeting says what for: {greeting}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (_folder, data) = place();
    Instance::start(&data).stop();
    let key = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "key"));
    let key = key.unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let told = refusal(run(&["serve", "--listen", "127.0.0.1:0", "--data", flag(&data)]));
    assert!(told.contains("chmod 600") && told.contains(flag(&key)), "{told}");
}

#[tokio::test]
async fn figures_are_shown_where_they_are_asked_for_and_nowhere_else() {
    let (_folder, data) = place();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let instance = Instance::start_with(&data, &["--metrics-listen", &free]);
    let page = reqwest::get(format!("http://{free}/metrics")).await.unwrap().text().await.unwrap();
    assert!(page.contains("\ngatebook_log_head 1\n"), "{page}");
    assert_eq!(reqwest::get(format!("{}/metrics", instance.url)).await.unwrap().status(), 404);
    let (said, _) = instance.stop();
    assert!(said.contains(&format!("metrics      http://{free}/metrics")), "{said}");
}
