//! The table of bounds, `docs/limits.md`, compared with the code: its settings, their defaults, and the constants that its numbers come from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as _;
use gatebook::config::{Config, Settings};
use serde_json::Value;

/// Where each number comes from: row | file | constant | its value in the source | the number as the row writes it.
const NUMBERS: &str = "\
connections that are turned away, told why | src/server/turned_away.rs | AT_ONCE | 32 | 32
connections that are turned away, told why | src/server/turned_away.rs | MOST | 64 * 1024 | 64 KiB
connections that are turned away, told why | src/server/turned_away.rs | PATIENCE | Duration::from_secs(1) | 1 s
connections to the listener for metrics | src/cli/serve.rs | SCRAPERS | 64 | 64
bodies of requests, length | src/http/json.rs | MAX_BODY | 64 * 1024 | 64 KiB
bodies of requests, length | src/ui/parts/session.rs | LARGEST_OF_GUEST | 64 * 1024 | 64 KiB
bodies of requests, length | src/ui/parts/session.rs | LARGEST_FORM | 512 * 1024 | 512 KiB
bodies of requests, depth of JSON | events/src/json.rs | MAX_DEPTH | 16 | 16
HTTP/2 calls at a time | src/server.rs | STREAMS | 32 | 32
questions of one call of `POST /oauth/decisions` | src/http/oauth/decisions.rs | MOST_QUESTIONS | 100 | 100
repeated requests, bytes of an `Idempotency-Key` | src/http/authsec/repeat.rs | LONGEST | 255 | 255
repeated requests, time for which a key gets the same answer | src/http/authsec/repeat.rs | REPEATABLE | TimeDelta::hours(24) | 24 hours
event streams, what one may fall behind | src/application/audit/streams.rs | BEHIND | 16 | 16
event streams, what one may fall behind | src/application/audit/streams.rs | BATCH | 200 | 200
pages of lists, exports and event streams, what is read at a time | projections/src/page.rs | MOST_BYTES | 1024 * 1024 | 1 MiB
pages of lists, exports and event streams, what is read at a time | src/http/authsec.rs | PAGE | (500, 50) | 500
pages of lists, exports and event streams, what is read at a time | src/http/authsec.rs | PAGE | (500, 50) | 50
pages of lists, exports and event streams, what is read at a time | src/http/authsec/audit/export.rs | BATCH | 500 | 500
reads of lists, the wait for what the caller wrote | src/config.rs | LONGEST_READ_WAIT | 300 | 300 s
directories of an earlier time (`as_of`) that are kept | src/application/audit/as_of/cache.rs | MOST | 4 | 4
directories of an earlier time (`as_of`) that are kept | src/application/audit/as_of/cache.rs | MOST_OF_ONE | 2 | 2
directories of an earlier time (`as_of`) that are kept | src/application/audit/as_of.rs | KEPT_FOR | Duration::from_secs(600) | 10 minutes
rows on a page for people | src/ui/pages/approvals.rs | LIMIT | 50 | 50
rows on a page for people | src/ui/pages/audit.rs | LIMIT | 50 | 50
rows on a page for people | src/ui/pages/clients.rs | LIMIT | 50 | 50
rows on a page for people | src/ui/pages/unbound.rs | LIMIT | 50 | 50
events that the page of a client shows | src/ui/pages/client.rs | MOST_EVENTS | 500 | 500
lines of two documents that a page compares | src/ui/pages/client/document.rs | MOST_LINES | 400 | 400
clients of one decision at the pages | src/ui/pages/bulk.rs | MOST | 1000 | 1,000
clients of one decision at the pages | src/ui/pages/bulk.rs | AT_ONCE | 32 | 32
names, looks for those that are near to one | events/src/look_alike.rs | WITH_NEIGHBOURS | 6..=48 | 48
names, looks for those that are near to one | projections/src/directory/names.rs | MOST_OF_A_PATTERN | 64 | 64
names, how much of one is compared | events/src/look_alike.rs | MAX_LENGTH | 128 | 128
names, answers about those that look alike that are remembered | src/application/look_alikes.rs | MOST_KNOWN | 4096 | 4,096
wrong secrets that are counted, clients and sources | src/application/authentication/guesses.rs | MOST | 65_536 | 65,536
wrong secrets of one client from one source | src/application/authentication/guesses.rs | PER_SOURCE | 10 | 10
wrong secrets of one client from one source | src/application/authentication/guesses.rs | PER_SOURCE_BACK | TimeDelta::seconds(30) | 30 s
wrong secrets of one client from all sources | src/application/authentication/guesses.rs | PER_CLIENT | 100 | 100
secrets, length of one that is looked at | src/credentials/secrets.rs | LONGEST_SECRET | 1024 | 1,024
hashes of secrets that people chose | src/credentials/secrets/pool.rs | WAITING_PER_SLOT | 50 | 50
hashes that come with imported clients, cost of one | src/credentials/secrets/hash.rs | MOST_MEMORY_KIB | 256 * 1024 | 256 MiB
hashes that come with imported clients, cost of one | src/credentials/secrets/hash.rs | MOST_PASSES | 16 | 16 passes
hashes that come with imported clients, cost of one | src/credentials/secrets/hash.rs | MOST_LANES | 16 | 16 lanes
clients, secrets that are remembered | src/application/authentication/remembered.rs | MOST | 10_000 | 10,000
clients, assertions that are remembered | src/application/authentication/replays.rs | PER_CLIENT | 10_000 | 10,000
clients, assertions that are remembered | src/application/authentication/replays.rs | IN_ALL | 200_000 | 200,000
clients, assertions: how long one is good | src/application/authentication/assertion.rs | LONGEST_LIFE | TimeDelta::minutes(10) | 10 minutes
clients, assertions: length of a `jti` | src/application/authentication/assertion.rs | LONGEST_ID | 1024 | 1,024
clients, time in which two secrets work | src/http/authsec/secrets.rs | MAX_OVERLAP | 90 * 24 * 3600 | 90 days
access tokens, life | src/config/tokens.rs | SECONDS | 60..=86_400 | 60 to 86,400
initial access tokens that are used side by side | src/aggregates/tokens_in_use.rs | SLOTS | 64 | 64
service tokens, resource servers of one | src/http/authsec/service_tokens.rs | MOST_SERVERS | 100 | 100
service tokens that are held, for 5 s each | src/application/service_tokens.rs | MOST | 1024 | 1,024
administrators, length of a token | src/credentials/admin/verifier.rs | LONGEST_TOKEN | 16 * 1024 | 16 KiB
administrators, length of a subject | src/credentials/admin/claims.rs | LONGEST_SUBJECT | 255 | 255
administrators, life of a token of `gatebook token` | src/cli/token.rs | LONGEST_LIFE | TimeDelta::days(366) | 366 days
sign-ins at the pages, how long one lasts | src/ui/parts/session.rs | LONGEST_SESSION | TimeDelta::hours(12) | 12 h
sign-ins at the pages, how long one lasts | src/ui/pages/provider.rs | LASTS | TimeDelta::hours(8) | 8 h
sign-outs at the pages that are remembered | src/application/sessions.rs | MOST | 10_000 | 10,000
registrations, events of a client that changes itself | src/http/oauth/manage.rs | MOST_EVENTS | 1000 | 1,000
registrations, clients of a resource server | events/src/resource_server/policy.rs | FIRST_MAX_CLIENTS | 100_000 | 100,000
registrations, metadata of a client that registers itself or has a document | events/src/resource_server/policy.rs | USUAL_METADATA_BYTES | 16 * 1024 | 16 KiB
redirect URIs of a client | events/src/redirect.rs | MAX_COUNT | 100 | 100
redirect URIs of a client | events/src/redirect.rs | MAX_LENGTH | 2048 | 2,048
identifiers of clients, length | events/src/identity.rs | MAX_LENGTH | 2048 | 2,048
`contacts` of a client | events/src/metadata/parse.rs | MAX_CONTACTS | 10 | 10
`scope` of a client | events/src/scope.rs | MAX_LENGTH | 4096 | 4,096
`jwks` of a client | events/src/metadata/keys.rs | MAX_KEYS | 10 | 10
members with a language tag of a client | events/src/metadata/parse.rs | MAX_LOCALIZED | 50 | 50
members that are not known, their names that are kept | events/src/metadata/parse.rs | MAX_IGNORED | (50, 64) | 50 of 64 bytes
software statements, length | events/src/metadata/statement.rs | MAX_LENGTH | 16 * 1024 | 16 KiB
names, characters of a name, label or other short text for people | events/src/name.rs | LONGEST | 256 | 256
reasons, characters, at every call and page that takes one | events/src/reason.rs | MOST | 1024 | 1,024
redirect rules of one policy | events/src/resource_server/check.rs | MOST | (200, 100) | 200
private-use schemes of one policy | events/src/resource_server/check.rs | MOST | (200, 100) | 100
scopes outside of the ceiling in one policy | events/src/resource_server/check.rs | MOST_SCOPES | 50 | 50
issuers of software statements of one policy | events/src/resource_server/statements.rs | MOST | 20 | 20
issuers of software statements of one policy | events/src/resource_server/statements.rs | LONGEST | 2048 | 2,048
hours that a change soaks | events/src/resource_server/check.rs | LONGEST_SOAK | 24 * 90 | 2,160
days without a use until a registration is dormant | events/src/resource_server/check.rs | MOST_IDLE_DAYS | 3650 | 3,650
suspended families of one resource server | events/src/resource_server/decide.rs | MOST_FAMILIES | 1000 | 1,000
texts that are entered for one document, until its host answers | events/src/client/entered.rs | MOST_ENTERED | 100 | 100
fetches, head of an answer | src/outbound/fetch.rs | LARGEST_HEAD | 16 * 1024 | 16 KiB
fetches, addresses of a host that are tried | src/outbound/fetch.rs | MOST_ADDRESSES | 4 | 4
fetches under way | src/config/manifests.rs | AT_ONCE | 1..=256 | 1 to 256
fetches, names that are looked up | src/outbound/resolve.rs | LOOK_UPS | 32 | 32
fetches, pause after one that failed | src/outbound/limits.rs | MOST_SETBACKS | 10_000 | 10,000
fetches, key sets that are kept | src/credentials/key_sets.rs | MOST_SETS | 256 | 256
fetches, key sets: keys of one, and time between two | src/credentials/admin/jwks.rs | MOST_KEYS | 100 | 100
fetches, key sets: keys of one, and time between two | src/credentials/admin/jwks.rs | PAUSE | TimeDelta::seconds(10) | 10 s
fetches, answers of URLs that operators name | src/outbound/trusted_json.rs | LARGEST_ANSWER | 256 * 1024 | 256 KiB
fetches, validator that is kept | src/outbound/freshness.rs | LONGEST_VALIDATOR | 256 | 256
documents, freshness or pause that a host asks for | src/outbound/freshness.rs | LONGEST | Duration::from_secs(365 * 24 * 3600) | 365 days
documents, pause of all of a host at its wish | src/application/manifests/poller.rs | LONGEST_REST | Duration::from_secs(300) | 300 s
documents, registrations that hear of a change at a time | src/application/manifests.rs | FOLLOWED_AT_ONCE | 8 | 8
webhooks of a tenant | src/delivery/webhooks/commands.rs | MOST | 50 | 50
webhooks, types of events and resource servers of one | events/src/webhook.rs | MOST | 50 | 50
webhooks, time in which two secrets sign | src/http/authsec/webhooks.rs | MAX_OVERLAP | 90 * 24 * 3600 | 90 days
webhooks, deliveries under way | src/delivery/webhooks/sender.rs | AT_ONCE | 64 | 64
webhooks, deliveries under way | src/delivery/webhooks/worker.rs | AT_ONCE | 8 | 8
webhooks, time of one delivery | src/delivery/webhooks/sender.rs | TIME | Duration::from_secs(15) | 15 s
webhooks, messages that wait for one receiver | src/delivery/webhooks/worker.rs | MOST_WAITING | 256 | 256
webhooks, messages of one that nodes remember together | src/delivery/webhooks/state.rs | MOST_LETTERS | 1000 | 1,000
webhooks, attempts for one message | src/delivery/webhooks/worker.rs | MOST_ATTEMPTS | 12 | 12
webhooks, attempts for one message | src/delivery/webhooks/worker.rs | LONGEST_PAUSE | TimeDelta::hours(8) | 8 h
webhooks, pause that a receiver asks for | src/delivery/webhooks/worker.rs | LONGEST_WISH | TimeDelta::hours(24) | 24 h
webhooks, pause of a receiver that fails | src/delivery/webhooks/worker.rs | LONGEST_REST | TimeDelta::minutes(10) | 10 minutes
webhooks, pause of a receiver that fails | src/delivery/webhooks/worker.rs | PATIENCE | TimeDelta::days(5) | 5 days
memory, states of clients and registrations that are held | src/aggregates/cache.rs | MOST_BYTES | 64 << 20 | 64 MiB
memory, states of clients and registrations that are held | src/aggregates/cache.rs | MOST_BYTES_OF_BASES | 32 << 20 | 32 MiB
appends, how much one may have | src/event_log/sqlite/check_append.rs | LARGEST | 16 << 20 | 16 MiB
appends, how much one may have | src/event_log/sqlite/reader.rs | LONGEST | 4096 | 4,096
appends that wait | src/event_log/sqlite.rs | QUEUE | 4096 | 4,096
appends that are committed together | src/event_log/sqlite/writer.rs | MOST_APPENDS | 2048 | 2,048
appends that are committed together | src/event_log/sqlite/writer.rs | MOST_BYTES | 8 << 20 | 8 MiB
appends, times that a call is decided anew because others wrote first | src/aggregates.rs | MAX_ROUNDS | 32 | 32
uses of clients that wait to be written | src/application/usage.rs | MOST_WAITING | 131_072 | 131,072
uses of clients that are known to be written today | src/application/usage.rs | MOST_WRITTEN | 131_072 | 131,072
builds of a read model | src/read_models.rs | ORDERS | 16 | 16
dormant registrations that are written at a time | src/application/dormancy.rs | AT_ONCE | 16 | 16
import, length of a line | src/application/register/import_formats/lines.rs | LONGEST | 64 * 1024 | 64 KiB
import, name of a Keycloak realm | src/application/register/import_formats/keycloak.rs | LONGEST_REALM | 255 | 255
import, clients that are entered at a time | src/cli/import.rs | AT_ONCE | 32 | 32";

