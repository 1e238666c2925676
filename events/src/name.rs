//! What a name for people may be, at every way in: short, with something to see, and free of what would hide or reorder the text
//! around it on somebody's screen.
//!
//! The rule, for names, labels and the other short texts that people read:
//!
//! - at most 256 characters, none of them a control character or one of those that change the direction of text;
//! - at least one character that can be seen: blanks, fillers, joiners, variation selectors, marks without a letter,
//!   characters for private use and those that Unicode does not know are not;
//! - no invisible character but where Unicode gives it a meaning: a zero-width joiner within an emoji sequence; a zero-width joiner or
//!   non-joiner after a virama, and a non-joiner between two letters of a script that joins them (RFC 5892 appendix A); a variation
//!   selector after the character that it varies; tags after a black flag.

use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest text for people to read, in characters.
pub const LONGEST: usize = 256;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum NameProblem {
    TooLong,
    Misleading,
    Invisible,
    NothingToSee,
}

impl NameProblem {
    /// The sentence, which completes "the name …".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "is longer than 256 characters",
            Self::Misleading => "has a control character or one that changes the direction of text; right is text alone",
            Self::Invisible => "has an invisible character where none belongs; right are joiners within words and emoji that need them",
            Self::NothingToSee => "has no character that can be seen; leave it out, or give one",
        }
    }
}

/// Judges a text as sent.
pub fn check(text: &str) -> Result<(), NameProblem> {
    let letters: Vec<char> = text.chars().take(LONGEST + 1).collect();
    if letters.len() > LONGEST {
        return Err(NameProblem::TooLong);
    }
    if letters.iter().any(|letter| is_misleading(*letter)) {
        return Err(NameProblem::Misleading);
    }
    for (place, letter) in letters.iter().enumerate() {
        let (before, after) = letters.split_at(place);
        if is_ignorable(*letter) && !belongs(*letter, before, after.get(1..).unwrap_or_default()) {
            return Err(NameProblem::Invisible);
        }
    }
    if has_something_to_see(text) { Ok(()) } else { Err(NameProblem::NothingToSee) }
}

/// Whether anything of a text can be seen.
pub fn has_something_to_see(text: &str) -> bool {
    text.chars().any(is_visible)
}

fn is_visible(letter: char) -> bool {
    // The blank of Braille, a filler, a note without a head and the mark of what could not be read have shapes with nothing in them.
    let blank = matches!(letter, '\u{2800}' | '\u{16fe4}' | '\u{1d159}' | '\u{fffd}');
    // Private use, noncharacters and what Unicode does not know show what the screen's font makes of them, if anything.
    let shown = match letter.general_category_group() {
        GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator | GeneralCategoryGroup::Mark => false,
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Punctuation | GeneralCategoryGroup::Symbol => {
            true
        }
    };
    shown && !blank && !is_ignorable(letter) && !is_combining_mark(letter)
}

