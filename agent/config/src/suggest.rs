//! The name somebody probably meant.

/// The candidate closest to `word`, when one is close enough to be a slip of the same name.
///
/// Letter case, `-` for `_` and a missing `_service` are not held against the word.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word);
    let length = word.chars().count();
    // A change makes another word of a word of one or two letters.
    let allowed = if length < 3 { 0 } else { (length / 3).min(3) };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let name = folded(candidate);
        let whole_word = length > 1 && name.strip_prefix(&word).is_some_and(|rest| rest.starts_with('_'));
        let distance = if whole_word { 0 } else { distance(&word, &name) };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> String {
    word.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// How many characters must be added, dropped, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (cell(&last, j) + usize::from(from != to)).min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(to) && b.get(j - 1) == Some(from);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: [&str; 6] =
        ["nodename", "data_dir", "listen_addr", "auth_service", "proxy_service", "ssh_service"];

    #[test]
    fn slips_find_the_name() {
        for (word, name) in [
            ("nodname", "nodename"),
            ("ndoename", "nodename"),
            ("listen-addr", "listen_addr"),
            ("listenaddr", "listen_addr"),
            ("DATA_DIR", "data_dir"),
            ("proxy", "proxy_service"),
            ("ssh_sevrice", "ssh_service"),
        ] {
            assert_eq!(closest(word, KEYS), Some(name), "{word}");
        }
    }

    #[test]
    fn other_words_find_nothing() {
        for word in ["colour", "x", "v9", "", "kubernetes", "data"] {
            let found = closest(word, ["nodename", "listen_addr", "v1"]);
            assert_eq!(found, None, "{word}");
        }
    }

    #[test]
    fn distances_count_single_slips() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(a in "[a-d_]{0,8}", b in "[a-d_]{0,8}") {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert!(distance(&a, &b) <= a.len().max(b.len()));
        }
    }
}