/// What is named like a bound and is none on a caller: file | constant | what it is.
const NO_BOUNDS: &str = "\
events/src/projection.rs | MAX_LENGTH | names of read models, which are ours
projections/src/read_model/reader.rs | MOST_IDLE | connections to a file that are kept open; reads are bounded
src/cli/doctor/log.rs | MOST | how much the command names
src/cli/doctor/models.rs | MOST | how much the command names
src/aggregates.rs | MAX_RETRIES | how often an append is sent again whose answer was lost; nothing that a caller says changes it
src/config.rs | LONGEST_STALENESS | what an operator may set
src/config/server.rs | LONGEST | what an operator may set
src/http/rate_limit_headers.rs | LIMIT | the name of a header
src/application/register/import_formats.rs | LONGEST | how much of a file's text the command shows
src/credentials/key_files.rs | LONGEST_FILE | the operator's own key files
src/event_log/sqlite/mirror.rs | MOST_TRIES | entries of the operator's own server that are no events
src/event_log/sqlite/mirror/file.rs | MOST_ASIDE | broken files that are put aside
src/event_log/sqlite/mirror/load.rs | MOST_TRIES | appends of the operator's own server that were not confirmed
src/event_log/sqlite/row.rs | MOST | names of events in a file that was tampered with
src/event_log/watched.rs | MOST_DAMAGED | how much of a damaged log is named
src/outbound.rs | MOST_FLIGHTS | when fetches that are over are forgotten; those under way are bounded
src/outbound/limits.rs | MOST_IDLE | when those without a fetch under way are forgotten
src/cluster/nats.rs | LONGEST_PAUSE | the pause between attempts to connect to the operator's own servers
src/cluster/nats/servers.rs | LONGEST_GREETING | what one of the operator's own servers says
src/application/reads.rs | MOST_IDLE | when those without a read under way are forgotten
src/ui/parts/format.rs | LONGEST_HOST | how much of a host a page shows
src/application/usage/watch.rs | LONGEST | no policy looks further back, by MOST_IDLE_DAYS
src/delivery/webhooks/outbox/marks.rs | MOST_MARKS | positions that the service remembers for itself";

