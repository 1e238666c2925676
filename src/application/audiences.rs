//! What this service is called by those who sign something for it: the `aud` of assertions and of software statements.

use std::sync::Arc;

use gatebook_events::identity::ResourceServerId;
use gatebook_events::resource_server::normalized;
use serde_json::{Map, Value};

use crate::aggregates::{CommandError, Snapshot};
use crate::application::services::Services;

/// The names of this service for one purpose.
pub struct Audiences {
    names: Vec<String>,
    public_url: String,
    /// What may follow the issuer of a resource server.
    ends: &'static [&'static str],
    servers: Arc<Snapshot>,
}

impl Audiences {
    /// Of whoever checks an assertion (RFC 7523 §3): the issuers that are published here, each resource server's too, and the token
    /// endpoints that go with them. While the authorization server cannot be reached its names are not known, and do not pass.
    pub async fn of_assertions(services: &Services) -> Result<Self, CommandError> {
        let public_url = &services.public_url;
        let mut names = vec![public_url.clone(), format!("{public_url}/oauth/token"), services.access_tokens.issuer().to_owned()];
        if let Ok(upstream) = services.authorization_server.metadata().await {
            names.extend(["issuer", "token_endpoint"].into_iter().filter_map(|name| upstream.get(name)?.as_str()).map(str::to_owned));
        }
        Self::named(services, names, &[""]).await
    }

    /// Of whoever registers clients (RFC 7591 §2.3): the issuers that are published here, and the registration endpoints.
    pub async fn of_statements(services: &Services) -> Result<Self, CommandError> {
        let public_url = &services.public_url;
        let mut names = vec![public_url.clone(), format!("{public_url}/oauth/register")];
        if let Ok(upstream) = services.authorization_server.metadata().await {
            names.push(issuer(&upstream, public_url));
        }
        Self::named(services, names, &["", "/oauth/register"]).await
    }

    async fn named(services: &Services, names: Vec<String>, ends: &'static [&'static str]) -> Result<Self, CommandError> {
        Ok(Self { names, public_url: services.public_url.clone(), ends, servers: services.commands.known_servers().await? })
    }
}

impl Audiences {
    /// Whether one of the audiences of a token is this service. To the letter (RFC 7519 §4.1.3).
    pub fn named_in(&self, claims: &Map<String, Value>) -> bool {
        let ours = |value: &Value| value.as_str().is_some_and(|text| self.has(text));
        match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        }
    }

    fn has(&self, text: &str) -> bool {
        if self.names.iter().any(|name| name == text) {
            return true;
        }
        let below = text.strip_prefix(self.public_url.as_str()).and_then(|rest| rest.strip_prefix("/rs/"));
        let ids = self.ends.iter().filter_map(|end| below?.strip_suffix(end)?.parse::<ResourceServerId>().ok());
        ids.into_iter().any(|id| {
            // A UUID has more spellings than the one that is published.
            let written = below.is_some_and(|below| below.starts_with(&id.to_string()));
            written && self.servers.get(id).is_some_and(|known| known.server.is_active())
        })
    }
}

/// The issuer of metadata that are published here. Where a proxy gives both one issuer, it is spelled as the authorization server
/// spells it, for that is what its answers and its tokens say and what clients compare to the letter (RFC 8414 §3.3, RFC 9207
/// §2.4): `https://auth.example/` has its slash.
pub fn issuer(upstream: &Map<String, Value>, base: &str) -> String {
    let plain = |url: &str| normalized(url).trim_end_matches('/').to_owned();
    let stated = upstream.get("issuer").and_then(Value::as_str).filter(|stated| plain(stated) == plain(base));
    stated.unwrap_or(base).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn w2_one_issuer_is_spelled_as_the_authorization_server_spells_it() {
        let upstream = |stated: &str| Map::from_iter([("issuer".to_owned(), json!(stated))]);
        let spelled = |stated: &str, base: &str| issuer(&upstream(stated), base);
        assert_eq!(spelled("https://auth.example/", "https://auth.example"), "https://auth.example/");
        assert_eq!(spelled("https://auth.example/realms/acme/", "https://auth.example/realms/acme"), "https://auth.example/realms/acme/");
        assert_eq!(spelled("https://AUTH.example:443", "https://auth.example"), "https://AUTH.example:443");
        assert_eq!(spelled("https://as.example/", "https://gate.example"), "https://gate.example");
        assert_eq!(spelled("https://auth.example/", "https://auth.example/rs/1"), "https://auth.example/rs/1");
        assert_eq!(issuer(&Map::new(), "https://gate.example"), "https://gate.example");
    }
}
