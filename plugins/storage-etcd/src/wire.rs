//! The JSON of etcd's gateway, as far as it is used. 64-bit numbers are texts, bytes are base64, and
//! what is zero, false or empty is left out (etcd's `rpc.proto` in proto3's JSON mapping).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::from_slice;
use teleport_plugin_sdk::storage_backend::{Failure, Item};

use crate::envelope::Envelope;
use crate::key::{Keyspace, bytes};
use crate::revision;

/// A 64-bit number, written as a text or as a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, as a text or plain")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What every answer begins with.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(default)]
pub struct Header {
    /// etcd's revision when it answered.
    pub revision: Number,
}

/// A key and its value.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct Pair<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    /// The revision of etcd's that made it as it is.
    pub mod_revision: Number,
    /// How often it was written since it was made.
    pub version: Number,
    /// The lease it ends with; zero when it stays.
    pub lease: Number,
}

impl Pair<'_> {
    /// Its key in etcd.
    ///
    /// # Errors
    /// [`Failure::Corrupt`].
    pub fn key(&self) -> Result<Vec<u8>, Failure> {
        bytes(&self.key).ok_or_else(|| corrupt("a key that is not base64"))
    }

    /// Its value in etcd.
    ///
    /// # Errors
    /// [`Failure::Corrupt`].
    pub fn value(&self) -> Result<Vec<u8>, Failure> {
        bytes(&self.value).ok_or_else(|| corrupt("a value that is not base64"))
    }

    /// The item it is, whether it has expired or not.
    ///
    /// # Errors
    /// [`Failure::Corrupt`].
    pub fn item(&self, keys: &Keyspace) -> Result<Item, Failure> {
        let key = keys.ours(&self.key()?).ok_or_else(|| corrupt("a key that was not asked for"))?;
        let Envelope { behind, expires, value } = Envelope::open(self.value()?)?;
        Ok(Item { key, value, revision: revision::of(self.mod_revision.0, behind), expires })
    }
}

/// What a range holds.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Range<'a> {
    /// When.
    pub header: Header,
    /// The keys and values.
    #[serde(borrow)]
    pub kvs: Vec<Pair<'a>>,
    /// Whether there are more.
    pub more: bool,
}

/// What became of a transaction.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Outcome<'a> {
    /// When.
    pub header: Header,
    /// Whether its comparisons held.
    pub succeeded: bool,
    /// What its operations gave.
    #[serde(borrow)]
    pub responses: Vec<Response<'a>>,
}

/// What one operation gave; what it is not asked for is not read.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Response<'a> {
    /// Of a range.
    #[serde(borrow)]
    pub response_range: Option<Range<'a>>,
}

/// A new lease.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Grant {
    /// Its number.
    #[serde(rename = "ID")]
    pub id: Number,
    /// How long it lasts, in seconds.
    #[serde(rename = "TTL")]
    pub ttl: Number,
}

/// What a member says of itself.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Status {
    /// Such as `3.4.23`.
    pub version: String,
}

/// A refusal.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// Why, in older versions.
    pub error: String,
    /// Why.
    pub message: String,
}

/// One line of a watch.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Frame<'a> {
    /// What happened.
    #[serde(borrow)]
    pub result: Option<Told<'a>>,
    /// Why the watch is over.
    pub error: Option<Refusal>,
}

/// What a watch tells.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Told<'a> {
    /// When.
    pub header: Header,
    /// Whether it only says that the watch has begun.
    pub created: bool,
    /// Whether the watch is over.
    pub canceled: bool,
    /// Why.
    pub cancel_reason: String,
    /// When it is over because older changes are gone: the oldest revision that is kept.
    pub compact_revision: Number,
    /// Whether the next line belongs to it.
    pub fragment: bool,
    /// What happened.
    #[serde(borrow)]
    pub events: Vec<Happening<'a>>,
}

/// One change.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Happening<'a> {
    /// `DELETE`, or `PUT`, which is left out.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Of what.
    #[serde(borrow)]
    pub kv: Pair<'a>,
}

/// Reads an answer.
///
/// # Errors
/// [`Failure::Corrupt`] when it is none.
pub fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    from_slice(body).map_err(|error| corrupt(&format!("an answer that is not its JSON ({error})")))
}

/// etcd's revision of an answer. It starts with 1; an answer without one is not etcd's.
///
/// # Errors
/// [`Failure::Corrupt`].
pub fn at(header: Header) -> Result<u64, Failure> {
    if header.revision.0 == 0 { Err(corrupt("an answer without a revision")) } else { Ok(header.revision.0) }
}

/// What etcd gave makes no sense.
pub fn corrupt(what: &str) -> Failure {
    Failure::Corrupt(format!(
        "etcd gave {what}; check that every peer is an etcd and nothing between changes its answers"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_texts_or_plain_and_what_is_zero_may_be_missing() {
        let range: Range<'_> =
            read(br#"{"header":{"revision":"7","raft_term":"2"},"kvs":[{"key":"L2E=","mod_revision":5}]}"#)
                .unwrap();
        let pair = range.kvs.first().unwrap();
        assert_eq!((range.header.revision, pair.mod_revision, pair.lease), (Number(7), Number(5), Number(0)));
        assert_eq!(pair.key().unwrap(), b"/a");
        assert!(!range.more);
    }

    #[test]
    fn what_is_no_answer_is_said_so() {
        for body in [&b""[..], b"<html>", b"{\"header\":7}", b"{\"header\":{\"revision\":\"-1\"}}", b"\xff"] {
            assert!(matches!(read::<Range<'_>>(body), Err(Failure::Corrupt(_))));
        }
        let empty: Range<'_> = read(b"{}").unwrap();
        assert!(matches!(at(empty.header), Err(Failure::Corrupt(_))));
    }
}
