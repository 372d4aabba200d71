//! What a client asks, taken apart (draft-ietf-secsh-filexfer-02 section 6, OpenSSH `PROTOCOL` 4).
//!
//! Borrows from the packet; nothing is copied. What stands behind the last field of a packet is passed
//! over, as OpenSSH does it, so that later versions may add to it.

use super::attributes::Attributes;
use super::wire::{Input, Malformed, kind};

/// A packet from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// The first one.
    Init,
    /// Everything after it. The request is missing when it makes no sense.
    Request { id: u32, request: Result<Request<'a>, Malformed> },
}

/// A request. Paths are bytes, as they are in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: u32,
        attributes: Attributes,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    Lstat {
        path: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    Fstat {
        handle: &'a [u8],
    },
    Setstat {
        path: &'a [u8],
        attributes: Attributes,
    },
    Fsetstat {
        handle: &'a [u8],
        attributes: Attributes,
    },
    Opendir {
        path: &'a [u8],
    },
    Readdir {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    Mkdir {
        path: &'a [u8],
        attributes: Attributes,
    },
    Rmdir {
        path: &'a [u8],
    },
    Realpath {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    Readlink {
        path: &'a [u8],
    },
    /// The draft has the two the other way round; every client follows OpenSSH.
    Symlink {
        target: &'a [u8],
        link: &'a [u8],
    },
    Extended(Extension<'a>),
    /// A kind this server does not know.
    Unknown,
}

/// A request of OpenSSH's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension<'a> {
    PosixRename { from: &'a [u8], to: &'a [u8] },
    Hardlink { from: &'a [u8], to: &'a [u8] },
    Statvfs { path: &'a [u8] },
    Fstatvfs { handle: &'a [u8] },
    Fsync { handle: &'a [u8] },
    Lsetstat { path: &'a [u8], attributes: Attributes },
    Limits,
    ExpandPath { path: &'a [u8] },
    CopyData { from: &'a [u8], from_offset: u64, length: u64, to: &'a [u8], to_offset: u64 },
    HomeDirectory { login: &'a [u8] },
    UsersGroupsById { users: &'a [u8], groups: &'a [u8] },
    Unknown,
}

/// The extensions by name and version, as they are announced.
pub(super) const EXTENSIONS: [(&str, &str); 11] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

impl<'a> Packet<'a> {
    /// Takes a packet apart, without its length.
    ///
    /// # Errors
    /// When it is too short to be answered.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let kind = input.u8()?;
        let id = input.u32()?;
        // The first packet has its version where others have their id; any is answered with ours.
        Ok(if kind == kind::INIT {
            Self::Init
        } else {
            Self::Request { id, request: Request::read(kind, input) }
        })
    }
}

impl<'a> Request<'a> {
    fn read(kind: u8, mut input: Input<'a>) -> Result<Self, Malformed> {
        let input = &mut input;
        Ok(match kind {
            kind::OPEN => Self::Open {
                path: input.string()?,
                flags: input.u32()?,
                attributes: Attributes::read(input)?,
            },
            kind::CLOSE => Self::Close { handle: input.string()? },
            kind::READ => Self::Read { handle: input.string()?, offset: input.u64()?, length: input.u32()? },
            kind::WRITE => {
                Self::Write { handle: input.string()?, offset: input.u64()?, data: input.string()? }
            }
            kind::LSTAT => Self::Lstat { path: input.string()? },
            kind::STAT => Self::Stat { path: input.string()? },
            kind::FSTAT => Self::Fstat { handle: input.string()? },
            kind::SETSTAT => Self::Setstat { path: input.string()?, attributes: Attributes::read(input)? },
            kind::FSETSTAT => {
                Self::Fsetstat { handle: input.string()?, attributes: Attributes::read(input)? }
            }
            kind::OPENDIR => Self::Opendir { path: input.string()? },
            kind::READDIR => Self::Readdir { handle: input.string()? },
            kind::REMOVE => Self::Remove { path: input.string()? },
            kind::MKDIR => Self::Mkdir { path: input.string()?, attributes: Attributes::read(input)? },
            kind::RMDIR => Self::Rmdir { path: input.string()? },
            kind::REALPATH => Self::Realpath { path: input.string()? },
            kind::RENAME => Self::Rename { from: input.string()?, to: input.string()? },
            kind::READLINK => Self::Readlink { path: input.string()? },
            kind::SYMLINK => Self::Symlink { target: input.string()?, link: input.string()? },
            kind::EXTENDED => Self::Extended(Extension::read(input)?),
            _ => Self::Unknown,
        })
    }
}

impl<'a> Extension<'a> {
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        Ok(match input.string()? {
            b"posix-rename@openssh.com" => Self::PosixRename { from: input.string()?, to: input.string()? },
            b"hardlink@openssh.com" => Self::Hardlink { from: input.string()?, to: input.string()? },
            b"statvfs@openssh.com" => Self::Statvfs { path: input.string()? },
            b"fstatvfs@openssh.com" => Self::Fstatvfs { handle: input.string()? },
            b"fsync@openssh.com" => Self::Fsync { handle: input.string()? },
            b"lsetstat@openssh.com" => {
                Self::Lsetstat { path: input.string()?, attributes: Attributes::read(input)? }
            }
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath { path: input.string()? },
            b"copy-data" => Self::CopyData {
                from: input.string()?,
                from_offset: input.u64()?,
                length: input.u64()?,
                to: input.string()?,
                to_offset: input.u64()?,
            },
            b"home-directory" => Self::HomeDirectory { login: input.string()? },
            b"users-groups-by-id@openssh.com" => {
                Self::UsersGroupsById { users: input.string()?, groups: input.string()? }
            }
            _ => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::Output;
    use super::*;

    #[test]
    fn every_extension_that_is_announced_is_understood() {
        for (name, _) in EXTENSIONS {
            let mut packet = vec![kind::EXTENDED, 0, 0, 0, 7];
            packet.put_string(name.as_bytes());
            // Long enough for any of them, and made of nothing but empty texts and zeroes.
            packet.extend([0; 64]);
            let Packet::Request { id: 7, request: Ok(Request::Extended(extension)) } =
                Packet::read(&packet).unwrap()
            else {
                panic!("{name}");
            };
            assert_ne!(extension, Extension::Unknown, "{name}");
        }
    }

    #[test]
    fn a_packet_without_an_id_cannot_be_answered() {
        for packet in [&[][..], &[kind::STAT], &[kind::STAT, 0, 0, 0], &[kind::INIT, 0]] {
            assert_eq!(Packet::read(packet), Err(Malformed));
        }
        let short = Packet::read(&[kind::STAT, 0, 0, 0, 9]).unwrap();
        assert_eq!(short, Packet::Request { id: 9, request: Err(Malformed) });
    }

    #[test]
    fn what_stands_behind_a_request_is_passed_over() {
        let mut packet = vec![kind::STAT, 0, 0, 0, 1];
        packet.put_string(b"/tmp");
        packet.extend(b"more");
        let read = Packet::read(&packet).unwrap();
        assert_eq!(read, Packet::Request { id: 1, request: Ok(Request::Stat { path: b"/tmp" }) });
    }

    proptest! {
        #[test]
        fn no_packet_panics(kind: u8, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut packet = vec![kind];
            packet.extend(bytes);
            let _ = Packet::read(&packet);
        }

        #[test]
        fn a_packet_cut_short_is_malformed(cut in 5usize..36) {
            let mut packet = vec![kind::WRITE, 0, 0, 0, 1];
            packet.put_string(b"handle12");
            packet.put_u64(0);
            packet.put_string(b"twelve bytes");
            prop_assert_eq!(packet.len(), 41);
            let read = Packet::read(&packet[..cut]).unwrap();
            prop_assert_eq!(read, Packet::Request { id: 1, request: Err(Malformed) });
        }
    }
}
