//! Names of settings that are almost right: variables of the environment and keys of the file.

use std::collections::BTreeSet;

use clap::Args;

use super::Settings;

/// How alike two names have to be for one to be a likely slip of the other; 1 is equal.
const ALIKE: f64 = 0.6;

/// The variables of the environment that are named like a setting and are none, each with the setting that it resembles.
pub fn unknown_variables(given: impl Iterator<Item = String>) -> Vec<(String, Option<String>)> {
    let command = Settings::augment_args(clap::Command::new("gatebook"));
    let known: BTreeSet<String> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned)).collect();
    let unknown = given.filter(|name| name.starts_with("GATEBOOK_") && !known.contains(name));
    unknown.map(|name| (nearest(&name, known.iter().map(String::as_str)), name)).map(|(like, name)| (name, like)).collect()
}

/// The name that this one is most like, if it is like any. What all names begin with says nothing.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let own = |name: &'a str| name.strip_prefix("GATEBOOK_").unwrap_or(name);
    let wanted = name.strip_prefix("GATEBOOK_").unwrap_or(name);
    let alike = known.map(|known| (strsim::normalized_damerau_levenshtein(wanted, own(known)), known));
    let best = alike.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= ALIKE).then(|| best.1.to_owned())
}

/// What a TOML parser says of a key that is not known, with the nearest key instead of all that there are.
pub(super) fn shortened(message: &str) -> String {
    let Some((problem, known)) = message.split_once(", expected one of ") else { return message.to_owned() };
    let mut quoted = problem.split('`');
    let (Some(_), Some(name)) = (quoted.next(), quoted.next()) else { return message.to_owned() };
    let known = known.split(", ").map(|name| name.trim_matches('`'));
    match nearest(name, known) {
        Some(like) => format!("{problem}, the nearest is `{like}`"),
        None => format!("{problem}; `gatebook serve --help` lists them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_almost_a_setting_is_named_with_the_setting() {
        let given = ["GATEBOOK_LISEN", "GATEBOOK_LISTEN", "GATEBOOK_ZZZ", "PATH"].map(str::to_owned);
        let unknown = unknown_variables(given.into_iter());
        assert_eq!(unknown, [("GATEBOOK_LISEN".to_owned(), Some("GATEBOOK_LISTEN".to_owned())), ("GATEBOOK_ZZZ".to_owned(), None)]);
    }

    #[test]
    fn a_key_that_is_almost_one_is_answered_with_the_nearest() {
        assert_eq!(shortened("unknown field `lisen`, expected one of `listen`, `log`"), "unknown field `lisen`, the nearest is `listen`");
        assert_eq!(
            shortened("unknown field `xyz`, expected one of `listen`, `log`"),
            "unknown field `xyz`; `gatebook serve --help` lists them all"
        );
        assert_eq!(shortened("invalid type"), "invalid type");
    }
}
