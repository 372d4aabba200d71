//! What time it is for what expires: by this machine's clock where it agrees with etcd's, by etcd's where it
//! does not.
//!
//! Every server judges by itself what has expired. One whose clock is wrong would give records that are
//! over, drop others' that are not, and ask for leases that end too soon. Each answer of etcd tells the time of the
//! member that gave it, to the second (`date`, RFC 9110 section 5.6.7). That is one machine's clock, which may be wrong
//! as well: it is gone by only once two members tell the same, and more of them than agree with this machine's. So
//! where one tells something else, the others are asked. Where only one is configured, it is believed. Clocks
//! that are set by NTP agree far better than a second; they are left alone, for they are more exact.
//!
//! An answer without a date, or with one that makes no sense, changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use teleport_plugin_sdk::storage_backend::Microseconds;

/// A second.
const SECOND: i64 = 1_000_000;

/// How far clocks may be apart before etcd's is gone by: more than the second it tells and the way of an
/// answer are good for, and less than anything expires in.
const TOLERANCE: i64 = 3 * SECOND;

/// How often the other members are asked while clocks disagree: what they said may be so no longer.
const ASK: Duration = Duration::from_secs(60);

/// The time as etcd tells it.
#[derive(Debug, Default)]
pub struct Time {
    /// The member that was heard last, and its date.
    last: (usize, String),
    /// What this machine's clock is ahead of each member's, as it was heard last, in microseconds.
    heard: BTreeMap<usize, i64>,
    /// What this machine's clock is ahead of the one that is gone by, where that is etcd's.
    ahead: Option<i64>,
    /// The members that do not agree with the clock that is gone by, and have been named.
    named: BTreeMap<usize, Off>,
    /// When the others were asked last, on the monotonic clock.
    asked: Option<Duration>,
}

/// How far a clock is off, as a person says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Off(i64);

impl Off {
    /// Whether they are apart by more than is left alone.
    pub fn is_apart(self, other: Self) -> bool {
        self.0.abs_diff(other.0) > TOLERANCE.unsigned_abs()
    }
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unsigned_abs() / SECOND.unsigned_abs();
        write!(f, "{seconds} s {}", if self.0 > 0 { "ahead of" } else { "behind" })
    }
}

impl Time {
    /// Whether a member's date says anything that the one before did not.
    pub fn is_news(&self, member: usize, date: &str) -> bool {
        self.last.0 != member || self.last.1 != date
    }

    /// What this machine's clock is off from the one that is gone by: nothing where it is gone by itself.
    pub fn off(&self) -> Off {
        Off(self.ahead.unwrap_or_default())
    }

    /// Takes the date of an answer that a member has just given, and how late it was here then. Whether the
    /// other members must be asked as well before it is judged.
    pub fn hear(
        &mut self,
        member: usize,
        date: &str,
        here: Microseconds,
        monotonic: Duration,
        members: usize,
    ) -> bool {
        self.last = (member, date.to_owned());
        let (Some(there), Ok(here)) = (parse(date), i64::try_from(here)) else { return false };
        // The middle of the second that is told.
        let ahead = here.saturating_sub(there.saturating_add(SECOND / 2));
        let before = self.heard.insert(member, ahead);
        let is_calm = self.ahead.is_none() && !Off(ahead).is_apart(Off(0));
        let has_moved = before.is_none_or(|before| Off(before).is_apart(Off(ahead)));
        let is_due = self.asked.is_none_or(|asked| monotonic.saturating_sub(asked) >= ASK);
        members > 1 && !is_calm && (has_moved || is_due)
    }

    /// The others are asked now: what they said before counts no more.
    pub fn ask_others(&mut self, member: usize, monotonic: Duration) {
        self.asked = Some(monotonic);
        self.heard.retain(|heard, _| *heard == member);
    }

    /// Decides whose clock is gone by. Whether that has changed.
    pub fn judge(&mut self, members: usize) -> bool {
        let was = self.off();
        let agreeing =
            |with: i64| self.heard.values().filter(|ahead| !Off(**ahead).is_apart(Off(with))).count();
        let apart = self.heard.values().copied().filter(|ahead| Off(*ahead).is_apart(Off(0)));
        // What two have told holds as long as one of them tells it and nobody something else.
        let is_known = |ahead: i64| self.ahead.is_some_and(|known| !Off(known).is_apart(Off(ahead)));
        let is_enough = |count: usize, ahead: i64| {
            let fewest = if is_known(ahead) { 1 } else { members.min(2) };
            count >= fewest && count > agreeing(0)
        };
        self.ahead = match apart.map(|ahead| (agreeing(ahead), ahead)).max_by_key(|(count, _)| *count) {
            Some((count, ahead)) if is_enough(count, ahead) => match self.ahead {
                // The same, as far as seconds can tell.
                Some(known) if known.abs_diff(ahead) <= SECOND.unsigned_abs() => Some(known),
                _ => Some(ahead),
            },
            _ => None,
        };
        was.is_apart(self.off())
    }

    /// The members that agree with the clock that is gone by.
    pub fn agreeing(&self) -> Vec<usize> {
        let agrees = |ahead: &i64| !Off(*ahead).is_apart(self.off());
        self.heard.iter().filter(|(_, ahead)| agrees(ahead)).map(|(member, _)| *member).collect()
    }

