//! What only informs in a document that its owner hosts: where it cannot be used it is left out, and the rest is read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::parse::{self, Members, MetadataError, localizable};
use super::{ApplicationType, AuthMethod, Jwks};
use crate::redirect::{RedirectUri, RedirectUris};

/// A member of a document that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// The member, with its language tag if it has one.
    pub member: Box<str>,
    /// What is wrong with it, as the rest of a sentence.
    pub problem: Box<str>,
}

impl LeftOut {
    fn new(member: &str, error: &MetadataError) -> Self {
        Self { member: member.into(), problem: error.problem.to_string().into() }
    }
}

/// Takes out of a document what cannot be used of its members that only inform, and each redirect URI that is none. What decides
/// stays as it is, for [`parse::parse`] to judge: redirect URIs of which none is left, the way to authenticate and the keys for it.
pub(crate) fn leave_out(members: &mut Map<String, Value>, method: AuthMethod) -> Vec<LeftOut> {
    let mut out = Vec::new();
    redirect_uris(members, &mut out);
    each(members, &mut out);
    application_type(members, &mut out);
    response_types(members, &mut out);
    if method == AuthMethod::None {
        unused_keys(members, &mut out);
    }
    out
}

/// Every member that can be judged by itself.
fn each(members: &mut Map<String, Value>, out: &mut Vec<LeftOut>) {
    let judge = |name: &str, value: &Value| {
        let mut alone = Members::of([(name.to_owned(), value.clone())].into_iter().collect());
        match name {
            "client_name" => alone.people_text("client_name").map(drop),
            "software_id" => alone.people_text("software_id").map(drop),
            "software_version" => alone.people_text("software_version").map(drop),
            "client_uri" => alone.link("client_uri").map(drop),
            "logo_uri" => alone.link("logo_uri").map(drop),
            "tos_uri" => alone.link("tos_uri").map(drop),
            "policy_uri" => alone.link("policy_uri").map(drop),
            "application_type" => alone.word("application_type", ApplicationType::known, parse::NO_TYPE).map(drop),
            "contacts" => parse::contacts(&mut alone).map(drop),
            "scope" => parse::scope(&mut alone).map(drop),
            _ if localizable(name).is_some() => alone.localized().map(drop),
            "grant_types" if !value.is_array() => alone.texts("grant_types").map(drop),
            _ => Ok(()),
        }
    };
    let mut tagged = 0;
    members.retain(|name, value| {
        let mut judged = judge(name, value);
        if localizable(name).is_some() && judged.is_ok() {
            tagged += 1;
            if tagged > parse::MAX_LOCALIZED {
                judged = Err(parse::TOO_MANY_LOCALIZED);
            }
        }
        judged.inspect_err(|error| out.push(LeftOut::new(name, error))).is_ok()
    });
}

/// Those that can be redirect URIs at all. Where there is none among them, all of them stay.
fn redirect_uris(members: &mut Map<String, Value>, out: &mut Vec<LeftOut>) {
    let Some(uris) = members.get_mut("redirect_uris").and_then(Value::as_array_mut) else { return };
    let judge = |value: &Value| {
        let text = value.as_str().ok_or(parse::REDIRECTS_SHAPE)?;
        RedirectUri::parse(text).map(drop).map_err(MetadataError::redirect_uri)
    };
    let usable: Vec<Value> = uris.iter().filter(|uri| judge(uri).is_ok()).cloned().collect();
    if usable.is_empty() {
        return;
    }
    for error in uris.iter().filter_map(|uri| judge(uri).err()) {
        let left_out = LeftOut::new("redirect_uris", &error);
        if !out.contains(&left_out) {
            out.push(left_out);
        }
    }
    *uris = usable;
}

/// A type that does not fit the redirect URIs says less than they do.
fn application_type(members: &mut Map<String, Value>, out: &mut Vec<LeftOut>) {
    if members.get("application_type").and_then(Value::as_str) != Some(ApplicationType::Web.as_str()) {
        return;
    }
    let texts = members.get("redirect_uris").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if RedirectUris::parse(texts).is_ok_and(|uris| uris.iter().any(RedirectUri::stays_on_the_machine)) {
        members.remove("application_type");
        out.push(LeftOut {
            member: "application_type".into(),
            problem: "is \"web\", and a redirect URI is loopback or private-use".into(),
        });
    }
}

fn response_types(members: &mut Map<String, Value>, out: &mut Vec<LeftOut>) {
    let mut judged = Members::of(members.clone());
    let Ok(grants) = parse::grant_types(&mut judged) else { return };
    if let Err(error) = parse::response_types(&mut judged, &grants) {
        members.remove("response_types");
        out.push(LeftOut::new("response_types", &error));
    }
}

/// The keys of a client that proves itself by none. Private ones stay, and are then refused: everybody can read them.
fn unused_keys(members: &mut Map<String, Value>, out: &mut Vec<LeftOut>) {
    if members.get("jwks").is_some_and(Jwks::has_private) {
        return;
    }
    if let Err(error) = parse::keys(&mut Members::of(members.clone()), AuthMethod::None) {
        members.remove("jwks");
        members.remove("jwks_uri");
        out.push(LeftOut::new(error.member, &error));
    }
}
