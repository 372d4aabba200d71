//! Reads a query: first its signs and words, then what they mean together.

use super::{Condition, DEPTH_MAX, LENGTH_MAX, QueryError, Text};

/// What a condition may begin with.
const CONDITION: &str = "a condition such as labels[\"env\"] == \"prod\", search(\"word\"), `!` or `(`";
/// What may be compared.
const TEXT: &str = "name, labels[\"key\"], labels.key or a text in quotes";
/// Longer signs first, where one begins another.
const SIGNS: [&str; 11] = ["==", "!=", "&&", "||", "!", "(", ")", "[", "]", ",", "."];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
    End,
}

struct Parser {
    /// Reversed: the next is the last. Each with its column.
    tokens: Vec<(usize, Token)>,
    end: usize,
    depth: usize,
}

pub(super) fn parse(text: &str) -> Result<Condition, QueryError> {
    if text.len() > LENGTH_MAX {
        return Err(QueryError::TooLong);
    }
    let mut tokens = tokens(text)?;
    tokens.reverse();
    let mut parser = Parser { tokens, end: text.chars().count() + 1, depth: 0 };
    let condition = parser.any()?;
    match parser.peek() {
        Token::End => Ok(condition),
        _ => Err(parser.unexpected("`&&`, `||` or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, QueryError> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start();
        let column = text.chars().count() - rest.chars().count() + 1;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let unexpected = |expected| QueryError::Unexpected { column, expected, found: shown(&first) };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (token, after) = if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), rest.strip_prefix(sign).unwrap_or_default())
        } else if first == '"' || first == '\'' {
            let (text, after) =
                string(rest, first).ok_or_else(|| unexpected("a text that ends in a quote"))?;
            (Token::Text(text), after)
        } else if is_word(first) {
            let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
            (Token::Word(word.to_owned()), after)
        } else {
            return Err(unexpected(whole_sign(first)));
        };
        tokens.push((column, token));
        rest = after;
    }
}

/// What was meant by half a sign.
fn whole_sign(half: char) -> &'static str {
    match half {
        '=' => "`==`",
        '&' => "`&&`",
        '|' => "`||`",
        _ => "a word, a text in quotes or a sign",
    }
}

/// A text in quotes, and what follows it. A backslash takes the next character as it is.
fn string(rest: &str, quote: char) -> Option<(String, &str)> {
    let (mut text, mut chars) = (String::new(), rest.chars());
    chars.next();
    loop {
        match chars.next()? {
            '\\' => text.push(chars.next()?),
            c if c == quote => return Some((text, chars.as_str())),
            c => text.push(c),
        }
    }
}

fn shown(what: &dyn std::fmt::Display) -> String {
    format!("`{what}`")
}

impl Parser {
    fn any(&mut self) -> Result<Condition, QueryError> {
        self.chain("||", Self::all, Condition::Any)
    }

    fn all(&mut self) -> Result<Condition, QueryError> {
        self.chain("&&", Self::one, Condition::All)
    }

    /// Conditions with a sign between them, side by side: a long chain is no deep one.
    fn chain(
        &mut self,
        sign: &'static str,
        part: fn(&mut Self) -> Result<Condition, QueryError>,
        together: fn(Vec<Condition>) -> Condition,
    ) -> Result<Condition, QueryError> {
        let first = part(self)?;
        if self.peek() != &Token::Sign(sign) {
            return Ok(first);
        }
        let mut list = vec![first];
        while self.take(sign) {
            list.push(part(self)?);
        }
        Ok(together(list))
    }

    fn one(&mut self) -> Result<Condition, QueryError> {
        if self.take("!") {
            return self.deeper(|parser| Ok(Condition::Not(Box::new(parser.one()?))));
        }
        if self.take("(") {
            let inner = self.deeper(Self::any)?;
            return self.expect(")", "`)`").map(|()| inner);
        }
        if self.take_call("search") {
            return self.words();
        }
        if self.take_call("equals") {
            let a = self.text(TEXT)?;
            self.expect(",", "`,`")?;
            let b = self.text(TEXT)?;
            return self.expect(")", "`)`").map(|()| Condition::Equal(a, b));
        }
        let a = self.text(CONDITION)?;
        let is_equal = self.take("==");
        if !is_equal {
            self.expect("!=", "`==` or `!=`")?;
        }
        let equal = Condition::Equal(a, self.text(TEXT)?);
        Ok(if is_equal { equal } else { Condition::Not(Box::new(equal)) })
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, QueryError>) -> Result<T, QueryError> {
        if self.depth == DEPTH_MAX {
            return Err(QueryError::TooDeep(self.column()));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// The words of `search(`, up to its end.
    fn words(&mut self) -> Result<Condition, QueryError> {
        let mut words = Vec::new();
        loop {
            words.push(self.string("a word in quotes")?);
            if self.take(")") {
                return Ok(Condition::Search(words));
            }
            self.expect(",", "`,` or `)`")?;
        }
    }

    fn text(&mut self, expected: &'static str) -> Result<Text, QueryError> {
        if let Token::Text(_) = self.peek() {
            return self.string(expected).map(Text::Fixed);
        }
        if self.take_word("name") {
            return Ok(Text::Name);
        }
        if !self.take_word("labels") {
            return Err(self.unexpected(expected));
        }
        if self.take("[") {
            let key = self.string("the key of a label in quotes")?;
            return self.expect("]", "`]`").map(|()| Text::Label(key));
        }
        self.expect(".", "`[` or `.` and the key of a label")?;
        match self.tokens.pop() {
            Some((_, Token::Word(key))) => Ok(Text::Label(key)),
            other => {
                self.tokens.extend(other);
                Err(self.unexpected("the key of a label; write one with other signs as labels[\"a/b\"]"))
            }
        }
    }

    fn string(&mut self, expected: &'static str) -> Result<String, QueryError> {
        match self.tokens.pop() {
            Some((_, Token::Text(text))) => Ok(text),
            other => {
                self.tokens.extend(other);
                Err(self.unexpected(expected))
            }
        }
    }

    fn peek(&self) -> &Token {
        self.tokens.last().map_or(&Token::End, |(_, token)| token)
    }

    fn column(&self) -> usize {
        self.tokens.last().map_or(self.end, |(column, _)| *column)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let there = self.peek() == &Token::Sign(sign);
        if there {
            self.tokens.pop();
        }
        there
    }

    fn take_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Token::Word(other) if other == word);
        if there {
            self.tokens.pop();
        }
        there
    }

    /// The name of a function and the parenthesis behind it.
    fn take_call(&mut self, name: &str) -> bool {
        let mut next = self.tokens.iter().rev().map(|(_, token)| token);
        let there = matches!(next.next(), Some(Token::Word(word)) if word == name)
            && next.next() == Some(&Token::Sign("("));
        there && self.take_word(name) && self.take("(")
    }

    fn expect(&mut self, sign: &'static str, expected: &'static str) -> Result<(), QueryError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &'static str) -> QueryError {
        let found = match self.peek() {
            Token::Word(word) => shown(word),
            Token::Text(text) => format!("{text:?}"),
            Token::Sign(sign) => shown(sign),
            Token::End => "the end".to_owned(),
        };
        QueryError::Unexpected { column: self.column(), expected, found }
    }
}
