//! `/ui/sign-in/provider` and `…/back`: to the organisation's OpenID provider and back, with an authorization code and PKCE.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::sign_in::{begin, shown};
use crate::application::services::Services;
use crate::credentials::admin::{Attempt, Provider};
use crate::http::caller::looks_at_clients;
use crate::ui::parts::cookies;
use crate::ui::parts::error_page::capital;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::links::Links;
use crate::ui::parts::session::draw;

/// How long somebody may take at the provider.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// How long a session lasts that a provider vouched for.
const LASTS: TimeDelta = TimeDelta::hours(8);

/// What the browser keeps while it is at the provider.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
    next: Option<String>,
    /// In seconds since the epoch.
    until: i64,
}

/// `GET /ui/sign-in/provider`: a link and no form, because a form may only lead to this service itself.
pub async fn go(State(services): State<Services>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let links = Links::of(&services);
    let Some(provider) = services.provider.as_ref() else { return Redirect::to(&links.to("/sign-in")).into_response() };
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = fields.text("next").filter(|next| links.is_one(next)).map(str::to_owned);
    let Ok(state) = draw() else { return shown(&services, &headers, next.as_deref(), Some("No random bits are to be had. Try again.")) };
    match provider.address(&attempt(&services, state.clone())).await {
        Ok(address) => {
            let until = (services.commands.clock().now() + PATIENCE).timestamp();
            let cookie = cookies::ATTEMPT.set(&services, &Kept { state, next, until }, PATIENCE.num_seconds());
            ([(header::SET_COOKIE, cookie)], Redirect::to(address.as_str())).into_response()
        }
        Err(_) => {
            shown(&services, &headers, next.as_deref(), Some("The provider cannot be reached now. Its metadata or keys are not to be had."))
        }
    }
}

/// `GET /ui/sign-in/back`: the provider's answer, which counts in the browser that asked for it and once.
pub async fn back(State(services): State<Services>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let kept: Option<Kept> = cookies::ATTEMPT.read(&services, &headers);
    let next = kept.as_ref().and_then(|kept| kept.next.clone());
    let mut response = match (services.provider.as_ref(), kept) {
        (Some(provider), Some(kept)) => match finish(&services, provider, kept, &fields).await {
            Ok(response) => response,
            Err(wrong) => shown(&services, &headers, next.as_deref(), Some(&wrong)),
        },
        _ => shown(&services, &headers, None, Some("That answer belongs to no sign-in of this browser. Try again.")),
    };
    response.headers_mut().append(header::SET_COOKIE, cookies::ATTEMPT.clear(&services));
    response
}

async fn finish(services: &Services, provider: &Provider, kept: Kept, fields: &Fields) -> Result<Response, String> {
    let now = services.commands.clock().now();
    let state = fields.text("state").unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(kept.state.as_bytes())) || kept.until <= now.timestamp() {
        return Err("That took too long, or belongs to another sign-in. Try again.".to_owned());
    }
    // RFC 9207: an answer that says whose it is says that it is this provider's.
    if fields.text("iss").is_some_and(|issuer| issuer != provider.issuer()) {
        return Err("That answer comes from another provider.".to_owned());
    }
    if let Some(error) = fields.text("error") {
        return Err(format!("The provider said no: {}.", crate::ui::parts::format::inert_text(error)));
    }
    let code = fields.text("code").ok_or("The provider sent no code.")?;
    let admin = provider.redeem(&attempt(services, kept.state), code).await.and_then(|admin| Ok(looks_at_clients(admin)?));
    let admin = admin.map_err(|refusal| capital(&refusal.to_string()))?;
    begin(services, &admin, now + LASTS, kept.next.as_deref()).map_err(|failure| capital(&failure.told().1))
}

/// What is derived from the state, by a key that only this instance has.
fn attempt(services: &Services, state: String) -> Attempt {
    let derive = |purpose| URL_SAFE_NO_PAD.encode(services.instance_key.code(purpose, &[state.as_bytes()]));
    let (nonce, verifier) = (derive("gatebook ui nonce 1"), derive("gatebook ui verifier 1"));
    Attempt { state, nonce, verifier, redirect_uri: format!("{}/ui/sign-in/back", &services.public_url) }
}
