//! Staged changes of version 1 had what changes and who wishes it side by side.

use serde_json::Value;

use super::split_off;

/// Version 1 to 2: `change` says what would change, `source` who wishes it.
pub(super) fn change_and_source_part(mut event: Value) -> Value {
    let Some(members) = event.as_object_mut() else { return event };
    let change = split_off(members, [("change_id", "id"), ("added", "added"), ("removed", "removed"), ("result", "result")]);
    let source = split_off(members, [("origin", "origin"), ("manifest", "manifest")]);
    members.insert("change".to_owned(), change);
    members.insert("source".to_owned(), source);
    event
}
