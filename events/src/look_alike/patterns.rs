//! What the neighbours of a name have in common with it, so that they can be found in a list of any length.

use std::collections::BTreeSet;

use super::Folded;

/// Stands for any one character; no name has it.
const ANY: char = '\u{1}';

impl Folded {
    /// The name with any character in one place, for each place.
    pub fn patterns(&self) -> BTreeSet<String> {
        self.places().map(|(before, _, after)| format!("{before}{ANY}{after}")).collect()
    }

    /// What the patterns of its neighbours are that have as many characters, or one more.
    pub fn patterns_of_neighbours(&self) -> BTreeSet<String> {
        let mut patterns = self.patterns();
        patterns.extend(self.places().map(|(before, at, after)| format!("{before}{ANY}{at}{after}")));
        patterns.insert(format!("{}{ANY}", self.0));
        patterns
    }

    /// Its neighbours that have one character less.
    pub fn shorter_neighbours(&self) -> BTreeSet<Self> {
        self.places().map(|(before, _, after)| Self(format!("{before}{after}").into())).collect()
    }

    /// Each character, with what is before and after it.
    fn places(&self) -> impl Iterator<Item = (&str, char, &str)> {
        self.0.char_indices().filter_map(|(at, letter)| {
            let (before, rest) = self.0.split_at_checked(at)?;
            Some((before, letter, rest.get(letter.len_utf8()..)?))
        })
    }
}
