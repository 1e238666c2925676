//! Finds the neighbours of a name in an ordered list of any length, by leaps: from what was found, to the next that may be one.

use super::Folded;

/// The next text to look for in a list in the order of code points, after `found` was there: every name after `found` that is
/// at most one character apart from `asked` is not before it. None when no more can come.
///
/// A beginning that no neighbour has rules out all that begin so. There are about as many leaps as there are different
/// characters that follow the beginnings of `asked` in the list, whatever the length of the list.
pub fn next_to_try(asked: &Folded, found: &str) -> Option<String> {
    let asked: Vec<char> = asked.as_str().chars().collect();
    let found: Vec<char> = found.chars().collect();
    let mut depth = (0..=found.len()).take_while(|depth| found.get(..*depth).is_some_and(|begun| may_begin(&asked, begun))).last()?;
    let mut after = found.get(depth).copied();
    loop {
        let begun = found.get(..depth)?;
        if let Some(next) = next_letter(&asked, begun, after) {
            return Some(begun.iter().copied().chain([next]).collect());
        }
        depth = depth.checked_sub(1)?;
        after = found.get(depth).copied();
    }
}

/// Whether a neighbour may begin so: some beginning of `asked` is at most one character apart from it.
fn may_begin(asked: &[char], begun: &[char]) -> bool {
    let same = asked.iter().zip(begun).take_while(|(one, other)| one == other).count();
    let begins = |rest: Option<&[char]>, begun: Option<&[char]>| rest.zip(begun).is_some_and(|(rest, begun)| rest.starts_with(begun));
    let after_it = begun.get(same + 1..);
    // All of it is there; or, at the first that differs, it has another character, one more, or one less.
    same == begun.len()
        || begins(asked.get(same + 1..), after_it)
        || begins(asked.get(same..), after_it)
        || begins(asked.get(same + 1..), begun.get(same..))
}

/// The first character after this one that a neighbour which begins so may go on with.
fn next_letter(asked: &[char], begun: &[char], after: Option<char>) -> Option<char> {
    if asked.starts_with(begun) {
        // Any may be the one that differs.
        return match after {
            None => Some('\0'),
            Some(after) => (after..=char::MAX).nth(1),
        };
    }
    let near = asked.get(begun.len().saturating_sub(1)..).unwrap_or_default().iter().take(3).copied();
    let mut longer = begun.to_vec();
    near.filter(|letter| after.is_none_or(|after| *letter > after))
        .filter(|letter| {
            longer.truncate(begun.len());
            longer.push(*letter);
            may_begin(asked, &longer)
        })
        .min()
}
