//! The table of all lines, rendered from the tests beside this file: `UPDATE_CONFORMANCE=1 cargo test --test conformance` writes
//! `docs/conformance.md`. A line without a test has a reason in `ELSEWHERE`, or the table is not whole.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use crate::documents::DOCUMENTS;

/// The lines that there are: a letter and the number of the last.
const LINES: [(char, u8); 7] = [('R', 25), ('S', 13), ('U', 15), ('G', 15), ('C', 33), ('D', 9), ('A', 9)];

/// The files with the tests, and what each is called in the table.
const FILES: [(&str, &str); 5] = [
    ("request", include_str!("request.rs")),
    ("response", include_str!("response.rs")),
    ("redirects", include_str!("redirects.rs")),
    ("management", include_str!("management.rs")),
    ("discovery", include_str!("discovery.rs")),
];

/// A line that no test beside this file stands for.
pub struct Elsewhere {
    pub id: &'static str,
    pub level: &'static str,
    pub section: &'static str,
    pub asserted: &'static str,
    /// Tests in other places, each a file and a function in it.
    pub tests: &'static [(&'static str, &'static str)],
    /// Why there is none; empty where there are.
    pub reason: &'static str,
}

const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        id: "R3",
        level: "SHOULD",
        section: "RFC 7591 §3, §3.2.2; RFC 6750 §3",
        asserted: "Registration is possible without an initial access token; where one is required, a bad one is 401 with `WWW-Authenticate: Bearer`",
        tests: &[
            ("tests/api/registration_tokens.rs", "r3_where_a_token_is_wanted_nobody_registers_without_one"),
            ("tests/api/registration_tokens.rs", "r3_every_bad_token_gets_the_same_answer_whether_or_not_one_is_wanted"),
        ],
        reason: "",
    },
    Elsewhere {
        id: "R17",
        level: "MAY",
        section: "RFC 7591 §2.3, §3.1.1, §3.2.1, §3.2.2",
        asserted: "A software statement of a trusted issuer wins over plain members and comes back as it was; a bad one is \
            `invalid_software_statement`, one of another issuer `unapproved_software_statement`; without trusted issuers it is ignored",
        tests: &[
            ("tests/api/statements.rs", "r17_what_is_vouched_for_wins_and_the_statement_comes_back_as_it_was_sent"),
            ("tests/api/statements.rs", "r17_a_statement_that_is_not_what_a_trusted_issuer_signed_is_refused"),
            ("tests/api/statements.rs", "r17_with_no_issuer_configured_a_statement_is_ignored_and_recorded_as_such"),
        ],
        reason: "",
    },
    Elsewhere {
        id: "R20",
        level: "SHOULD",
        section: "RFC 7591 §3.2.1, §5",
        asserted: "A `client_id` is of one registration, unless instances of one public client share it",
        tests: &[
            ("tests/api/share.rs", "a_crowd_of_instances_is_one_client"),
            ("tests/api/share.rs", "what_differs_is_confidential_or_came_with_a_statement_is_another_client"),
        ],
        reason: "",
    },
    Elsewhere {
        id: "R22",
        level: "MAY",
        section: "RFC 7591 §3; RFC 6585 §4",
        asserted: "Who registers too often is told 429 and when to come again",
        tests: &[
            ("tests/api/floods.rs", "r22_answers_say_how_much_is_left_and_when_there_is_more"),
            ("tests/api/floods.rs", "r22_a_resource_server_has_a_ceiling_for_all_sources_together_and_bad_input_takes_nothing_of_it"),
        ],
        reason: "",
    },
    Elsewhere {
        id: "U14",
        level: "MUST",
        section: "MCP authorization",
        asserted: "Consent shows the host of the redirect URI, and warns where a client is on localhost only",
        tests: &[],
        reason: "not ours: the authorization server asks for consent; `RedirectUri::host` gives the host",
    },
    Elsewhere {
        id: "U15",
        level: "MUST",
        section: "RFC 9700 §4.11.2",
        asserted: "Nobody is an open redirector; a user acts before an error is sent on",
        tests: &[],
        reason: "not ours: the authorization server redirects; the register never does",
    },
    Elsewhere {
        id: "A2",
        level: "MUST",
        section: "OAuth 2.1 §2.4.1",
        asserted: "`client_secret_post` is supported at the token endpoint",
        tests: &[("tests/api/tokens.rs", "a_client_proves_itself_in_the_header_in_the_body_or_by_its_signature_one_at_a_time")],
        reason: "",
    },
    Elsewhere {
        id: "A3",
        level: "MUST",
        section: "OAuth 2.1 §2.4.1",
        asserted: "Guessing secrets is held up",
        tests: &[
            ("tests/api/tokens.rs", "whoever_does_not_prove_itself_hears_one_answer_and_how_to_try_again"),
            ("tests/api/authenticate.rs", "a_source_that_guesses_is_held_back_and_the_client_elsewhere_comes_in"),
        ],
        reason: "",
    },
    Elsewhere {
        id: "A4",
        level: "SHOULD",
        section: "RFC 9700 §2.5",
        asserted: "Asymmetric client authentication is preferred",
        tests: &[],
        reason: "not ours: the client chooses; R12 and D5 register and announce `private_key_jwt`",
    },
    Elsewhere {
        id: "A5",
        level: "MUST",
        section: "RFC 9700 §2.1.1, §2.2.2",
        asserted: "Public clients use PKCE; their refresh tokens are rotated or bound",
        tests: &[],
        reason: "not ours: the authorization server issues codes and tokens",
    },
    Elsewhere {
        id: "A6",
        level: "MUST",
        section: "RFC 8252 §8.5",
        asserted: "A native application whose secret is in every copy is treated as public",
        tests: &[],
        reason: "not ours: whether a secret was shipped is not to be seen; R6 makes native clients public, S8 gives each its own secret",
    },
    Elsewhere {
        id: "A9",
        level: "SHOULD",
        section: "RFC 7591 §5",
        asserted: "Registrations that nobody uses may expire, with a recorded reason",
        tests: &[],
        reason: "not offered: a client that is deleted behind its user's back leaves the user stuck",
    },
];

