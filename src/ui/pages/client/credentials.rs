//! A client's credentials: whether it has a secret, which may be replaced with an overlap. A secret is shown once.

use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::client::{ClientCommand, Profile};
use gatebook_events::identity::ResourceServerId;
use maud::{Markup, html};

use super::Subject;
use crate::aggregates::CommandError;
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::credentials::secrets::InstanceKey;
use crate::http::authsec::secrets::{Wanted, replace};
use crate::http::error::Failure;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{self, Frame, Place, Tab};
use crate::ui::parts::session::{Change, Posted, Visitor};

/// For how long the old secret may go on, in seconds.
const OVERLAPS: [(u32, &str); 5] = [
    (0, "ends now"),
    (3600, "works for one more hour"),
    (86_400, "works for one more day"),
    (604_800, "works for one more week"),
    (2_592_000, "works for 30 more days"),
];

/// What there is to see and do.
pub fn card(visitor: &Visitor, subject: &Subject, key: &InstanceKey, now: DateTime<Utc>) -> Markup {
    let (row, profile) = (&subject.row, &subject.profile);
    let at_home = row.home.as_ref() == Some(visitor.tenant());
    html! {
        section.card aria-labelledby="credentials" {
            h2 #credentials { "Credentials" }
            @if row.has_secret {
                dl.facts {
                    dt { "Secret" } dd { "kept as a hash" @if let Some(at) = row.secret_expires_at { ", ends " (format::time(at)) } }
                    @if let Some((_, until)) = profile.previous_secret.as_ref().filter(|(_, until)| *until > now) { dt { "Old secret" } dd { "works until " (format::time(*until)) } }
                }
                @if visitor.may_change() && at_home {
                    form.fields method="post" action=(visitor.links.client(row.resource_server, row.client_id.as_str(), "rotate-secret")) {
                        (visitor.guard())
                        input type="hidden" name="of" value=(mark(key, profile));
                        div.field {
                            label for="overlap" { "The old secret" }
                            select #overlap name="overlap" { @for (seconds, text) in OVERLAPS { option value=(seconds) selected[seconds == 86_400] { (text) } } }
                        }
                        @if let Some((_, until)) = profile.previous_secret.as_ref().filter(|(_, until)| *until > now) {
                            label.tick {
                                input type="checkbox" name="end_overlap" value="yes" required;
                                span { "End the one before it now" span.help { "It was promised to work until " (format::time(*until)) ", and there are two secrets at most." } }
                            }
                        }
                        p.actions { button type="submit" { "Make a new secret" } }
                    }
                    @if profile.previous_secret.as_ref().is_some_and(|(_, until)| *until > now) {
                        form method="post" action=(visitor.links.client(row.resource_server, row.client_id.as_str(), "revoke-old-secret")) {
                            (visitor.guard())
                            button.danger type="submit" { "End the old secret now" }
                        }
                    }
                } @else if visitor.may_change() { p.muted { "Only administrators of its home tenant change its secret." } }
            } @else if row.metadata.is_confidential() { p { "It signs with its own key; there is no secret." } }
            @else { p { "None: it is a public client." } }
            @if profile.registration_token.is_some() { p.muted { "It holds a registration access token, with which it manages itself (RFC 7592)." } }
        }
    }
}

/// Stands for the secret that a page was shown beside, so that a form which is sent twice replaces it once.
fn mark(key: &InstanceKey, profile: &Profile) -> String {
    let hash = profile.secret.as_ref().map(|secret| secret.hash.as_phc()).unwrap_or_default();
    let code = key.code("gatebook ui secret 1", &[profile.client_id.as_str().as_bytes(), hash.as_bytes()]);
    URL_SAFE_NO_PAD.encode(code.get(..12).unwrap_or_default())
}

/// `POST …/rotate-secret`: the answer is the page with the new secret. It has no address, so there is no way back to it.
pub async fn rotate(
    State(services): State<Services>,
    Path((id, client_id)): Path<(String, String)>,
    Change(posted): Change,
) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let subject = subject(&services, &visitor, &id, &client_id).await?;
    let row = &subject.row;
    let back = visitor.links.client(row.resource_server, row.client_id.as_str(), "");
    if fields.text("of") != Some(mark(&services.instance_key, &subject.profile).as_str()) {
        let text =
            "The secret was replaced since that page was opened. It was shown then, and is not shown again; make another if it is lost.";
        return Ok(layout::go(&services, &back, false, text));
    }
    let wanted = Wanted { overlap_seconds: overlap(&fields), end_overlap: fields.has("end_overlap", "yes"), key: None };
    let rotated = match replace(&services, &visitor.caller, (row.resource_server, row.client_key), wanted).await {
        Ok(rotated) => rotated,
        Err(Failure::UseCase(UseCaseError::Command(CommandError::Rejected(rejection @ Rejection::OverlapUnderWay(_))))) => {
            return Ok(layout::go(&services, &back, false, format!("Nothing was changed: {}", capital(&rejection.to_string()))));
        }
        Err(failure) => return Err(visitor.sorry(failure)),
    };
    let frame = Frame::open(&services, &visitor).await?;
    let content = html! {
        h1 { "The new secret of " (format::inert(&subject.name())) }
        (once(row.client_id.as_str(), rotated.secret.expose()))
        p { @match rotated.old_valid_until { Some(until) => { "The old one works until " (format::time(until)) "." } None => "The old one works no more." } }
        p.actions { a.button.primary href=(back) { "I have it" } }
    };
    Ok(frame.page(&services, &visitor, Place::Server(row.resource_server, Tab::Clients), "A new secret", &content))
}

fn overlap(fields: &Fields) -> u32 {
    fields.text("overlap").and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A secret, which the page loses when it is left.
pub fn once(client_id: &str, secret: &str) -> Markup {
    html! {
        p.note { "This is the only time that it is shown. Gatebook keeps a hash of it, and nobody can read it back." }
        dl.facts {
            dt { "Client id" } dd { code { (format::inert(client_id)) } " " (format::copied(client_id, "the client id")) }
            dt { "Client secret" } dd { span.secret data-once { code #secret { (secret) } " " (format::copied(secret, "the secret")) } }
        }
    }
}

/// `POST …/revoke-old-secret`
pub async fn revoke_old(
    State(services): State<Services>,
    Path((id, client_id)): Path<(String, String)>,
    Change(posted): Change,
) -> Result<Response, Sorry> {
    let visitor = posted.visitor;
    let subject = subject(&services, &visitor, &id, &client_id).await?;
    let row = &subject.row;
    let back = visitor.links.client(row.resource_server, row.client_id.as_str(), "");
    let revoke = |by| ClientCommand::RevokeOldSecret { by };
    let target = (row.resource_server, row.client_key);
    match services.commands.decide_client(&visitor.caller.cause, visitor.tenant(), target, revoke).await {
        Ok(_) => Ok(layout::go(&services, &back, true, "The old secret works no more.")),
        Err(error) => Ok(layout::go(&services, &back, false, capital(&error.to_string()))),
    }
}

async fn subject(services: &Services, visitor: &Visitor, id: &str, client_id: &str) -> Result<Subject, Sorry> {
    let server: ResourceServerId = id.parse().map_err(|_| visitor.sorry(Failure::not_found("resource server")))?;
    Subject::find(services, visitor, server, client_id).await
}
