//! Whom a client looks like to the person who is asked for consent: its name as the eye takes it in, and where it comes from.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

use crate::admission::RegistrationType;
use crate::identity::ClientId;
use crate::name;
use crate::redirect::{RedirectUri, RedirectUris, WebUri};

mod patterns;

/// The most of a folded name that is kept and compared, in characters.
const MAX_LENGTH: usize = 128;
/// Shorter names have neighbours by chance; longer ones are not read to the letter.
const WITH_NEIGHBOURS: std::ops::RangeInclusive<usize> = 6..=48;
/// Names of kinds of programs. Two that are equal still look alike.
const GENERIC: [&str; 10] =
    ["client", "mcp client", "mcp server", "test client", "web app", "my app", "my client", "agent 1", "desktop", "inspector"];

/// A name as the eye takes it in: characters that look alike are one (UTS #39 §4), and case, accents, spaces and punctuation
/// are gone. Good for comparing and for nothing else; it is not a word that anybody wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folded(Box<str>);

impl Folded {
    /// Folds a name.
    pub fn of(name: &str) -> Self {
        // Of ASCII each character is folded by itself, and most names are ASCII.
        static ASCII: LazyLock<Vec<Folded>> =
            LazyLock::new(|| (0..128_u8).map(|byte| Folded::of_any(&char::from(byte).to_string())).collect());
        if !name.is_ascii() {
            return Self::of_any(name);
        }
        let folded = name.bytes().filter_map(|byte| ASCII.get(usize::from(byte))).flat_map(|letter| letter.0.chars());
        Self(folded.take(MAX_LENGTH).collect())
    }

    fn of_any(name: &str) -> Self {
        let stays = |letter: &char| (letter.is_alphanumeric() && !is_faint(*letter)) || matches!(letter, '+' | '#' | '|');
        let seen: String = without_marks(name).nfkd().filter(stays).collect();
        // Capitals have other doubles than small letters: `I` is an `l`, and only a small `m` is an `rn`.
        let small: String = skeleton(&seen).flat_map(char::to_lowercase).collect();
        let folded = skeleton(&small).flat_map(char::to_lowercase).filter(|letter| !is_accent(*letter));
        // The one letter whose capital is the double of another letter.
        Self(folded.map(|letter| if letter == 'i' { 'l' } else { letter }).take(MAX_LENGTH).collect())
    }

    /// One that was folded before.
    pub fn stored(text: &str) -> Self {
        Self(Box::from(text))
    }

    /// The text that is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left to compare.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much this looks like another name; none if it does not.
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        if self.is_empty() {
            None
        } else if self == other {
            Some(Likeness::Same)
        } else if self.has_neighbours() && other.has_neighbours() && is_one_apart(&self.0, &other.0) {
            Some(Likeness::Near)
        } else {
            None
        }
    }

    /// Whether names that are one character apart from this look like it. Not where so many are that it means nothing.
    pub fn has_neighbours(&self) -> bool {
        static GENERIC_NAMES: LazyLock<Vec<Folded>> = LazyLock::new(|| GENERIC.iter().map(|name| Folded::of(name)).collect());
        WITH_NEIGHBOURS.contains(&self.0.chars().count()) && !GENERIC_NAMES.contains(self)
    }
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Marks on letters, the points of Hebrew and Arabic too.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}')
}

/// Letters to Unicode, and nothing that tells one name from another to the eye: what is not shown, modifier letters such as
/// apostrophes, and what only stretches a word.
fn is_faint(letter: char) -> bool {
    name::is_ignorable(letter)
        || matches!(
            letter,
            '\u{2b9}'..='\u{2df}' | '\u{2e5}'..='\u{2ff}' | '\u{374}' | '\u{37a}' | '\u{559}' | '\u{640}' | '\u{7f4}' | '\u{7f5}' | '\u{7fa}'
            | '\u{a717}'..='\u{a721}' | '\u{a788}'..='\u{a78c}' | '\u{a78f}' | '\u{fe73}'
        )
}

