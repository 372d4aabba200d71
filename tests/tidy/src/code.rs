//! Rust without its comments and texts, so that a rule about code does not stumble over prose.
//!
//! Knows comments (nested), strings, raw strings, characters and lifetimes, as the language reference
//! describes its tokens; nothing else of the language.

/// The same text with a blank for everything in comments, strings and characters. Lines stay where
/// they are.
pub fn code_of(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let hidden = hidden(rest, code.chars().next_back());
        let (length, shown) = if hidden == 0 { (first.len_utf8(), true) } else { (hidden, false) };
        let (part, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        code.extend(part.chars().map(|c| if shown || c == '\n' { c } else { ' ' }));
        rest = tail;
    }
    code
}

/// How many bytes at the start are no code.
fn hidden(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return comment(rest);
    }
    if rest.starts_with('"') {
        return 1 + ended_by(rest.get(1..).unwrap_or_default(), '"');
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    let raw = ["r", "br", "cr"].into_iter().find_map(|prefix| rest.strip_prefix(prefix));
    match raw {
        Some(after) if !in_word => raw_string(after).map_or(0, |length| rest.len() - after.len() + length),
        _ => 0,
    }
}

fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Bytes up to and with an end that no backslash stands before.
fn ended_by(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, or nothing when it is a lifetime.
fn character(rest: &str) -> usize {
    let after = rest.get(1..).unwrap_or_default();
    let mut chars = after.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + ended_by(after, '\''),
        (Some(c), Some('\'')) => 1 + c.len_utf8() + 1,
        _ => 0,
    }
}

/// What follows the `r` of a raw string, if it is one.
fn raw_string(after: &str) -> Option<usize> {
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// The words of some code with the numbers of their lines, from 1.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.lines().enumerate().flat_map(move |(number, line)| {
        line.split(move |c: char| !word(c))
            .filter(|word| !word.is_empty())
            .map(move |word| (number + 1, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str) -> Vec<String> {
        words(&code_of(text)).map(|(_, word)| word.to_owned()).collect()
    }

    #[test]
    fn comments_and_texts_are_no_code() {
        assert_eq!(left("a // unsafe\nb"), ["a", "b"]);
        assert_eq!(left("a /* x /* y */ z */ b"), ["a", "b"]);
        assert_eq!(left(r#"a "x \" y" b"#), ["a", "b"]);
        assert_eq!(left(r###"a r#"x " y"# b br"z" c"###), ["a", "b", "c"]);
        assert_eq!(left(r"a '\'' 'x' '\u{1}' b"), ["a", "b"]);
    }

    #[test]
    fn code_that_looks_like_them_stays() {
        assert_eq!(left("fn f<'a>(x: &'a str) {}"), ["fn", "f", "a", "x", "a", "str"]);
        assert_eq!(left("for r in hr\"x\" {}").first().map(String::as_str), Some("for"));
        assert_eq!(left("let r#type = 1;"), ["let", "r", "type", "1"]);
        assert_eq!(left("a / b"), ["a", "b"]);
    }

    #[test]
    fn lines_stay_where_they_are() {
        let code = code_of("a\n\"x\ny\"\nb");
        assert_eq!(words(&code).collect::<Vec<_>>(), [(1, "a"), (4, "b")]);
    }
}
