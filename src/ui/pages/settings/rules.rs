//! A resource server's rules as a form: what it shows, and what it says once it is sent.

use std::collections::BTreeMap;

use gatebook_events::admission::RegistrationType;
use gatebook_events::metadata::GrantType;
use gatebook_events::redirect_rule::RedirectRule;
use gatebook_events::resource_server::{Instances, Policy, presets};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;

/// The fields of the form, as they stand in it.
pub struct Draft {
    texts: BTreeMap<&'static str, String>,
    grants: Vec<String>,
}

/// The fields with one value each.
const TEXTS: [&str; 20] = [
    "admission.dcr",
    "admission.cimd",
    "admission.prereg",
    "redirect_changes",
    "outside_rules",
    "redirect_rules",
    "private_use_schemes",
    "scope_ceiling",
    "authorization_server_scopes",
    "lane",
    "soak_hours",
    "on_withdrawal",
    "announce",
    "registrations_per_minute",
    "max_clients",
    "max_metadata_bytes",
    "instances",
    "instances_under_review",
    "initial_access_token",
    "require_software_statement",
];

impl Draft {
    /// The rules that hold.
    pub fn of(policy: &Policy) -> Self {
        let known = json!(policy);
        let text = |pointer: &str| match known.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(true)) => "true".to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let texts = TEXTS.into_iter().map(|name| {
            let text = match name {
                "redirect_rules" => policy.redirect_rules.iter().map(written).collect::<Vec<_>>().join("\n"),
                "private_use_schemes" => policy.private_use_schemes.join(" "),
                "authorization_server_scopes" => policy.authorization_server_scopes.join(" "),
                "instances_under_review" if policy.instances_under_review == Instances::Separate => "separate".to_owned(),
                "announce" => policy.manifests.announce.to_string(),
                "initial_access_token" if policy.require_initial_access_token => {
                    policy.initial_access_token_for.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")
                }
                "initial_access_token" => String::new(),
                "lane" | "soak_hours" | "on_withdrawal" => text(&format!("/manifests/{name}")),
                _ => text(&format!("/{}", name.replace('.', "/"))),
            };
            (name, text)
        });
        let grants = policy.self_registered_grants.iter().map(|grant| grant.as_str().to_owned()).collect();
        Self { texts: texts.collect(), grants }
    }

    /// What was sent.
    pub fn sent(fields: &Fields) -> Self {
        let texts = TEXTS.into_iter().map(|name| (name, fields.text(name).unwrap_or_default().to_owned()));
        Self { texts: texts.collect(), grants: fields.all("self_registered_grants").map(str::to_owned).collect() }
    }

    /// The draft as the API takes it; what it makes no sense of is said by line.
    pub fn patch(&self) -> Result<Map<String, Value>, String> {
        let number = |name: &str, what: &str| match self.text(name) {
            "" => Ok(Value::Null),
            text => text.parse::<u32>().map(Value::from).map_err(|_| format!("{what} is not a whole number.")),
        };
        let lines = self.text("redirect_rules").lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        let rules =
            lines.map(|(index, line)| read(line).ok_or_else(|| format!("Line {} of the redirect rules is none: “{line}”.", index + 1)));
        let schemes: Vec<&str> = self.text("private_use_schemes").split_whitespace().collect();
        let scope = self.text("scope_ceiling");
        let outside: Vec<&str> = self.text("authorization_server_scopes").split_whitespace().collect();
        let tokens_for: Vec<&str> = self.text("initial_access_token").split_whitespace().collect();
        let patch = json!({
            "admission": {
                "dcr": self.text("admission.dcr"), "cimd": self.text("admission.cimd"), "prereg": self.text("admission.prereg"),
            },
            "redirect_changes": self.text("redirect_changes"),
            "redirect_rules": rules.collect::<Result<Vec<_>, _>>()?,
            "outside_rules": self.text("outside_rules"),
            "private_use_schemes": schemes,
            "scope_ceiling": if scope.is_empty() { Value::Null } else { scope.into() },
            "authorization_server_scopes": outside,
            "manifests": {
                "lane": self.text("lane"), "soak_hours": number("soak_hours", "The number of hours")?, "on_withdrawal": self.text("on_withdrawal"),
                "announce": self.text("announce") != "false",
            },
            "self_registered_grants": self.grants,
            "registrations_per_minute": number("registrations_per_minute", "The ceiling of registrations")?,
            "max_clients": number("max_clients", "The cap on clients")?,
            "max_metadata_bytes": number("max_metadata_bytes", "The length of the metadata")?,
            "instances": self.text("instances"),
            "instances_under_review": self.text("instances_under_review"),
            "require_initial_access_token": !tokens_for.is_empty(),
            "initial_access_token_for": if tokens_for.is_empty() { Value::Null } else { json!(tokens_for) },
            "require_software_statement": self.text("require_software_statement") == "true",
        });
        match patch {
            Value::Object(members) => Ok(members),
            _ => Ok(Map::new()),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// The fields of the form. What it does not show (whose software statements are believed) stays as it is.
    pub fn fields(&self, policy: &Policy) -> Markup {
        let admission = [("auto", "let in at once"), ("review", "wait for an administrator")];
        html! {
            div.pair {
                @for (kind, who) in [(RegistrationType::Dcr, "Clients that register themselves"), (RegistrationType::Cimd, "Clients with a document"), (RegistrationType::Prereg, "Clients that administrators enter")] {
                    (self.choice(&format!("admission.{}", kind.as_str()), who, &admission))
                }
                (self.choice("redirect_changes", "Redirect URIs that a client adds later", &[("auto", "serve at once"), ("review", "wait for an administrator")]))
            }
            div.field {
                label for="redirect_rules" { "Redirect URIs that are expected" }
                textarea #redirect_rules .code name="redirect_rules" rows="5" spellcheck="false" aria-describedby="redirect_rules-help" { (self.text("redirect_rules")) }
                p #redirect_rules-help .help {
                    "One a line; none means any acceptable one. " code { "exact https://app.example/cb" } ", " code { "host app.example/path/" } ", " code { "loopback" } ", " code { "scheme com.example.app" } ", or " code { "preset " i { "name" } } " for "
                    (presets().iter().map(|preset| preset.preset.as_str()).collect::<Vec<_>>().join(", ")) "."
                }
            }
            div.pair {
                (self.choice("outside_rules", "What no rule expects", &[("refuse", "is refused"), ("review", "waits for an administrator")]))
                (self.line("private_use_schemes", "Schemes without a period that are welcome", "With spaces between.", "text"))
            }
            div.pair {
                (self.choice("lane", "Redirect URIs that a document adds", &[("staged", "wait for an administrator"), ("live", "serve at once"), ("soak", "serve after some hours, unless somebody objects"), ("pinned", "never serve by themselves; nothing is taken away either")]))
                (self.line("soak_hours", "Hours of that wait", "Where they serve after some hours.", "number"))
                (self.choice("announce", "Clients that ask how to come in", &[("true", "are told that they may have a document"), ("false", "are not told; those that come with one are let in all the same")]))
                (self.choice("on_withdrawal", "A client whose document was taken away", &[("suspend", "is suspended until it is back"), ("keep", "goes on as it is")]))
            }
            div.pair {
                (self.line("scope_ceiling", "The most scope", "With spaces between; none is no bound. Who asks for none gets all of it. A client that goes on to ask the authorization server for more than it was registered with is turned away there: rehearse to see whom the ceiling narrows.", "text"))
                (self.line("authorization_server_scopes", "Scopes outside of that", "They belong to the authorization server, so the most scope above says nothing about them.", "text"))
            }
            div.pair {
                (self.choice("instances", "Identical public clients that are let in at once", &[("separate", "are a client each"), ("share", "are one client")]))
                (self.choice("instances_under_review", "Identical public clients that wait for an administrator", &[("share", "are one client: you approve the program"), ("separate", "are a client each: a program that registers anew waits anew")]))
            }
            fieldset {
                legend { "Grants of clients that nobody vouches for" }
                @for grant in GrantType::ALL {
                    label.tick { input type="checkbox" name="self_registered_grants" value=(grant.as_str()) checked[self.grants.iter().any(|known| known == grant.as_str())]; code { (grant.as_str()) } }
                }
            }
            div.pair {
                (self.line("max_clients", "The most clients", "None is no cap.", "number"))
                (self.line("registrations_per_minute", "Registrations a minute, from all sources", "None is no ceiling.", "number"))
                (self.line("max_metadata_bytes", "The longest metadata of a client that an administrator did not enter, in bytes", "None is 16384.", "number"))
            }
            (self.choice("initial_access_token", "An initial access token is needed by", &[("", "nobody"), ("dcr", "clients that register themselves; those with a document come without"), ("cimd", "clients with a document, unless an administrator enters them"), ("dcr cimd", "both")]))
            fieldset {
                legend { "Whoever registers themselves needs" }
                label.tick { input type="checkbox" name="require_software_statement" value="true" checked[self.text("require_software_statement") == "true"]; "a software statement"
                    @if policy.software_statement_issuers.is_empty() { span.help { " Nobody’s is believed yet; the API sets whose." } }
                }
                @if !policy.software_statement_issuers.is_empty() {
                    p.help { "Believed are those of " @for issuer in &policy.software_statement_issuers { code { (format::inert(&issuer.issuer)) } " " } "." }
                }
            }
        }
    }

    fn choice(&self, name: &str, label: &str, choices: &[(&str, &str)]) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) { @for (value, text) in choices { option value=(value) selected[self.text(name) == *value] { (text) } } }
            }
        }
    }

    fn line(&self, name: &str, label: &str, help: &str, kind: &str) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                input id=(name) type=(kind) name=(name) value=(self.text(name)) min=[(kind == "number").then_some("1")] autocomplete="off" aria-describedby={ (name) "-help" };
                p.help id={ (name) "-help" } { (help) }
            }
        }
    }
}

