//! What an error of SQLite means to whoever uses the store: which file, why, and what to do.

use std::path::Path;

use port::store::StoreError;
use rusqlite::{Error, ErrorCode};

/// The error of a call that failed while the database was open.
pub(super) fn explain(path: &Path, error: &Error) -> StoreError {
    let path = path.display();
    match (error, error.sqlite_error_code()) {
        (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
            let text = format!("another process keeps {path} locked; find it with: fuser {path}");
            StoreError::Unavailable(text)
        }
        (_, Some(ErrorCode::DiskFull)) => {
            StoreError::Unavailable(format!("the disk of {path} is full; free some space on it"))
        }
        (_, Some(ErrorCode::ReadOnly)) => {
            let text = format!("{path} has become read-only; remount its disk or mend its permissions");
            StoreError::Unavailable(text)
        }
        (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
            StoreError::Corrupt(format!("{path}: {error}; stop the service and restore a backup"))
        }
        (
            Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::FromSqlConversionFailure(..)
            | Error::Utf8Error(..)
            | Error::QueryReturnedNoRows,
            _,
        ) => StoreError::Corrupt(format!(
            "{path} holds what this program never wrote ({error}); stop the service and restore a backup"
        )),
        _ => StoreError::Unavailable(format!("{path}: {error}; check the disk")),
    }
}

/// The error of a call on a store that has stopped.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable("it has been shut down with this process".to_owned())
}
