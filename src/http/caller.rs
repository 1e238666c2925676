//! Who calls: the administrator behind a bearer token, the address that a call really came from, and what its URL says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{self, ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::service_token::{ServiceScope, ServiceToken};
use serde::de::DeserializeOwned;

use super::error::{Failure, OauthError, Problem};
use super::parameters;
use super::request_id::RequestId;
use crate::aggregates::Cause;
use crate::application::services::Services;
use crate::config::AddressDetail;
use crate::credentials::admin::{Admin, AdminRefusal, Role};
use crate::credentials::secrets;
use crate::platform::spans;

/// An administrator, and what every event that they cause will say of the call.
#[derive(Clone)]
pub struct Administrator {
    /// Who.
    pub admin: Admin,
    /// The cause of what follows.
    pub cause: Cause,
    /// The id of the call.
    pub request_id: RequestId,
}

impl Administrator {
    /// Whose things they see.
    pub fn tenant(&self) -> &TenantId {
        &self.admin.tenant
    }

    /// Refuses whoever may not change things.
    pub fn must_change(&self) -> Result<(), Problem> {
        self.at_least(Role::Admin)
    }

    /// Refuses whoever may not read the trail of who did what.
    pub fn must_audit(&self) -> Result<(), Problem> {
        self.at_least(Role::Auditor)
    }

    /// Refuses whoever may not change what concerns all tenants: that is for administrators of the tenant that every instance has.
    pub fn must_operate(&self) -> Result<(), Problem> {
        self.must_change()?;
        if self.admin.tenant == TenantId::default_tenant() {
            return Ok(());
        }
        let detail = "only administrators of the tenant default may do this";
        Err(self.problem(Failure::request(StatusCode::FORBIDDEN, "not-operator", detail)))
    }

    fn at_least(&self, role: Role) -> Result<(), Problem> {
        if self.admin.role >= role { Ok(()) } else { Err(self.problem(AdminRefusal::NoRole)) }
    }

    /// The administrator behind a call, however they proved who they are; `via` names the door.
    pub fn behind(parts: &Parts, services: &Services, admin: Admin, via: &str) -> Self {
        let request_id = request_id(parts);
        spans::concerns(&admin.tenant);
        let actor = Actor { kind: ActorKind::Admin, id: Some(admin.subject.clone()), via: Some(via.to_owned()) };
        let origin = Some(network(source(parts, services), services.config.address_detail));
        let cause = Cause { actor, tenant: Some(admin.tenant.clone()), request_id: Some(request_id.as_str().to_owned()), origin };
        Self { admin, cause, request_id }
    }

    /// A failure, as this administrator is told.
    pub fn problem(&self, failure: impl Into<Failure>) -> Problem {
        Problem(failure.into(), self.request_id.clone())
    }
}

impl FromRequestParts<Services> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Problem> {
        let request_id = request_id(parts);
        let token = bearer(&parts.headers).ok_or_else(|| Problem(AdminRefusal::Missing.into(), request_id.clone()))?;
        let admin = services.admins.verify(token).await.and_then(looks_at_clients);
        let admin = admin.map_err(|refusal| Problem(refusal.into(), request_id.clone()))?;
        Ok(Self::behind(parts, services, admin, "admin-api"))
    }
}

/// Whether a call carries the token of an administrator or of a service, whatever it may do with it.
pub async fn is_known(services: &Services, headers: &HeaderMap) -> bool {
    match bearer(headers) {
        None => false,
        Some(token) if token.starts_with(secrets::ServiceToken::PREFIX) => {
            matches!(services.commands.service_token(&secrets::ServiceToken::received(token)).await, Ok(Some(_)))
        }
        Some(token) => services.admins.verify(token).await.is_ok(),
    }
}

/// Whoever asks whether clients may come in sees none of them.
pub fn looks_at_clients(admin: Admin) -> Result<Admin, AdminRefusal> {
    if admin.role >= Role::Viewer { Ok(admin) } else { Err(AdminRefusal::NoRole) }
}