    /// The members that do not agree with the clock that is gone by, and how far that is off from theirs: those
    /// that have not been named so before.
    pub fn strangers(&mut self) -> Vec<(usize, Off)> {
        let here = self.off().0;
        self.named
            .retain(|member, _| self.heard.get(member).is_none_or(|ahead| Off(*ahead).is_apart(Off(here))));
        let off = |ahead: i64| Off(ahead.saturating_sub(here));
        let mut new: Vec<_> = self.heard.iter().map(|(member, ahead)| (*member, off(*ahead))).collect();
        new.retain(|(member, off)| {
            off.is_apart(Off(0)) && self.named.get(member).is_none_or(|named| named.is_apart(*off))
        });
        self.named.extend(new.iter().copied());
        new
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
    const HOUR: u64 = 3_600_000_000;

    /// What one of so many members says; whose clock is gone by then.
    fn hear(time: &mut Time, member: usize, date: &str, here: u64, members: usize) -> Off {
        time.hear(member, date, here, Duration::ZERO, members);
        time.judge(members);
        time.off()
    }

    proptest! {
        #[test]
        fn whatever_is_said_breaks_nothing(date in any::<String>(), here in any::<u64>()) {
            let mut time = Time::default();
            prop_assert!(time.is_news(0, &date) || date.is_empty());
            hear(&mut time, 0, &date, here, 1);
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
            assert_eq!(hear(&mut time, 0, DATE, here, 1), Off(0));
            assert_eq!(time.now(here), here);
        }
    }

    #[test]
    fn a_clock_that_is_off_is_not_gone_by_until_it_is_right() {
        let mut time = Time::default();
        let off = hear(&mut time, 0, DATE, AT + HOUR, 1);
        assert_eq!(off.to_string(), "3599 s ahead of");
        assert_eq!(time.now(AT + HOUR), AT + 500_000);
        assert_eq!(time.now(AT + HOUR + 7), AT + 500_007, "it goes on");
        assert_eq!(hear(&mut time, 0, DATE, AT + HOUR + 800_000, 1), off, "seconds do not tell more");
        assert!(!time.is_news(0, DATE) && time.is_news(1, DATE));
        assert_eq!(hear(&mut time, 0, "nonsense", AT, 1), off, "nothing was said");
        assert_eq!(hear(&mut time, 0, DATE, AT - HOUR, 1).to_string(), "3600 s behind");
        assert_eq!(hear(&mut time, 0, DATE, AT, 1), Off(0));
    }

    #[test]
    fn one_wrong_member_of_three_changes_nothing() {
        // This machine's clock is right: none of them, in whatever order, moves it.
        for wrong in 0..3 {
            let mut time = Time::default();
            for member in [0, 1, 2, 0, 1, 2] {
                let here = if member == wrong { AT + HOUR } else { AT };
                assert_eq!(hear(&mut time, member, DATE, here, 3), Off(0));
            }
            assert_eq!(time.strangers(), [(wrong, Off(3_599_500_000))]);
            assert_eq!(time.strangers(), [], "once is enough");
        }
        // It is wrong, and so is one member, in the same way or in another.
        for other in [AT, AT - HOUR] {
            let mut time = Time::default();
            assert_eq!(hear(&mut time, 0, DATE, AT + HOUR, 3), Off(0), "nobody agrees yet");
            assert_eq!(hear(&mut time, 1, DATE, AT + HOUR, 3), Off(3_599_500_000));
            assert_eq!(hear(&mut time, 2, DATE, other, 3), Off(3_599_500_000));
            assert_eq!(time.strangers().iter().map(|(member, _)| *member).collect::<Vec<_>>(), [2]);
        }
    }

    #[test]
    fn members_that_are_fewer_than_those_that_agree_with_this_machine_are_not_gone_by() {
        let mut time = Time::default();
        for member in 0..5 {
            hear(&mut time, member, DATE, if member < 2 { AT + HOUR } else { AT }, 5);
        }
        assert_eq!(time.off(), Off(0));
    }

    #[test]
    fn what_two_have_told_holds_while_only_one_of_them_answers() {
        let mut time = Time::default();
        hear(&mut time, 0, DATE, AT + HOUR, 3);
        let off = hear(&mut time, 1, DATE, AT + HOUR, 3);
        time.ask_others(1, Duration::ZERO);
        assert_eq!(hear(&mut time, 1, DATE, AT + HOUR, 3), off);
        assert_eq!(hear(&mut time, 1, DATE, AT + 2 * HOUR, 3), Off(0), "nobody else has told that");
    }

    #[test]
    fn how_far_a_clock_is_off_is_judged_and_not_only_whether() {
        let mut time = Time::default();
        let mut judge = |here: u64| {
            time.hear(0, DATE, here, Duration::ZERO, 1);
            time.judge(1)
        };
        assert!(!judge(AT) && judge(AT + HOUR));
        assert!(!judge(AT + HOUR + 2_000_000));
        assert!(judge(AT + 3 * HOUR) && judge(AT - HOUR) && judge(AT));
    }

    #[test]
    fn others_are_asked_when_one_tells_something_new_and_then_now_and_then() {
        let (mut time, at) = (Time::default(), Duration::from_secs);
        assert!(!time.hear(0, DATE, AT, at(0), 3), "it agrees");
        assert!(!time.hear(0, DATE, AT + HOUR, at(0), 1), "there are none");
        let mut time = Time::default();
        assert!(time.hear(0, DATE, AT + HOUR, at(0), 3));
        time.ask_others(0, at(0));
        assert!(!time.hear(0, DATE, AT + HOUR, at(59), 3));
        assert!(time.hear(0, DATE, AT + 2 * HOUR, at(59), 3), "a clock was set");
        assert!(time.hear(0, DATE, AT + 2 * HOUR, at(60), 3));
        // What the others said before this machine's clock was set right does not hold it back.
        hear(&mut time, 1, DATE, AT + 2 * HOUR, 3);
        assert!(time.off().is_apart(Off(0)) && time.hear(0, DATE, AT, at(61), 3));
        time.ask_others(0, at(61));
        assert!(time.judge(3) && time.off() == Off(0));
    }
}
