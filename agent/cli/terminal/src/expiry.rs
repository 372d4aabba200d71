//! When something ends, as people read it.

use std::time::Duration;

use domain::Timestamp;

/// The day and minute something ends in the form of RFC 822, with what remains of it; `never` when
/// it has no end.
///
/// `21 Nov 26 03:51 UTC (29m12s)`; what has already ended says `(expired)`.
pub fn expiry(expires: Option<Timestamp>, now: Timestamp) -> String {
    let Some(expires) = expires else { return "never".to_owned() };
    let time = expires.strftime("%d %b %y %H:%M UTC");
    match Duration::try_from(expires.duration_since(now)) {
        Ok(left) if !left.is_zero() => {
            let seconds = Duration::from_secs(left.as_secs().max(1));
            format!("{time} ({})", domain::duration::format(seconds))
        }
        _ => format!("{time} (expired)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn says_when_and_how_long_it_lasts() {
        let now = at("2026-11-21T03:21:48Z");
        let show = |expires: &str| expiry(Some(at(expires)), now);
        assert_eq!(expiry(None, now), "never");
        assert_eq!(show("2026-11-21T03:51:00Z"), "21 Nov 26 03:51 UTC (29m12s)");
        assert_eq!(show("2026-11-22T05:21:48Z"), "22 Nov 26 05:21 UTC (26h0m0s)");
        assert_eq!(show("2026-12-01T03:21:48.5Z"), "01 Dec 26 03:21 UTC (240h0m0s)");
        assert_eq!(show("2026-11-21T03:21:48.5Z"), "21 Nov 26 03:21 UTC (1s)");
        assert_eq!(show("2026-11-21T03:21:48Z"), "21 Nov 26 03:21 UTC (expired)");
        assert_eq!(show("2026-11-20T03:21:48Z"), "20 Nov 26 03:21 UTC (expired)");
    }
}
