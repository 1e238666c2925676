//! Cookies that say what they said when they were set: what they hold is signed with the instance's own key.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::application::services::Services;

/// A kind of cookie.
#[derive(Debug, Clone, Copy)]
pub struct Cookie {
    name: &'static str,
    /// What its signature is for; no other cookie's passes.
    purpose: &'static str,
}

/// Who is signed in.
pub const SESSION: Cookie = Cookie { name: "gatebook_session", purpose: "gatebook ui session 1" };
/// Who is about to sign in: the forms before a session are bound to it.
pub const GUEST: Cookie = Cookie { name: "gatebook_guest", purpose: "gatebook ui guest 1" };
/// Who went to the provider to sign in.
pub const ATTEMPT: Cookie = Cookie { name: "gatebook_attempt", purpose: "gatebook ui attempt 1" };
/// What the page after a form says of it, once.
pub const SAID: Cookie = Cookie { name: "gatebook_said", purpose: "gatebook ui said 1" };

impl Cookie {
    /// What the browser brought back, if it is what was set.
    pub fn read<T: DeserializeOwned>(self, services: &Services, headers: &HeaderMap) -> Option<T> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let named = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut opened = named.filter(|(name, _)| *name == self.name).filter_map(|(_, text)| self.open(services, text));
        opened.find_map(|payload| serde_json::from_slice(&payload).ok())
    }

    /// Sets it for so many seconds.
    pub fn set<T: Serialize>(self, services: &Services, content: &T, seconds: i64) -> HeaderValue {
        let payload = serde_json::to_vec(content).unwrap_or_default();
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(self.signature(services, &payload)));
        self.line(services, &text, seconds.max(0))
    }

    /// Takes it away.
    pub fn clear(self, services: &Services) -> HeaderValue {
        self.line(services, "", 0)
    }

    fn line(self, services: &Services, text: &str, seconds: i64) -> HeaderValue {
        let secure = if services.public_url.starts_with("https://") { "; Secure" } else { "" };
        let line = format!("{}={text}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", self.name);
        // Names, base64url and digits are always a header's text.
        HeaderValue::from_str(&line).unwrap_or(HeaderValue::from_static(""))
    }

    fn open(self, services: &Services, text: &str) -> Option<Vec<u8>> {
        let (payload, signature) = text.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        bool::from(signature.ct_eq(&self.signature(services, &payload))).then_some(payload)
    }

    fn signature(self, services: &Services, payload: &[u8]) -> [u8; 32] {
        services.instance_key.code(self.purpose, &[payload])
    }
}