/// A constant whose name has one of these words bounds something.
const WORDS: [&str; 6] = ["MAX", "MOST", "LONGEST", "LIMIT", "LARGEST", "AT_ONCE"];

const COLUMNS: [&str; 5] = ["what is bounded", "bound", "setting", "beyond it the caller gets", "counted for"];

struct Row {
    name: String,
    bound: String,
    setting: String,
}

impl Row {
    /// Whether the row says this number, and not only one that has it in it.
    fn says(&self, number: &str) -> bool {
        let part_of_a_number = |c: char| c.is_ascii_digit();
        self.bound.match_indices(number).any(|(start, _)| {
            let before = self.bound[..start].trim_end_matches(',').ends_with(part_of_a_number);
            let after = self.bound[start + number.len()..].trim_start_matches(',').starts_with(part_of_a_number);
            !before && !after
        })
    }

    /// What its setting names: flags as they are, and members of the policy.
    fn settings(&self) -> Vec<&str> {
        self.setting.split('`').skip(1).step_by(2).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let (bounds, _measured) = text.split_once("\n## Measured\n").unwrap();
    let lines: Vec<&str> = bounds.lines().filter(|line| line.starts_with('|')).collect();
    let mut rows = Vec::new();
    for line in lines.into_iter().filter(|line| !line.starts_with("|---")) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == COLUMNS.len() && cells.iter().all(|cell| !cell.is_empty()), "five columns, each with a text: {line}");
        if cells != COLUMNS {
            rows.push(Row { name: cells[0].to_owned(), bound: cells[1].to_owned(), setting: cells[2].to_owned() });
        }
    }
    rows
}

