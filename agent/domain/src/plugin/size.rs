//! Sizes as operators write them: `32MiB`, `64KiB`, `1GiB`, `4096`.
//!
//! Powers of two only, with the unit that says so: `32MB` is refused with the way to write it, because
//! half of its readers would mean something else.

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write it like 4096, 64KiB, 32MiB or 1GiB")]
pub struct SizeError(pub String);

const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];

/// Reads a size, in bytes.
///
/// # Errors
/// [`SizeError`] says how to write it.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let wrong = || SizeError(text.to_owned());
    let trimmed = text.trim();
    let (digits, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| Some((trimmed.strip_suffix(unit)?.trim_end(), *shift)))
        .unwrap_or((trimmed, 0));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Writes a size with the largest unit that leaves a whole number.
pub fn format(bytes: u64) -> String {
    UNITS
        .iter()
        .rev()
        .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_writes_the_usual_forms() {
        for (text, bytes) in [("4096", 4096), ("64KiB", 65_536), ("32MiB", 33_554_432), (" 1 GiB ", 1 << 30)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(format(33_554_432), "32MiB");
        assert_eq!(format(1000), "1000");
        assert_eq!(format(0), "0");
    }

    #[test]
    fn refuses_the_ambiguous_and_the_impossible() {
        for bad in ["", "32MB", "32M", "-1", "+1", "1.5MiB", "MiB", "99999999999GiB", "0x10"] {
            assert_eq!(parse(bad), Err(SizeError(bad.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn sizes_survive_writing_and_reading(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }
    }
}
