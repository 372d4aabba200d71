//! Reading.

use teleport_plugin_sdk::storage_backend::{Failure, Item, Page};

use crate::backend::{Backend, plain};
use crate::members::Repeat;
use crate::outside::Outside;
use crate::refusal::Problem;
use crate::revision;
use crate::transaction;
use crate::wire::{self, Range};
use crate::writing::{PAGE, TRANSACTION};

/// Bytes of an answer with one value in it: a mebibyte in base64, a key, and room.
const ONE: usize = 4 * 1024 * 1024;

/// The most items asked for at once.
const ITEMS_MAX: u32 = 1000;

/// How often a page is begun whose moment is compacted meanwhile.
const TRIES: usize = 16;

/// How many items to ask for at once, learned from the answers: etcd bounds their number, not their size.
#[derive(Debug)]
pub struct Pace(u32);

impl Default for Pace {
    fn default() -> Self {
        Self(ITEMS_MAX)
    }
}

impl Pace {
    /// How many of so many.
    fn of(&self, items: usize) -> usize {
        items.min(usize::try_from(self.0).unwrap_or(usize::MAX))
    }

    /// The answer to so many had no room.
    fn was_too_much(&mut self, items: usize) {
        self.0 = u32::try_from(items / 8).unwrap_or(ITEMS_MAX).max(1);
    }

    /// The bytes of an answer.
    fn was(&mut self, bytes: usize) {
        if bytes < PAGE / 8 {
            self.0 = self.0.saturating_mul(2).min(ITEMS_MAX);
        }
    }
}

impl<O: Outside> Backend<O> {
    /// One item, as of now.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] and others.
    pub fn get(&mut self, key: &str) -> Result<Option<Item>, Failure> {
        let body = format!(r#"{{"key":"{}"}}"#, self.space.json(key));
        let body = self.call("/v3/kv/range", &body, Repeat::Freely, ONE).map_err(plain)?;
        let range: Range<'_> = wire::read(&body)?;
        let item = range.kvs.first().map(|pair| pair.item(&self.space)).transpose()?;
        let now = self.now();
        Ok(item.filter(|item| is_there(item, now)))
    }

    /// Items, as of now: of the first keys where all are too much for one answer.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] and others.
    pub fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure> {
        loop {
            let count = self.several.of(keys.len());
            let (asked, _) = keys.split_at(count);
            let reads: Vec<_> = asked.iter().map(|key| self.read_of(key, false)).collect();
            let size = if count > 1 { PAGE } else { ONE };
            match self.call(TRANSACTION, &transaction::reading(&reads), Repeat::Freely, size) {
                Err(Problem::TooMuch) if count > 1 => self.several.was_too_much(count),
                Err(problem) => return Err(plain(problem)),
                Ok(body) => {
                    self.several.was(body.len());
                    return self.found(asked, &body);
                }
            }
        }
    }

    /// What an answer has of each of these keys.
    fn found(&self, keys: &[String], body: &[u8]) -> Result<Vec<Option<Item>>, Failure> {
        let ranges = transaction::ranges(wire::read(body)?);
        if ranges.len() != keys.len() {
            return Err(wire::corrupt("another number of answers than it was asked for"));
        }
        let now = self.now();
        let item = |(key, range): (&String, Range<'_>)| {
            let item = range.kvs.first().map(|pair| pair.item(&self.space)).transpose()?;
            match item {
                Some(item) if item.key != *key => Err(wire::corrupt("a key that was not asked for")),
                item => Ok(item.filter(|item| is_there(item, now))),
            }
        };
        keys.iter().zip(ranges).map(item).collect()
    }

    /// Items whose keys start with `prefix`, not before `start`, all of one moment.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] and others.
    pub fn range(&mut self, prefix: &str, start: Option<&str>, limit: u32) -> Result<Page, Failure> {
        for _ in 0..TRIES {
            match self.page(prefix, start, limit.max(1)) {
                Ok(page) => return Ok(page),
                // The moment of the first part is gone: once more, from its beginning.
                Err(Problem::Compacted) => {}
                Err(problem) => return Err(plain(problem)),
            }
        }
        Err(Failure::Unavailable("etcd is compacted faster than a page can be read; try again".to_owned()))
    }

    /// One page: usually one answer, more only where all of it had expired.
    fn page(&mut self, prefix: &str, start: Option<&str>, limit: u32) -> Result<Page, Problem> {
        let mut span = self.space.below(prefix);
        if let Some(start) = start {
            span.start = span.start.max(self.space.full(start));
        }
        let mut at = 0;
        loop {
            let ask = self.pace.of(usize::try_from(limit).unwrap_or(usize::MAX));
            let body = format!(r#"{{{},"limit":"{ask}","revision":"{at}"}}"#, span.json());
            let body = match self.call("/v3/kv/range", &body, Repeat::Freely, PAGE) {
                Err(Problem::TooMuch) if ask > 1 => {
                    self.pace.was_too_much(ask);
                    continue;
                }
                other => other?,
            };
            self.pace.was(body.len());
            let range: Range<'_> = wire::read(&body)?;
            if at == 0 {
                at = wire::at(range.header)?;
            }
            let (now, mut items) = (self.now(), Vec::with_capacity(range.kvs.len()));
            for pair in &range.kvs {
                let item = pair.item(&self.space)?;
                if is_there(&item, now) {
                    items.push(item);
                }
            }
            match range.kvs.last() {
                Some(last) if items.is_empty() && range.more => {
                    span.start = [last.key()?.as_slice(), b"\0"].concat()
                }
                _ => {
                    let more = range.more && !items.is_empty();
                    return Ok(Page { more, items, revision: revision::last_of(at) });
                }
            }
        }
    }
}

fn is_there(item: &Item, now: u64) -> bool {
    item.expires.is_none_or(|end| end > now)
}
