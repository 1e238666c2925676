//! `nats://user:password@one:4222,two:4222?name=gatebook&replicas=3`: a cluster in one line.

use std::path::PathBuf;

use reqwest::Url;

/// The port of a server that names none.
const PORT: u16 = 4222;
/// What everything of ours is named after unless the URI says otherwise.
const NAME: &str = "gatebook";

/// What is wrong with a URI, as the rest of a sentence. Repeats nothing of it, because it may hold a password.
pub type UriProblem = &'static str;

/// Where the cluster is and how to get in. Shows no secret when printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// Its servers, each as `host:port`.
    pub servers: Vec<String>,
    /// Whether the connection has to be encrypted whatever the server says.
    pub tls: bool,
    /// What the URI says about who we are.
    pub(crate) login: Login,
    /// What everything of ours in the cluster is named after: stream, subjects and buckets.
    pub name: String,
    /// How many copies of each event the cluster keeps; none: three in a cluster, one on a server that stands alone.
    pub replicas: Option<usize>,
    /// A credentials file (a user's JWT and the key that belongs to it).
    pub credentials: Option<PathBuf>,
    /// Certificate authorities to trust instead of the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, as PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Where servers tell about themselves over HTTP, such as `http://nats-1:8222`.
    pub monitoring: Vec<Url>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Nobody,
    User { name: String, password: String },
    Token(String),
}

impl NatsSettings {
    /// The cluster that a `nats://` or `tls://` URI names. A user without a password is a token.
    pub fn parse(uri: &str) -> Result<Self, UriProblem> {
        let (scheme, rest) = uri.split_once("://").ok_or("is not a URI")?;
        let tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err("is neither a nats:// nor a tls:// URI"),
        };
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Login::parse(login)?, hosts),
            None => (Login::Nobody, authority),
        };
        let servers = hosts.trim_end_matches('/').split(',').map(server).collect::<Result<_, _>>()?;
        let mut settings = Self {
            servers,
            tls,
            login,
            name: NAME.to_owned(),
            replicas: None,
            credentials: None,
            ca_file: None,
            certificate: None,
            monitoring: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("name", name)) => settings.name = self::name(name)?,
                Some(("replicas", number)) => {
                    let number = number.parse().ok().filter(|number| matches!(number, 1 | 3 | 5));
                    settings.replicas = Some(number.ok_or("names another number of replicas than 1, 3 or 5")?);
                }
                _ => return Err("has a parameter other than name and replicas"),
            }
        }
        Ok(settings)
    }
}

impl Login {
    fn parse(text: &str) -> Result<Self, UriProblem> {
        match text.split_once(':') {
            Some((name, password)) => Ok(Self::User { name: decoded(name)?, password: decoded(password)? }),
            None => Ok(Self::Token(decoded(text)?)),
        }
    }
}

fn server(text: &str) -> Result<String, UriProblem> {
    let bare = text.rsplit_once(']').map_or(text, |(_, after)| after);
    let host = bare.split_once(':').map_or(text, |(_, port)| &text[..text.len() - port.len() - 1]);
    let port = match bare.split_once(':') {
        Some((_, port)) => port.parse().map_err(|_| "names a port that is none")?,
        None => PORT,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(fits) {
        return Err("names a host that is none");
    }
    Ok(format!("{host}:{port}"))
}

/// A name that is good for streams, subjects and buckets alike.
fn name(text: &str) -> Result<String, UriProblem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("has a name of other than 1 to 64 letters, digits, hyphens and underscores")
    }
}

/// RFC 3986 §2.1
fn decoded(text: &str) -> Result<String, UriProblem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Err("has a % that stands for nothing") };
                bytes.push(high * 16 + low);
                rest = after;
            }
            (b'%', _) => return Err("has a % that stands for nothing"),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_login_and_names_are_told_apart() {
        let settings = NatsSettings::parse("nats://gate:p%40ss%3a@a.example:4223,[::1],b?name=test-1&replicas=3").unwrap();
        assert_eq!(settings.servers, ["a.example:4223", "[::1]:4222", "b:4222"]);
        assert!(matches!(&settings.login, Login::User { name, password } if name == "gate" && password == "p@ss:"));
        assert_eq!((settings.name.as_str(), settings.replicas, settings.tls), ("test-1", Some(3), false));
        let settings = NatsSettings::parse("tls://s3cret@a/").unwrap();
        assert!(matches!(&settings.login, Login::Token(token) if token == "s3cret"));
        assert_eq!((settings.servers.as_slice(), settings.name.as_str(), settings.tls), (&["a:4222".to_owned()][..], "gatebook", true));
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_a_password() {
        for uri in [
            "nats:a",
            "http://a",
            "nats://gate:changeit@",
            "nats://gate:changeit@a,,b",
            "nats://gate:changeit@a:port",
            "nats://gate:changeit@a/b",
            "nats://gate:changeit%4@a",
            "nats://gate:changeit@a?name=a.b",
            "nats://gate:changeit@a?name=",
            "nats://gate:changeit@a?replicas=2",
            "nats://gate:changeit@a?stream=changeit",
        ] {
            let problem = NatsSettings::parse(uri).unwrap_err();
            assert!(!problem.contains("changeit"), "{uri}: {problem}");
        }
        let settings = NatsSettings::parse("nats://gate:changeit@a").unwrap();
        assert!(!format!("{settings:?}").contains("changeit"));
    }
}
