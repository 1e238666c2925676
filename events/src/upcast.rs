//! From every shape ever stored to the newest, one step a version. Steps are added, never edited.

use serde_json::{Map, Value};

mod policy;
mod redirects;

/// One step: the JSON of a version becomes the JSON of the next. Pure and total: what is not as its version promised is
/// passed on, and the reader says what it lacks.
type Step = fn(Value) -> Value;

/// `(name, from version, step)`.
const STEPS: &[(&str, u16, Step)] = &[
    ("resource_server.created", 1, policy::every_rule_is_written),
    ("resource_server.policy_changed", 1, policy::every_rule_is_written),
    ("registration.redirects_staged", 1, redirects::change_and_source_part),
];

/// Takes the JSON of an old version to the newest. Where a step is missing the JSON stays, and the reader says what it lacks.
pub(crate) fn to_newest(name: &str, version: u16, newest: u16, old: Value) -> Value {
    (version..newest).fold(old, |value, from| {
        match STEPS.iter().find(|(step_name, step_from, _)| *step_name == name && *step_from == from) {
            Some((_, _, step)) => step(value),
            None => value,
        }
    })
}

/// Moves those of these members that are there, under other names, into an object of their own.
fn split_off<const N: usize>(members: &mut Map<String, Value>, names: [(&str, &str); N]) -> Value {
    let moved = names.into_iter().filter_map(|(old, new)| Some((new.to_owned(), members.remove(old)?)));
    moved.collect::<Map<_, _>>().into()
}
