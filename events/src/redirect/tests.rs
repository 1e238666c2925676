//! The vectors, and what must hold for any URI.

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    acceptable: Vec<Judged>,
    refused: Vec<Judged>,
    matching: Vec<Compared>,
    several: Vec<Chosen>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Judged {
    uri: String,
    line: String,
    section: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compared {
    registered: String,
    requested: String,
    matches: bool,
    line: String,
    section: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    registered: Vec<String>,
    requested: String,
    answer_to: Option<String>,
    line: String,
    section: String,
    why: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/redirect_vectors.json")).unwrap()
}

#[test]
fn what_is_acceptable_and_what_is_refused_follows_the_vectors() {
    for row in vectors().acceptable {
        assert!(RedirectUri::parse(&row.uri).is_ok(), "{} should be acceptable: {}", row.uri, row.why);
    }
    for row in vectors().refused {
        assert!(RedirectUri::parse(&row.uri).is_err(), "{} should be refused: {}", row.uri, row.why);
    }
}

#[test]
fn w11_a_label_from_xn_that_stands_for_no_name_is_refused_wherever_a_url_is_set() {
    for good in
        ["https://xn--bcher-kva.example/cb", "https://XN--BCHER-KVA.example/cb", "https://xn.example/cb", "https://a-xn--a.example/cb"]
    {
        assert!(RedirectUri::parse(good).is_ok() && WebUri::parse(good).is_ok(), "{good}");
    }
    for bad in
        ["https://xn--a/cb", "https://xn--/cb", "https://app.xn--a.example/cb", "https://XN--a.example/cb", "https://xn--abc-.example/cb"]
    {
        assert_eq!(RedirectUri::parse(bad), Err(RedirectProblem::ALabel), "{bad}");
        assert_eq!(WebUri::parse(bad), Err(RedirectProblem::ALabel), "{bad}");
        assert!(crate::manifest::ManifestUrl::parse(&bad.to_ascii_lowercase()).is_err(), "{bad}");
        assert!(crate::webhook::WebhookUrl::parse(&bad.to_ascii_lowercase()).is_err(), "{bad}");
    }
    // What was stored before is read, matched and shown.
    let stored: RedirectUri = serde_json::from_str(r#""https://xn--a/cb""#).unwrap();
    assert!(stored.matches("https://xn--a/cb") && stored.host() == "xn--a");
    // A private-use scheme has no host that a browser would look up.
    assert!(RedirectUri::parse("com.example.app://xn--a/cb").is_ok());
}

#[test]
fn matching_follows_the_vectors() {
    for row in vectors().matching {
        let registered = RedirectUri::parse(&row.registered).unwrap();
        assert_eq!(registered.matches(&row.requested), row.matches, "{} against {}: {}", row.registered, row.requested, row.why);
    }
}

#[test]
fn the_choice_among_several_follows_the_vectors() {
    for row in vectors().several {
        let registered = RedirectUris::parse(row.registered.iter().map(String::as_str)).unwrap();
        let answer_to = registered.matching(&row.requested).map(|_| row.requested.clone());
        assert_eq!(answer_to, row.answer_to, "{:?} against {}: {}", row.registered, row.requested, row.why);
    }
}

#[test]
fn every_vector_is_there_once_and_says_why_and_by_which_section_of_what() {
    let vectors = vectors();
    let judged = vectors.acceptable.iter().chain(&vectors.refused).map(|row| (row.uri.clone(), &row.line, &row.section, &row.why));
    let compared = |row: &Compared| format!("{} {}", row.registered, row.requested);
    let compared = vectors.matching.iter().map(|row| (compared(row), &row.line, &row.section, &row.why));
    let chosen = |row: &Chosen| format!("{:?} {}", row.registered, row.requested);
    let chosen = vectors.several.iter().map(|row| (chosen(row), &row.line, &row.section, &row.why));
    let (mut names, mut lines) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for (name, line, section, why) in judged.chain(compared).chain(chosen) {
        assert!(section.starts_with("RFC ") && section.contains(" §") && !why.is_empty(), "{name}");
        lines.insert(line.clone());
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    assert_eq!(lines, (1..=13).map(|line| format!("U{line}")).collect());
    assert!(!vectors.about.is_empty());
}

#[test]
fn a_repeated_uri_counts_once_and_the_hundred_and_first_is_refused() {
    let twice = RedirectUris::parse(["https://a.example/cb", "https://a.example/cb"]).unwrap();
    assert_eq!(twice.len(), 1);
    let many: Vec<String> = (0..101).map(|n| format!("https://a.example/{n}")).collect();
    assert_eq!(RedirectUris::parse(many.iter().map(String::as_str)), Err(RedirectProblem::TooMany));
}

proptest::proptest! {
    #[test]
    fn whatever_is_accepted_is_kept_to_the_letter_and_matches_itself(text in "[ -~]{0,80}") {
        if let Ok(uri) = RedirectUri::parse(&text) {
            proptest::prop_assert_eq!(uri.as_str(), text.as_str());
            proptest::prop_assert!(uri.matches(&text));
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_host_is_forgiven(port in 1u16.., path in "[a-z/]{0,12}") {
        let registered = RedirectUri::parse(&format!("http://127.0.0.1/{path}")).unwrap();
        let (same, other, suffix) = (format!("http://127.0.0.1:{port}/{path}"), format!("http://localhost:{port}/{path}"), format!("http://127.0.0.1:{port}/{path}x"));
        proptest::prop_assert!(registered.matches(&same));
        proptest::prop_assert!(!registered.matches(&other));
        proptest::prop_assert!(!registered.matches(&suffix));
    }
}
