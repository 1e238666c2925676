//! The walls of the house. Each failure names the wall, the place and the reason; each wall is also shown a breach that it
//! must see.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A wall that is kept by looking for words where they must not be.
struct Wall {
    name: &'static str,
    reason: &'static str,
    /// Where the words must not be, as prefixes of paths in the repository.
    inside: &'static [&'static str],
    /// Except here.
    except: &'static [&'static str],
    words: &'static [&'static str],
    /// A line that must be seen as a breach.
    breach: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        name: "wall 3: only aggregates appends",
        reason: "one function reads, folds, decides and appends; a second one would decide differently",
        inside: &["src/"],
        except: &["src/aggregates.rs", "src/event_log"],
        words: &["log.append(", "log().append(", "AppendError::Conflict {\n"],
        breach: "self.log.append(append).await",
    },
    Wall {
        name: "wall 3: only bootstrap names a concrete log",
        reason: "which log it is must be one decision in one place",
        inside: &["src/"],
        except: &["src/bootstrap", "src/event_log/"],
        words: &[
            "SqliteLog",
            "MemoryLog",
            "JetStreamLog",
            "KurrentDbLog",
            "event_log::sqlite::",
            "event_log::memory::",
            "event_log::jetstream::",
            "event_log::kurrentdb::",
        ],
        breach: "let log = SqliteLog::open(path)?;",
    },
    Wall {
        name: "wall 3: only bootstrap names a concrete key-value store",
        reason: "which one it is follows from which log it is, and that is one decision in one place",
        inside: &["src/"],
        except: &["src/bootstrap", "src/cluster/shared_kv"],
        words: &["JetStreamNotes", "KurrentDbNotes", "shared_kv::jetstream::", "shared_kv::kurrentdb::"],
        breach: "let notes = KurrentDbNotes::new(kurrent);",
    },
    Wall {
        name: "wall 4: the log moves envelopes and names no domain event",
        reason: "a backend that knows what it carries starts to have opinions about it",
        inside: &["src/event_log/", "src/event_log.rs"],
        except: &[],
        words: &[
            "ClientEvent",
            "RegistrationEvent",
            "ResourceServerEvent",
            "InitialAccessTokenEvent",
            "ReservationEvent",
            "ProjectionEvent",
            "ServiceTokenEvent",
            "WebhookEvent",
            "gatebook_events::codec",
            "client.registered",
            "registration.requested",
        ],
        breach: "use gatebook_events::codec::decode;",
    },
    Wall {
        name: "wall 4: siblings never name each other (memory)",
        reason: "backends are exchangeable",
        inside: &["src/event_log/memory"],
        except: &[],
        words: &["sqlite", "Sqlite", "jetstream", "JetStream", "kurrentdb", "KurrentDb"],
        breach: "use super::sqlite::SqliteLog;",
    },
    Wall {
        name: "wall 4: siblings never name each other (sqlite)",
        reason: "backends are exchangeable",
        inside: &["src/event_log/sqlite"],
        except: &[],
        words: &["MemoryLog", "super::memory", "event_log::memory", "jetstream", "JetStream", "kurrentdb", "KurrentDb"],
        breach: "use crate::event_log::memory::MemoryLog;",
    },
    Wall {
        name: "wall 4: siblings never name each other (jetstream)",
        reason: "backends are exchangeable",
        inside: &["src/event_log/jetstream"],
        except: &[],
        words: &["MemoryLog", "event_log::memory", "sqlite", "Sqlite", "kurrentdb", "KurrentDb"],
        breach: "use crate::event_log::sqlite::mirror::Mirror;",
    },
    Wall {
        name: "wall 4: siblings never name each other (kurrentdb)",
        reason: "backends are exchangeable",
        inside: &["src/event_log/kurrentdb"],
        except: &[],
        words: &["MemoryLog", "event_log::memory", "sqlite", "Sqlite", "jetstream", "JetStream"],
        breach: "use crate::event_log::jetstream::JetStreamLog;",
    },
    Wall {
        name: "wall 4: siblings never name each other (the port of shared logs)",
        reason: "backends are exchangeable",
        inside: &["src/event_log/shared"],
        except: &[],
        words: &["MemoryLog", "event_log::memory", "sqlite", "Sqlite", "jetstream::", "JetStreamLog", "kurrentdb::", "KurrentDbLog"],
        breach: "use crate::event_log::kurrentdb::KurrentDbLog;",
    },
    Wall {
        name: "wall 5: http and ui do not carry commands",
        reason: "a use case says what is appended; a handler that did would be a second one",
        inside: &["src/http", "src/ui", "src/server", "src/cli"],
        except: &[],
        words: &[".transact(", ".transact_new(", ".transact_from(", ".transact_once("],
        breach: "let done = services.commands.transact(stream, &cause, &command).await?;",
    },
    Wall {
        name: "wall 5: below http there is no status",
        reason: "errors are data; one map makes statuses of them",
        inside: &[
            "src/application",
            "src/delivery",
            "src/read_models",
            "src/aggregates",
            "src/event_log",
            "src/credentials",
            "src/config",
            "src/platform",
        ],
        except: &[],
        words: &["axum::", "StatusCode::BAD_REQUEST", "http::error"],
        breach: "use axum::http::StatusCode;",
    },
    Wall {
        name: "wall 4: siblings never name each other (notes in jetstream)",
        reason: "who keeps notes is exchangeable",
        inside: &["src/cluster/shared_kv/jetstream"],
        except: &[],
        words: &["kurrentdb", "KurrentDb", "kurrent::"],
        breach: "use super::kurrentdb::KurrentDbNotes;",
    },
    Wall {
        name: "wall 4: siblings never name each other (notes in kurrentdb)",
        reason: "who keeps notes is exchangeable",
        inside: &["src/cluster/shared_kv/kurrentdb"],
        except: &[],
        words: &["jetstream", "JetStream", "nats::"],
        breach: "use super::jetstream::JetStreamNotes;",
    },
    Wall {
        name: "wall 5: http decides nothing",
        reason: "a rule about clients in a handler is a rule that the other doors do not have",
        inside: &["src/http", "src/ui"],
        except: &[],
        words: &[
            ".decide(",
            ".evolve(",
            "ClientEvent::",
            "RegistrationEvent::",
            "ResourceServerEvent::",
            "InitialAccessTokenEvent::",
            "ServiceTokenEvent::",
            "WebhookEvent::",
            "standing(Facts",
        ],
        breach: "let events = registration.decide(&command)?;",
    },
    Wall {
        name: "wall 6: stored names are literals",
        reason: "a name that is derived from the code changes with the code, and the log does not",
        inside: &["events/src", "src/aggregates"],
        except: &[],
        words: &["type_name", "stringify!", "concat!(stringify"],
        breach: "let name = std::any::type_name::<E>();",
    },
    Wall {
        name: "wall 7: no plaintext secret has a type in events",
        reason: "what has no type there cannot get into an event",
        inside: &["events/src"],
        except: &[],
        words: &[
            "ClientSecret {",
            "struct ClientSecret",
            "struct RegistrationToken(",
            "struct InitialAccessToken(",
            "struct ServiceToken(",
            "struct WebhookSecret",
            "plaintext: String",
        ],
        breach: "pub struct ClientSecret(String);",
    },
    Wall {
        name: "wall 8: the projector never skips",
        reason: "a skipped revocation is a hole; it stops, says which event, and health turns red",
        inside: &["projections/src", "src/read_models"],
        // Compiled for tests only.
        except: &["projections/src/scene.rs"],
        words: &["decode(envelope).ok()", "decode(envelope).unwrap_or", "Err(_) => continue", ".unwrap()", ".expect(", "panic!("],
        breach: "let Ok(event) = decode(envelope) else { Err(_) => continue };",
    },
    Wall {
        name: "the clock is read in one place",
        reason: "time arrives inside commands, so that a history can be replayed and a test can set it",
        inside: &["src/", "events/src", "projections/src"],
        except: &["src/platform/clock.rs"],
        words: &["Utc::now", "SystemTime::now", "Local::now"],
        breach: "let at = Utc::now();",
    },
];

