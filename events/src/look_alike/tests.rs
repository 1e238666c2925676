//! What looks alike, and what does not.

use proptest::prelude::*;

use super::*;

fn likeness(one: &str, other: &str) -> Option<Likeness> {
    let (one, other) = (Folded::of(one), Folded::of(other));
    let likeness = one.likeness(&other);
    assert_eq!(likeness, other.likeness(&one), "likeness is mutual");
    likeness
}

#[test]
fn r8_names_that_look_alike_fold_together() {
    const CLAUDE: &str = "Claude Code";
    let same = [
        (CLAUDE, "claude code", "case"),
        (CLAUDE, "CLAUDE CODE", "capitals"),
        (CLAUDE, "CIaude Code", "a capital i"),
        (CLAUDE, "C1aude C0de", "digits"),
        (CLAUDE, "C|aude Code", "a bar"),
        (CLAUDE, "Claud\u{435} Code", "one Cyrillic letter"),
        (CLAUDE, "\u{421}l\u{430}ude \u{421}\u{43e}de", "many"),
        (CLAUDE, "\u{ff23}\u{ff4c}\u{ff41}\u{ff55}\u{ff44}\u{ff45} Code", "full-width letters"),
        (CLAUDE, "\u{1d402}\u{1d425}\u{1d41a}\u{1d42e}\u{1d41d}\u{1d41e} Code", "mathematical letters"),
        (CLAUDE, "\u{24b8}laude Code", "a letter in a circle"),
        (CLAUDE, "Cla\u{200b}ude Co\u{ad}de", "invisible characters"),
        (CLAUDE, "Cl\u{e1}ud\u{e9} C\u{f6}d\u{e9}", "accents"),
        (CLAUDE, "Claude-Code", "a dash"),
        (CLAUDE, "claude_code", "an underscore"),
        (CLAUDE, "  Claude\u{a0}\u{2003} Code. ", "spaces"),
        (CLAUDE, "Claude Code\u{ae} \u{2728}", "signs"),
        (CLAUDE, "Claude Code\u{2bc}\u{2bc}", "modifier apostrophes"),
        (CLAUDE, "Clau\u{2bb}de\u{2c8} Code", "modifier letters within"),
        (CLAUDE, "Claude\u{640}\u{640}\u{640} Code", "a stretched word"),
        (CLAUDE, "Claude\u{3164}Code\u{115f}\u{ffa0}", "fillers"),
        (CLAUDE, "Claude Code\u{b2}\u{b9}", "small digits"),
        (CLAUDE, "Claude\u{2122} Code\u{1d40}\u{1d39}", "trade marks"),
        (CLAUDE, "\u{1d9c}\u{2e1}\u{1d43}\u{1d58}\u{1d48}\u{1d49} \u{1d9c}\u{1d52}\u{1d48}\u{1d49}", "small letters"),
        (CLAUDE, "Claude\u{fe0f} Co\u{fe01}de\u{e0101}", "variation selectors"),
        (
            "\u{646}\u{631}\u{645}\u{627}\u{641}\u{632}\u{627}\u{631}",
            "\u{646}\u{631}\u{645}\u{200c}\u{627}\u{641}\u{64e}\u{632}\u{640}\u{627}\u{631}",
            "joiners and points",
        ),
        ("Minecraft", "rninecraft", "r and n"),
        ("minecraft", "MINECRAFT", "a letter whose capital has no double"),
        ("IBM", "ibm", "a capital whose small letter has no double"),
        ("Zed", "ZED", "short"),
    ];
    for (one, other, what) in same {
        assert_eq!(likeness(one, other), Some(Likeness::Same), "{what}: {} {}", Folded::of(one), Folded::of(other));
    }
}

