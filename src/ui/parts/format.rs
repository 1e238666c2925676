//! How single things look: text that others wrote, made inert; times; tags; and a client, its host before its name.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::identity::ClientId;
use gatebook_events::look_alike::{Origin, document_host};
use gatebook_events::redirect::{RedirectUri, RedirectUris};
use gatebook_events::standing::Reason;
use maud::{Markup, html};

/// A host that is longer is cut at its start: who owns it stands at its end.
const LONGEST_HOST: usize = 42;

/// Text that others wrote. It cannot turn the direction of what stands beside it, and what has no shape is shown by its number.
pub fn inert(text: &str) -> Markup {
    let mut pieces: Vec<Result<String, char>> = Vec::new();
    for letter in text.chars() {
        match pieces.last_mut() {
            _ if is_odd(letter) => pieces.push(Err(letter)),
            Some(Ok(plain)) => plain.push(letter),
            _ => pieces.push(Ok(letter.to_string())),
        }
    }
    html! {
        bdi.inert {
            @for piece in &pieces {
                @match piece {
                    Ok(plain) => { (plain) }
                    Err(letter) => { span.odd { (format!("U+{:04X}", u32::from(*letter))) } }
                }
            }
        }
    }
}

/// The same text for an attribute.
pub fn inert_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_odd(letter) {
            // Writing to a text cannot fail.
            let _always = write!(shown, "[U+{:04X}]", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Controls, direction marks, and what takes no room.
fn is_odd(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A moment in UTC. The script shows it in the zone that the viewer chose, and names that.
pub fn time(at: DateTime<Utc>) -> Markup {
    let exact = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    html! { time datetime=(exact) title=(exact) { (at.format("%Y-%m-%d %H:%M")) " UTC" } }
}

/// A moment with its seconds, for a trail.
pub fn exact_time(at: DateTime<Utc>) -> Markup {
    let exact = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    html! { time datetime=(exact) title=(exact) data-exact { (at.format("%Y-%m-%d %H:%M:%S")) " UTC" } }
}

/// How a client came.
pub fn tag(kind: RegistrationType) -> Markup {
    let (class, text) = match kind {
        RegistrationType::Dcr => ("dcr", "Dynamic (DCR)"),
        RegistrationType::Cimd => ("cimd", "Manifest (CIMD)"),
        RegistrationType::Prereg => ("prereg", "Pre-registered"),
    };
    html! { span.tag.(class) { (text) } }
}

/// How a client stands. What is not the registration's own doing is said after it.
pub fn badge(reason: Reason) -> Markup {
    let why = match reason {
        Reason::ModeSuspended => Some("mode off"),
        Reason::ManifestWithdrawn => Some("document gone"),
        _ => None,
    };
    html! { span.badge.(reason.status()) title=[why] { (status_word(reason.status())) @if let Some(why) = why { span.why { " · " (why) } } } }
}

/// A status as people read it.
pub fn status_word(status: &str) -> &str {
    match status {
        "approved" => "Approved",
        "pending" => "Waiting",
        "denied" => "Denied",
        "suspended" => "Suspended",
        "revoked" => "Revoked",
        "deleted" => "Deleted",
        "dormant" => "Dormant",
        "returning" => "Dormant, asked to return",
        "retired" => "Retired",
        "none" => "Not registered",
        other => other,
    }
}

/// A client, for a list: where it comes from, then what it calls itself.
pub fn client(kind: RegistrationType, client_id: &ClientId, name: Option<&str>, redirect_uris: &RedirectUris) -> Markup {
    html! { span.client { (host(kind, client_id, redirect_uris)) " " (client_name(client_id, name)) } }
}

/// What a client calls itself, or its identifier.
pub fn client_name(client_id: &ClientId, name: Option<&str>) -> Markup {
    html! {
        @if let Some(name) = name { span.name title=(inert_text(name)) { (inert(name)) } }
        @else { span.name.nameless title=(inert_text(client_id.as_str())) { (inert(client_id.as_str())) } }
    }
}

/// Where a client comes from, as far as anything vouches for it: its document's host, or the hosts that its answers go to.
pub fn host(kind: RegistrationType, client_id: &ClientId, redirect_uris: &RedirectUris) -> Markup {
    let origin = Origin::of(document_host(client_id, kind).as_deref(), redirect_uris);
    let hosts: Vec<&str> = origin.hosts().collect();
    match hosts.as_slice() {
        [] if redirect_uris.is_empty() => html! { span.host.local { "no redirects" } },
        [] => html! { span.host.local title="Answers stay on the user's own machine" { (locals(redirect_uris)) } },
        [first, rest @ ..] => html! {
            span.host title=(hosts.join(" ")) { (cut_host(first)) @if !rest.is_empty() { span.more { " +" (rest.len()) } } }
        },
    }
}

/// A host, cut at its start if it is long.
pub fn cut_host(host: &str) -> String {
    let length = host.chars().count();
    if length <= LONGEST_HOST {
        return host.to_owned();
    }
    let end: String = host.chars().skip(length - LONGEST_HOST).collect();
    format!("…{end}")
}

fn locals(redirect_uris: &RedirectUris) -> String {
    let mut words: Vec<String> = Vec::new();
    for uri in redirect_uris {
        let word = uri.private_use_scheme().map_or_else(|| uri.host().to_owned(), |scheme| format!("{scheme}:"));
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.truncate(2);
    cut_host(&words.join(", "))
}

/// The hosts that answers go to, for a list.
pub fn redirect_hosts(redirect_uris: &RedirectUris) -> Markup {
    let mut hosts: Vec<String> = Vec::new();
    for uri in redirect_uris {
        let host = uri.private_use_scheme().map_or_else(|| cut_host(uri.host()), |scheme| format!("{scheme}:"));
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let all: Vec<&str> = redirect_uris.iter().map(RedirectUri::as_str).collect();
    html! {
        @if hosts.is_empty() { span.muted { "none" } }
        @else { span.hosts title=(all.join("\n")) { (hosts.iter().take(2).cloned().collect::<Vec<_>>().join(", ")) @if hosts.len() > 2 { span.more { " +" (hosts.len() - 2) } } } }
    }
}

/// A redirect URI with the host that an answer goes to made plain.
pub fn redirect_uri(uri: &RedirectUri) -> Markup {
    let (text, host) = (uri.as_str(), uri.host());
    let at = text.find("://").map(|at| at + 3).filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(host)));
    let parts = at.and_then(|at| Some((text.get(..at)?, text.get(at..at + host.len())?, text.get(at + host.len()..)?)));
    html! { code.uri { @if let Some((before, host, after)) = parts { (before) b { (host) } (after) } @else { (text) } } }
}

/// A text that can be copied; the script makes the button work.
pub fn copied(text: &str, what: &str) -> Markup {
    html! { button.copy type="button" hidden data-copy=(text) aria-label={ "Copy " (what) } title={ "Copy " (what) } { "Copy" } }
}

/// So many of something.
pub fn number(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(count)) }
}

/// A number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_shape_is_shown_by_its_number_and_markup_is_text() {
        let shown = inert("a\u{202e}b<script>\u{0}").into_string();
        assert_eq!(shown, "<bdi class=\"inert\">a<span class=\"odd\">U+202E</span>b&lt;script&gt;<span class=\"odd\">U+0000</span></bdi>");
        assert_eq!(inert_text("a\u{200b}b"), "a[U+200B]b");
    }

    #[test]
    fn a_long_host_keeps_its_end() {
        let host = format!("claude.ai.{}.evil.example", "a".repeat(60));
        assert!(cut_host(&host).ends_with(".evil.example") && cut_host(&host).starts_with('…'));
        assert_eq!(cut_host("claude.ai"), "claude.ai");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(1, "client", "clients"), "1 client");
        assert_eq!(number(0, "client", "clients"), "0 clients");
    }
}
