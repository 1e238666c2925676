//! An event as CloudEvents 1.0 has it, for whoever is told of events: webhooks and the feed. What would help to guess a secret was
//! taken out when the history was written.

use std::borrow::Cow;

use chrono::SecondsFormat;
use gatebook_events::identity::{ClientId, TenantId};
use gatebook_projections::history::HistoryRow;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The media type of one event (CloudEvents HTTP binding §3.2).
pub const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The attributes in the order in which they are written. Names of extensions are lower case, without separators (§3.1).
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    r#type: &'a str,
    /// The stream: what happened there is told in order.
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    dataversion: u16,
    position: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resourceserver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clientid: Option<&'a str>,
    actorkind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actorid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actorvia: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    data: &'a RawValue,
}

/// The data of an event; of a change that begins to wait with the whole set of redirect URIs that would serve after it, under the
/// name that lists have for it.
fn data(row: &HistoryRow) -> serde_json::Result<Cow<'_, str>> {
    if row.name != "registration.redirects_staged" {
        return Ok(Cow::Borrowed(&row.data));
    }
    let mut members: Map<String, Value> = serde_json::from_str(&row.data)?;
    // The first version had its parts side by side.
    let result = members.get("change").and_then(|change| change.get("result")).or_else(|| members.get("result")).cloned();
    if let Some(result) = result.filter(|result| result.as_array().is_some_and(|uris| !uris.is_empty())) {
        members.insert("pending_redirect_uris".to_owned(), result);
    }
    serde_json::to_string(&members).map(Cow::Owned)
}

/// The event as JSON in structured mode. `source` is the instance, by its public URL.
pub fn render(row: &HistoryRow, source: &str) -> serde_json::Result<String> {
    let data = data(row)?;
    serde_json::to_string(&CloudEvent {
        specversion: "1.0",
        id: row.id.0.to_string(),
        source,
        r#type: &row.name,
        subject: &row.stream,
        time: row.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        datacontenttype: "application/json",
        dataversion: row.version,
        position: row.position.to_string(),
        tenant: row.tenant.as_ref().map(TenantId::as_str),
        resourceserver: row.resource_server.map(|id| id.to_string()),
        clientid: row.client_id.as_ref().map(ClientId::as_str),
        actorkind: row.actor_kind.as_str(),
        actorid: row.actor_id.as_deref(),
        actorvia: row.actor_via.as_deref(),
        requestid: row.request_id.as_deref(),
        causationid: row.causation_id.map(|id| id.0.to_string()),
        origin: row.origin.as_deref(),
        data: serde_json::from_str(&data)?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use gatebook_events::envelope::{ActorKind, EventId, Position};
    use gatebook_events::identity::{ClientId, ResourceServerId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn row() -> HistoryRow {
        HistoryRow {
            position: Position::from_backend(7),
            id: EventId(Uuid::from_u128(1)),
            name: "registration.approved".to_owned(),
            version: 1,
            recorded_at: DateTime::from_timestamp(1_800_000_000, 1_000).unwrap(),
            tenant: Some(TenantId::parse("acme").unwrap()),
            resource_server: Some(ResourceServerId(Uuid::from_u128(2))),
            client_key: None,
            client_id: Some(ClientId::parse("https://app.example/c.json").unwrap()),
            actor_kind: ActorKind::Admin,
            actor_id: Some("ada".to_owned()),
            actor_via: None,
            request_id: None,
            causation_id: None,
            origin: None,
            stream: "registration-2-3".to_owned(),
            data: "{\"reason\":\"ok\"}".to_owned(),
        }
    }

    #[test]
    fn an_event_is_told_in_the_words_of_cloud_events_and_never_with_a_null() {
        let expected = "{\"specversion\":\"1.0\",\"id\":\"00000000-0000-0000-0000-000000000001\",\"source\":\"https://gate.example\",\
            \"type\":\"registration.approved\",\"subject\":\"registration-2-3\",\"time\":\"2027-01-15T08:00:00.000001Z\",\
            \"datacontenttype\":\"application/json\",\"dataversion\":1,\"position\":\"7\",\"tenant\":\"acme\",\
            \"resourceserver\":\"00000000-0000-0000-0000-000000000002\",\"clientid\":\"https://app.example/c.json\",\
            \"actorkind\":\"admin\",\"actorid\":\"ada\",\"data\":{\"reason\":\"ok\"}}";
        assert_eq!(render(&row(), "https://gate.example").unwrap(), expected);
    }

    #[test]
    fn w12_a_webhook_is_told_the_whole_set_that_would_serve_after_a_staged_change() {
        let told = |data: Value| {
            let row = HistoryRow { name: "registration.redirects_staged".to_owned(), data: data.to_string(), ..row() };
            let event: Value = serde_json::from_str(&render(&row, "https://gate.example").unwrap()).unwrap();
            event["data"].get("pending_redirect_uris").cloned()
        };
        let result = serde_json::json!(["https://a.example/cb", "https://b.example/cb"]);
        assert_eq!(told(serde_json::json!({ "change": { "result": result } })), Some(result.clone()));
        assert_eq!(told(serde_json::json!({ "result": result })), Some(result), "as older builds stored it");
        assert_eq!(told(serde_json::json!({ "change": { "result": [] } })), None, "an empty set is never told");
    }
}
