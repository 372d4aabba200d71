//! Where our keys lie in etcd: each below the prefix, and one of the plugin's own that no key of ours can
//! be, for it is not UTF-8.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The keys of one cluster in one etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    prefix: String,
}

/// What the plugin's own key has after the prefix. It sorts after all of ours.
const OWN: &[u8] = b"/\xffchange";

/// A half-open range of keys in etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its first key.
    pub start: Vec<u8>,
    /// The first after it.
    pub end: Vec<u8>,
}

impl Span {
    /// Its two members of a request, as JSON.
    pub fn json(&self) -> String {
        format!(r#""key":"{}","range_end":"{}""#, text(&self.start), text(&self.end))
    }
}

impl Keyspace {
    /// The keys below a prefix, which is empty or starts with a slash and ends without.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Where one of our keys lies.
    pub fn full(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    /// The same for JSON.
    pub fn json(&self, key: &str) -> String {
        text(&self.full(key))
    }

    /// Which of our keys lies there; none for what is not ours.
    pub fn ours(&self, full: &[u8]) -> Option<String> {
        let key = full.strip_prefix(self.prefix.as_bytes())?;
        key.starts_with(b"/").then(|| String::from_utf8(key.to_vec()).ok()).flatten()
    }

    /// Where all our keys lie whose text starts with `prefix`, without the plugin's own key.
    pub fn below(&self, prefix: &str) -> Span {
        let start = self.full(prefix);
        let mut end = start.clone();
        // The texts are UTF-8, in which no byte is 0xff: adding one never overflows.
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        Span { end: end.min(self.bound()), start }
    }

    /// Everything below the prefix, the plugin's own key included: what is watched.
    pub fn everything(&self) -> Span {
        Span { start: self.full("/"), end: self.full("0") }
    }

    /// The plugin's own key.
    pub fn own(&self) -> Vec<u8> {
        [self.prefix.as_bytes(), OWN].concat()
    }

    /// The first key after all of ours.
    fn bound(&self) -> Vec<u8> {
        [self.prefix.as_bytes(), b"/\xff"].concat()
    }
}

/// Bytes as JSON of the gateway has them.
pub fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of such a text.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_lies_in_the_spans_of_its_prefixes_only(segments in prop::collection::vec(".{0,5}", 1..4), other in "(/[^/]{0,5}){0,2}/") {
            let keys = Keyspace::new("/teleport");
            let key: String = segments.iter().map(|segment| format!("/{}", segment.replace('/', ""))).collect();
            let full = keys.full(&key);
            prop_assert_eq!(keys.ours(&full), Some(key.clone()));
            let inside = |span: Span| span.start <= full && full < span.end;
            prop_assert!(inside(keys.below("/")) && inside(keys.everything()));
            prop_assert_eq!(inside(keys.below(&other)), key.starts_with(&other));
            prop_assert_ne!(full, keys.own());
        }
    }

    #[test]
    fn the_plugins_own_key_is_watched_but_never_listed_or_removed() {
        for prefix in ["", "/teleport", "/a/b"] {
            let keys = Keyspace::new(prefix);
            let (own, all, below) = (keys.own(), keys.everything(), keys.below("/"));
            assert!(all.start <= own && own < all.end);
            assert!(below.end <= own);
            assert_eq!(keys.ours(&own), None);
        }
    }

    #[test]
    fn a_neighbour_is_not_ours() {
        let keys = Keyspace::new("/teleport");
        assert_eq!(keys.ours(b"/teleport2/user/joe"), None);
        assert_eq!(keys.ours(b"/other"), None);
        assert!(keys.full("/a") < keys.everything().end && b"/teleport2/a".to_vec() > keys.everything().end);
    }
}
