//! What a token with a good signature must say before it is believed.

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::TenantId;
use serde_json::{Map, Number, Value};

use super::{Admin, AdminRefusal, Role};

/// How far the signer's clock and this one may be apart.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

/// The longest subject, in bytes; it goes into the history with every change.
const LONGEST_SUBJECT: usize = 255;

/// What a token is held against.
#[derive(Debug, Clone)]
pub(super) struct Expectations {
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub tenant_claim: String,
    pub roles_claim: String,
}

impl Expectations {
    /// The administrator that the claims speak of, if they are good at `now`.
    pub fn check(&self, claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<Admin, AdminRefusal> {
        check_time(claims, now)?;
        let issuer = claims.get("iss").and_then(Value::as_str);
        if self.issuer.is_some() && self.issuer.as_deref() != issuer {
            return Err(AdminRefusal::WrongIssuer);
        }
        if self.audience.as_ref().is_some_and(|audience| !texts(claims.get("aud")).any(|named| named == audience)) {
            return Err(AdminRefusal::WrongAudience);
        }
        let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| is_subject(subject));
        let tenant = claim(claims, &self.tenant_claim).and_then(Value::as_str);
        let role = texts(claim(claims, &self.roles_claim)).filter_map(|text| text.parse::<Role>().ok()).max();
        Ok(Admin {
            subject: subject.ok_or(AdminRefusal::MissingClaim("sub"))?.to_owned(),
            tenant: tenant.and_then(|text| TenantId::parse(text).ok()).ok_or(AdminRefusal::NoTenant)?,
            role: role.ok_or(AdminRefusal::NoRole)?,
        })
    }
}

fn check_time(claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<(), AdminRefusal> {
    if claims.contains_key("exp") { in_time(claims, now) } else { Err(AdminRefusal::MissingClaim("exp")) }
}

/// Whether a token that need not end has not ended, and has begun.
pub(crate) fn in_time(claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<(), AdminRefusal> {
    match claims.get("exp") {
        // RFC 7519 §4.1.4: at its time or after it, the token is over.
        Some(Value::Number(expires)) if seconds(expires) <= (now - LEEWAY).timestamp() => return Err(AdminRefusal::Expired),
        None | Some(Value::Number(_)) => {}
        Some(_) => return Err(AdminRefusal::MissingClaim("exp")),
    }
    match claims.get("nbf") {
        None => Ok(()),
        Some(Value::Number(begins)) if seconds(begins) <= (now + LEEWAY).timestamp() => Ok(()),
        Some(Value::Number(_)) => Err(AdminRefusal::NotYetValid),
        Some(_) => Err(AdminRefusal::MissingClaim("nbf")),
    }
}

/// When the time of a token is over that has an `exp`; one too far away to be written is as far as can be.
pub(super) fn expiry(claims: &Map<String, Value>) -> DateTime<Utc> {
    let expires = claims.get("exp").and_then(Value::as_number).map(seconds);
    expires.and_then(|expires| DateTime::from_timestamp(expires, 0)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A `NumericDate` (RFC 7519 §2), which may have decimals; dates out of range become the farthest in range.
fn seconds(number: &Number) -> i64 {
    let float = number.as_f64().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and decimals of a second do not matter")]
    number.as_i64().unwrap_or(float as i64)
}

/// A claim by its name, which may have dots in it, or else by its path with dots.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, step| value.get(step))
    })
}

/// The texts of a claim that is one text or an array of them.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Some(Value::Array(many)) => (None, many.as_slice()),
        other => (other, [].as_slice()),
    };
    one.into_iter().chain(many).filter_map(Value::as_str)
}

