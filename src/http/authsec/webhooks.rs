//! `/authsec/webhooks[/{webhook_id}]`: who is told of the tenant's events. Created, listed, edited, disabled, enabled and deleted; a
//! secret is shown once.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use gatebook_events::codec;
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ResourceServerId, WebhookId};
use gatebook_events::reason;
use gatebook_events::secret::Rotation;
use gatebook_events::stream::Stream;
use gatebook_events::webhook::{Created, Disabled, DisabledBecause, Start, TypePrefix, Webhook, WebhookCommand, WebhookUrl, Wish};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::repeat::{self, RepeatKey};
use super::resource_servers::{checked_name, invalid};
use crate::aggregates::Done;
use crate::application::services::Services;
use crate::delivery::webhooks::commands::KnownWebhook;
use crate::delivery::webhooks::{Change, Standing};
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::Written;
use crate::http::error::{Failure, Problem};
use crate::http::json::{members, patch};
use crate::http::parameters;
use crate::http::response;

/// The longest time that two secrets may work side by side, in seconds: 90 days.
const MAX_OVERLAP: u32 = 90 * 24 * 3600;

/// What is said of a webhook; when it is edited, all of it may be absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    label: Option<String>,
    url: Option<String>,
    types: Option<Vec<TypePrefix>>,
    resource_servers: Option<Vec<ResourceServerId>>,
    /// `now` (the default), `beginning`, or a position; only when it is created.
    start: Option<String>,
}

/// What may be said of an end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[serde(default, deserialize_with = "reason::read")]
    pub(super) reason: Option<String>,
}

/// The members of a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// For how many seconds messages are signed with the old secret too.
    #[serde(default)]
    overlap_seconds: u32,
    /// Whether the overlap of an earlier rotation may end by it.
    #[serde(default)]
    end_overlap: bool,
}

/// `POST /authsec/webhooks`
pub async fn create(
    State(services): State<Services>,
    caller: Administrator,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<(StatusCode, Json<Value>)>, Problem> {
    caller.must_change()?;
    let asked: Members = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let start = start(asked.start.as_deref()).map_err(|failure| caller.problem(failure))?;
    let wish = wish(&services, asked, None).map_err(|failure| caller.problem(failure))?;
    let key = RepeatKey::of(&services, &caller, &headers, "webhook", &[]).map_err(|failure| caller.problem(failure))?;
    let id = WebhookId(key.as_ref().map_or_else(Uuid::now_v7, RepeatKey::id));
    let created = Created { tenant: caller.tenant().clone(), wish, start };
    let done = services.commands.create_webhook(&caller.cause, id, created).await;
    let done = repeat::made(&services, key.as_ref(), Stream::Webhook(id), done).await.map_err(|failure| caller.problem(failure))?;
    services.webhooks.changed(id);
    // Nobody knows more of it yet, and the secret has to be shown even if nodes cannot share what they know.
    let mut body = render(&the_tenants(&services, &caller, id).await?, &Standing::default());
    body.insert("signing_secret".to_owned(), services.webhooks.secret(id, done.state.generation).expose().into());
    Ok(Written((StatusCode::CREATED, Json(Value::Object(body))), done.position))
}

/// `GET /authsec/webhooks`
pub async fn list(State(services): State<Services>, caller: Administrator) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let known = services.commands.webhooks_of(caller.tenant()).await.map_err(|error| caller.problem(error))?;
    let mut shown = Vec::with_capacity(known.len());
    for known in known {
        let standing = standing(&services, &caller, known.id).await?;
        shown.push(render(&known, &standing));
    }
    Ok(Json(json!({ "webhooks": shown })))
}

/// `GET /authsec/webhooks/{webhook_id}`
pub async fn read(State(services): State<Services>, caller: Administrator, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let id = webhook_id(&caller, &id)?;
    Ok(Json(Value::Object(show(&services, &caller, id).await?)))
}

