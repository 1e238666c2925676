//! The floors of the house: a folder of `src` uses those on lower floors, and on its own floor only what is listed with a reason.
//! Every path from the crate's root is read, in tests too, so an import that a compiler accepts fails here.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops where it fails, and says what it counted"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// The floors, the highest first.
const FLOORS: &[&[&str]] = &[
    &["cli", "server", "bootstrap"],
    &["http", "ui"],
    &["application"],
    &["delivery", "read_models"],
    &["aggregates"],
    &["outbound", "credentials"],
    &["event_log", "cluster"],
    &["config", "platform"],
];

/// What a folder may use on its own floor, and why.
const SAME_FLOOR: &[(&str, &str, &str)] = &[
    ("cli", "server", "`gatebook serve` runs the server"),
    ("cli", "bootstrap", "commands open the parts that they need"),
    ("server", "bootstrap", "the server is handed what was built"),
    ("ui", "http", "the pages sit on the same middleware"),
    ("credentials", "outbound", "key sets are fetched"),
    ("delivery", "read_models", "webhooks and the feed follow the history"),
    ("delivery", "outbound", "webhooks are sent with the guards of the fetcher"),
    ("delivery", "credentials", "webhooks are signed"),
    ("event_log", "cluster", "logs of several nodes use their connections"),
    ("config", "platform", "settings name limits of the system"),
];

/// Files that still break a floor, with the folder that they use. The list only shrinks: an entry that is no longer needed fails.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Modules of `events` that may still be in a cycle.
const EVENTS_IN_CYCLES: usize = 0;

type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn folders_use_lower_floors_only() {
    let mut found = BTreeSet::new();
    for (file, folders) in uses("src") {
        let from = top(&file);
        for to in folders {
            if to != from && !allowed(&from, &to) {
                found.insert((file.clone(), to));
            }
        }
    }
    let known: BTreeSet<(String, String)> = EXCEPTIONS.iter().map(|(file, to)| ((*file).to_owned(), (*to).to_owned())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(new.is_empty(), "these files use a folder that is not below theirs: {new:#?}");
    assert!(gone.is_empty(), "these exceptions are no longer needed, take them out: {gone:#?}");
}

#[test]
fn no_folder_is_in_a_cycle() {
    let cycles = cycles(&folders("src"));
    println!("cycles between folders of src: {}", cycles.len());
    assert!(!EXCEPTIONS.is_empty() || cycles.is_empty(), "{cycles:?}");
}

#[test]
fn no_module_of_events_is_in_a_cycle() {
    let cycles = cycles(&folders("events/src"));
    let modules: usize = cycles.iter().map(Vec::len).sum();
    println!("modules of events in cycles: {modules}");
    assert_eq!(modules, EVENTS_IN_CYCLES, "{cycles:?}");
}

#[test]
fn every_folder_has_a_floor() {
    let stand: BTreeSet<String> = uses("src").into_iter().map(|(file, _)| top(&file)).filter(|top| top != "main" && top != "lib").collect();
    let listed: BTreeSet<String> = FLOORS.iter().flat_map(|floor| floor.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(stand, listed);
}

#[test]
fn a_breach_is_seen() {
    let seen = |text: &str| named(&["platform".to_owned(), "clock".to_owned()], text, Tests::Read);
    assert_eq!(seen("use crate::http::error::Failure;"), BTreeSet::from(["http".to_owned()]));
    assert_eq!(seen("use crate::{config::Config, ui::{pages, parts}};"), BTreeSet::from(["config".to_owned(), "ui".to_owned()]));
    assert_eq!(seen("fn f() { super::super::application::run(\"crate::ui\"); } // crate::cli"), BTreeSet::from(["application".to_owned()]));
    assert_eq!(seen("println!(\"{}\", crate::server::name());"), BTreeSet::from(["server".to_owned()]));
    assert_eq!(seen("mod tests { use super::super::super::cli::run; use super::own; }"), BTreeSet::from(["cli".to_owned()]));
    assert!(!allowed("platform", "http") && !allowed("http", "cli") && !allowed("outbound", "delivery") && allowed("http", "platform"));
    let ring = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
    let mut graph = Graph::new();
    for (from, to) in ring {
        graph.entry(from.to_owned()).or_default().insert(to.to_owned());
    }
    assert_eq!(cycles(&graph), [["a", "b", "c"]]);
}

/// Whether a folder may use another.
fn allowed(from: &str, to: &str) -> bool {
    let floor = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
    match (floor(from), floor(to)) {
        (Some(from), Some(to)) if from < to => true,
        (None, _) => true,
        _ => SAME_FLOOR.iter().any(|(user, used, _)| (*user, *used) == (from, to)),
    }
}

/// The first folder or module of a file below `src`.
fn top(file: &str) -> String {
    file.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// Which folders the files below a root name, by file.
fn uses(root: &str) -> Vec<(String, BTreeSet<String>)> {
    uses_of(root, Tests::Read)
}

fn uses_of(root: &str, tests: Tests) -> Vec<(String, BTreeSet<String>)> {
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root), "", &mut files);
    let tops: BTreeSet<String> = files.iter().map(|(file, _)| top(file)).collect();
    let of = |(file, text): (String, String)| {
        let module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        let found = named(&module, &text, tests).intersection(&tops).cloned().collect();
        (file, found)
    };
    files.into_iter().map(of).collect()
}

fn walk(folder: &Path, below: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            walk(&entry.path(), &path, files);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// The folders that name each other outside of tests. What the root hands on counts as its module.
fn folders(root: &str) -> Graph {
    let mut graph = Graph::new();
    for (file, named) in uses_of(root, Tests::LeftOut) {
        let from = top(&file);
        if matches!(from.as_str(), "lib" | "main") || file.ends_with("tests.rs") {
            continue;
        }
        let others = named.into_iter().filter(|to| *to != from);
        graph.entry(from.clone()).or_default().extend(others);
    }
    graph
}

/// Whether modules of tests within a file are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    Read,
    LeftOut,
}

/// The names right below the crate's root that a module's text says.
fn named(module: &[String], text: &str, tests: Tests) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    read(text.parse().unwrap(), module, tests, &mut found);
    if found.contains("Rejection") {
        found.insert("rejection".to_owned());
    }
    found
}