/// What reorders the text around it, or breaks it into lines.
fn is_misleading(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that are not shown where nothing knows them (`Default_Ignorable_Code_Point` of Unicode).
pub fn is_ignorable(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether an invisible character has a meaning between what is before and after it.
fn belongs(letter: char, before: &[char], after: &[char]) -> bool {
    let last = before.last().copied();
    let stands = |letter: &&char| !is_combining_mark(**letter) && !is_variation_selector(**letter) && !is_skin_tone(**letter);
    match letter {
        _ if is_variation_selector(letter) => last.is_some_and(has_variants),
        // A flag of a region: its letters are tags.
        '\u{e0020}'..='\u{e007f}' => last.is_some_and(|last| last == '\u{1f3f4}' || is_tag(last)),
        // Old Hangul: a filler stands for the consonant or vowel that a syllable lacks.
        '\u{115f}' => after.first().is_some_and(|next| ('\u{1160}'..='\u{11a7}').contains(next) && *next != '\u{1160}'),
        '\u{1160}' => last.is_some_and(|last| ('\u{1100}'..='\u{115e}').contains(&last)),
        '\u{200c}' | '\u{200d}' => {
            let virama = last.is_some_and(|last| canonical_combining_class(last) == 9);
            let (left, right) = (before.iter().rev().find(stands), after.iter().find(stands));
            let between = |fits: fn(char) -> bool| left.is_some_and(|left| fits(*left)) && right.is_some_and(|right| fits(*right));
            virama || if letter == '\u{200c}' { between(joins) } else { between(is_pictograph) }
        }
        _ => false,
    }
}

fn is_variation_selector(letter: char) -> bool {
    matches!(letter, '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Digits, signs, pictographs and the letters of scripts that have variants; none of the alphabets of Europe has.
fn has_variants(letter: char) -> bool {
    !is_ignorable(letter) && !letter.is_whitespace() && (!letter.is_alphabetic() || letter >= '\u{1000}')
}

fn is_tag(letter: char) -> bool {
    ('\u{e0020}'..='\u{e007f}').contains(&letter)
}

fn is_skin_tone(letter: char) -> bool {
    ('\u{1f3fb}'..='\u{1f3ff}').contains(&letter)
}

/// Letters of scripts that are written joined.
fn joins(letter: char) -> bool {
    let script = matches!(
        letter,
        '\u{620}'..='\u{74f}' | '\u{750}'..='\u{77f}' | '\u{7ca}'..='\u{7ea}' | '\u{840}'..='\u{858}' | '\u{860}'..='\u{8c7}'
        | '\u{1820}'..='\u{18aa}' | '\u{a840}'..='\u{a872}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{1e900}'..='\u{1e943}'
    );
    script && letter.is_alphabetic()
}

/// Characters that emoji sequences are made of (`Extended_Pictographic` of Unicode, in blocks).
fn is_pictograph(letter: char) -> bool {
    matches!(letter, '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_a_name_has_something_to_see() {
        let unseen = [
            "",
            " ",
            "\u{3000}",
            "\u{a0}",
            "\u{2800}",
            "\u{2800} \u{2800}",
            "\u{301}",
            "\u{16fe4}",
            "\u{fffd}",
            "\u{e000}",
            "\u{f8ff}\u{100000}",
            "\u{fdd0}",
            "\u{ffff}",
            "\u{600}",
            "\u{378}",
        ];
        for text in unseen {
            assert_eq!(check(text), Err(NameProblem::NothingToSee), "{text:?}");
        }
        for text in ["\u{3164}", "\u{115f}", "\u{fe0f}", "\u{200d}", "\u{200c}", "\u{ad}", "\u{e0041}", "\u{2060}", "\u{feff}", "\u{ffa0}"]
        {
            assert!(!has_something_to_see(text), "{text:?}");
            assert_eq!(check(text), Err(NameProblem::Invisible), "{text:?}");
            assert_eq!(check(&format!("pay{text}pal")), Err(NameProblem::Invisible), "{text:?}");
        }
        for text in ["x", "例", "1", "+", "🧪", "©"] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn r8_joiners_are_where_words_and_emoji_need_them_and_nowhere_else() {
        let good = [
            "نرم\u{200c}افزار",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ക്\u{200d}",
            "श्री\u{200c}".trim_end_matches('\u{200c}'),
            "👩\u{200d}💻 Agent",
            "👩🏽\u{200d}💻",
            "🏳\u{fe0f}\u{200d}🌈",
            "❤\u{fe0f}\u{200d}🔥",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "葛\u{e0100}城",
            "ᄀ\u{1160}",
        ];
        for text in good {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
        let bad = [
            "pay\u{200d}pal",
            "pay\u{200c}pal",
            "\u{200c}نرم",
            "نرم\u{200c}",
            "نرم\u{200d}افزار",
            "👩\u{200d}x",
            "x\u{200d}💻",
            "x\u{e0067}",
            "a\u{fe0f}\u{fe0f}",
            "Claude\u{3164}Code",
        ];
        for text in bad {
            assert_eq!(check(text), Err(NameProblem::Invisible), "{text:?}");
        }
        for text in ["a\u{202e}b", "a\nb", "a\u{2066}b", "a\u{200f}b", "a\u{2028}b", "\0"] {
            assert_eq!(check(text), Err(NameProblem::Misleading), "{text:?}");
        }
        assert_eq!(check(&"例".repeat(LONGEST)), Ok(()));
        assert_eq!(check(&"例".repeat(LONGEST + 1)), Err(NameProblem::TooLong));
    }
}