/// `PATCH /authsec/webhooks/{webhook_id}`
pub async fn edit(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Value>>, Problem> {
    caller.must_change()?;
    let id = webhook_id(&caller, &id)?;
    let emptied = [("types", json!([])), ("resource_servers", json!([]))];
    let asked: Members = patch(&headers, body, &emptied).await.map_err(|failure| caller.problem(failure))?;
    if asked.start.is_some() {
        return Err(caller.problem(invalid("start is said when a webhook is created")));
    }
    let known = the_tenants(&services, &caller, id).await?;
    let wish = wish(&services, asked, known.webhook.wish).map_err(|failure| caller.problem(failure))?;
    let done = change(&services, &caller, id, &WebhookCommand::Edit(wish)).await?;
    Ok(Written(Json(Value::Object(show(&services, &caller, id).await?)), done.position))
}

/// `DELETE /authsec/webhooks/{webhook_id}`: it is sent nothing more; its history stays.
pub async fn delete(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<StatusCode>, Problem> {
    caller.must_change()?;
    let id = webhook_id(&caller, &id)?;
    let Reason { reason } = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let done = change(&services, &caller, id, &WebhookCommand::Delete { reason }).await?;
    Ok(Written(StatusCode::NO_CONTENT, done.position))
}

/// `POST /authsec/webhooks/{webhook_id}/disable`: it is sent nothing, and misses nothing.
pub async fn disable(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Value>>, Problem> {
    caller.must_change()?;
    let id = webhook_id(&caller, &id)?;
    let Reason { reason } = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let disabled = Disabled { because: DisabledBecause::Administrator, reason };
    let done = change(&services, &caller, id, &WebhookCommand::Disable(disabled)).await?;
    Ok(Written(Json(Value::Object(show(&services, &caller, id).await?)), done.position))
}

/// `POST /authsec/webhooks/{webhook_id}/enable`: it goes on where it was disabled.
pub async fn enable(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
) -> Result<Written<Json<Value>>, Problem> {
    caller.must_change()?;
    let id = webhook_id(&caller, &id)?;
    the_tenants(&services, &caller, id).await?;
    // Before it is enabled, so that it is not disabled again for what was before.
    services.webhooks.change(id, Change::Hasten).await.map_err(|error| caller.problem(error))?;
    let done = change(&services, &caller, id, &WebhookCommand::Enable).await?;
    services.webhooks.insist(id).await;
    Ok(Written(Json(Value::Object(show(&services, &caller, id).await?)), done.position))
}

/// `POST /authsec/webhooks/{webhook_id}/rotate-secret`: a new secret, shown once.
pub async fn rotate_secret(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Value>>, Problem> {
    caller.must_change()?;
    let id = webhook_id(&caller, &id)?;
    let asked: NewSecret = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    if asked.overlap_seconds > MAX_OVERLAP {
        return Err(caller.problem(invalid("overlap_seconds is more than 90 days")));
    }
    let at = services.commands.clock().now();
    let overlap = TimeDelta::seconds(i64::from(asked.overlap_seconds));
    let old_valid_until = (asked.overlap_seconds > 0).then(|| at + overlap);
    let about = id.to_string();
    let key = RepeatKey::of(&services, &caller, &headers, "webhook secret", &[&about]).map_err(|failure| caller.problem(failure))?;
    let repeat_key = key.as_ref().map(RepeatKey::mark);
    the_tenants(&services, &caller, id).await?;
    let before = match &repeat_key {
        Some(mark) => services.commands.rotations(Stream::Webhook(id), mark).await.map_err(|error| caller.problem(error))?.found,
        None => None,
    };
    let (generation, old_valid_until, position) = if let Some(before) = before {
        repeat::rotated(&before, overlap, at).map_err(|failure| caller.problem(failure))?;
        (before.generation, before.old_valid_until, None)
    } else {
        let rotation = Rotation { at, old_valid_until, end_overlap: asked.end_overlap, repeat_key };
        let done = change(&services, &caller, id, &WebhookCommand::RotateSecret(rotation)).await?;
        (done.state.generation, done.state.old_valid_until, done.position)
    };
    let mut body = Map::new();
    body.insert("id".to_owned(), about.into());
    body.insert("signing_secret".to_owned(), services.webhooks.secret(id, generation).expose().into());
    response::put(&mut body, "old_secret_valid_until", old_valid_until.map(response::time));
    Ok(Written(Json(Value::Object(body)), position))
}

/// A webhook's id in a path. What is no id names nothing.
pub(super) fn webhook_id(caller: &Administrator, text: &str) -> Result<WebhookId, Problem> {
    text.parse().map_err(|_| caller.problem(missing()))
}

/// A webhook of the caller's tenant.
pub(super) async fn the_tenants(services: &Services, caller: &Administrator, id: WebhookId) -> Result<KnownWebhook, Problem> {
    let known = services.commands.webhook(id).await.map_err(|error| caller.problem(error))?;
    known.filter(|known| known.webhook.tenant.as_ref() == Some(caller.tenant())).ok_or_else(|| caller.problem(missing()))
}

pub(super) async fn change(
    services: &Services,
    caller: &Administrator,
    id: WebhookId,
    command: &WebhookCommand,
) -> Result<Done<Webhook>, Problem> {
    let done = services.commands.change_webhook(&caller.cause, id, caller.tenant(), command).await;
    services.webhooks.changed(id);
    done.map_err(|error| caller.problem(error))
}

async fn show(services: &Services, caller: &Administrator, id: WebhookId) -> Result<Map<String, Value>, Problem> {
    let known = the_tenants(services, caller, id).await?;
    Ok(render(&known, &standing(services, caller, id).await?))
}

async fn standing(services: &Services, caller: &Administrator, id: WebhookId) -> Result<Standing, Problem> {
    services.webhooks.standing(id).await.map_err(|error| caller.problem(error))
}

fn wish(services: &Services, asked: Members, before: Option<Wish>) -> Result<Wish, Failure> {
    let url = asked.url.map(|text| WebhookUrl::parse(&text).map_err(|problem| invalid(&format!("url {problem}")))).transpose()?;
    // One that stays as it is was taken before.
    if let Some(new) = url.as_ref().filter(|new| before.as_ref().is_none_or(|before| before.url != **new)) {
        services.webhooks.never_dialled(new).map_err(|reason| invalid(&format!("url {reason}")))?;
    }
    let label = asked.label.map(checked_name).transpose()?;
    let (old_label, old_url, old_types, old_servers) = match before {
        Some(wish) => (Some(wish.label), Some(wish.url), wish.types, wish.resource_servers),
        None => (None, None, Vec::new(), Vec::new()),
    };
    let asked_types = asked.types.clone();
    let mut types = asked.types.unwrap_or(old_types);
    types.sort_unstable();
    types.dedup();
    let mut resource_servers = asked.resource_servers.unwrap_or(old_servers);
    resource_servers.sort_unstable();
    resource_servers.dedup();
    if types.len() > Wish::MOST || resource_servers.len() > Wish::MOST {
        return Err(invalid("types or resource_servers has more than 50 entries"));
    }
    if let Some(unknown) = asked_types.iter().flatten().find(|prefix| !codec::is_known(prefix)) {
        return Err(invalid(&format!(
            "types has `{}`, with which no event's name begins; right is {}",
            unknown.as_str(),
            parameters::types()
        )));
    }
    let label = label.or(old_label).ok_or_else(|| invalid("label is missing"))?;
    let url = url.or(old_url).ok_or_else(|| invalid("url is missing"))?;
    Ok(Wish { label, url, types, resource_servers })
}

fn start(text: Option<&str>) -> Result<Start, Failure> {
    match text {
        None | Some("now") => Ok(Start::Now),
        Some("beginning") => Ok(Start::Beginning),
        Some(text) => text
            .parse::<Position>()
            .map(|position| Start::After(position.to_backend()))
            .map_err(|_| invalid("start is neither now, nor beginning, nor a position")),
    }
}

fn render(known: &KnownWebhook, standing: &Standing) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("id".to_owned(), known.id.to_string().into());
    if let Some(wish) = &known.webhook.wish {
        body.insert("label".to_owned(), wish.label.clone().into());
        body.insert("url".to_owned(), wish.url.as_str().into());
        body.insert("types".to_owned(), json!(wish.types));
        body.insert("resource_servers".to_owned(), json!(wish.resource_servers));
    }
    body.insert("state".to_owned(), known.webhook.life.as_str().into());
    if let Some(disabled) = &known.webhook.disabled {
        body.insert("disabled_because".to_owned(), disabled.because.as_str().into());
        response::put(&mut body, "disabled_reason", disabled.reason.clone());
    }
    body.insert("created_at".to_owned(), response::time(known.created_at).into());
    response::put(&mut body, "old_secret_valid_until", known.webhook.old_valid_until.map(response::time));
    response::put(&mut body, "position", standing.position.map(|position| position.to_string()));
    body.insert("waiting".to_owned(), standing.waiting.into());
    body.insert("dead_letters".to_owned(), standing.dead.into());
    body.insert("held_behind_dead_letters".to_owned(), standing.held.into());
    response::put(&mut body, "last_taken_at", standing.taken_at.map(response::time));
    response::put(&mut body, "last_failed_at", standing.failed_at.map(response::time));
    response::put(&mut body, "failing_since", standing.failing_since.map(response::time));
    response::put(&mut body, "trouble", standing.trouble.clone());
    let back =
        standing.went_back.map(|back| json!({ "at": response::time(back.at), "from": back.from.to_string(), "to": back.to.to_string() }));
    response::put(&mut body, "went_back", back);
    body
}

fn missing() -> Failure {
    Failure::not_found("webhook")
}
