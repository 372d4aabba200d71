//! The time of day where this machine stands, for folder listings like those of `ls -l`.

#![allow(unsafe_code, reason = "the machine's time zone is known to the C library")]

use std::mem::MaybeUninit;

/// A moment in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Such as 2026.
    pub year: i64,
    /// 0 is January.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

/// The local time at this many seconds after 1970-01-01 UTC; none for moments no calendar holds.
pub fn local_time(seconds: i64) -> Option<LocalTime> {
    let mut broken = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid; the function writes `broken` or returns null. It reads the
    // time zone from the environment, which this program never changes.
    let filled = unsafe { libc::localtime_r(&raw const seconds, broken.as_mut_ptr()).as_ref() }?;
    Some(LocalTime {
        year: 1900 + i64::from(filled.tm_year),
        month: u8::try_from(filled.tm_mon).ok()?,
        day: u8::try_from(filled.tm_mday).ok()?,
        hour: u8::try_from(filled.tm_hour).ok()?,
        minute: u8::try_from(filled.tm_min).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_in_every_zone() {
        let time = local_time(1_700_000_000).unwrap();
        assert_eq!((time.year, time.month), (2023, 10));
        assert!((14..=15).contains(&time.day), "{time:?}");
        assert_eq!(local_time(1_700_000_000 + 86_400).unwrap().day, time.day + 1);
        assert_eq!(local_time(0).unwrap().minute % 15, 0, "zones differ by quarters of an hour");
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_none() {
        assert_eq!(local_time(i64::MAX), None);
    }
}
