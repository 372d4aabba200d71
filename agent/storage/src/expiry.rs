//! Moments as the stores keep them: whole microseconds, which fit a 64-bit column until long after
//! any certificate runs out.
//!
//! Both stores round down alike, so what one gives back the other does too.

use domain::Timestamp;

/// Microseconds since 1970.
pub(crate) type Micros = i64;

/// The moment, rounded down.
pub(crate) fn to_micros(moment: Timestamp) -> Micros {
    // Towards the past also before 1970, where dropping digits would round up.
    let below = moment.as_nanosecond().div_euclid(1000);
    i64::try_from(below).unwrap_or(i64::MAX)
}

/// The moment of a stored number; none when no calendar holds it.
pub(crate) fn from_micros(micros: Micros) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

/// The moment as a store gives it back.
pub(crate) fn rounded(moment: Timestamp) -> Timestamp {
    from_micros(to_micros(moment)).unwrap_or(moment)
}

/// Whether something that ends at `expires` has ended.
pub(crate) fn is_past(expires: Option<Timestamp>, now: Micros) -> bool {
    expires.is_some_and(|expires| to_micros(expires) <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_survives_to_the_microsecond() {
        let moment: Timestamp = "2026-01-01T12:00:00.123456789Z".parse().unwrap();
        assert_eq!(rounded(moment).to_string(), "2026-01-01T12:00:00.123456Z");
        assert_eq!(rounded(Timestamp::MAX).as_second(), Timestamp::MAX.as_second());
        assert_eq!(rounded(Timestamp::MIN), Timestamp::MIN);
        let before: Timestamp = "1969-12-31T23:59:59.9999999Z".parse().unwrap();
        assert!(rounded(before) < before);
    }

    #[test]
    fn something_ends_at_its_expiry_and_not_before() {
        let expires = Timestamp::from_second(10).unwrap();
        assert!(!is_past(Some(expires), 9_999_999));
        assert!(is_past(Some(expires), 10_000_000));
        assert!(!is_past(None, i64::MAX));
    }
}
