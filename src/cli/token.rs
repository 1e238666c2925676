//! `gatebook token`: prints an admin JWT and nothing else, so that `TOKEN=$(gatebook token …)` works.

use std::io::{self, Write};
use std::path::PathBuf;

use chrono::TimeDelta;
use clap::Args;
use gatebook_events::identity::TenantId;

use crate::config::{AdminKeySource, Config, ConfigError, Settings};
use crate::credentials::admin::{Admin, AdminMinter, MintError, Role};
use crate::platform::clock::Clock;

/// The longest that a token may live; a leaked one cannot be called back.
const LONGEST_LIFE: TimeDelta = TimeDelta::days(366);

/// Print a token for an administrator, made with the key of the data folder or the configured secret
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// What the token is good for: viewer, auditor or admin
    #[arg(long)]
    pub role: Role,

    /// The tenant it is good for
    #[arg(long, default_value = "default", value_parser = TenantId::parse)]
    pub tenant: TenantId,

    /// Who it is for, as the history will name them
    #[arg(long, value_name = "NAME", default_value = "operator", value_parser = subject)]
    pub subject: String,

    /// How long it is good for, such as 30m, 1h or 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = life)]
    pub expires: TimeDelta,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Why no token is printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no key, and a new one would make a token that no service accepts.
    #[error("there is no data folder with a key at {}: --data names the folder of the service; its first start makes the key", .0.display())]
    NoKey(PathBuf),
    /// The token cannot be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// Nobody takes the token.
    #[error("cannot print the token")]
    Print(#[from] io::Error),
}

/// Prints the token on standard output.
pub fn run(args: TokenArgs) -> Result<(), TokenError> {
    print(args, Clock::system(), &mut io::stdout().lock())
}

fn print(args: TokenArgs, clock: Clock, output: &mut impl Write) -> Result<(), TokenError> {
    let config = Config::load(args.settings)?;
    if let AdminKeySource::SelfMade { file } = &config.admin.key
        && !file.exists()
    {
        return Err(TokenError::NoKey(config.data));
    }
    let admin = Admin { tenant: args.tenant, subject: args.subject, role: args.role };
    let token = AdminMinter::try_new(&config.admin, clock)?.mint(&admin, args.expires)?;
    writeln!(output, "{token}")?;
    Ok(())
}

/// A whole number and one of the units s, m, h, d.
fn life(text: &str) -> Result<TimeDelta, &'static str> {
    const EXPECTED: &str = "a duration is a number with s, m, h or d, such as 30m, and at most 366d";
    let (number, seconds) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "s")) => (number, 1),
        Some((number, "m")) => (number, 60),
        Some((number, "h")) => (number, 60 * 60),
        Some((number, "d")) => (number, 24 * 60 * 60),
        _ => return Err(EXPECTED),
    };
    let count = number.parse::<u32>().map_err(|_| EXPECTED)?;
    let life = TimeDelta::seconds(i64::from(count) * seconds);
    if life.is_zero() || life > LONGEST_LIFE { Err(EXPECTED) } else { Ok(life) }
}

fn subject(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err("a name is 1 to 255 bytes without control characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::credentials::admin::AdminVerifier;

    fn parse(flags: &[&str]) -> Result<TokenArgs, clap::Error> {
        let command = TokenArgs::augment_args(clap::Command::new("token"));
        let matches = command.try_get_matches_from([&["token"], flags].concat())?;
        TokenArgs::from_arg_matches(&matches)
    }

    #[tokio::test]
    async fn what_is_printed_is_one_token_that_the_instance_accepts() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().to_str().unwrap();
        let args = parse(&["--role", "admin", "--subject", "ada", "--expires", "30m", "--data", folder]).unwrap();
        let config = Config::load(args.settings.clone()).unwrap();
        let mut output = Vec::new();
        let refused = print(args.clone(), Clock::system(), &mut output).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("there is no data folder with a key at {folder}")), "{refused}");
        assert!(output.is_empty() && std::fs::read_dir(folder).unwrap().next().is_none(), "a refusal leaves nothing behind");
        let verifier = AdminVerifier::try_new(&config.admin, Clock::system()).unwrap();
        print(args, Clock::system(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let admin = verifier.verify(text.strip_suffix('\n').unwrap()).await.unwrap();
        assert_eq!((admin.subject.as_str(), admin.role), ("ada", Role::Admin));
        assert_eq!(admin.tenant, TenantId::default_tenant());
    }

    #[test]
    fn a_life_is_a_number_and_a_unit() {
        assert_eq!(life("90s"), Ok(TimeDelta::seconds(90)));
        assert_eq!(life("30m"), Ok(TimeDelta::minutes(30)));
        assert_eq!(life("1h"), Ok(TimeDelta::hours(1)));
        assert_eq!(life("7d"), Ok(TimeDelta::days(7)));
        for text in ["", "h", "1", "0s", "-1h", "1.5h", "1 h", "1w", "367d", "4294967296s", "1µ"] {
            assert!(life(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_roles_tenants_and_names_are_refused() {
        for flags in [
            &[][..],
            &["--role", "root"],
            &["--role", "admin", "--tenant", "a/b"],
            &["--role", "admin", "--subject", " "],
            &["--role", "admin", "--expires", "soon"],
        ] {
            assert!(parse(flags).is_err(), "{flags:?}");
        }
    }
}
