//! `/ui/sign-in` and `/ui/sign-out`: with an administrator's token, for the first minutes and for those without a provider.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::credentials::admin::{Admin, AdminRefusal};
use crate::http::caller::{looks_at_clients, request_id};
use crate::http::error::Failure;
use crate::ui::parts::cookies;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout;
use crate::ui::parts::links::{Links, encoded};
use crate::ui::parts::session::{LARGEST_OF_GUEST, Posted, Session, draw, form, guard};

/// How long a page with the form to sign in may stay open, in seconds.
const PATIENCE: i64 = 12 * 3600;

/// `GET /ui/sign-in`
pub async fn page(State(services): State<Services>, request: Request) -> Response {
    let fields = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let links = Links::of(&services);
    let next = fields.text("next").filter(|next| links.is_one(next)).map(str::to_owned);
    if Session::read(&services, request.headers()).is_some() {
        return Redirect::to(&next.unwrap_or_else(|| links.overview())).into_response();
    }
    shown(&services, request.headers(), next.as_deref(), None)
}

/// `POST /ui/sign-in`
pub async fn with_token(State(services): State<Services>, request: Request) -> Response {
    let links = Links::of(&services);
    let (parts, body) = request.into_parts();
    let guest: Option<String> = cookies::GUEST.read(&services, &parts.headers);
    let expected = guest.map(|id| guard(&services, &id)).unwrap_or_default();
    let fields = match form(&services, &parts, (body, LARGEST_OF_GUEST), &expected).await {
        Ok(fields) if !expected.is_empty() => fields,
        Ok(_) | Err(Failure::Request { code: "foreign-form", .. }) => {
            return shown(&services, &parts.headers, None, Some("The page was open for too long, or cookies are off. Try again."));
        }
        Err(failure) => return Sorry::new(&failure, &links, request_id(&parts).as_str()).into_response(),
    };
    let next = fields.text("next").filter(|next| links.is_one(next)).map(str::to_owned);
    let token = fields.text("token").unwrap_or_default();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let found = services.admins.verify_until(token).await.and_then(|(admin, until)| Ok((looks_at_clients(admin)?, until)));
    match found {
        Ok((admin, until)) => begin(&services, &admin, until, next.as_deref())
            .unwrap_or_else(|failure| Sorry::new(&failure, &links, request_id(&parts).as_str()).into_response()),
        Err(refusal) => shown(&services, &parts.headers, next.as_deref(), Some(&sentence(refusal))),
    }
}

/// Signs somebody in and goes on to where they wanted to be.
pub fn begin(services: &Services, admin: &Admin, until: chrono::DateTime<chrono::Utc>, next: Option<&str>) -> Result<Response, Failure> {
    let now = services.commands.clock().now();
    let session = Session::try_new(admin, until, now)?;
    let mut headers = HeaderMap::new();
    headers.append(header::SET_COOKIE, cookies::SESSION.set(services, &session, session.lasts(now)));
    headers.append(header::SET_COOKIE, cookies::GUEST.clear(services));
    let next = next.map_or_else(|| Links::of(services).overview(), str::to_owned);
    Ok((headers, Redirect::to(&next)).into_response())
}

/// `POST /ui/sign-out`: the cookie is taken away, and means nothing to whoever kept a copy.
pub async fn out(State(services): State<Services>, Posted { visitor, .. }: Posted) -> Response {
    if let Some(session) = Session::read(&services, &visitor.headers) {
        session.end(&services);
    }
    let headers = [(header::SET_COOKIE, cookies::SESSION.clear(&services))];
    (headers, Redirect::to(&visitor.links.to("/sign-in"))).into_response()
}

fn sentence(refusal: AdminRefusal) -> String {
    match refusal {
        AdminRefusal::Missing => "Paste a token first.".to_owned(),
        AdminRefusal::NoRole => "That token is good, but gives none of the roles admin, auditor and viewer.".to_owned(),
        other => capital(&other.to_string()),
    }
}

/// The form; its guard is bound to a cookie, as there is no session yet.
pub fn shown(services: &Services, headers: &HeaderMap, next: Option<&str>, wrong: Option<&str>) -> Response {
    let links = Links::of(services);
    let known: Option<String> = cookies::GUEST.read(services, headers);
    let Ok(guest) = known.map_or_else(draw, Ok) else {
        return Sorry::new(&UseCaseError::Internal("no random bits are to be had").into(), &links, "none").into_response();
    };
    let body = html! {
        main #main .sign-in tabindex="-1" {
            p.brand { (layout::logo()) span { "Gatebook" } }
            h1 { "Sign in" }
            @if let Some(wrong) = wrong { p.said.bad role="alert" { (wrong) } }
            @if let Some(provider) = services.provider.as_ref() {
                @let query = next.map(|next| format!("?next={}", encoded(next))).unwrap_or_default();
                p.actions { a.button.primary.provider href={ (links.to("/sign-in/provider")) (query) } { "Sign in at " (provider.host()) } }
                p.or { "or" }
            }
            (token_form(&links, &guard(services, &guest), next, wrong.is_some()))
        }
    };
    let cookie = [(header::SET_COOKIE, cookies::GUEST.set(services, &guest, PATIENCE))];
    (cookie, layout::bare(&links, "Sign in", None, &body)).into_response()
}

fn token_form(links: &Links, guard: &str, next: Option<&str>, wrong: bool) -> Markup {
    html! {
        form method="post" action=(links.to("/sign-in")) {
            input type="hidden" name="guard" value=(guard);
            @if let Some(next) = next { input type="hidden" name="next" value=(next); }
            label for="token" { "Admin token" }
            input #token type="password" name="token" autocomplete="off" spellcheck="false" required autofocus aria-describedby="token-help" aria-invalid=[wrong.then_some("true")];
            p #token-help .muted.small { "Made on the machine that runs the service:" br; code { "gatebook token --role admin --tenant default" } }
            button.primary type="submit" { "Sign in with a token" }
        }
    }
}
