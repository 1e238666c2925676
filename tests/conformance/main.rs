//! What the specifications ask of a register, line by line of a checklist: each a test that is named by the line's id and says
//! its level, its section and what is asserted. `table.rs` renders them all into `docs/conformance.md`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/house.rs"]
mod house;

mod discovery;
mod documents;
mod limits;
mod management;
mod redirects;
mod request;
mod response;
mod table;

use serde_json::{Value, json};

/// An acceptable redirect URI.
const CALLBACK: &str = "https://app.example/cb";

/// A good registration, with these members besides or instead.
fn asking(members: Value) -> Value {
    let mut body = json!({ "redirect_uris": [CALLBACK] });
    let Value::Object(members) = members else { panic!("not members: {members}") };
    for (name, value) in members {
        body[name] = value;
    }
    body
}