#[test]
fn names_one_character_apart_are_near_where_that_says_something() {
    for near in
        ["Claude Codes", "Claude Cod", "Klaude Code", "Claude Codde", "Caude Code", "laude Code", "xClaude Code", "C-l-a-u-d-e Co-d"]
    {
        assert_eq!(likeness("Claude Code", near), Some(Likeness::Near), "{near}");
    }
    for other in ["Claude", "Claude Coders", "Cloud Code", "Code Claude", "Cursor", "", "\u{2728}"] {
        assert_eq!(likeness("Claude Code", other), None, "{other}");
    }
    for (one, other) in
        [("Slack", "Slacks"), ("Zed", "Zod"), ("Cursor", "Cursr"), ("Test Client", "Tent Client"), ("MCP Client", "MCP Clients")]
    {
        assert_eq!(likeness(one, other), None, "{one} and {other} are too short or too common");
    }
    assert_eq!(likeness("Test Client", "test-client"), Some(Likeness::Same));
    assert_eq!(likeness("Cursor", "Cursors"), Some(Likeness::Near));
    assert_eq!((likeness("", ""), likeness("\u{2728}", "\u{2728}")), (None, None), "where nothing is left, nothing is alike");
    assert_eq!((likeness("C++", "C"), likeness("C#", "C++")), (None, None));
}

#[test]
fn every_latin_letter_folds_as_its_capital_does() {
    for letter in 'a'..='z' {
        assert_eq!(Folded::of(&letter.to_string()), Folded::of(&letter.to_uppercase().to_string()), "{letter}");
    }
}

#[test]
fn a_fold_is_bounded() {
    assert_eq!(Folded::of(&"\u{fdfa}m".repeat(256)).as_str().chars().count(), MAX_LENGTH);
}

#[test]
fn an_origin_is_the_documents_host_or_the_hosts_that_answers_go_to() {
    let uris = |texts: &[&str]| RedirectUris::parse(texts.iter().copied()).unwrap();
    let both = uris(&["https://B.example/cb", "http://localhost/cb", "https://a.example:8443/cb", "https://a.example/2"]);
    assert_eq!(Origin::of(None, &both).to_string(), "a.example b.example");
    assert_eq!(Origin::of(Some("App.example"), &both).to_string(), "app.example");
    assert_eq!(Origin::of(None, &uris(&["https://app.example/cb"])), Origin::of(Some("app.example"), &both));
    let local = uris(&["http://127.0.0.1/cb", "com.example.app:/cb"]);
    assert_eq!(Origin::of(None, &local), Origin::of(None, &uris(&[])));
    assert_eq!(Origin::of(None, &local), Origin::default());
    for origin in [Origin::of(None, &both), Origin::default()] {
        assert_eq!(Origin::stored(&origin.to_string()), origin);
    }
    let url = |text| ClientId::parse(text).unwrap();
    let host = |text, kind| document_host(&url(text), kind);
    assert_eq!(host("https://App.example:8443/c.json", RegistrationType::Cimd).as_deref(), Some("app.example"));
    assert_eq!(host("http://[::1]:9/c.json", RegistrationType::Cimd).as_deref(), Some("[::1]"));
    assert_eq!(host("https://app.example/c.json", RegistrationType::Dcr), None, "only a document vouches for its host");
    assert_eq!(host("018f2c3e-0000-7000-8000-000000000000", RegistrationType::Cimd), None);
}

proptest! {
    #[test]
    fn b8_neighbours_are_those_that_share_a_pattern_or_are_shorter_by_one(one in "[abc]{0,7}", other in "[abc]{0,7}") {
        let (asked, listed) = (Folded::stored(&one), Folded::stored(&other));
        let shares = !asked.patterns_of_neighbours().is_disjoint(&listed.patterns()) || asked.shorter_neighbours().contains(&listed);
        prop_assert_eq!(shares && one != other, is_one_apart(&one, &other) && one != other);
    }

    #[test]
    fn one_apart_is_what_one_edit_makes(text in "[a-c]{0,8}", at in 0..9_usize, letter in "[a-d]") {
        let at = at.min(text.len());
        let longer = format!("{}{letter}{}", &text[..at], &text[at..]);
        prop_assert!(is_one_apart(&text, &longer) && is_one_apart(&longer, &text));
        if at < text.len() {
            let other = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(is_one_apart(&text, &other), text != other);
        }
        prop_assert!(!is_one_apart(&text, &text));
        let two_more = format!("{text}dd");
        prop_assert!(!is_one_apart(&text, &two_more) && !is_one_apart(&two_more, &text));
    }

    #[test]
    fn folding_anything_is_harmless(name in any::<String>()) {
        prop_assert!(Folded::of(&name).as_str().chars().count() <= MAX_LENGTH);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_name_out_of_ascii_is_folded_as_any_name_is(name in "[ -~]{0,200}") {
        prop_assert_eq!(Folded::of(&name), Folded::of_any(&name));
    }
}
