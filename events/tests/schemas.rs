//! The JSON Schemas of all stored shapes, in `schemas/`: one file a version, for whoever reads the log without this code.
//!
//! Those of the newest versions are made from the types and compared; those of older versions stay as they are for ever. A shape
//! that was released changes in one way only without becoming another version: a member comes that may be absent.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p gatebook-events --test schemas` writes the files of new shapes, added optional members and
//! other words. It never writes over a shape that has become another one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gatebook_events::client::ClientEvent;
use gatebook_events::envelope::Meta;
use gatebook_events::initial_access_token::InitialAccessTokenEvent;
use gatebook_events::projection::ProjectionEvent;
use gatebook_events::registration::RegistrationEvent;
use gatebook_events::reservation::ReservationEvent;
use gatebook_events::resource_server::ResourceServerEvent;
use gatebook_events::service_token::ServiceTokenEvent;
use gatebook_events::stored::Stored;
use gatebook_events::webhook::WebhookEvent;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

#[test]
fn every_released_shape_is_as_its_schema_says() {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut wrong = Vec::new();
    for ((name, version), made) in made() {
        let shape = format!("{name}@{version}");
        let path = folder().join(format!("{shape}.json"));
        let released = std::fs::read_to_string(&path).ok().map(|text| serde_json::from_str::<Value>(&text).unwrap());
        let verdict = released.as_ref().map_or(Verdict::New, |released| judge(released, &made));
        match verdict {
            Verdict::Same => {}
            Verdict::New | Verdict::Added | Verdict::OtherWords if update => write(&path, &made),
            Verdict::New => wrong.push(format!("{shape} is new: UPDATE_SCHEMAS=1 writes its schema; read and commit it")),
            Verdict::Added => wrong.push(format!(
                "{shape} has a member more, which may be absent. That keeps the version: UPDATE_SCHEMAS=1 writes it down, and \
                 tests/shapes.rs wants a sample with a new variant that has it"
            )),
            Verdict::OtherWords => wrong.push(format!("{shape} is described in other words: UPDATE_SCHEMAS=1 writes them down")),
            Verdict::Changed(place) => wrong.push(format!(
                "{shape} is released and has another shape now, at {place}. Events of that shape are in logs for ever: restore it, or \
                 make version {} in `stored!`, add a step from {version} to it in src/upcast.rs, a sample in tests/shapes.rs \
                 (UPDATE_SHAPES=1 writes its golden file) and its schema (UPDATE_SCHEMAS=1). The files of version {version} stay",
                version + 1
            )),
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_version_that_was_ever_stored_has_a_schema() {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        return; // They are being written.
    }
    let known: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".json").unwrap().to_owned())
        .collect();
    let promised: BTreeSet<String> =
        made().keys().flat_map(|(name, newest)| (1..=*newest).map(move |version| format!("{name}@{version}"))).collect();
    assert_eq!(known, promised, "schemas are for ever, and there is one for each version");
}

#[test]
fn every_golden_file_is_as_the_schema_of_its_version_says() {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        return; // They are being written.
    }
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
    for entry in std::fs::read_dir(goldens).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let (shape, version) = name.split_once('@').unwrap();
        let schema = folder().join(format!("{shape}@{}.json", version.split('.').next().unwrap()));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(violation("", &schema, &golden), None, "{name}");
        let Value::Object(members) = golden else { panic!("{name} is no object") };
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut lacking = members.clone();
            lacking.remove(required);
            assert_eq!(violation("", &schema, &lacking.into()), Some(format!("/{required}")), "{name}");
        }
    }
}

/// Nothing above would show anything if changes were not told apart.
#[test]
fn what_adds_and_what_changes_is_told_apart() {
    let object = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required });
    let text = json!({ "type": "string" });
    let released = object(json!({ "name": text, "reason": { "type": ["string", "null"], "description": "Why." } }), json!(["name"]));
    let with = |change: fn(&mut Value)| {
        let mut made = released.clone();
        change(&mut made);
        judge(&released, &made)
    };
    assert_eq!(with(|_| ()), Verdict::Same);
    assert_eq!(with(|made| made["properties"]["reason"]["description"] = "For what reason.".into()), Verdict::OtherWords);
    assert_eq!(with(|made| made["properties"]["until"] = json!({ "type": "string" })), Verdict::Added);
    let changed = |place: &str| Verdict::Changed(place.to_owned());
    let promised = with(|made| {
        made["properties"]["until"] = json!({ "type": "string" });
        made["required"] = json!(["name", "until"]);
    });
    assert_eq!(promised, changed("/required"));
    assert_eq!(with(|made| made["required"] = json!([])), changed("/required"));
    assert_eq!(with(|made| made["properties"]["name"] = json!({ "type": "integer" })), changed("/properties/name/type"));
    assert_eq!(with(|made| drop(made["properties"].as_object_mut().unwrap().remove("reason"))), changed("/properties/reason"));
    assert_eq!(with(|made| made["properties"]["name"]["enum"] = json!(["a"])), changed("/properties/name/enum"));
    let kinds = |words: &[&str]| json!({ "oneOf": words.iter().map(|word| json!({ "const": word })).collect::<Vec<_>>() });
    let actor = |words: &[&str]| object(json!({ "actor": object(json!({ "kind": kinds(words) }), json!([])) }), json!([]));
    assert_eq!(judge(&actor(&["admin"]), &actor(&["admin", "policy"])), Verdict::Added);
    assert_ne!(judge(&actor(&["admin", "policy"]), &actor(&["admin"])), Verdict::Added);
}

