//! What `--help` shows: every setting, in groups, for the service; for each other command its own options and the settings that it
//! is mostly given. The others are taken there too, and only not shown.

use clap::{Args, Command};

use crate::config::Settings;

/// The settings that are shown for every command.
const EVERYWHERE: [&str; 3] = ["config", "data", "log"];

/// What the names of a group's settings begin with, and what the group is called. The first that fits counts.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Administrators and pages", &["admin_", "ui_"]),
    ("Event log and cluster", &["log", "nats_", "feed", "max_staleness", "instance_key", "kurrent"]),
    ("Authorization server and tokens", &["upstream_", "access_token", "token_"]),
    ("Documents that clients host", &["manifest", "allow_loopback_manifests", "extra_ca"]),
    ("Webhooks", &["webhook"]),
    ("Limits", &["max_", "registrations_", "trusted_proxies", "min_", "head_", "body_", "idle_", "http2"]),
    ("Log lines and metrics", &["log_level", "log_format", "metrics_"]),
    ("Service", &[""]),
];

/// Examples, by command.
const EXAMPLES: [(&str, &str); 4] = [
    (
        "serve",
        "Examples:\n  gatebook serve\n  gatebook serve --listen 0.0.0.0:8080 --public-url https://clients.example.com --data /var/lib/gatebook",
    ),
    ("token", "Example:\n  TOKEN=$(gatebook token --role admin --tenant default)"),
    ("import", "Example:\n  gatebook import --from keycloak realm-export.json --dry-run"),
    ("backup", "Example:\n  gatebook backup backup.db"),
];

/// Puts the settings of all commands into groups and hides what a command is seldom given.
pub(super) fn arrange(mut root: Command) -> Command {
    let settings: Vec<String> =
        Settings::augment_args(Command::new("gatebook")).get_arguments().map(|argument| argument.get_id().to_string()).collect();
    let names: Vec<String> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let serves = name == "serve";
        let example = EXAMPLES.iter().find(|(command, _)| *command == name).map(|(_, text)| *text);
        let more = (!serves).then_some("`gatebook serve --help` shows every setting; each is taken here too.");
        let after = [example, more].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        root = root.mut_subcommand(&name, |command| {
            let command = command.mut_args(|argument| {
                let id = argument.get_id().to_string();
                if !settings.contains(&id) {
                    argument
                } else if serves {
                    argument.help_heading(group(&id))
                } else {
                    argument.hide(!EVERYWHERE.contains(&id.as_str()))
                }
            });
            command.after_help(after)
        });
    }
    root
}

fn group(id: &str) -> &'static str {
    let fits = |begins: &[&str]| begins.iter().any(|begin| id.starts_with(begin));
    let exact = |begins: &[&str]| begins.contains(&id);
    let named = GROUPS.iter().find(|(_, begins)| exact(begins)).or_else(|| GROUPS.iter().find(|(_, begins)| fits(begins)));
    named.map_or("Service", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    fn help(command: &str) -> String {
        let mut root = arrange(Cli::command());
        root.find_subcommand_mut(command).unwrap().render_long_help().to_string()
    }

    #[test]
    fn a_command_shows_its_own_options_and_the_service_every_setting_in_groups() {
        let token = help("token");
        assert!(token.lines().count() < 60, "{token}");
        assert!(token.contains("--role") && token.contains("--data") && !token.contains("--nats-credentials"), "{token}");
        assert!(token.contains("Example:") && token.contains("gatebook serve --help"), "{token}");
        let serve = help("serve");
        for shown in ["--nats-credentials", "Event log and cluster:", "Administrators and pages:", "Log lines and metrics:", "Limits:"] {
            assert!(serve.contains(shown), "{shown}: {serve}");
        }
        assert_eq!(group("log_level"), "Log lines and metrics");
        assert_eq!(group("log"), "Event log and cluster");
    }

    #[test]
    fn a_setting_that_is_not_shown_is_taken_all_the_same() {
        let arguments = ["gatebook", "token", "--role", "admin", "--read-wait", "7"];
        assert!(arrange(Cli::command()).try_get_matches_from(arguments).is_ok());
    }
}
