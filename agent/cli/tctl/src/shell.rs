//! Words as a shell reads them, for command lines people copy.

use std::borrow::Cow;

/// The word as it is when a shell takes it literally, else in single quotes (POSIX shell, 2.2.2).
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        for word in ["node", "sha256:00ff", "127.0.0.1:3025", "a,b"] {
            assert_eq!(quoted(word), word);
        }
        assert_eq!(quoted("two words"), "'two words'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_gives_the_word_back(word in "[ -~äß\n]{0,20}") {
            let script = format!("printf %s {}", quoted(&word));
            let printed = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(printed.stdout).unwrap(), word);
        }
    }
}
