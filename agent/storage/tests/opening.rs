//! Opening: what is made, what is refused, and what the refusal says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fake::FakeClock;
use port::store::{Key, Prefix, Store, StoreError};
use teleport_storage::{OpenError, SqliteStore};
use tempfile::TempDir;

async fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(folder, Arc::new(FakeClock::new())).await
}

fn key() -> Key {
    Key::of(&["a", "b"])
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("backend/sqlite.db")
}

/// A data directory with something else where the database would be.
fn with_file(content: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("backend")).unwrap();
    fs::write(database(&folder), content).unwrap();
    folder
}

fn run(folder: &TempDir, sql: &str) {
    rusqlite::Connection::open(database(folder)).unwrap().execute_batch(sql).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn folder_and_files_are_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("deep/data");
    let store = open(&data_dir).await.unwrap();
    store.put(key(), "1".into(), None).await.unwrap();
    let backend = data_dir.join("backend");
    assert_eq!((mode(&data_dir), mode(&backend)), (0o700, 0o700));
    for entry in fs::read_dir(&backend).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
    fs::set_permissions(&backend, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(backend.join("sqlite.db"), Permissions::from_mode(0o644)).unwrap();
    open(&data_dir).await.unwrap();
    assert_eq!((mode(&backend), mode(&backend.join("sqlite.db"))), (0o700, 0o600), "closed again");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let error = open(&in_the_way).await.err().unwrap();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("file/backend") && text.contains("set another data_dir"), "{text}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_is_not_writable_is_an_error_with_its_path() {
    // Nobody may make anything here, root included.
    let error = open(Path::new("/proc/self")).await.err().unwrap();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("/proc/self/backend"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let content = b"this is no database, however long one looks at it".repeat(50);
    let folder = with_file(&content);
    let error = open(folder.path()).await.err().unwrap();
    assert!(matches!(error, OpenError::NotSqlite { .. }), "{error:?}");
    assert_eq!(fs::read(database(&folder)).unwrap(), content);
}

#[tokio::test]
async fn an_empty_file_is_a_new_database() {
    let folder = with_file(b"");
    open(folder.path()).await.unwrap().put(key(), "1".into(), None).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = with_file(b"");
    run(&folder, "CREATE TABLE theirs (x)");
    let before = fs::read(database(&folder)).unwrap();
    let error = open(folder.path()).await.err().unwrap();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(fs::read(database(&folder)).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.unwrap().shutdown().await;
    run(&folder, "PRAGMA user_version = 99");
    let error = open(folder.path()).await.err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("run the newer program"));
}

#[tokio::test]
async fn a_damaged_database_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    for name in 0..200 {
        store.put(Key::of(&["a", &name.to_string()]), vec![1; 500].into(), None).await.unwrap();
    }
    store.shutdown().await;
    let mut content = fs::read(database(&folder)).unwrap();
    content.iter_mut().skip(4096).for_each(|byte| *byte = 0x55);
    fs::write(database(&folder), content).unwrap();
    let outcome = match open(folder.path()).await {
        Err(error) => Err(error.to_string()),
        Ok(store) => match store.range(&Prefix::all(), None, 1000).await {
            Err(StoreError::Corrupt(text)) => Err(text),
            other => Ok(other),
        },
    };
    let text = outcome.err().unwrap();
    assert!(text.contains("sqlite.db") && text.contains("backup"), "{text}");
}

#[tokio::test]
async fn many_may_open_a_new_directory_at_once() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut openings = tokio::task::JoinSet::new();
    for number in 0..8 {
        let folder = Arc::clone(&folder);
        openings.spawn(async move {
            let store = open(folder.path()).await.unwrap();
            store.put(Key::of(&["a", &number.to_string()]), "1".into(), None).await.unwrap();
            store
        });
    }
    let stores = openings.join_all().await;
    for store in &stores {
        assert_eq!(store.range(&Prefix::all(), None, 100).await.unwrap().items.len(), 8);
    }
}
