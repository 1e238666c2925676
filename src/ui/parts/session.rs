//! Who looks at a page, and who may send a form: a session in a signed cookie, and proof that the form is one of ours.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::TenantId;
use gatebook_projections::read_model::{Projection, QueryError, Reader};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::links::{Links, encoded};
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::application::sessions::Ended;
use crate::credentials::admin::{Admin, Role};
use crate::http::bounded::held;
use crate::http::caller::{Administrator, request_id};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::request_id::RequestId;
use crate::http::timely::{self, Unread};
use crate::read_models::Projector;
use crate::ui::parts::cookies;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::forms::Fields;

/// The longest that one stays signed in.
pub const LONGEST_SESSION: TimeDelta = TimeDelta::hours(12);
/// The largest form of a guest, in bytes.
pub const LARGEST_OF_GUEST: usize = 64 * 1024;
/// The largest form, in bytes.
const LARGEST_FORM: usize = 512 * 1024;

/// What the cookie of a session holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    id: String,
    tenant: String,
    subject: String,
    role: String,
    /// In seconds since the epoch.
    until: i64,
    /// When it began, in seconds since the epoch; an older build did not say.
    #[serde(default)]
    since: i64,
}

impl Session {
    /// A new session for an administrator, which ends no later than what they proved themselves with.
    pub fn try_new(admin: &Admin, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<Self, Failure> {
        Ok(Self {
            id: draw()?,
            tenant: admin.tenant.to_string(),
            subject: admin.subject.clone(),
            role: admin.role.to_string(),
            until: until.min(now + LONGEST_SESSION).timestamp(),
            since: now.timestamp(),
        })
    }

    /// For how many seconds it still lasts.
    pub fn lasts(&self, now: DateTime<Utc>) -> i64 {
        self.until - now.timestamp()
    }

    /// The session that a browser brought, while it lasts.
    pub fn read(services: &Services, headers: &HeaderMap) -> Option<Self> {
        let session: Self = cookies::SESSION.read(services, headers)?;
        let ended = services.sessions.contains(&session.id, session.since);
        (session.lasts(services.commands.clock().now()) > 0 && !ended).then_some(session)
    }

    /// Ends it, whoever still has the cookie.
    pub fn end(&self, services: &Services) {
        let ended = Ended { since: self.since, until: self.until };
        services.sessions.insert(self.id.clone(), ended, services.commands.clock().now().timestamp());
    }

    fn admin(&self) -> Option<Admin> {
        let tenant = TenantId::parse(&self.tenant).ok()?;
        Some(Admin { tenant, subject: self.subject.clone(), role: self.role.parse().ok()? })
    }
}

/// 128 random bits as text.
pub fn draw() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| UseCaseError::Internal("no random bits are to be had"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// An administrator who is signed in.
pub struct Visitor {
    /// Who, as commands and checks of roles know them.
    pub caller: Administrator,
    /// Where the pages are.
    pub links: Links,
    /// What the browser sent.
    pub headers: HeaderMap,
    /// What every form of theirs brings back.
    guard: String,
}

impl Visitor {
    /// Whether they may change things.
    pub fn may_change(&self) -> bool {
        self.caller.must_change().is_ok()
    }

    /// Whether they may read who did what.
    pub fn may_audit(&self) -> bool {
        self.caller.must_audit().is_ok()
    }

    /// What they may do, as a word.
    pub fn role(&self) -> Role {
        self.caller.admin.role
    }

    /// Whose things they see.
    pub fn tenant(&self) -> &TenantId {
        self.caller.tenant()
    }

    /// What goes into every form.
    pub fn guard(&self) -> Markup {
        html! { input type="hidden" name="guard" value=(self.guard); }
    }

    /// A failure as a page.
    pub fn sorry(&self, failure: impl Into<Failure>) -> Sorry {
        Sorry::new(&failure.into(), &self.links, self.caller.request_id.as_str())
    }

    /// A failure of the API as a page.
    pub fn told(&self, problem: Problem) -> Sorry {
        self.sorry(problem.0)
    }

    /// Asks a read model that shows all that was written before.
    pub async fn read<P: Projection, T: Send + 'static>(
        &self,
        services: &Services,
        projector: &Projector<P>,
        query: impl FnOnce(&Reader<P>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<Fresh<T>, Sorry> {
        consistency::read(services, projector, &HeaderMap::new(), query).await.map_err(|failure| self.sorry(failure))
    }
}

impl FromRequestParts<Services> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Response> {
        let links = Links::of(services);
        let session = Session::read(services, &parts.headers);
        let Some((session, admin)) = session.and_then(|session| session.admin().map(|admin| (session, admin))) else {
            return Err(signed_out(parts, &links));
        };
        let guard = guard(services, &session.id);
        let caller = Administrator::behind(parts, services, admin, "ui");
        Ok(Self { caller, links, headers: parts.headers.clone(), guard })
    }
}

/// Bounds the pages that somebody reads at a time, from when they begin until they were taken.
pub async fn bounded(State(services): State<Services>, request: Request, next: Next) -> Response {
    let session = Session::read(&services, request.headers()).filter(|_| matches!(*request.method(), Method::GET | Method::HEAD));
    let Some(admin) = session.and_then(|session| session.admin()) else { return next.run(request).await };
    match services.reads.begin(&admin.tenant, &admin.subject).await {
        Ok(read) => held(next.run(request).await, read),
        Err(failure) => {
            let id = request.extensions().get::<RequestId>().map_or("none", RequestId::as_str).to_owned();
            Sorry::new(&failure.into(), &Links::of(&services), &id).into_response()
        }
    }
}

/// Whoever opens a page comes back to it after signing in; what a form said is lost with its session.
fn signed_out(parts: &Parts, links: &Links) -> Response {
    let is_page = parts.method == Method::GET && !parts.headers.contains_key("x-gatebook-live");
    if is_page {
        let path = parts.uri.path_and_query().map_or("", |whole| whole.as_str());
        let next = if path.is_empty() || path == "/" { String::new() } else { format!("?next={}", encoded(&links.to(path))) };
        return Redirect::to(&format!("{}{next}", links.to("/sign-in"))).into_response();
    }
    let failure = Failure::request(StatusCode::UNAUTHORIZED, "unauthorized", "the session is over; sign in and try again");
    Sorry::new(&failure, links, request_id(parts).as_str()).into_response()
}

/// What the forms of a session or of a guest bring back: nobody else can know it.
pub fn guard(services: &Services, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(services.instance_key.code("gatebook ui form 1", &[id.as_bytes()]))
}

/// A form that somebody sent who is signed in.
pub struct Posted {
    /// Who.
    pub visitor: Visitor,
    /// What it says.
    pub fields: Fields,
}

impl FromRequest<Services> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, services: &Services) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, services).await?;
        let fields =
            form(services, &parts, (body, LARGEST_FORM), &visitor.guard).await.map_err(|failure| visitor.sorry(failure).into_response())?;
        Ok(Self { visitor, fields })
    }
}