// ---------------------------------------------------------------- judging

/// What became of a shape since its schema was written.
#[derive(Debug, PartialEq)]
enum Verdict {
    Same,
    New,
    Added,
    OtherWords,
    Changed(String),
}

fn judge(released: &Value, made: &Value) -> Verdict {
    if released == made {
        return Verdict::Same;
    }
    let (released, made) = (without_words(released), without_words(made));
    if released == made {
        return Verdict::OtherWords;
    }
    difference("", Holds::Keywords, &released, &made).map_or(Verdict::Added, Verdict::Changed)
}

const ACTOR_KINDS: &str = "/properties/actor/properties/kind/oneOf";

/// What an object in a schema holds.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    /// Keywords of JSON Schema: one more is another meaning.
    Keywords,
    /// Members by their names: one more is an addition, unless it is required.
    Names,
}

/// The first place where the made schema says something else than the released one, beyond members that may be absent.
fn difference(place: &str, holds: Holds, released: &Value, made: &Value) -> Option<String> {
    match (released, made) {
        (Value::Object(released), Value::Object(made)) => {
            let gone = released.keys().find(|name| !made.contains_key(*name));
            let come = made.keys().find(|name| holds == Holds::Keywords && !released.contains_key(*name));
            if let Some(name) = gone.or(come) {
                return Some(format!("{place}/{name}"));
            }
            released.iter().find_map(|(name, released)| {
                let inside = match name.as_str() {
                    "properties" | "default" if holds == Holds::Keywords => Holds::Names,
                    _ => Holds::Keywords,
                };
                difference(&format!("{place}/{name}"), inside, released, made.get(name)?)
            })
        }
        // What surrounds an event has no version. Who causes events is a list that grows, as the list of events does.
        (Value::Array(released), Value::Array(made)) if place.ends_with(ACTOR_KINDS) && made.starts_with(released) => None,
        _ => (released != made).then(|| place.to_owned()),
    }
}

/// The schema without what is said to people.
fn without_words(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, value)| name.as_str() != "description" || !value.is_string());
            kept.map(|(name, value)| (name.clone(), without_words(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(without_words).collect(),
        other => other.clone(),
    }
}

/// The first place where a value is not as a schema says, as far as the schemas here say anything.
fn violation(place: &str, schema: &Value, value: &Value) -> Option<String> {
    let here = || Some(place.to_owned());
    for keyword in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[keyword].as_array()
            && !choices.iter().any(|choice| violation(place, choice, value).is_none())
        {
            return here();
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if !types.is_empty() && !types.contains(&type_of(value)) || schema.get("const").is_some_and(|only| only != value) {
        return here();
    }
    if let (Some(choices), false) = (schema["enum"].as_array(), value.is_null())
        && !choices.contains(value)
    {
        return here();
    }
    match value {
        Value::Object(members) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Some(lacking) = required.into_iter().find(|name| !members.contains_key(*name)) {
                return Some(format!("{place}/{lacking}"));
            }
            members.iter().find_map(|(name, value)| violation(&format!("{place}/{name}"), schema["properties"].get(name)?, value))
        }
        Value::Array(items) => items.iter().find_map(|item| violation(place, &schema["items"], item)),
        _ => None,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

// ---------------------------------------------------------------- making

/// The schema of the newest version of every shape.
fn made() -> BTreeMap<(&'static str, u16), Value> {
    fn of<E: Stored>() -> impl Iterator<Item = ((&'static str, u16), schemars::Schema)> {
        E::SHAPES.iter().copied().zip(E::schemas(&mut generator()))
    }
    let meta = std::iter::once((("meta", 1), generator().into_root_schema_for::<Meta>()));
    let all = of::<ClientEvent>()
        .chain(of::<RegistrationEvent>())
        .chain(of::<ResourceServerEvent>())
        .chain(of::<InitialAccessTokenEvent>())
        .chain(of::<ReservationEvent>())
        .chain(of::<ProjectionEvent>())
        .chain(of::<ServiceTokenEvent>())
        .chain(of::<WebhookEvent>())
        .chain(meta);
    all.map(|((name, version), mut schema)| {
        // The name of the type is the code's business.
        schema.insert("title".to_owned(), format!("{name}@{version}").into());
        ((name, version), schema.to_value())
    })
    .collect()
}

/// Without definitions beside the schema: they would have the names of types, which may change while the shape does not.
fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator()
}

fn write(path: &Path, schema: &Value) {
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(schema).unwrap())).unwrap();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}