/// Wall 1 and 2 are Cargo's: what a crate may depend on.
///
/// `schemars` describes types and does nothing else; it is built for the tests of the schemas only. The tables of Unicode
/// (`idna`, `percent-encoding`, `unicode-normalization`, `unicode-properties`, `unicode-security`) are functions of text: they say which names there can be and which characters
/// look alike.
const EVENTS_MAY_NEED: &[&str] = &[
    "chrono",
    "idna",
    "percent-encoding",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "unicode-normalization",
    "unicode-properties",
    "unicode-security",
    "uuid",
];
const PROJECTIONS_MAY_NEED: &[&str] = &["gatebook-events", "chrono", "rusqlite", "serde", "serde_json", "thiserror", "uuid"];

#[test]
fn every_wall_stands() {
    let files = sources();
    assert!(files.len() > 40, "only {} source files were found; the walls were not looked at", files.len());
    let breaches: Vec<String> = WALLS.iter().flat_map(|wall| files.iter().flat_map(|(path, text)| breaches(wall, path, text))).collect();
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn every_wall_sees_a_breach() {
    for wall in WALLS {
        let place = format!("{}example.rs", wall.inside[0].trim_end_matches(".rs"));
        assert!(!breaches(wall, &place, wall.breach).is_empty(), "{} does not see {}", wall.name, wall.breach);
    }
}

#[test]
fn every_reason_and_every_warning_of_a_decision_is_in_the_readme_and_no_other() {
    use gatebook_events::decision::{Reason, Refusal, Warning};
    use gatebook_events::standing::Decision;
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rows = |heading: &str| {
        let table = readme.split_once(heading).unwrap().1.split("\n\n").next().unwrap().to_owned();
        let cells = table.lines().skip(2).map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
        cells
            .flat_map(|row| row[1].split(", ").map(|name| (name.trim_matches('`').to_owned(), row[2].clone())).collect::<Vec<_>>())
            .collect()
    };
    let said: Vec<(String, String)> = rows("| `reason` | decision | |");
    let word = |reason: Reason| match reason.decision() {
        Decision::Allow => "allow",
        Decision::Pending => "pending",
        Decision::Deny => "deny",
    };
    let known: Vec<_> = Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), word(*reason).to_owned())).collect();
    assert!(
        said.iter().all(|row| known.contains(row)) && said.len() == known.len(),
        "the table of reasons says {said:?}, and there are {known:?}"
    );
    let said: Vec<String> = rows("| `reason` of a client that may act and is not authenticated | |").into_iter().map(|row| row.0).collect();
    assert_eq!(said, Refusal::ALL.map(|refusal| refusal.as_str().to_owned()));
    let said: Vec<String> = rows("| warning | |").into_iter().map(|row| row.0).collect();
    assert_eq!(said, Warning::ALL.map(|warning| warning.as_str().to_owned()));
}

