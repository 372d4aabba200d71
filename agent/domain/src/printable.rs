//! Text of others as a log or a terminal may show it.
//!
//! Names, labels and reasons come from clients and hosts. Control characters in them could end a
//! record, move a cursor or hide what follows, and so could the marks that turn the direction of
//! writing; both are shown as escapes instead.

use std::borrow::Cow;

/// Whether a character may be shown as it is: no control character, no line or paragraph
/// separator, no mark that changes the direction of writing.
pub fn is_printable(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    !(c.is_control() || turns || separates)
}

/// The text with everything unprintable written as an escape: `\n`, `\u{1b}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_printable(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_default());
        }
    }
    Cow::Owned(escaped)
}

/// JSON with everything unprintable inside its strings written as `\\uXXXX`, which means the same:
/// JSON itself asks that only for some of it. Line breaks between its parts stay.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let stays = |c: char| c == '\n' || is_printable(c);
    if json.chars().all(stays) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if stays(c) {
            escaped.push(c);
        } else {
            // All of them lie in the plane that four digits reach.
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    Cow::Owned(escaped)
}

/// The longest beginning of the text of at most `max` bytes, cut between characters.
pub fn clip(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(escape("größe=1,k8s ⟵ Tunnel"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_could_end_a_line_or_steer_a_terminal_is_spelled_out() {
        assert_eq!(escape("joe\nroot\t\u{1b}[2J"), "joe\\nroot\\t\\u{1b}[2J");
        assert_eq!(escape("a\u{9b}b\u{202e}c\u{2028}d\u{7f}"), "a\\u{9b}b\\u{202e}c\\u{2028}d\\u{7f}");
    }

    #[test]
    fn json_keeps_its_meaning_and_its_lines() {
        let json = serde_json::to_string_pretty(&["a\u{9b}b\u{7f}\u{2028}\n"]).unwrap();
        let escaped = escape_json(&json);
        assert_eq!(escaped, "[\n  \"a\\u009bb\\u007f\\u2028\\n\"\n]");
        let back: Vec<String> = serde_json::from_str(&escaped).unwrap();
        assert_eq!(back, ["a\u{9b}b\u{7f}\u{2028}\n"]);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(clip("aé", 2), "a");
        assert_eq!(clip("aé", 3), "aé");
        assert_eq!(clip("é", 0), "");
    }

    proptest! {
        #[test]
        fn everything_comes_out_printable(text in any::<String>()) {
            prop_assert!(escape(&text).chars().all(is_printable));
        }
    }
}