/// A form that changes something, sent by somebody who may.
pub struct Change(pub Posted);

impl FromRequest<Services> for Change {
    type Rejection = Response;

    async fn from_request(request: Request, services: &Services) -> Result<Self, Response> {
        let posted = Posted::from_request(request, services).await?;
        posted.visitor.caller.must_change().map_err(|problem| posted.visitor.told(problem).into_response())?;
        Ok(Self(posted))
    }
}

/// Reads a form that is one of ours: it comes from a page of this service and brings back what only that page knew.
pub async fn form(services: &Services, parts: &Parts, (body, most): (Body, usize), guard: &str) -> Result<Fields, Failure> {
    let foreign = || Failure::request(StatusCode::FORBIDDEN, "foreign-form", "the form does not come from a page of this service");
    if !same_origin(services, &parts.headers) {
        return Err(foreign());
    }
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.split(';').next().is_none_or(|name| !name.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(Failure::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid-request", "a form is sent as a form"));
    }
    let bytes = timely::read(body, most).await.map_err(|unread| match unread {
        Unread::Late => Failure::request(StatusCode::REQUEST_TIMEOUT, "invalid-request", "the form did not arrive in time"),
        Unread::TooLongOrCutOff => Failure::request(StatusCode::PAYLOAD_TOO_LARGE, "invalid-request", "the form is too long"),
    })?;
    let fields = Fields::parse(&bytes);
    let brought = fields.text("guard").unwrap_or_default();
    if bool::from(brought.as_bytes().ct_eq(guard.as_bytes())) { Ok(fields) } else { Err(foreign()) }
}

/// Browsers say where a form comes from. A proxy may have changed the host, so the public one passes too.
fn same_origin(services: &Services, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let own = &services.public_url;
    let own = own.find("://").and_then(|at| own.get(at + 3..)).and_then(|rest| rest.split('/').next());
    let from = origin.split_once("://").map(|(_, authority)| authority);
    from.is_some() && (from == text("host") || from == own)
}