#[test]
fn wall_1_events_depends_on_nothing_that_waits_reads_tells_time_or_draws_lots() {
    only_needs("gatebook-events", EVENTS_MAY_NEED, "wall 1: events is pure, so that every decision can be replayed");
}

#[test]
fn wall_2_projections_knows_neither_the_log_nor_http() {
    only_needs("gatebook-projections", PROJECTIONS_MAY_NEED, "wall 2: a read model is a fold of events and nothing else");
}

fn only_needs(package: &str, allowed: &[&str], wall: &str) {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|candidate| candidate["name"] == package).unwrap();
    for dependency in package["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap();
        let for_tests = dependency["kind"] == "dev";
        assert!(for_tests || allowed.contains(&name), "{wall}; it must not depend on {name}");
    }
    let chrono = package["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == "chrono").unwrap();
    let features = chrono["features"].as_array().unwrap();
    assert!(
        !features.iter().any(|f| f == "clock" || f == "now") && chrono["uses_default_features"] == false,
        "{wall}; chrono must not tell the time"
    );
}

fn breaches(wall: &Wall, path: &str, text: &str) -> Vec<String> {
    let starts = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    if !starts(wall.inside) || starts(wall.except) {
        return Vec::new();
    }
    let text = without_tests(text);
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(number, line)| wall.words.iter().filter(move |word| line.contains(**word)).map(move |word| (number + 1, word)))
        .map(|(number, word)| format!("{}: {path}:{number} has `{word}`; {}", wall.name, wall.reason))
        .collect()
}

/// A file without its modules of tests, line by line: what tests do is not what the product does, and what follows them is.
fn without_tests(text: &str) -> String {
    let (mut kept, mut inside, mut next) = (String::new(), false, false);
    for line in text.lines() {
        let skipped = inside || (next && line.starts_with("mod ")) || line == "#[cfg(test)]";
        if next && line.starts_with("mod ") {
            inside = line.ends_with('{');
        }
        next = line == "#[cfg(test)]" || (next && line.starts_with("#["));
        if inside && line == "}" {
            inside = false;
        }
        // The numbers of lines stay as they are.
        kept.push_str(if skipped { "" } else { line });
        kept.push('\n');
    }
    kept
}

#[test]
fn what_follows_tests_is_looked_at_too() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { Utc::now(); }\n}\nfn c() { Utc::now(); }\n";
    let wall = WALLS.iter().find(|wall| wall.name == "the clock is read in one place").unwrap();
    let found = breaches(wall, "src/example.rs", text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("src/example.rs:6"), "{found:?}");
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "events/src", "projections/src"] {
        walk(&root().join(folder), &mut files);
    }
    let name = |path: PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    files
        .into_iter()
        .map(|path| (name(path.clone()), fs::read_to_string(path).unwrap()))
        .filter(|(name, _)| !name.ends_with("tests.rs"))
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