fn is_subject(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= LONGEST_SUBJECT && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn check(claims: &Value) -> Result<Admin, AdminRefusal> {
        check_with("roles", claims)
    }

    fn check_with(roles_claim: &str, claims: &Value) -> Result<Admin, AdminRefusal> {
        let expectations = Expectations {
            issuer: Some("id".to_owned()),
            audience: Some("gate".to_owned()),
            tenant_claim: "tenant".to_owned(),
            roles_claim: roles_claim.to_owned(),
        };
        expectations.check(claims.as_object().unwrap(), DateTime::from_timestamp(NOW, 0).unwrap())
    }

    /// Good claims, with some changed and those that are null taken out.
    fn claims(changes: &Value) -> Value {
        let mut claims = json!({
            "iss": "id", "aud": "gate", "sub": "ada", "exp": NOW + 60, "tenant": "acme", "roles": ["admin"],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    #[test]
    fn good_claims_make_an_administrator() {
        let admin = check(&claims(&json!({}))).unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        assert_eq!(admin, Admin { tenant, subject: "ada".to_owned(), role: Role::Admin });
        for good in [
            json!({"aud": ["other", "gate"]}),
            json!({"exp": NOW + 60, "nbf": NOW - 1}),
            json!({"exp": NOW - 29}),
            json!({"exp": 1_700_000_060.5}),
            json!({"exp": u64::MAX}),
            json!({"exp": 1e300}),
            json!({"nbf": NOW + 30}),
        ] {
            assert!(check(&claims(&good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn each_claim_that_is_wrong_is_refused_by_its_name() {
        for (change, refusal) in [
            (json!({"exp": null}), AdminRefusal::MissingClaim("exp")),
            (json!({"exp": "tomorrow"}), AdminRefusal::MissingClaim("exp")),
            (json!({"exp": NOW - 30}), AdminRefusal::Expired),
            (json!({"exp": -1}), AdminRefusal::Expired),
            (json!({"exp": -1e300}), AdminRefusal::Expired),
            (json!({"nbf": NOW + 31}), AdminRefusal::NotYetValid),
            (json!({"nbf": "now"}), AdminRefusal::MissingClaim("nbf")),
            (json!({"iss": null}), AdminRefusal::WrongIssuer),
            (json!({"iss": "id/"}), AdminRefusal::WrongIssuer),
            (json!({"iss": ["id"]}), AdminRefusal::WrongIssuer),
            (json!({"aud": null}), AdminRefusal::WrongAudience),
            (json!({"aud": "gate2"}), AdminRefusal::WrongAudience),
            (json!({"aud": []}), AdminRefusal::WrongAudience),
            (json!({"sub": null}), AdminRefusal::MissingClaim("sub")),
            (json!({"sub": " "}), AdminRefusal::MissingClaim("sub")),
            (json!({"sub": "a\nb"}), AdminRefusal::MissingClaim("sub")),
            (json!({"sub": 7}), AdminRefusal::MissingClaim("sub")),
            (json!({"tenant": null}), AdminRefusal::NoTenant),
            (json!({"tenant": "a/b"}), AdminRefusal::NoTenant),
            (json!({"tenant": ["acme"]}), AdminRefusal::NoTenant),
            (json!({"roles": null}), AdminRefusal::NoRole),
            (json!({"roles": ["owner"]}), AdminRefusal::NoRole),
            (json!({"roles": {"admin": true}}), AdminRefusal::NoRole),
            (json!({"roles": "admin viewer"}), AdminRefusal::NoRole),
        ] {
            assert_eq!(check(&claims(&change)), Err(refusal), "{change}");
        }
    }

    #[test]
    fn the_highest_known_role_wins() {
        for (roles, role) in [
            (json!("auditor"), Role::Auditor),
            (json!(["viewer", "owner", "auditor"]), Role::Auditor),
            (json!(["admin", "viewer"]), Role::Admin),
            (json!(["viewer", 7, null]), Role::Viewer),
        ] {
            assert_eq!(check(&claims(&json!({ "roles": roles }))).unwrap().role, role);
        }
    }

    #[test]
    fn a_claim_can_stand_deeper_or_have_dots_in_its_name() {
        let deep = json!({"roles": null, "realm_access": {"roles": ["viewer"]}});
        assert_eq!(check_with("realm_access.roles", &claims(&deep)).unwrap().role, Role::Viewer);
        let dotted = json!({"roles": null, "https://gate.example/roles": ["viewer"]});
        assert_eq!(check_with("https://gate.example/roles", &claims(&dotted)).unwrap().role, Role::Viewer);
        assert_eq!(check_with("realm_access.roles", &claims(&json!({}))), Err(AdminRefusal::NoRole));
    }
}
