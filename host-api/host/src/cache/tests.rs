//! What is kept comes back; what anybody touched does not.

use std::os::unix::fs::PermissionsExt as _;

use domain::plugin::Digest;
use port::random::SystemRandom;
use tempfile::TempDir;

use super::*;

fn cache(root: &TempDir) -> Cache {
    Cache::open(root.path(), &SystemRandom).unwrap()
}

fn key(name: &[u8]) -> Key {
    Key::new(&Digest::of(name), &[7; 32])
}

fn inspection() -> Inspection {
    Inspection { imports: vec!["a:b/c@1.0.0".to_owned()], exports: vec![], manifest: Some("x".to_owned()) }
}

fn keep(cache: &Cache, key: &Key, code: &[u8]) {
    let draft = cache.draft(key, &SystemRandom).unwrap();
    draft.file().unwrap().write_all(code).unwrap();
    cache.keep(key, draft, &inspection()).unwrap();
}

fn files(root: &TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.path().join("plugins/cache")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_was_kept_is_found_by_the_next_process_too() {
    let root = tempfile::tempdir().unwrap();
    let first = cache(&root);
    assert!(first.find(&key(b"one")).is_none());
    keep(&first, &key(b"one"), b"code");
    for cache in [first, cache(&root)] {
        let found = cache.find(&key(b"one")).unwrap();
        assert_eq!(found.inspection(), &inspection());
        assert_eq!(std::fs::read(found.path()).unwrap(), b"code");
        assert!(cache.find(&key(b"two")).is_none());
    }
}

#[test]
fn everything_is_this_users_alone() {
    let root = tempfile::tempdir().unwrap();
    keep(&cache(&root), &key(b"one"), b"code");
    let bits = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(bits(&root.path().join("plugins")), 0o700);
    assert_eq!(bits(&root.path().join("plugins/cache")), 0o700);
    assert_eq!(bits(&root.path().join("plugins/cache.key")), 0o600);
    assert_eq!(files(&root).len(), 2);
    assert!(files(&root).iter().all(|file| bits(file) == 0o600));
}

#[test]
fn an_abandoned_draft_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root);
    drop(cache.draft(&key(b"one"), &SystemRandom).unwrap());
    assert!(files(&root).is_empty());
}

/// Every way an entry can be touched; after each it is not found, and gone.
#[test]
fn a_touched_entry_is_thrown_away() {
    type Touch = fn(&Path, &Path);
    let touches: [(&str, Touch); 9] = [
        ("code changed", |code, _| std::fs::write(code, b"CODE").unwrap()),
        ("code longer", |code, _| std::fs::write(code, b"code.").unwrap()),
        ("code emptied", |code, _| std::fs::write(code, b"").unwrap()),
        ("code writable by others", |code, _| mode(code, 0o666)),
        ("seal writable by its group", |_, seal| mode(seal, 0o660)),
        ("seal emptied", |_, seal| std::fs::write(seal, b"").unwrap()),
        ("statement changed", |_, seal| {
            let text = std::fs::read_to_string(seal).unwrap().replace("a:b/c", "x:b/c");
            std::fs::write(seal, text).unwrap();
        }),
        ("mac changed", |_, seal| {
            let mut bytes = std::fs::read(seal).unwrap();
            bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' };
            std::fs::write(seal, bytes).unwrap();
        }),
        ("code a link", |code, _| {
            let moved = code.with_extension("moved");
            std::fs::rename(code, &moved).unwrap();
            std::os::unix::fs::symlink(&moved, code).unwrap();
        }),
    ];
    for (what, touch) in touches {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(&root);
        keep(&cache, &key(b"one"), b"code");
        let (code, seal) = cache.paths(&key(b"one"));
        touch(&code, &seal);
        assert!(cache.find(&key(b"one")).is_none(), "{what}");
        assert!(!code.exists() && !seal.exists(), "{what}");
        keep(&cache, &key(b"one"), b"code");
        assert!(cache.find(&key(b"one")).is_some(), "{what}: can be kept anew");
    }
}

#[test]
fn an_entry_moved_to_another_key_does_not_fit() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root);
    keep(&cache, &key(b"one"), b"code");
    let (from, to) = (cache.paths(&key(b"one")), cache.paths(&key(b"two")));
    std::fs::rename(from.0, to.0).unwrap();
    std::fs::rename(from.1, to.1).unwrap();
    assert!(cache.find(&key(b"two")).is_none());
}

#[test]
fn another_key_file_makes_every_entry_unfit() {
    let damages: [fn(&Path); 4] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, b"short").unwrap(),
        |path| std::fs::write(path, [9; SEAL_KEY_TOO_LONG]).unwrap(),
        |path| mode(path, 0o644),
    ];
    for damage in damages {
        let root = tempfile::tempdir().unwrap();
        keep(&cache(&root), &key(b"one"), b"code");
        damage(&root.path().join("plugins/cache.key"));
        assert!(cache(&root).find(&key(b"one")).is_none());
    }
}

const SEAL_KEY_TOO_LONG: usize = 65;

#[test]
fn a_folder_others_could_write_is_emptied_and_closed() {
    for folder in ["plugins", "plugins/cache"] {
        let root = tempfile::tempdir().unwrap();
        keep(&cache(&root), &key(b"one"), b"code");
        mode(&root.path().join(folder), 0o777);
        let reopened = cache(&root);
        assert!(files(&root).is_empty(), "{folder}");
        keep(&reopened, &key(b"one"), b"code");
        assert!(reopened.find(&key(b"one")).is_some());
    }
}

#[test]
fn a_folder_that_is_opened_while_it_is_used_is_emptied_and_closed() {
    for folder in ["plugins", "plugins/cache"] {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(&root);
        keep(&cache, &key(b"one"), b"code");
        mode(&root.path().join(folder), 0o770);
        assert!(cache.find(&key(b"one")).is_none(), "{folder}");
        assert!(files(&root).is_empty(), "{folder}");
        keep(&cache, &key(b"one"), b"code");
        assert!(cache.find(&key(b"one")).is_some(), "{folder}");
        mode(root.path(), 0o777);
        assert!(cache.find(&key(b"one")).is_none(), "the data folder");
    }
}

#[test]
fn a_data_dir_others_may_write_is_refused() {
    let root = tempfile::tempdir().unwrap();
    mode(root.path(), 0o777);
    assert!(matches!(Cache::open(root.path(), &SystemRandom), Err(PlaceError::Writable { .. })));
}
