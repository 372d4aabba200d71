//! What a registry says when it does not let somebody in (RFC 9110 section 11.6.1, RFC 6750 section 3).

/// What it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token, which somebody gives out.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
    },
    /// Something else: a name and a password, as far as we are concerned.
    Other,
}

impl Challenge {
    /// Reads the value of `WWW-Authenticate`.
    pub(super) fn parse(text: &str) -> Self {
        let Some((scheme, mut rest)) = text.trim().split_once(' ') else { return Self::Other };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Self::Other;
        }
        let (mut realm, mut service) = (None, None);
        while let Some((name, value, after)) = parameter(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = realm.or(Some(value)),
                "service" => service = service.or(Some(value)),
                _ => {}
            }
            rest = after;
        }
        realm.map_or(Self::Other, |realm| Self::Bearer { realm, service })
    }
}

/// One `name=value` off the front, its quotes taken away.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.trim_start_matches([',', ' ', '\t']).split_once('=')?;
    let Some(mut rest) = rest.strip_prefix('"') else {
        let (value, after) = rest.split_once(',').unwrap_or((rest, ""));
        return Some((name.trim(), value.trim().to_owned(), after));
    };
    let mut value = String::new();
    loop {
        let mut letters = rest.chars();
        let letter = letters.next()?;
        rest = letters.as_str();
        match letter {
            '"' => return Some((name.trim(), value, rest)),
            '\\' => {
                value.push(letters.next()?);
                rest = letters.as_str();
            }
            letter => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn a_token_is_asked_for_by_where_it_is_given_out() {
        for (text, expected) in [
            (
                "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"a,b\"",
                bearer("https://auth.example/token", Some("registry.example")),
            ),
            ("bearer service=x, Realm=\"a\\\"b\"", bearer("a\"b", Some("x"))),
            ("Bearer realm=\"one\",realm=\"two\"", bearer("one", None)),
            ("Basic realm=\"x\"", Challenge::Other),
            ("Bearer", Challenge::Other),
            ("Bearer realm=\"cut off", Challenge::Other),
            ("", Challenge::Other),
        ] {
            assert_eq!(Challenge::parse(text), expected, "{text}");
        }
    }
}