fn read(tokens: TokenStream, module: &[String], tests: Tests, found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |at: usize| match tokens.get(at) {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    };
    let joins = |at: usize| {
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
        colon(at) && colon(at + 1)
    };
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            // An inline module is one more level to go up from.
            let inline = (at >= 2 && word(at - 2).as_deref() == Some("mod")).then(|| word(at - 1)).flatten();
            if !(inline.as_deref() == Some("tests") && tests == Tests::LeftOut) {
                let inner: Vec<String> = module.iter().cloned().chain(inline).collect();
                read(group.stream(), &inner, tests, found);
            }
        }
        let starts_path = !(at >= 2 && joins(at - 2));
        let mut place: Option<Vec<String>> = match word(at).as_deref() {
            Some("crate") => Some(Vec::new()),
            Some("super") if starts_path => Some(module[..module.len().saturating_sub(1)].to_vec()),
            _ => None,
        };
        if let Some(place) = &mut place {
            let mut next = at + 1;
            while joins(next) && word(next + 2).as_deref() == Some("super") {
                place.pop();
                next += 3;
            }
            if place.is_empty() && joins(next) {
                match tokens.get(next + 2) {
                    Some(TokenTree::Ident(word)) => drop(found.insert(word.to_string())),
                    Some(TokenTree::Group(group)) => first_words(group.stream(), found),
                    _ => {}
                }
            }
            at = next;
        } else {
            at += 1;
        }
    }
}

/// The first word of each member of a group of imports.
fn first_words(tokens: TokenStream, found: &mut BTreeSet<String>) {
    let mut begins = true;
    for token in tokens {
        match token {
            TokenTree::Ident(word) if begins => {
                found.insert(word.to_string());
                begins = false;
            }
            TokenTree::Punct(mark) if mark.as_char() == ',' => begins = true,
            _ => {}
        }
    }
}

/// The groups of two and more that can be reached from each other, each in order.
fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let reach = |from: &str| {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(at) = next.pop() {
            for to in graph.get(&at).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<String, BTreeSet<String>> = graph.keys().map(|from| (from.clone(), reach(from))).collect();
    let together = |a: &String| -> Vec<String> {
        let back = |b: &&String| reached.get(*b).is_some_and(|reached| reached.contains(a));
        reached[a].iter().filter(back).cloned().collect()
    };
    let groups: BTreeSet<Vec<String>> = reached.keys().map(together).filter(|group| group.len() > 1).collect();
    groups.into_iter().collect()
}
