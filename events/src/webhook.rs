//! A webhook: an endpoint of a tenant's that hears of the tenant's events, in order and at least once.
//!
//! The secret that messages are signed with is not here: it is derived from the instance's key, the webhook's id and the
//! generation that this aggregate counts.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::identity::{ResourceServerId, TenantId};
use crate::redirect::{RedirectProblem, Uri};
use crate::{Aggregate, Rejection};

mod command;
mod event;

pub use command::WebhookCommand;
pub use event::{Created, Deleted, Disabled, DisabledBecause, Edited, Enabled, EventDropped, SecretRotated, WebhookEvent};

/// The state of a webhook.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Webhook {
    /// Whether it exists, and whether it is sent anything.
    pub life: Life,
    /// Whose events it hears of.
    pub tenant: Option<TenantId>,
    /// What it wants and where; none before it was created.
    pub wish: Option<Wish>,
    /// Where it began.
    pub start: Start,
    /// Which secret messages are signed with, counted from 1.
    pub generation: u32,
    /// Until when messages are signed with the secret before that one too.
    pub old_valid_until: Option<DateTime<Utc>>,
    /// By which the request is known that rotated its secret last.
    pub rotated_by: Option<Box<str>>,
    /// Why nothing is sent, while it is disabled.
    pub disabled: Option<Disabled>,
}

/// The life of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Nobody created it.
    #[default]
    None,
    /// It is sent what it wants.
    Active,
    /// It is sent nothing, and misses nothing either.
    Disabled,
    /// It was deleted; its history stays.
    Deleted,
}

impl Life {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

/// Where a webhook is, and what it wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Wish {
    /// The name for people to read.
    pub label: String,
    /// Where messages are sent.
    pub url: WebhookUrl,
    /// With which texts the stored names begin of the events that it wants; all events, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TypePrefix>,
    /// Only what is about these resource servers; everything of the tenant, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_servers: Vec<ResourceServerId>,
}

impl Wish {
    /// The most prefixes, and the most resource servers, of one webhook.
    pub const MOST: usize = 50;

    /// Whether an event is wanted that has this stored name and is about this resource server.
    pub fn wants(&self, name: &str, about: Option<ResourceServerId>) -> bool {
        let named = self.types.is_empty() || self.types.iter().any(|prefix| name.starts_with(prefix.as_str()));
        named && (self.resource_servers.is_empty() || about.is_some_and(|id| self.resource_servers.contains(&id)))
    }
}

/// Where a webhook begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With what comes after its creation.
    #[default]
    Now,
    /// With the first event there is.
    Beginning,
    /// After this position in the log that it was created in.
    After(u64),
}

/// The beginning of a stored name: 1 to 64 lower-case letters, digits, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct TypePrefix(Box<str>);

impl TypePrefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TypePrefix {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.');
        if text.is_empty() || text.len() > 64 || !text.bytes().all(known) {
            return Err("a type begins with 1 to 64 lower-case letters, digits, _ and .");
        }
        Ok(Self(text.into()))
    }
}

impl From<TypePrefix> for String {
    fn from(prefix: TypePrefix) -> Self {
        prefix.0.into()
    }
}

/// Where messages are sent: `https`, or `http` within networks that the operator names. The host is a name in lower case or an
/// address in its usual spelling, so that what is judged is what is dialled. Reading one back from storage trusts the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WebhookUrl(Arc<str>);

impl WebhookUrl {
    /// Judges a text as sent.
    pub fn parse(text: &str) -> Result<Self, WebhookUrlProblem> {
        let uri = Uri::split(text)?;
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(WebhookUrlProblem::NotWeb);
        }
        uri.check_labels()?;
        let host = uri.host.trim_start_matches('[').trim_end_matches(']');
        let v4 = host.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == host);
        let v6 = uri.host.starts_with('[') && host.parse::<Ipv6Addr>().is_ok_and(|address| address.to_string() == host);
        let letters = |label: &str| label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let label = |label: &str| !label.is_empty() && letters(label) && !label.starts_with('-') && !label.ends_with('-');
        // What ends in a number is an address or an odd spelling of one (WHATWG URL §3.5).
        let number = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x"));
        if v4 || v6 || !number && host.split('.').all(label) { Ok(Self(Arc::from(text))) } else { Err(WebhookUrlProblem::Host) }
    }

    /// The text exactly as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The host without its port; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        Uri::split(&self.0).map_or("", |uri| uri.host).trim_start_matches('[').trim_end_matches(']')
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        let written = self.authority().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        written.and_then(|(_, port)| port.parse().ok()).unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// What a request names in `Host` (RFC 9110 §7.2).
    pub fn authority(&self) -> &str {
        self.split().0
    }

    /// What is asked for at the host; it begins with a slash.
    pub fn path_and_query(&self) -> String {
        let rest = self.split().1;
        if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
    }

    fn split(&self) -> (&str, &str) {
        let after = self.0.split_once("://").map_or("", |(_, after)| after);
        after.split_at(after.find(['/', '?']).unwrap_or(after.len()))
    }
}