/// The lines of a list in this file, in their columns.
fn listed<const N: usize>(list: &'static str) -> Vec<[&'static str; N]> {
    list.lines().map(|line| line.split(" | ").collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{N} columns: {line}"))).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every constant of the code with its value, by file and name.
fn constants() -> BTreeMap<(String, String), String> {
    let mut files = Vec::new();
    for folder in ["src", "events/src", "projections/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in files {
        let place = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        for line in fs::read_to_string(&file).unwrap().lines() {
            let Some((before, rest)) = line.split_once("const ") else { continue };
            let alone = matches!(before.trim(), "" | "pub" | "pub(crate)" | "pub(super)");
            if let Some((name, rest)) = rest.split_once(": ").filter(|(name, _)| alone && !name.contains(' '))
                && let Some((_, value)) = rest.split_once(" = ")
            {
                found.insert((place.clone(), name.to_owned()), value.trim_end_matches(';').to_owned());
            }
        }
    }
    found
}

#[test]
fn each_row_of_the_table_of_bounds_is_whole_and_is_there_once() {
    let rows = rows();
    assert!(rows.len() > 100, "{}", rows.len());
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "a bound stands twice");
}

#[test]
fn each_number_of_the_table_of_bounds_is_the_one_in_the_code() {
    let (rows, constants) = (rows(), constants());
    for [name, file, constant, value, number] in listed(NUMBERS) {
        let found = constants.get(&(file.to_owned(), constant.to_owned()));
        assert_eq!(found.map(String::as_str), Some(value), "{constant} in {file}: change docs/limits.md and this list with it");
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("docs/limits.md has no row {name}"));
        assert!(row.says(number), "docs/limits.md, {name}: says {}, and {constant} in {file} is {number}", row.bound);
    }
}

