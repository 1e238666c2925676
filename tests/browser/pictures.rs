//! The pictures of the README: a month in the life of an instance, told by `gatebook demo` and by documents of known vendors.
//! They are drawn into the folder that `GATEBOOK_PICTURES` names, else into one that vanishes: then it is shown that they can be.

use std::path::PathBuf;
use std::process::Command;

use chrono::{TimeDelta, Utc};
use gatebook::aggregates::Cause;
use gatebook::application::register::rules::Guarantor;
use gatebook::config::{Config, Settings};
use gatebook::credentials::admin::{AdminMinter, Role};
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::{ContentHash, Document};
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::ResourceServerId;
use gatebook_events::manifest::{self, ManifestUrl, Profile};
use gatebook_events::metadata;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::browser;
use crate::house::House;
use crate::scripts;

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_the_readme_are_drawn() {
    let Some((executable, node)) = browser() else { return };
    let vanishing = tempfile::tempdir().unwrap();
    let wanted = std::env::var_os("GATEBOOK_PICTURES").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = wanted.unwrap_or_else(|| vanishing.path().to_owned());
    let begun = Utc::now() - TimeDelta::days(23);
    let house = House::begin(tempfile::tempdir().unwrap(), begun, |_| {}).await;
    let settings = Settings { data: Some(house.folder.path().join("data")), ..Settings::default() };
    let minter = AdminMinter::try_new(&Config::try_new(settings).unwrap().admin, house.clock.clone()).unwrap();

    // Some days bring many, some bring nobody.
    let clock = house.clock.clone();
    let pace =
        move |came: usize| clock.advance(TimeDelta::minutes([95, 1_480, 40, 310, 2_090, 25, 15, 720, 60, 1_190, 130, 450][came % 12]));
    gatebook::cli::demo::fill(house.url(), &minter, pace).await.unwrap();
    let vendors: Vec<Value> = serde_json::from_str(include_str!("../../events/tests/vendor_documents.json")).unwrap();
    for vendor in vendors.iter().filter(|vendor| !vendor["about"].as_str().unwrap().contains("since it chooses")) {
        read(&house, &vendor["document"]).await;
        house.clock.advance(TimeDelta::hours(7));
    }
    let mut newer = vendors.iter().map(|vendor| vendor["document"].clone()).find(|document| document["client_name"] == "opencode").unwrap();
    newer["redirect_uris"].as_array_mut().unwrap().push("https://app.opencode.ai/oauth/callback".into());
    newer["policy_uri"] = "https://opencode.ai/privacy".into();
    read(&house, &newer).await;
    assert!(house.clock.now() < Utc::now(), "the story is longer than the month");
    house.clock.set(Utc::now());

    let folder_of_scripts = scripts(&node);
    let mut command = Command::new("node");
    command.arg(folder_of_scripts.path().join("pictures.mjs")).arg(house.url()).arg(&folder).env("GATEBOOK_BROWSER", executable);
    command.env("GATEBOOK_TOKEN", house.token("default", Role::Admin, "ada@example.com"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}");
    let kept = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images")).unwrap();
    for kept in kept.map(Result::unwrap) {
        let (name, length) = (kept.file_name(), kept.metadata().unwrap().len());
        assert!(folder.join(&name).exists(), "the README shows {}, and it was not drawn", name.display());
        assert!(length < 100 * 1024, "{} has {length} bytes", name.display());
    }
}

/// A document is read, as the poller reads it, and its client is entered at the first resource server.
async fn read(house: &House, document: &Value) {
    let url = ManifestUrl::parse(document["client_id"].as_str().unwrap()).unwrap();
    let text = document.to_string();
    let said = manifest::parse(&url, text.as_bytes(), Profile::Mcp).unwrap();
    let document = Document {
        content_hash: ContentHash::of_digest(Sha256::digest(text.as_bytes()).into()),
        text: text.into(),
        metadata: said.metadata,
        warnings: said.warnings.iter().map(|warning| warning.as_str().into()).collect(),
        left_out: said.left_out,
        ignored: said.ignored,
    };
    let actor = Actor { kind: ActorKind::System, id: Some("poller".to_owned()), via: Some("manifest".to_owned()) };
    let cause = Cause { actor, tenant: None, request_id: None, origin: None };
    let commands = &house.app.commands;
    let client = commands.see_document(&cause, &url.client_id(), &[], document).await.unwrap().state;
    let parsed = metadata::Parsed { metadata: client.registered().unwrap().metadata.clone(), ignored: vec![] };
    let rules = commands.rules(ResourceServerId::DEFAULT).await.unwrap();
    let welcome = rules.judge(RegistrationType::Cimd, Guarantor::Nobody, parsed).unwrap();
    commands.bind(&cause, &welcome, &client, false).await.unwrap();
    commands.follow_document(&cause, ResourceServerId::DEFAULT, &client).await.unwrap();
}
