//! Policies of version 1 wrote a rule that came later only where it was not the default, and kept the rules about documents apart.

use serde_json::{Value, json};

use super::split_off;

/// Version 1 to 2: every rule is written, and `manifests` holds those about documents.
///
/// The defaults stand here as they were while version 1 was written. They are what its events mean, whatever later ones are.
pub(super) fn every_rule_is_written(mut event: Value) -> Value {
    let Some(policy) = event.get_mut("policy").and_then(Value::as_object_mut) else { return event };
    let rules = [("manifest_lane", "lane"), ("soak_hours", "soak_hours"), ("manifest_withdrawal", "on_withdrawal")];
    let manifests = split_off(policy, rules);
    policy.insert("manifests".to_owned(), manifests);
    fill(&mut event, "policy", &defaults());
    event
}

fn defaults() -> Value {
    json!({
        "admission": { "dcr": "auto", "cimd": "auto", "prereg": "auto" },
        "redirect_changes": "review",
        "redirect_rules": [],
        "outside_rules": "refuse",
        "private_use_schemes": ["cursor"],
        "manifests": { "lane": "staged", "soak_hours": 24, "on_withdrawal": "suspend" },
        "self_registered_grants": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "require_initial_access_token": false,
        "software_statement_issuers": [],
        "require_software_statement": false,
        "instances": "separate",
    })
}

/// Adds what a member lacks, however deep.
fn fill(parent: &mut Value, name: &str, default: &Value) {
    let Some(members) = parent.as_object_mut() else { return };
    let member = members.entry(name).or_insert_with(|| default.clone());
    for (name, default) in default.as_object().into_iter().flatten() {
        fill(member, name, default);
    }
}
