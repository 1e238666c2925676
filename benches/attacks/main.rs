//! What an attacker gets and what everybody else feels of it: `cargo bench --bench attacks -- path/to/gatebook [attack …]`.
//!
//! Each attack is bounded, runs against a fresh instance of the given binary on this machine, and prints what it measured, so
//! that two builds can be compared. What a build does not know, such as a setting, is left out of its flags.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that cannot go on is of no use"
)]

use std::path::PathBuf;

mod connections;
mod floods;
mod lists;
mod server;
mod streams;

/// One attack: its name, what it does, and how.
struct Attack {
    name: &'static str,
    does: &'static str,
    run: fn(&std::path::Path),
}

/// Every attack, one module each.
const ATTACKS: &[Attack] = &[
    Attack { name: "idle-connections", does: "one source opens 1,100 connections and says nothing", run: connections::idle },
    Attack { name: "slow-heads", does: "one source sends the heads of 400 requests a byte at a time", run: connections::slow_heads },
    Attack { name: "long-heads", does: "one source sends 400 heads of 390 KB that do not end", run: connections::long_heads },
    Attack {
        name: "assertions",
        does: "one client uses as many assertions as it is let, each good for ten minutes",
        run: floods::assertions,
    },
    Attack { name: "changes", does: "one client changes its registration 300 times", run: floods::changes },
    Attack { name: "long-metadata", does: "one source registers clients with long metadata", run: floods::long_metadata },
    Attack { name: "key-sets", does: "one source has 700 key sets fetched from URLs that do not answer", run: floods::key_sets },
    Attack {
        name: "near-names",
        does: "one source registers 3,000 names that differ from another by a character",
        run: floods::near_names,
    },
    Attack {
        name: "unread-lists",
        does: "a viewer asks 40 times for a list of 300 large clients and takes none of it",
        run: lists::unread,
    },
    Attack { name: "many-streams", does: "an auditor opens 500 event streams while clients register", run: streams::many },
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(binary) = arguments.next().map(PathBuf::from) else {
        eprintln!("which binary? attacks <path of gatebook> [attack …]; the attacks:");
        for attack in ATTACKS {
            eprintln!("  {:20} {}", attack.name, attack.does);
        }
        return;
    };
    let wanted: Vec<String> = arguments.collect();
    println!("{} on {} cores", binary.display(), std::thread::available_parallelism().unwrap());
    for attack in ATTACKS.iter().filter(|attack| wanted.is_empty() || wanted.iter().any(|name| name == attack.name)) {
        println!("\n{}: {}", attack.name, attack.does);
        (attack.run)(&binary);
    }
}

/// Prints a figure below its attack.
fn figure(name: &str, value: impl std::fmt::Display) {
    println!("  {name:<60} {value}");
}
