//! Whether rules make sense by themselves. Each sentence names the member, what it says and what would be right; it may be shown to
//! whoever wrote them.

use super::{Policy, StatementIssuer};
use crate::admission::RegistrationType;
use crate::json::ascii;
use crate::redirect::RedirectUri;
use crate::redirect_rule::{self, RedirectRule};
use crate::scope::Scope;

/// The most redirect rules, and the most private-use schemes.
const MOST: (usize, usize) = (200, 100);
/// The most scopes of the authorization server's own.
const MOST_SCOPES: usize = 50;
/// The longest that a change may wait in the lane `soak`, in hours.
const LONGEST_SOAK: u16 = 24 * 90;
/// The longest that a registration may be idle and yet become dormant: ten years. Who keeps count need look no further back.
const MOST_IDLE_DAYS: u16 = 3650;

impl Policy {
    /// Whether the rules make sense by themselves.
    pub fn check(&self) -> Result<(), String> {
        let (rules, schemes) = (self.redirect_rules.len(), self.private_use_schemes.len());
        if rules > MOST.0 {
            return Err(format!("policy.redirect_rules has {rules} entries; at most {} are allowed", MOST.0));
        }
        if schemes > MOST.1 {
            return Err(format!("policy.private_use_schemes has {schemes} entries; at most {} are allowed", MOST.1));
        }
        if let Some((entry, scheme)) = self.private_use_schemes.iter().enumerate().find(|(_, scheme)| !is_scheme(scheme)) {
            return Err(format!("policy.private_use_schemes[{entry}] is {}; {SCHEME}", quoted(scheme)));
        }
        let soak = self.manifests.soak_hours;
        if soak == 0 || soak > LONGEST_SOAK {
            return Err(format!(
                "policy.manifests.soak_hours is {soak}; right is 1 to {LONGEST_SOAK}, and the lane without a wait is `live`"
            ));
        }
        if let Some(days) = self.dormant_after_days.filter(|days| days.get() > MOST_IDLE_DAYS) {
            return Err(format!("policy.dormant_after_days is {days}; at most {MOST_IDLE_DAYS} are allowed, and null means never"));
        }
        if self.self_registered_grants.is_empty() {
            return Err("policy.self_registered_grants is empty; take dcr and cimd out of registration_modes instead".to_owned());
        }
        // What was read from storage is trusted; what was just written is not.
        if let Some(scope) =
            self.scope_ceiling.as_ref().filter(|scope| Scope::parse(scope.as_str()).as_ref() != Ok(&Some((*scope).clone())))
        {
            let scope = quoted(scope.as_str());
            return Err(format!("policy.scope_ceiling is {scope}; right is one or more scopes with one space between them"));
        }
        let scopes = self.authorization_server_scopes.len();
        if scopes > MOST_SCOPES {
            return Err(format!("policy.authorization_server_scopes has {scopes} entries; at most {MOST_SCOPES} are allowed"));
        }
        let one_scope = |text: &str| !text.contains(' ') && matches!(Scope::parse(text), Ok(Some(_)));
        if let Some((entry, text)) = self.authorization_server_scopes.iter().enumerate().find(|(_, text)| !one_scope(text)) {
            return Err(format!("policy.authorization_server_scopes[{entry}] is {}; right is one scope", quoted(text)));
        }
        if self.require_software_statement && self.software_statement_issuers.is_empty() {
            return Err("policy.require_software_statement is true, and policy.software_statement_issuers is empty".to_owned());
        }
        if self.initial_access_token_for.is_empty() || self.initial_access_token_for.contains(&RegistrationType::Prereg) {
            let named: Vec<&str> = self.initial_access_token_for.iter().map(|kind| kind.as_str()).collect();
            return Err(format!(
                "policy.initial_access_token_for is [{}]; right is dcr, cimd or both: an administrator who enters a client needs no token",
                named.join(", ")
            ));
        }
        StatementIssuer::check(&self.software_statement_issuers).map_err(|sentence| format!("policy.{sentence}"))?;
        RedirectRule::check_all(&self.redirect_rules).map_err(|sentence| format!("policy.{sentence}"))
    }
}

/// What a scheme is.
const SCHEME: &str = "right is a scheme in lower case, such as `com.example.app`";

impl RedirectRule {
    /// Whether each rule of a list makes sense by itself.
    pub fn check_all(rules: &[Self]) -> Result<(), String> {
        let wrong = |(entry, rule): (usize, &Self)| rule.check().map_err(|sentence| format!("redirect_rules[{entry}] {sentence}"));
        rules.iter().enumerate().try_for_each(wrong)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Exact { uri } => {
                RedirectUri::parse(uri).map(drop).map_err(|problem| format!("expects exactly {}, which {problem}", quoted(uri)))
            }
            Self::Host { host, path_prefix } => {
                let parsed = RedirectUri::parse(&format!("https://{host}{path_prefix}"));
                let is_host = parsed.is_ok_and(|uri| uri.host() == host && *host == host.to_ascii_lowercase());
                // A query is not looked at, so a prefix with one would expect nothing.
                if path_prefix.starts_with('/') && !path_prefix.contains('?') && is_host {
                    return Ok(());
                }
                let (host, path) = (quoted(host), quoted(path_prefix));
                Err(format!(
                    "has the host {host} and the path_prefix {path}; right are a host in lower case, and a path from / without a query"
                ))
            }
            Self::Preset { preset, version } if redirect_rule::find(preset, *version).is_none() => {
                let known: Vec<String> =
                    redirect_rule::presets().iter().map(|known| format!("`{}` version {}", known.preset, known.version)).collect();
                Err(format!("names the preset {} version {version}; there are {}", quoted(preset), known.join(", ")))
            }
            Self::Scheme { scheme } if !is_scheme(scheme) => Err(format!("has the scheme {}; {SCHEME}", quoted(scheme))),
            Self::Loopback | Self::Preset { .. } | Self::Scheme { .. } => Ok(()),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'))
}

/// What somebody wrote, as far as it helps.
fn quoted(text: &str) -> String {
    format!("`{}`", ascii(text).chars().take(64).collect::<String>())
}
