//! From every shape ever stored to the newest, one step a version. Steps are added, never edited.

use serde_json::Value;

/// One step: the JSON of a version becomes the JSON of the next. Pure and total.
type Step = fn(Value) -> Value;

/// `(name, from version, step)`. Empty while every shape still has its first version.
const STEPS: &[(&str, u16, Step)] = &[];

/// Takes the JSON of an old version to the newest. Where a step is missing the JSON stays, and the reader says what it lacks.
pub(crate) fn to_newest(name: &str, version: u16, newest: u16, old: Value) -> Value {
    (version..newest).fold(old, |value, from| {
        match STEPS.iter().find(|(step_name, step_from, _)| *step_name == name && *step_from == from) {
            Some((_, _, step)) => step(value),
            None => value,
        }
    })
}
