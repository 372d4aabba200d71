//! Values and keys as errors show them: quoted, cut short, without control characters.
//!
//! Only for what is no secret; which keys hold secrets is known to those who read them.

use domain::printable::is_printable;

use crate::suggest;

/// The most characters of a value or key shown.
const SHOWN_MAX: usize = 60;

/// A value in quotes, cut short, without control characters.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return format!("{text:?}");
    }
    let short: String = text.chars().take(SHOWN_MAX).collect();
    format!("{:?}", short + "…")
}

/// A key as it may be shown: a value that slipped into the key (`auth_token:secret`) is left out.
pub(crate) fn shown_key(key: &str) -> String {
    let name = key.split_once(':').map_or(key, |(name, _)| name);
    let clean: String = name.chars().filter(|c| is_printable(*c)).take(SHOWN_MAX).collect();
    if clean.len() < name.len() { clean + "…" } else { clean }
}

/// A word that is none of the names there are.
pub(crate) fn not_one_of(word: &str, names: &[&str]) -> String {
    let hint = match suggest::closest(word, names.iter().copied()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::new(),
    };
    format!("{} is not one of {}{hint}", shown(word), names.join(", "))
}

/// Short enough for an error that repeats it.
pub(crate) fn clipped(text: &str) -> &str {
    text.char_indices().nth(SHOWN_MAX).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_that_slipped_into_a_key_is_not_shown() {
        assert_eq!(shown_key("auth_token:hunter2"), "auth_token");
        assert_eq!(shown_key("a\u{1b}[31m"), "a[31m…");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shown(&"é".repeat(100)).chars().count(), SHOWN_MAX + 3);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = (shown(&text), shown_key(&text), clipped(&text).len());
        }
    }
}