/// An authorization server or a gateway, which asks whether clients may come in; an administrator may try what it is told.
pub struct Decider {
    /// Whose resource servers it asks about.
    pub tenant: TenantId,
    /// Which of them only; all, if none are named.
    bound: Bound,
}

/// What a caller's credential is bound to.
enum Bound {
    Tenant,
    Token(Arc<ServiceToken>),
}

impl Decider {
    /// Whoever calls, if they may do this.
    async fn authorized(parts: &Parts, services: &Services, scope: ServiceScope) -> Result<Self, OauthError> {
        let token = bearer(&parts.headers).ok_or(Failure::Admin(AdminRefusal::Missing))?;
        if token.starts_with(secrets::ServiceToken::PREFIX) {
            let known = services.commands.service_token(&secrets::ServiceToken::received(token)).await?;
            let known = known.ok_or(Failure::ServiceToken)?;
            let tenant = known.tenant.clone().ok_or(Failure::ServiceToken)?;
            spans::concerns(&tenant);
            if !known.scopes.contains(&scope) {
                return Err(Failure::Admin(AdminRefusal::NoRole).into());
            }
            return Ok(Self { tenant, bound: Bound::Token(known) });
        }
        let admin = services.admins.verify(token).await.map_err(Failure::Admin)?;
        match admin.role {
            Role::Decider | Role::Admin => {
                spans::concerns(&admin.tenant);
                Ok(Self { tenant: admin.tenant, bound: Bound::Tenant })
            }
            Role::Viewer | Role::Auditor => Err(Failure::Admin(AdminRefusal::NoRole).into()),
        }
    }

    /// Whether they may ask about this resource server of the tenant.
    pub fn sees(&self, server: ResourceServerId) -> bool {
        match &self.bound {
            Bound::Tenant => true,
            Bound::Token(token) => token.resource_servers.is_empty() || token.resource_servers.contains(&server),
        }
    }

    /// The resource server that is meant where none is named, if their credential is bound to one.
    pub fn only(&self) -> Option<ResourceServerId> {
        match &self.bound {
            Bound::Token(token) if token.resource_servers.len() == 1 => token.resource_servers.first().copied(),
            Bound::Tenant | Bound::Token(_) => None,
        }
    }
}

impl FromRequestParts<Services> for Decider {
    type Rejection = OauthError;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, OauthError> {
        Self::authorized(parts, services, ServiceScope::Decide).await
    }
}

/// An authorization server that may have clients' credentials checked.
pub struct Authenticator(pub Decider);

impl FromRequestParts<Services> for Authenticator {
    type Rejection = OauthError;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, OauthError> {
        Decider::authorized(parts, services, ServiceScope::Authenticate).await.map(Self)
    }
}

/// Anybody: where the call came from.
pub struct Anyone {
    /// The address, behind every proxy that is trusted.
    pub address: IpAddr,
    request_id: RequestId,
    origin: String,
}

impl Anyone {
    /// The cause of what follows, for a caller of this kind.
    pub fn cause(&self, kind: ActorKind, id: Option<String>, via: &str) -> Cause {
        Cause {
            actor: Actor { kind, id, via: Some(via.to_owned()) },
            tenant: None,
            request_id: Some(self.request_id.as_str().to_owned()),
            origin: Some(self.origin.clone()),
        }
    }
}

impl FromRequestParts<Services> for Anyone {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Self::Rejection> {
        let address = source(parts, services);
        Ok(Self { address, request_id: request_id(parts), origin: network(address, services.config.address_detail) })
    }
}

/// The names in a path. What is not UTF-8 once it is decoded names nothing, as an empty text does.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Default + Send> FromRequestParts<Services> for Path<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Self::Rejection> {
        let names = extract::Path::<T>::from_request_parts(parts, services).await;
        Ok(Self(names.map_or_else(|_| T::default(), |names| names.0)))
    }
}