#[test]
fn each_constant_that_bounds_something_is_in_the_table_of_bounds() {
    let constants = constants();
    let known: BTreeSet<(&str, &str)> = listed(NUMBERS).into_iter().map(|[_, file, constant, ..]: [&str; 5]| (file, constant)).collect();
    let others: BTreeSet<(&str, &str)> = listed(NO_BOUNDS).into_iter().map(|[file, constant, _]: [&str; 3]| (file, constant)).collect();
    for (file, name) in constants.keys().map(|(file, name)| (file.as_str(), name.as_str())) {
        if WORDS.iter().any(|word| name.contains(word)) {
            let places = usize::from(known.contains(&(file, name))) + usize::from(others.contains(&(file, name)));
            assert_eq!(places, 1, "{name} in {file} belongs into docs/limits.md and NUMBERS, or into NO_BOUNDS with what it is");
        }
    }
    for (file, name) in others {
        assert!(constants.contains_key(&(file.to_owned(), name.to_owned())), "{name} in {file} is gone");
    }
}

/// The newest schema of a policy.
fn policy() -> Value {
    let begins = "resource_server.policy_changed@";
    let names = fs::read_dir(root().join("events/schemas")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let version = |name: &str| name.strip_prefix(begins)?.strip_suffix(".json")?.parse::<u32>().ok();
    let newest = names.filter_map(|name| version(&name)).max().unwrap();
    let text = fs::read_to_string(root().join(format!("events/schemas/{begins}{newest}.json"))).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["properties"]["policy"].clone()
}

#[test]
fn each_setting_of_the_table_of_bounds_is_one() {
    let command = Settings::augment_args(clap::Command::new("gatebook"));
    let flags: BTreeSet<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    let policy = policy();
    for row in rows() {
        assert_eq!(
            row.settings().is_empty(),
            row.setting == "none",
            "docs/limits.md, {}: {} is neither none nor a setting",
            row.name,
            row.setting
        );
        for setting in row.settings() {
            if let Some(flag) = setting.strip_prefix("--") {
                assert!(flags.contains(flag), "docs/limits.md, {}: there is no setting {setting}", row.name);
                continue;
            }
            let member = setting.split('.').fold(&policy, |known, member| &known["properties"][member]);
            let said = row.setting.contains(&format!("`{setting}` of the policy"));
            assert!(said && !member.is_null(), "docs/limits.md, {}: the policy has no {setting}", row.name);
        }
    }
}

/// A number with a comma after each third digit, as the table writes it.
#[expect(clippy::needless_pass_by_value, reason = "every caller has a number")]
fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut written = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// What each setting is where it is not set, in the ways in which a row may write it.
fn defaults(config: &Config) -> Vec<(&'static str, Vec<String>)> {
    let (server, limits, rhythm) = (&config.server, &config.manifests.limits, &config.rhythm);
    let seconds = |time: std::time::Duration| format!("{} s", grouped(time.as_secs()));
    let in_all = |bound: Option<std::num::NonZeroU32>| bound.map_or_else(|| "unbounded unless it is set".to_owned(), grouped);
    let bytes = |length: usize| vec![format!("{} KiB", length / 1024), format!("{} bytes", grouped(length))];
    vec![
        ("--max-connections", vec![grouped(server.connections)]),
        ("--max-connections-per-source", vec![server.connections_per_source.map_or_else(String::new, grouped)]),
        ("--head-seconds", vec![seconds(server.head)]),
        ("--head-bytes", bytes(server.head_bytes)),
        ("--body-seconds", vec![seconds(server.body)]),
        ("--idle-seconds", vec![seconds(server.idle)]),
        ("--max-reads-per-tenant", vec![grouped(server.reads_per_tenant)]),
        ("--max-streams", vec![grouped(server.streams)]),
        ("--max-streams-per-subject", vec![grouped(server.streams_per_subject)]),
        ("--http2", vec![if server.http2 { "is on" } else { "is off" }.to_owned()]),
        ("--read-wait", vec![seconds(config.read_wait), "none is waited for".to_owned()]),
        ("--free-space-floor", vec![format!("{} MB", config.free_space_floor >> 20)]),
        ("--token-seconds", vec![format!("{} s", grouped(config.token_life.num_seconds()))]),
        ("--registrations-per-minute", vec![in_all(config.registrations_per_minute)]),
        ("--changes-per-minute", vec![in_all(config.changes_per_minute)]),
        ("--changes-per-client-per-hour", vec![in_all(config.changes_per_client_per_hour)]),
        ("--max-unbound-clients", vec![config.max_unbound_clients.map_or_else(|| "none are let in".to_owned(), grouped)]),
        ("--max-clients-per-tenant", vec![in_all(config.max_clients_per_tenant)]),
        ("--manifest-bytes", bytes(limits.bytes)),
        ("--manifests-at-once", vec![grouped(limits.at_once)]),
        ("--manifests-per-host-per-minute", vec![in_all(limits.per_host_per_minute)]),
        ("--fetches-per-source-per-minute", vec![in_all(limits.per_source_per_minute), "the same".to_owned()]),
        ("--fetches-per-tenant-per-minute", vec![in_all(limits.anonymous_per_minute), "the same".to_owned()]),
        ("--manifest-poll-seconds", vec![format!("{} to {}", grouped(rhythm.least.as_secs()), seconds(rhythm.most))]),
        ("--manifest-polls-at-once", vec![grouped(rhythm.at_once)]),
        ("--manifest-max-age", vec![seconds(rhythm.max_age)]),
    ]
}

#[test]
fn each_default_of_the_table_of_bounds_is_the_one_that_holds() {
    let config = Config::try_new(Settings::default()).unwrap();
    let (rows, defaults) = (rows(), defaults(&config));
    for row in &rows {
        for flag in row.settings().into_iter().filter(|setting| setting.starts_with("--")) {
            let known = defaults.iter().find(|(known, _)| *known == flag);
            let (_, ways) = known.unwrap_or_else(|| panic!("docs/limits.md, {}: no default is known of {flag}", row.name));
            assert!(ways.iter().any(|way| row.says(way)), "docs/limits.md, {}: says {}, and {flag} is {ways:?}", row.name, row.bound);
        }
    }
    for (flag, _) in &defaults {
        assert!(rows.iter().any(|row| row.settings().contains(flag)), "docs/limits.md names no {flag}");
    }
    let limits = &config.manifests.limits;
    for (name, number) in [
        ("fetches, time of one", format!("{} s", limits.time.as_secs())),
        ("fetches under way", format!("{} at one host", limits.at_once_per_host)),
        ("fetches, pause after one that failed", format!("{} s", limits.first_pause.as_secs())),
        ("fetches, pause after one that failed", format!("{} s", grouped(limits.longest_pause.as_secs()))),
    ] {
        let row = rows.iter().find(|row| row.name == name).unwrap();
        assert!(row.says(&number), "docs/limits.md, {name}: says {}, and it is {number}", row.bound);
    }
}
