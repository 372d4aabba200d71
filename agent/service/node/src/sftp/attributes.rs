//! Attributes of a file on the wire (draft-ietf-secsh-filexfer-02 section 5).

use rustix::fs::Stat;

use super::wire::{Input, Malformed, Output};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// What a client says or is told about a file; each part may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// In bytes.
    pub(super) size: Option<u64>,
    /// User and group.
    pub(super) owner: Option<(u32, u32)>,
    /// Type and mode bits.
    pub(super) permissions: Option<u32>,
    /// Of the last access and the last change, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    /// Reads them; extended ones are passed over.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, Malformed> {
        let flags = input.u32()?;
        let has = |flag| flags & flag != 0;
        let size = if has(SIZE) { Some(input.u64()?) } else { None };
        let owner = if has(OWNER) { Some((input.u32()?, input.u32()?)) } else { None };
        let permissions = if has(PERMISSIONS) { Some(input.u32()?) } else { None };
        let times = if has(TIMES) { Some((input.u32()?, input.u32()?)) } else { None };
        if has(EXTENDED) {
            // A count that is a lie ends with the packet.
            for _ in 0..input.u32()? {
                input.string()?;
                input.string()?;
            }
        }
        Ok(Self { size, owner, permissions, times })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let flag = |there: bool, flag| if there { flag } else { 0 };
        out.put_u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            out.put_u64(size);
        }
        if let Some((user, group)) = self.owner {
            out.put_u32(user);
            out.put_u32(group);
        }
        if let Some(permissions) = self.permissions {
            out.put_u32(permissions);
        }
        if let Some((accessed, changed)) = self.times {
            out.put_u32(accessed);
            out.put_u32(changed);
        }
    }
}

impl From<&Stat> for Attributes {
    fn from(stat: &Stat) -> Self {
        // Version 3 has 32 bits for a time; what lies outside is shown as the nearest there is.
        let time = |seconds: i64| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
        Self {
            size: u64::try_from(stat.st_size).ok(),
            owner: Some((stat.st_uid, stat.st_gid)),
            permissions: Some(stat.st_mode),
            times: Some((time(stat.st_atime), time(stat.st_mtime))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_come_back_as_they_were(
            size in any::<Option<u64>>(),
            owner in any::<Option<(u32, u32)>>(),
            permissions in any::<Option<u32>>(),
            times in any::<Option<(u32, u32)>>(),
        ) {
            let attributes = Attributes { size, owner, permissions, times };
            let mut out = Vec::new();
            attributes.write(&mut out);
            let mut input = Input::new(&out);
            prop_assert_eq!(Attributes::read(&mut input), Ok(attributes));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Attributes::read(&mut Input::new(&bytes));
        }
    }

    #[test]
    fn a_count_of_extended_attributes_that_is_a_lie_is_malformed() {
        let mut out = Vec::new();
        out.put_u32(EXTENDED);
        out.put_u32(u32::MAX);
        assert_eq!(Attributes::read(&mut Input::new(&out)), Err(Malformed));
    }
}
