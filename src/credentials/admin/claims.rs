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
    /// The tenant of all of them, whose tokens need not name it and may name no other.
    pub tenant: Option<TenantId>,
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
        let tenant = self.tenant(claim(claims, &self.tenant_claim));
        let role = roles(claim(claims, &self.roles_claim)).into_iter().filter_map(|text| text.parse::<Role>().ok()).max();
        Ok(Admin {
            subject: subject.ok_or(AdminRefusal::MissingClaim("sub"))?.to_owned(),
            tenant: tenant?,
            role: role.ok_or(AdminRefusal::NoRole)?,
        })
    }

    fn tenant(&self, named: Option<&Value>) -> Result<TenantId, AdminRefusal> {
        let named = named.filter(|named| !named.is_null());
        let named =
            named.map(|named| named.as_str().and_then(|text| TenantId::parse(text).ok()).ok_or(AdminRefusal::NoTenant)).transpose()?;
        match (&self.tenant, named) {
            (Some(only), Some(named)) if *only != named => Err(AdminRefusal::OtherTenant),
            (Some(only), _) => Ok(only.clone()),
            (None, named) => named.ok_or(AdminRefusal::NoTenant),
        }
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

/// A claim by its path with dots, each of whose names may have dots in it too: at every step the longest name first that leads on.
fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let deeper = |(dot, _): (usize, &str)| claim(claims.get(path.get(..dot)?)?.as_object()?, path.get(dot + 1..)?);
    claims.get(path).or_else(|| path.rmatch_indices('.').find_map(deeper))
}

/// The roles in a claim: an array of them, the names of an object's members, or words in one text. A member that is `false` or
/// null gives none.
fn roles(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::Object(members)) => {
            let given = members.iter().filter(|(_, member)| !matches!(member, Value::Null | Value::Bool(false)));
            given.map(|(name, _)| name.as_str()).collect()
        }
        Some(Value::String(words)) => words.split([' ', ',']).collect(),
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_)) => Vec::new(),
    }
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
            tenant: None,
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
            (json!({"roles": {"admin": false, "viewer": null, "owner": {}}}), AdminRefusal::NoRole),
            (json!({"roles": "administrator super-admin Admin"}), AdminRefusal::NoRole),
            (json!({"roles": ["admin viewer"]}), AdminRefusal::NoRole),
            (json!({"roles": true}), AdminRefusal::NoRole),
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
    fn w6_roles_are_an_array_an_object_or_words_in_one_text() {
        for (roles, role) in [
            (json!(["admin"]), Role::Admin),
            (json!({ "admin": { "271828": "acme.example" }, "viewer": {} }), Role::Admin),
            (json!({ "auditor": true, "admin": false }), Role::Auditor),
            (json!("openid viewer auditor"), Role::Auditor),
            (json!("viewer, admin"), Role::Admin),
        ] {
            assert_eq!(check(&claims(&json!({ "roles": roles }))).unwrap().role, role, "{roles}");
        }
    }

    #[test]
    fn w6_a_path_takes_the_longest_name_first_at_every_step() {
        let path = "resource_access.gatebook.example.com.roles";
        for deep in [
            json!({ "resource_access": { "gatebook.example.com": { "roles": ["viewer"] }, "gatebook": { "example": { "com": { "roles": ["admin"] } } } } }),
            json!({ "resource_access": { "gatebook": { "example.com": { "roles": ["viewer"] } }, "gatebook.example.com": "x" } }),
            json!({ "resource_access.gatebook": { "example.com.roles": ["viewer"] }, "resource_access": { "gatebook.example.com.roles": ["admin"] } }),
            json!({ "resource_access.gatebook.example.com.roles": ["viewer"], "resource_access": { "gatebook.example.com": { "roles": ["admin"] } } }),
        ] {
            let mut all = claims(&json!({ "roles": null }));
            all.as_object_mut().unwrap().extend(deep.as_object().unwrap().clone());
            assert_eq!(check_with(path, &all).unwrap().role, Role::Viewer, "{deep}");
        }
        let lost = json!({ "roles": null, "resource_access": { "gatebook.example.com": { "rolls": ["admin"] } } });
        assert_eq!(check_with(path, &claims(&lost)), Err(AdminRefusal::NoRole));
        assert_eq!(check_with("roles.", &claims(&json!({}))), Err(AdminRefusal::NoRole));
    }

    #[test]
    fn w6_with_a_fixed_tenant_tokens_need_name_none_and_may_name_no_other() {
        let fixed = |changes: Value| {
            let expectations = Expectations {
                issuer: None,
                audience: None,
                tenant_claim: "tenant".to_owned(),
                roles_claim: "roles".to_owned(),
                tenant: TenantId::parse("acme").ok(),
            };
            let all = claims(&changes);
            expectations.check(all.as_object().unwrap(), DateTime::from_timestamp(NOW, 0).unwrap()).map(|admin| admin.tenant.to_string())
        };
        assert_eq!(fixed(json!({ "tenant": null })), Ok("acme".to_owned()));
        assert_eq!(fixed(json!({ "tenant": "acme" })), Ok("acme".to_owned()));
        assert_eq!(fixed(json!({ "tenant": "other" })), Err(AdminRefusal::OtherTenant));
        assert_eq!(fixed(json!({ "tenant": ["acme"] })), Err(AdminRefusal::NoTenant));
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
