//! What an administrator should know before deciding about a client, in sentences.

use gatebook_events::decision::Warning;
use gatebook_events::look_alike::Likeness;
use gatebook_projections::directory::LookAlike;
use maud::{Markup, html};

use super::show;

/// The warnings, the grave ones first.
pub fn list(warnings: &[Warning], resembles: Option<&LookAlike>) -> Markup {
    let others = warnings.iter().filter(|warning| **warning != Warning::LookAlike);
    html! {
        @if !warnings.is_empty() || resembles.is_some() {
            ul.doubts {
                @if let Some(other) = resembles { li.grave { (alike(other)) } }
                @for warning in others { li { (sentence(*warning)) } }
            }
        }
    }
}

fn alike(other: &LookAlike) -> Markup {
    let hosts: Vec<&str> = other.origin.hosts().collect();
    html! {
        @match other.likeness { Likeness::Same => "It bears the name of ", Likeness::Near => "Its name looks like that of " }
        b { (show::client_name(&other.client_id, other.client_name.as_deref())) }
        ", which is approved and comes from "
        @if hosts.is_empty() { "users’ own machines" } @else { b { (hosts.join(", ")) } }
        "."
    }
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
