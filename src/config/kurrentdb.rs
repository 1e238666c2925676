//! `esdb://user:password@one:2113,two:2113?tls=true&name=gatebook`: a KurrentDB cluster in one line.

use eventstore::ClientSettings;

/// What everything of ours is named after unless the connection string says otherwise.
const NAME: &str = "gatebook";

/// Where the cluster is and how to get in. Shows no secret when printed.
#[derive(Clone, PartialEq, Eq)]
pub struct KurrentSettings {
    pub(crate) connection: String,
    /// What everything of ours in the cluster is named after: the streams begin with it.
    pub name: String,
    /// Its nodes, as the connection string names them.
    pub hosts: Vec<String>,
}

impl KurrentSettings {
    /// The cluster that a connection string names: `esdb://`, `kurrentdb://`, each also with `+discover`, and the parameters of
    /// the driver; `name` is ours. What is wrong is said as the rest of a sentence that repeats nothing of it, because it may hold a
    /// password.
    pub fn parse(uri: &str) -> Result<Self, &'static str> {
        let (rest, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut name = NAME;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("name", given)) => name = given,
                _ => kept.push(pair),
            }
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
            return Err("has a name of other than 1 to 64 letters, digits, hyphens and underscores");
        }
        let connection = if kept.is_empty() { rest.to_owned() } else { format!("{rest}?{}", kept.join("&")) };
        let settings: ClientSettings = connection.parse().map_err(|_| "is no connection string of KurrentDB")?;
        // The driver would panic at a host that no URI can have.
        let plain = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if settings.hosts().is_empty() || !settings.hosts().iter().all(|at| !at.host.is_empty() && plain(&at.host)) {
            return Err("names a host that is none");
        }
        let hosts = settings.hosts().iter().map(|at| format!("{}:{}", at.host, at.port)).collect();
        Ok(Self { connection, name: name.to_owned(), hosts })
    }
}

impl std::fmt::Debug for KurrentSettings {
    /// Says nothing of who we are: that may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KurrentSettings").field("hosts", &self.hosts).field("name", &self.name).finish_non_exhaustive()
    }
}