/// All of them.
fn lines_elsewhere() -> impl Iterator<Item = &'static Elsewhere> {
    ELSEWHERE.iter().chain(DOCUMENTS)
}

struct Row {
    id: String,
    level: String,
    section: String,
    asserted: String,
    test: String,
}

#[test]
fn the_committed_table_is_what_the_tests_say() {
    let rows = rows();
    let table = render(&rows);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == table, "docs/conformance.md is not what the tests say; run UPDATE_CONFORMANCE=1 cargo test --test conformance");
}

#[test]
fn every_line_has_a_test_or_a_reason_and_not_both() {
    assert_eq!(faults(&rows()), Vec::<String>::new());
}

#[test]
fn a_line_that_is_missing_or_has_both_is_seen() {
    let mut without = rows();
    without.retain(|row| row.id != "R7");
    assert_eq!(faults(&without), ["R7 has neither a test nor a reason"]);
    let tested = "/// MUST · RFC 1 §1 · All is\n/// well.\n#[test]\nfn u14_all_is_well() {}\n";
    let mut twice = rows();
    twice.extend(collect("example", tested));
    assert_eq!(faults(&twice), ["U14 has a test and a reason why there is none"]);
    assert_eq!(twice.last().unwrap().asserted, "All is well.");
}

#[test]
fn the_tests_in_other_places_are_there() {
    for line in lines_elsewhere() {
        assert!(line.tests.is_empty() != line.reason.is_empty(), "{}: either tests or a reason", line.id);
        for (file, name) in line.tests {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
            assert!(text.contains(&format!("fn {name}(")), "{}: {file} has no {name}", line.id);
        }
    }
}

