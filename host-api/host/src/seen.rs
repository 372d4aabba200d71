//! How the files of a plugin looked at a glance: enough to tell that they are not what they were, without
//! reading them.
//!
//! A glance is taken before files are read, so a change while they are read shows at the next one. It
//! judges nothing: whether what is there may be loaded is decided by loading it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use domain::plugin::{PluginName, manifest};

use crate::load::WASM_FILE;

/// The signature beside the component.
const SIGNATURE_FILE: &str = "plugin.wasm.minisig";

/// One glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    directory: Stamp,
    folder: Stamp,
    wasm: Stamp,
    beside: [Stamp; 2],
}

/// What is known of one file or folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stamp {
    /// There is none.
    #[default]
    Absent,
    /// It cannot be looked at; the number is the system's.
    Hidden(i32),
    /// A folder. What is in it is looked at by itself.
    Folder { which: Which },
    /// Anything else. The time is that of the last change to content, owner or mode, in seconds and
    /// nanoseconds; nobody can set it.
    File { which: Which, size: u64, changed: (i64, i64) },
}

/// Which file it is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Which {
    device: u64,
    inode: u64,
    owner: u32,
    mode: u32,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        // Links are followed: what counts is what would be read.
        match std::fs::metadata(path) {
            Ok(found) => Self::found(&found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Hidden(error.raw_os_error().unwrap_or_default()),
        }
    }

    fn found(found: &Metadata) -> Self {
        let which = Which { device: found.dev(), inode: found.ino(), owner: found.uid(), mode: found.mode() };
        if found.is_dir() {
            return Self::Folder { which };
        }
        Self::File { which, size: found.size(), changed: (found.ctime(), found.ctime_nsec()) }
    }
}

impl Seen {
    /// Looks at the files of a plugin; nothing is seen where there is no plugin directory.
    pub(crate) fn of(directory: Option<&Path>, name: &PluginName) -> Self {
        let Some(directory) = directory else { return Self::default() };
        let folder = directory.join(name.as_str());
        let beside = [manifest::FILE, SIGNATURE_FILE].map(|file| Stamp::of(&folder.join(file)));
        Self {
            directory: Stamp::of(directory),
            wasm: Stamp::of(&folder.join(WASM_FILE)),
            folder: Stamp::of(&folder),
            beside,
        }
    }

    /// Whether the plugin directory is there and the plugin's folder is not.
    pub(crate) fn folder_removed(&self) -> bool {
        matches!(self.directory, Stamp::Folder { .. }) && self.folder == Stamp::Absent
    }

    /// Whether there is a component.
    pub(crate) fn has_component(&self) -> bool {
        matches!(self.wasm, Stamp::File { .. })
    }

    /// Whether there is no component, though its folder may be there.
    pub(crate) fn no_component(&self) -> bool {
        self.wasm == Stamp::Absent
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let root = tempfile::tempdir().unwrap();
        let (folder, name) = (root.path().join("label-x"), PluginName::new("label-x").unwrap());
        let look = || Seen::of(Some(root.path()), &name);
        let mut last = look();
        assert!(last.folder_removed() && last.no_component());
        let mut changed = |what: &str, change: &dyn Fn()| {
            change();
            let now = look();
            assert_ne!(now, last, "{what}");
            assert_eq!(now, look(), "and nothing else does");
            last = now;
        };
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        changed("folder", &|| std::fs::create_dir(&folder).unwrap());
        changed("component", &|| write("plugin.wasm", b"one"));
        changed("more of it", &|| write("plugin.wasm", b"one and a half"));
        changed("manifest", &|| write("plugin.toml", b"x"));
        changed("signature", &|| write("plugin.wasm.minisig", b"x"));
        changed("mode", &|| mode(&folder.join("plugin.wasm"), 0o600));
        changed("mode of the folder", &|| mode(&folder, 0o700));
        changed("mode of the directory", &|| mode(root.path(), 0o711));
        changed("link", &|| {
            std::fs::rename(folder.join("plugin.wasm"), root.path().join("one.wasm")).unwrap();
            symlink(root.path().join("one.wasm"), folder.join("plugin.wasm")).unwrap();
        });
        changed("another target of the same size", &|| {
            std::fs::write(root.path().join("two.wasm"), b"another file!!").unwrap();
            symlink(root.path().join("two.wasm"), folder.join("new")).unwrap();
            std::fs::rename(folder.join("new"), folder.join("plugin.wasm")).unwrap();
        });
        changed("no target", &|| std::fs::remove_file(root.path().join("two.wasm")).unwrap());
        changed("another folder", &|| {
            std::fs::rename(&folder, root.path().join("old")).unwrap();
            std::fs::create_dir(&folder).unwrap();
        });
        changed("no folder", &|| std::fs::remove_dir(&folder).unwrap());
        assert_eq!(Seen::of(None, &name), Seen::default());
        assert!(!Seen::default().folder_removed(), "without a directory there is nothing to remove");
    }
}
