//! What an administrator should know before deciding about a client, in sentences.

use gatebook_events::decision::Warning;
use gatebook_events::look_alike::Likeness;
use gatebook_projections::directory::LookAlike;
use maud::{Markup, html};

use crate::ui::parts::format;

/// The warnings about a client of this name, the grave ones first.
pub fn list(name: Option<&str>, warnings: &[Warning], resembles: Option<&LookAlike>) -> Markup {
    let others = warnings.iter().filter(|warning| **warning != Warning::LookAlike);
    html! {
        @if !warnings.is_empty() || resembles.is_some() {
            ul.doubts {
                @if let Some(other) = resembles { li.grave { (alike(name, other)) } }
                @for warning in others { li { (sentence(*warning)) } }
            }
        }
    }
}

fn alike(name: Option<&str>, other: &LookAlike) -> Markup {
    let hosts: Vec<&str> = other.origin.hosts().collect();
    let differing = name.zip(other.client_name.as_deref()).filter(|(own, theirs)| own != theirs);
    html! {
        @match (other.likeness, differing) {
            (Likeness::Near, Some((own, theirs))) => { "Its name " b { (marked(own, theirs)) } " looks like " b { (marked(theirs, own)) } },
            (Likeness::Same, Some((own, theirs))) => { "Its name " b { (marked(own, theirs)) } " reads like " b { (marked(theirs, own)) } },
            (Likeness::Same, None) => { "It bears the name of " b { (format::client_name(&other.client_id, other.client_name.as_deref())) } },
            (Likeness::Near, None) => { "Its name looks like that of " b { (format::client_name(&other.client_id, other.client_name.as_deref())) } },
        }
        ", which is approved and comes from "
        @if hosts.is_empty() { "users’ own machines" } @else { b { (hosts.join(", ")) } }
        "."
    }
}

/// A name with the letters marked by which it differs from another one: all between the beginning and the end that both share.
fn marked(name: &str, other: &str) -> Markup {
    let (letters, others): (Vec<char>, Vec<char>) = (name.chars().collect(), other.chars().collect());
    let start = letters.iter().zip(&others).take_while(|(one, two)| one == two).count();
    let shared = letters.iter().skip(start).rev().zip(others.iter().skip(start).rev());
    let end = letters.len() - shared.take_while(|(one, two)| one == two).count();
    let part = |from: usize, to: usize| letters.iter().skip(from).take(to - from).collect::<String>();
    let middle = part(start, end);
    html! { (format::inert(&part(0, start))) @if !middle.is_empty() { mark { (format::inert(&middle)) } } (format::inert(&part(end, letters.len()))) }
}

fn sentence(warning: Warning) -> &'static str {
    match warning {
        Warning::LoopbackOnly => "Answers stay on the user’s own machine, where any program can claim to be this client.",
        Warning::HostDiffers => "Answers go to another host than the one that its document is on.",
        Warning::LookAlike => "Its name looks like that of an approved client from elsewhere.",
        Warning::NewHost => "Answers go to a host that it did not have when it came.",
        Warning::StagedChangeWaiting => "A change waits; what is answered is what serves.",
        Warning::RegistrationChanged => "What serves has changed since the answer that was referred to.",
        Warning::MetadataChanged => "What it says about itself has changed since it was approved.",
        Warning::DocumentUnreachable => "Its document cannot be reached; the last good one serves.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_that_differ_are_marked() {
        let shown = |name, other| marked(name, other).into_string().replace("<bdi class=\"inert\">", "").replace("</bdi>", "");
        assert_eq!(shown("Claude C0de", "Claude Code"), "Claude C<mark>0</mark>de");
        assert_eq!(shown("Claude Code", "Claude C0de"), "Claude C<mark>o</mark>de");
        assert_eq!(shown("Claude Codee", "Claude Code"), "Claude Code<mark>e</mark>");
        assert_eq!(shown("Claude Code", "Claude Codee"), "Claude Code");
        assert_eq!(shown("aa", "aaa"), "aa");
    }
}