impl fmt::Display for WebhookUrl {
    /// Without path and query, which may hold what only the receiver should know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_https() { "https" } else { "http" }, self.authority())
    }
}

/// Why a text is not the URL of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum WebhookUrlProblem {
    #[error(transparent)]
    Uri(#[from] RedirectProblem),
    #[error("does not start with https:// or http://")]
    NotWeb,
    #[error("has a host that is neither a name in lower case nor an address in its usual spelling")]
    Host,
}

impl Aggregate for Webhook {
    type Command = WebhookCommand;
    type Event = WebhookEvent;

    fn decide(&self, command: &WebhookCommand) -> Result<Vec<WebhookEvent>, Rejection> {
        use WebhookCommand as Command;
        use WebhookEvent as Event;
        match (self.life, command) {
            (Life::None, Command::Create(created)) => Ok(vec![Event::Created(created.clone())]),
            (Life::Active | Life::Disabled | Life::Deleted, Command::Create(created)) => {
                let same = self.life == Life::Active && Self::default().evolve(&Event::Created(created.clone())) == *self;
                if same { Ok(vec![]) } else { Err(Rejection::AlreadyExists) }
            }
            (Life::Deleted, Command::Delete { .. }) | (Life::Disabled, Command::Disable(_)) | (Life::Active, Command::Enable) => Ok(vec![]),
            (Life::None | Life::Deleted, _) => Err(Rejection::NoSuchWebhook),
            (Life::Active | Life::Disabled, Command::Edit(wish)) if self.wish.as_ref() == Some(wish) => Ok(vec![]),
            (Life::Active | Life::Disabled, Command::Edit(wish)) => Ok(vec![Event::Edited(Edited { wish: wish.clone() })]),
            (Life::Active | Life::Disabled, Command::RotateSecret(rotation)) if rotation.repeats(self.rotated_by.as_deref()) => Ok(vec![]),
            (Life::Active | Life::Disabled, Command::RotateSecret(rotation)) => {
                rotation.keeps(self.old_valid_until)?;
                let (old_valid_until, repeat_key) = (rotation.old_valid_until, rotation.repeat_key.clone());
                let generation = self.generation.saturating_add(1);
                Ok(vec![Event::SecretRotated(SecretRotated { generation, old_valid_until, repeat_key })])
            }
            (Life::Active, Command::Disable(disabled)) => Ok(vec![Event::Disabled(disabled.clone())]),
            (Life::Disabled, Command::Enable) => Ok(vec![Event::Enabled(Enabled {})]),
            (Life::Active | Life::Disabled, Command::DropEvent(dropped)) => Ok(vec![Event::EventDropped(dropped.clone())]),
            (Life::Active | Life::Disabled, Command::Delete { reason }) => Ok(vec![Event::Deleted(Deleted { reason: reason.clone() })]),
        }
    }

    fn evolve(mut self, event: &WebhookEvent) -> Self {
        match (self.life, event) {
            (Life::None, WebhookEvent::Created(created)) => Self {
                life: Life::Active,
                tenant: Some(created.tenant.clone()),
                wish: Some(created.wish.clone()),
                start: created.start,
                generation: 1,
                old_valid_until: None,
                rotated_by: None,
                disabled: None,
            },
            (Life::Active | Life::Disabled, WebhookEvent::Edited(edited)) => {
                self.wish = Some(edited.wish.clone());
                self
            }
            (Life::Active | Life::Disabled, WebhookEvent::SecretRotated(rotated)) => {
                (self.generation, self.old_valid_until) = (rotated.generation, rotated.old_valid_until);
                self.rotated_by.clone_from(&rotated.repeat_key);
                self
            }
            (Life::Active, WebhookEvent::Disabled(disabled)) => {
                (self.life, self.disabled) = (Life::Disabled, Some(disabled.clone()));
                self
            }
            (Life::Disabled, WebhookEvent::Enabled(_)) => {
                (self.life, self.disabled) = (Life::Active, None);
                self
            }
            (Life::Active | Life::Disabled, WebhookEvent::Deleted(_)) => {
                self.life = Life::Deleted;
                self
            }
            (Life::None | Life::Active | Life::Disabled | Life::Deleted, _) => self,
        }
    }
}

impl Webhook {
    /// The generations of secrets that messages are signed with at a time, the newest first.
    pub fn generations(&self, at: DateTime<Utc>) -> impl Iterator<Item = u32> {
        let old = self.old_valid_until.is_some_and(|end| at < end).then(|| self.generation.saturating_sub(1));
        std::iter::once(self.generation).chain(old)
    }
}

#[cfg(test)]
mod tests;
