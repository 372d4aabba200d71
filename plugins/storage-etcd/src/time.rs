//! What time it is for what expires: by this machine's clock where it agrees with etcd's, by etcd's where it
//! does not.
//!
//! Every server judges by itself what has expired. One whose clock is wrong would give records that are
//! over, drop others' that are not, and ask for leases that end too soon. Each answer of etcd tells the time of the
//! member that gave it, to the second (`date`, RFC 9110 section 5.6.7), so there is something all servers agree on and
//! nothing more has to be asked. Clocks that are set by NTP agree far better than that; they are
//! left alone, for they are more exact.
//!
//! An answer without a date, or with one that makes no sense, changes nothing.

use std::fmt;

use teleport_plugin_sdk::storage_backend::Microseconds;

/// A second.
const SECOND: i64 = 1_000_000;

/// How far clocks may be apart before etcd's is gone by: more than the second it tells and the way of an
/// answer are good for, and less than anything expires in.
const TOLERANCE: i64 = 3 * SECOND;

/// The time as etcd tells it.
#[derive(Debug, Default)]
pub struct Time {
    /// The date that was heard last.
    date: String,
    /// What this machine's clock is ahead of etcd's, in microseconds, where that is too much.
    ahead: Option<i64>,
}

/// How far a clock is off, as a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Off(i64);

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unsigned_abs() / SECOND.unsigned_abs();
        write!(f, "{seconds} s {}", if self.0 > 0 { "ahead of" } else { "behind" })
    }
}

impl Time {
    /// Whether a date says anything that the one before did not.
    pub fn is_news(&self, date: &str) -> bool {
        self.date != date
    }

    /// Whether this machine's clock is not gone by.
    pub fn is_off(&self) -> bool {
        self.ahead.is_some()
    }

    /// Takes the date of an answer that has just come, and how late it was here then. How far this machine's
    /// clock is off, where that is too much.
    pub fn hear(&mut self, date: String, here: Microseconds) -> Option<Off> {
        let there = parse(&date);
        self.date = date;
        let (Some(there), Ok(here)) = (there, i64::try_from(here)) else { return self.ahead.map(Off) };
        // The middle of the second that is told.
        let ahead = here.saturating_sub(there.saturating_add(SECOND / 2));
        self.ahead = match self.ahead {
            _ if ahead.abs() <= TOLERANCE => None,
            // The same, as far as seconds can tell.
            Some(known) if known.abs_diff(ahead) <= SECOND.unsigned_abs() => Some(known),
            _ => Some(ahead),
        };
        self.ahead.map(Off)
    }

    /// What time it is when it is so late here.
    pub fn now(&self, here: Microseconds) -> Microseconds {
        match self.ahead {
            Some(ahead) => here.saturating_add_signed(ahead.saturating_neg()),
            None => here,
        }
    }
}

/// Reads a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form servers may write; in microseconds since 1970.
fn parse(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.split_ascii_whitespace().skip(1);
    let number = |max: i64, word: &str| word.parse::<i64>().ok().filter(|number| (0..=max).contains(number));
    let day = number(31, words.next()?)?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year = number(9999, words.next()?)?;
    let mut clock = words.next()?.split(':');
    let hour = number(23, clock.next()?)?;
    let minute = number(59, clock.next()?)?;
    let second = number(60, clock.next()?)?;
    let is_whole = clock.next().is_none() && words.next() == Some("GMT") && words.next().is_none();
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    is_whole.then_some(seconds * SECOND)
}

/// Days since 1970 in the Gregorian calendar, for years from 0 on.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Days from year 0, March 1st, to 1970, January 1st.
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AT: u64 = 784_111_777_000_000;

    proptest! {
        #[test]
        fn whatever_is_said_breaks_nothing(date in any::<String>(), here in any::<u64>()) {
            let mut time = Time::default();
            prop_assert!(time.is_news(&date) || date.is_empty());
            time.hear(date, here);
            time.now(here);
        }

        #[test]
        fn days_follow_each_other(year in 0..=9998_i64, month in 1..=12_i64, day in 1..=27_i64) {
            prop_assert_eq!(days(year, month, day) + 1, days(year, month, day + 1));
            let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let length = days(next_year, next, 1) - days(year, month, 1);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let expected = match month { 2 => 28 + i64::from(is_leap), 4 | 6 | 9 | 11 => 30, _ => 31 };
            prop_assert_eq!(length, expected);
        }
    }

    #[test]
    fn a_date_is_read() {
        assert_eq!(parse(DATE), i64::try_from(AT).ok());
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199 * SECOND));
        for wrong in [
            "",
            "Sun",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 8:49 GMT",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_clock_that_agrees_is_more_exact_and_gone_by() {
        let mut time = Time::default();
        for here in [AT - 2_000_000, AT, AT + 999_999, AT + 3_400_000] {
            assert_eq!(time.hear(DATE.to_owned(), here), None);
            assert_eq!(time.now(here), here);
        }
    }

    #[test]
    fn a_clock_that_is_off_is_not_gone_by_until_it_is_right() {
        let mut time = Time::default();
        let hour = 3_600_000_000;
        let off = time.hear(DATE.to_owned(), AT + hour);
        assert_eq!(off.map(|off| off.to_string()), Some("3599 s ahead of".to_owned()));
        assert_eq!(time.now(AT + hour), AT + 500_000);
        assert_eq!(time.now(AT + hour + 7), AT + 500_007, "it goes on");
        time.hear(DATE.to_owned(), AT + hour + 800_000);
        assert_eq!(time.now(AT + hour), AT + 500_000, "seconds do not tell more");
        assert!(!time.is_news(DATE) && time.is_off());
        time.hear("nonsense".to_owned(), AT);
        assert!(time.is_off(), "nothing was said");
        let off = time.hear(DATE.to_owned(), AT - hour).unwrap();
        assert_eq!(off.to_string(), "3600 s behind");
        assert_eq!(time.hear(DATE.to_owned(), AT), None);
        assert!(!time.is_off());
    }
}
