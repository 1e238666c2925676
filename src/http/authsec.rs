//! What administrators call, with a bearer token that names their tenant and role.

use std::str::FromStr;

use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId};

use super::caller::Administrator;
use super::error::{Failure, Problem};
use super::parameters;

pub mod approvals;
pub mod as_of;
pub mod audit;
pub mod clients;
pub mod cluster;
pub mod dead_letters;
pub mod decisions;
pub mod manifests;
pub mod preregister;
pub mod projections;
pub mod registration_tokens;
pub mod rehearse;
pub mod repeat;
pub mod resource_servers;
pub mod secrets;
pub mod service_tokens;
pub mod signing_keys;
pub mod stream;
pub mod unbound;
pub mod webhooks;

/// The most entries of one page, and how many there are unless asked otherwise.
const PAGE: (usize, usize) = (500, 50);

fn page_limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(PAGE.1).clamp(1, PAGE.0)
}

/// A resource server's id in a path. What is no id names nothing.
fn server_id(caller: &Administrator, text: &str) -> Result<ResourceServerId, Problem> {
    text.parse().map_err(|_| caller.problem(Failure::not_found("resource server")))
}

/// A client in a path; axum has already undone the percent-encoding of a URL.
fn client_key(caller: &Administrator, text: &str) -> Result<(ClientId, ClientKey), Problem> {
    let client_id = ClientId::parse(text).map_err(|_| caller.problem(Failure::not_found("client")))?;
    let key = client_id.key();
    Ok((client_id, key))
}

/// A query parameter that names something.
fn parameter<T: FromStr>(caller: &Administrator, name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let right = match name {
        "cursor" => "the `next_cursor` of the page before",
        "since" | "until" => "a time as RFC 3339 has it, such as `2027-01-15T08:00:00Z` (a + in it percent-encoded)",
        "format" => "one of `ndjson`, `csv`",
        _ => "a UUID",
    };
    text.parse().map(Some).map_err(|_| caller.problem(parameters::refused(name, text, right)))
}