/// The parameters of an administrator's query; an unknown one is refused, so that a typing error does not pass for a filter.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Services> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Services) -> Result<Self, Problem> {
        let refuse = |rejection: QueryRejection| parameters::unreadable(&parts.uri, &rejection.body_text());
        let query = extract::Query::try_from_uri(&parts.uri).map_err(refuse);
        query.map(|query| Self(query.0)).map_err(|failure| Problem(failure, request_id(parts)))
    }
}

/// The calls of administrators that have parameters, which [`Query`] reads. All others have none.
const WITH_PARAMETERS: [&str; 11] = [
    "/authsec/resource-servers/{id}/clients",
    "/authsec/resource-servers/{id}/clients/{client_id}",
    "/authsec/resource-servers/{id}/registration-tokens",
    "/authsec/resource-servers/{id}/registration-tokens/{token_id}",
    "/authsec/service-tokens",
    "/authsec/unbound-clients",
    "/authsec/webhooks/{webhook_id}/dead-letters",
    "/authsec/approvals",
    "/authsec/audit/events",
    "/authsec/audit/export",
    "/authsec/audit/stream",
];

/// Refuses parameters where there are none: what somebody wrote into a query would otherwise be done without.
pub async fn only_known_parameters(request: extract::Request, next: Next) -> Response {
    let path = request.extensions().get::<extract::MatchedPath>().map(|path| path.as_str().trim_end_matches('/'));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let has_some = reads && path.is_none_or(|path| WITH_PARAMETERS.contains(&path));
    let sent = request.uri().query().unwrap_or_default().as_bytes();
    let names: Vec<_> = form_urlencoded::parse(sent).map(|(name, _)| name).collect();
    match parameters::none_but(names.iter().map(|name| &**name), &[]) {
        Err(failure) if !has_some => {
            let (parts, _) = request.into_parts();
            Problem(failure, request_id(&parts)).into_response()
        }
        _ => next.run(request).await,
    }
}

/// The parameters of an OAuth query; unknown ones mean nothing (RFC 6749 §3.1).
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Services> for Parameters<T> {
    type Rejection = OauthError;

    async fn from_request_parts(parts: &mut Parts, _: &Services) -> Result<Self, OauthError> {
        let refuse = |_| Failure::request(StatusCode::BAD_REQUEST, "invalid_request", "a parameter of the query is not acceptable");
        extract::Query::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|rejection| refuse(rejection).into())
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The id of the call.
pub fn request_id(parts: &Parts) -> RequestId {
    parts.extensions.get::<RequestId>().cloned().unwrap_or(RequestId(axum::http::HeaderValue::from_static("none")))
}

/// The nearest address that is not one of our own proxies; what others write into the header is not believed.
fn source(parts: &Parts, services: &Services) -> IpAddr {
    let peer =
        parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip().to_canonical());
    let trusted = |address: IpAddr| services.config.trusted_proxies.iter().any(|network| network.contains(&address));
    if !trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    for hop in forwarded(&parts.headers).into_iter().rev() {
        let Some(address) = hop else { break };
        nearest = address;
        if !trusted(address) {
            break;
        }
    }
    nearest
}

/// The hops of `Forwarded` (RFC 7239) if there is one, else of `X-Forwarded-For`, farthest first.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let texts =
        |name: &str| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect::<Vec<_>>().join(",");
    let standard = texts("forwarded");
    if standard.is_empty() {
        return texts("x-forwarded-for").split(',').filter(|hop| !hop.trim().is_empty()).map(|hop| address(hop.trim())).collect();
    }
    let hop_of = |element: &str| {
        let node = element
            .split(';')
            .find_map(|pair| pair.trim().split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, v)| v.to_owned()))?;
        address(node.trim_matches('"'))
    };
    standard.split(',').map(hop_of).collect()
}

/// An address with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let parsed = text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)).map(|ip| ip.to_canonical())
}

/// As much of an address as is kept: its network, unless configured otherwise.
fn network(address: IpAddr, detail: AddressDetail) -> String {
    match (detail, address) {
        (AddressDetail::Full, address) => address.to_string(),
        (AddressDetail::Network, IpAddr::V4(v4)) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        (AddressDetail::Network, IpAddr::V6(v6)) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}
