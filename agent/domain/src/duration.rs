//! Durations as operators write them: `1h30m`, `90s`, `0`, `7d`, `2w`.
//!
//! The grammar is the one of Teleport's files (Go's duration text) plus `d` and `w`; negative
//! durations are refused, because nothing in this product can last less than nothing.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("a duration is missing; write it like 90s, 30m or 12h")]
    Empty,
    /// A number without a unit, the most common slip.
    #[error("duration {0:?} has no unit; write {0}s, {0}m or {0}h")]
    NoUnit(String),
    /// Less than nothing.
    #[error("duration {0:?} is negative")]
    Negative(String),
    /// Anything else.
    #[error("{0:?} is not a duration; write it like 90s, 30m, 1h30m or 7d")]
    Invalid(String),
}

/// Reads a duration.
///
/// # Errors
/// [`DurationError`] says what is wrong with the text and how to write it.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(DurationError::Empty);
    }
    if trimmed.starts_with('-') {
        return Err(DurationError::Negative(trimmed.to_owned()));
    }
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = trimmed;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, after) = step(rest, trimmed)?;
        total = total.checked_add(part).ok_or_else(|| DurationError::Invalid(trimmed.to_owned()))?;
        rest = after;
    }
    Ok(total)
}

/// One `<number><unit>` off the front.
fn step<'a>(rest: &'a str, whole: &str) -> Result<(Duration, &'a str), DurationError> {
    let invalid = || DurationError::Invalid(whole.to_owned());
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, after) = rest.split_at(digits);
    if number.is_empty() {
        return Err(invalid());
    }
    let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
    let (unit, after) = after.split_at(letters);
    if unit.is_empty() {
        return Err(if number == whole { DurationError::NoUnit(whole.to_owned()) } else { invalid() });
    }
    let seconds = unit_seconds(unit).ok_or_else(invalid)?;
    let value: f64 = number.parse().map_err(|_| invalid())?;
    let part = Duration::try_from_secs_f64(value * seconds).map_err(|_| invalid())?;
    Ok((part, after))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return None,
    })
}

/// Writes a duration the way Teleport's files do: `30h0m0s`, `1m30s`, `300ms`.
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        let millis = duration.as_millis();
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Writes a duration for people who read a log: `0.3s`, `12.0s`.
pub fn tenths(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

/// A duration inside a resource or configuration file, in the same grammar.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*duration))
    }

    /// Reads the duration from text.
    ///
    /// # Errors
    /// The reason [`super::parse`] gives.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_usual_forms() {
        let cases = [
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            ("300ms", 0.3),
            ("168h", 604_800.0),
            ("1h0m0s", 3600.0),
            ("2h45m30.5s", 9930.5),
            ("10us", 1e-5),
            ("1µs", 1e-6),
            ("0", 0.0),
            ("1d", 86_400.0),
            ("2w", 1_209_600.0),
            (" 5m ", 300.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
    }

    #[test]
    fn refuses_and_says_how_to_write_it() {
        assert_eq!(parse(""), Err(DurationError::Empty));
        assert_eq!(parse("30"), Err(DurationError::NoUnit("30".into())));
        assert_eq!(parse("-1m"), Err(DurationError::Negative("-1m".into())));
        for text in ["m", "1x", "1h30", "1.2.3s", "one hour", "99999999999999999999h", "1 h"] {
            assert!(matches!(parse(text), Err(DurationError::Invalid(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_seconds_survive_writing_and_reading(seconds in 0u64..10_000_000) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
