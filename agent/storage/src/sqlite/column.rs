//! Rows to values and back. What does not fit is an error of the database, told as damage.

use bytes::Bytes;
use domain::Timestamp;
use port::store::{Item, Key, Revision};
use rusqlite::Row;
use rusqlite::types::Type;

use crate::expiry::{from_micros, to_micros};

/// A revision as a column holds it. Revisions count writes from one, so all of them fit.
pub(super) fn of_revision(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// An expiry as a column holds it.
pub(super) fn of_expiry(expires: Option<Timestamp>) -> Option<i64> {
    expires.map(to_micros)
}

/// The revision in a column.
pub(super) fn revision(row: &Row<'_>, at: usize) -> rusqlite::Result<Revision> {
    let number: i64 = row.get(at)?;
    u64::try_from(number).map(Revision).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, number))
}

/// The key in a column.
pub(super) fn key(row: &Row<'_>, at: usize) -> rusqlite::Result<Key> {
    let text = row
        .get_ref(at)?
        .as_str()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))?;
    Ok(Key::from_stored(text))
}

/// The expiry in a column.
pub(super) fn expiry(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let Some(micros) = row.get(at)? else { return Ok(None) };
    from_micros(micros).map(Some).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, micros))
}

/// An item of the columns key, value, revision, expires, in this order from the first.
pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let value = Bytes::from(row.get::<_, Vec<u8>>(1)?);
    Ok(Item { key: key(row, 0)?, value, revision: revision(row, 2)?, expires: expiry(row, 3)? })
}