/// A name without the small digits and signs that end its words, as those of a footnote or a trade mark do. A word of nothing else
/// stays, and other small letters are letters.
fn without_marks(name: &str) -> String {
    fn bare(word: &str) -> &str {
        let kept = |letter: char| (letter.is_alphanumeric() && !is_faint(letter) && !is_mark(letter)) || matches!(letter, '+' | '#' | '|');
        let bare = word.trim_end_matches(|letter| !kept(letter));
        if bare.is_empty() { word } else { bare }
    }
    name.split_whitespace().map(bare).collect()
}

/// Small digits, ordinal signs, and the letters of trade marks.
fn is_mark(letter: char) -> bool {
    matches!(
        letter,
        '\u{aa}' | '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{ba}' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}' | '\u{2120}'
        | '\u{2122}' | '\u{1d39}' | '\u{1d3f}' | '\u{1d40}'
    )
}

/// Whether one character is added, missing or another.
fn is_one_apart(one: &str, other: &str) -> bool {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().skip(same).collect(), other.chars().skip(same).collect());
    match (one.as_slice(), other.as_slice()) {
        ([_, one @ ..], [_, other @ ..]) if one == other => true,
        ([_, rest @ ..], whole) | (whole, [_, rest @ ..]) if rest == whole => true,
        (one, [_, rest @ ..]) => one == rest,
        _ => false,
    }
}

/// How much one name looks like another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// To the eye they are the same.
    Same,
    /// One character is added, missing or another.
    Near,
}

impl Likeness {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same_name",
            Self::Near => "similar_name",
        }
    }
}

/// Where a client comes from, as far as anything vouches for it: the host of its document, or else the hosts that its answers
/// go to. None of either is the user's own machine, and all such clients have one origin: nothing tells them apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(BTreeSet<String>);

impl Origin {
    /// That of a client with these redirect URIs, and a document on this host if it has one.
    pub fn of(document_host: Option<&str>, redirect_uris: &RedirectUris) -> Self {
        let hosts = match document_host {
            Some(host) => vec![host],
            None => redirect_uris.iter().filter(|uri| leaves_the_machine(uri)).map(RedirectUri::host).collect(),
        };
        Self(hosts.into_iter().map(str::to_ascii_lowercase).collect())
    }

    /// One that was stored as the text that [`fmt::Display`] gives.
    pub fn stored(text: &str) -> Self {
        Self(text.split(' ').filter(|host| !host.is_empty()).map(str::to_owned).collect())
    }

    /// The hosts in order; none for what stays on the user's machine.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The hosts with a space between: none of them contains one.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{host}")?;
        }
        Ok(())
    }
}

/// What the person who is asked for consent is shown of a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Face {
    /// Its name, folded; empty where it has none.
    pub name: Folded,
    /// Where it comes from.
    pub origin: Origin,
}

impl Face {
    /// That of a client with this name whose answers go to these redirect URIs.
    pub fn of(client_name: Option<&str>, (client_id, kind): (&ClientId, RegistrationType), redirect_uris: &RedirectUris) -> Self {
        let origin = Origin::of(document_host(client_id, kind).as_deref(), redirect_uris);
        Self { name: client_name.map(Folded::of).unwrap_or_default(), origin }
    }
}

/// The host of a client's document, where it came by one.
pub fn document_host(client_id: &ClientId, registration_type: RegistrationType) -> Option<String> {
    let document = WebUri::parse(client_id.as_str()).ok().filter(|_| registration_type == RegistrationType::Cimd)?;
    Some(document.host().to_ascii_lowercase())
}

/// Whether an answer to this URI goes to a host on the network, rather than to a program on the user's machine.
pub(crate) fn leaves_the_machine(uri: &RedirectUri) -> bool {
    !uri.is_loopback() && uri.private_use_scheme().is_none()
}

#[cfg(test)]
mod tests;