/// A rule as a line.
fn written(rule: &RedirectRule) -> String {
    match rule {
        RedirectRule::Exact { uri } => format!("exact {uri}"),
        RedirectRule::Host { host, path_prefix } if path_prefix == "/" => format!("host {host}"),
        RedirectRule::Host { host, path_prefix } => format!("host {host}{path_prefix}"),
        RedirectRule::Loopback => "loopback".to_owned(),
        RedirectRule::Scheme { scheme } => format!("scheme {scheme}"),
        RedirectRule::Preset { preset, version } => format!("preset {preset} {version}"),
    }
}

/// A line as a rule, which the rules themselves judge.
fn read(line: &str) -> Option<Value> {
    let (kind, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(kind, rest)| (kind, rest.trim()));
    let rule = match (kind, rest) {
        ("exact", uri) if !uri.is_empty() => json!({ "kind": "exact", "uri": uri }),
        ("host", rest) if !rest.is_empty() => match rest.split_once('/') {
            Some((host, path)) => json!({ "kind": "host", "host": host, "path_prefix": format!("/{path}") }),
            None => json!({ "kind": "host", "host": rest }),
        },
        ("loopback", "") => json!({ "kind": "loopback" }),
        ("scheme", scheme) if !scheme.is_empty() => json!({ "kind": "scheme", "scheme": scheme }),
        ("preset", rest) if !rest.is_empty() => {
            let (name, version) = rest.split_once(' ').unwrap_or((rest, ""));
            let known = presets().iter().filter(|preset| preset.preset == name).map(|preset| preset.version).max();
            let version = if version.is_empty() { known? } else { version.trim().parse().ok()? };
            json!({ "kind": "preset", "preset": name, "version": version })
        }
        _ => return None,
    };
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_hold_are_a_draft_that_changes_nothing() {
        let mut policy = Policy { max_clients: std::num::NonZeroU32::new(7), ..Policy::default() };
        policy.redirect_rules = serde_json::from_value(json!([
            {"kind": "exact", "uri": "https://a.example/cb"}, {"kind": "host", "host": "b.example", "path_prefix": "/r/"}, {"kind": "host", "host": "c.example"},
            {"kind": "loopback"}, {"kind": "scheme", "scheme": "com.example"}, {"kind": "preset", "preset": "claude", "version": 1}
        ]))
        .unwrap();
        let patch = Draft::of(&policy).patch().unwrap();
        let mut patched = json!(policy);
        for (name, value) in patch {
            // What is as it always was is not written down.
            if name == "authorization_server_scopes" || name == "instances_under_review" {
                patched[&name] = value;
                continue;
            }
            if value.is_null() {
                assert!(patched.get(&name).is_none(), "{name}");
            } else {
                patched[&name] = value;
            }
        }
        assert_eq!(serde_json::from_value::<Policy>(patched).unwrap(), policy);
    }

    #[test]
    fn a_line_that_is_no_rule_is_named() {
        let draft = Draft::sent(&Fields::parse(b"redirect_rules=loopback%0Aanything"));
        assert_eq!(draft.patch().unwrap_err(), "Line 2 of the redirect rules is none: “anything”.");
        assert_eq!(read("preset claude"), Some(json!({ "kind": "preset", "preset": "claude", "version": 1 })));
        assert_eq!(read("preset nobody"), None);
    }
}