fn faults(rows: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    let all: Vec<String> = LINES.iter().flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}"))).collect();
    let elsewhere: BTreeSet<&str> = lines_elsewhere().map(|line| line.id).collect();
    for id in &all {
        let tests = rows.iter().filter(|row| row.id == *id && row.test.starts_with('`')).count();
        match (tests, elsewhere.contains(id.as_str())) {
            (0, false) => faults.push(format!("{id} has neither a test nor a reason")),
            (1.., true) if lines_elsewhere().any(|line| line.id == id && line.tests.is_empty()) => {
                faults.push(format!("{id} has a test and a reason why there is none"));
            }
            _ => {}
        }
    }
    faults.extend(rows.iter().filter(|row| !all.contains(&row.id)).map(|row| format!("{} is no line of the list", row.id)));
    let known = ["MUST", "SHOULD", "MAY", "POLICY"];
    faults.extend(rows.iter().filter(|row| !known.contains(&row.level.as_str())).map(|row| format!("{} has no level", row.id)));
    faults
}

/// All rows in the order of the lines.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = FILES.iter().flat_map(|(name, text)| collect(name, text)).collect();
    rows.extend(lines_elsewhere().map(|line| {
        let tests: Vec<String> = line.tests.iter().map(|(file, name)| format!("`{name}` in `{file}`")).collect();
        let test = if tests.is_empty() { line.reason.to_owned() } else { tests.join(", ") };
        Row {
            id: line.id.to_owned(),
            level: line.level.to_owned(),
            section: line.section.to_owned(),
            asserted: line.asserted.to_owned(),
            test,
        }
    }));
    let place = |id: &str| {
        let letter = id.chars().next().unwrap();
        (LINES.iter().position(|(known, _)| *known == letter), id[1..].parse::<u8>().unwrap())
    };
    rows.sort_by_key(|row| place(&row.id));
    rows
}

/// The tests of a file that are named by a line: `/// LEVEL · section · what is asserted` above `fn r07_…`.
fn collect(file: &str, text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut doc, mut is_test) = (String::new(), false);
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("///") {
            doc.push_str(said);
            continue;
        }
        is_test |= matches!(line, "#[test]" | "#[tokio::test]");
        let name = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")).and_then(|rest| rest.split('(').next());
        if let Some(name) = name.filter(|_| is_test) {
            let mut parts = doc.trim().splitn(3, " · ");
            let mut part = || parts.next().unwrap_or_else(|| panic!("{name} does not say its level, section and assertion")).to_owned();
            let (level, section, asserted) = (part(), part(), part());
            let (letter, number) = name.split_once('_').map(|(id, _)| id.split_at(1)).unwrap();
            let number: u8 = number.parse().unwrap_or_else(|_| panic!("{name} is not named by a line"));
            rows.push(Row {
                id: format!("{}{number}", letter.to_uppercase()),
                level,
                section,
                asserted,
                test: format!("`{file}::{name}`"),
            });
        }
        if !line.starts_with("#[") {
            (doc, is_test) = (String::new(), false);
        }
    }
    rows
}

fn render(rows: &[Row]) -> String {
    let mut text = "# Conformance\n\n\
        What the specifications ask of the server side of client registration, line by line, and the test that shows each: R request, \
        S response, U redirect URIs, G management, C documents that clients host, D discovery, A client authentication. The tests are in `tests/conformance` where nothing else is said, and this \
        file is written from them (`UPDATE_CONFORMANCE=1 cargo test --test conformance`). POLICY marks what no specification demands. \
        CIMD is draft-ietf-oauth-client-id-metadata-document-01.\n\n\
        | line | level | what is asserted | section | test |\n|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let cell = |text: &str| text.trim_end_matches('.').replace('|', "\\|");
        writeln!(text, "| {} | {} | {} | {} | {} |", row.id, row.level, cell(&row.asserted), cell(&row.section), cell(&row.test)).unwrap();
    }
    text
}
