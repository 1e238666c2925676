//! `GET /authsec/cluster`: the nodes that share the event log, how far each is, and whether they hold the same events.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::application::services::Services;
use crate::cluster::announcements::{Announcement, Heard, State as NodeState};
use crate::http::caller::Administrator;
use crate::http::error::Problem;

/// This node first, then those that it has heard of.
pub async fn show(State(services): State<Services>, caller: Administrator) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let own = services.node.announcement().await;
    let others = services.node.others();
    let mut first = node(&own, NodeState::of(&own));
    first.insert("this".to_owned(), true.into());
    let mut nodes = vec![first];
    for heard in &others {
        nodes.push(other(heard, &own));
    }
    let diverged: Vec<Value> = others
        .iter()
        .filter_map(|heard| heard.differs_at.map(|position| json!({ "node": heard.said.node, "from_position": position.to_string() })))
        .collect();
    let mut body = Map::from_iter([("log".to_owned(), services.node.log_kind.into()), ("nodes".to_owned(), json!(nodes))]);
    if !diverged.is_empty() {
        body.insert("divergences".to_owned(), diverged.into());
    }
    Ok(Json(Value::Object(body)))
}

fn other(heard: &Heard, own: &Announcement) -> Map<String, Value> {
    let mut body = node(&heard.said, heard.state());
    body.insert("heard_seconds_ago".to_owned(), heard.at.elapsed().as_secs().into());
    if let Some(position) = heard.agreed {
        body.insert("agrees_up_to".to_owned(), position.to_string().into());
    }
    if let Some(position) = heard.differs_at {
        body.insert("differs_from".to_owned(), position.to_string().into());
    }
    if heard.said.key != own.key {
        body.insert("other_instance_key".to_owned(), true.into());
    }
    body
}

fn node(said: &Announcement, state: NodeState) -> Map<String, Value> {
    let mut body = Map::from_iter([
        ("node".to_owned(), said.node.to_string().into()),
        ("url".to_owned(), said.url.as_str().into()),
        ("version".to_owned(), said.version.as_str().into()),
        ("state".to_owned(), state.as_str().into()),
        ("lag".to_owned(), said.lag.into()),
    ]);
    if let Some(end) = &said.end {
        body.insert("position".to_owned(), end.position.to_string().into());
        body.insert("chain_head".to_owned(), end.hash.as_str().into());
    }
    if let Some(trouble) = &said.trouble {
        body.insert("trouble".to_owned(), trouble.as_str().into());
    }
    if !said.put_aside.is_empty() {
        body.insert("put_aside".to_owned(), json!(said.put_aside));
    }
    body
}
