//! Whether files are on disks of this machine, which are asked about a file at no cost: of one that was looked at a
//! moment ago the kernel answers from memory. A file system in the network, or kept by another program, may let whoever
//! asks wait for ever.
//!
//! What is below a disk of this machine is not known here: one that is reached over a network, or layers over another
//! one, counts as near, and hangs with what is below it once the kernel has forgotten the file.

use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{FsWord, statfs};

/// The file systems that are known to answer at once (`statfs(2)`, `linux/magic.h`): any other may be anything.
const KNOWN: [FsWord; 10] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
    0x794C_7630, // overlayfs
    0x2FC1_2FC1, // ZFS
    0xF2F5_2010, // F2FS
    0x8584_58F6, // ramfs
    0xCA45_1A4E, // bcachefs
    0x7371_7368, // SquashFS
];

/// What is known of it; nothing yet counts as no. It is found out once, for what is mounted elsewhere later is mounted
/// by somebody who knows the daemon.
#[derive(Default)]
pub(crate) struct Nearness(OnceLock<bool>);

impl Nearness {
    /// Whether they are.
    pub(crate) fn is_near(&self) -> bool {
        self.0.get() == Some(&true)
    }

    /// Finds it out, where that has not been done yet. Waits for the disks, so it is to be called beside a call.
    pub(crate) fn find<'a>(&self, mut paths: impl Iterator<Item = &'a Path>) {
        self.0.get_or_init(|| paths.all(is_near));
    }
}

/// A file that is not there yet will be in its folder.
fn is_near(path: &Path) -> bool {
    let found = statfs(path).or_else(|error| path.parent().map_or(Err(error), statfs));
    found.is_ok_and(|found| KNOWN.contains(&found.f_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_near() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "").unwrap();
        let is_near = |paths: &[&Path]| {
            let near = Nearness::default();
            assert!(!near.is_near());
            near.find(paths.iter().copied());
            near.is_near()
        };
        // On whatever disk tests are run.
        let here = is_near(&[folder.path()]);
        assert_eq!(is_near(&[&there, &folder.path().join("not-yet")]), here);
        assert!(is_near(&[Path::new("/dev/shm")]), "a tmpfs, on every machine that has one");
        assert!(!is_near(&[Path::new("/dev/shm"), Path::new("/proc/self/status")]));
        assert!(!is_near(&[Path::new("/nowhere/at/all")]));
    }
}
