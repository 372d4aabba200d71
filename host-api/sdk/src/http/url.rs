//! An address, taken apart as `wasi:http` wants it. What it means is checked by the host.

/// An address in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// The host and port.
    pub(super) authority: &'a str,
    /// Path and query, which start with a slash.
    pub(super) path: &'a str,
}

impl<'a> Url<'a> {
    /// Takes a text apart; none for what is no such address.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |c: char| c.is_ascii_graphic();
        let fits = !authority.is_empty()
            && !authority.contains(['@', '?', '#', '\\'])
            && authority.chars().all(plain)
            && path.chars().all(plain)
            && !path.contains('#');
        fits.then_some(Self { tls, authority, path: if path.is_empty() { "/" } else { path } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let url = |tls, authority, path| Some(Url { tls, authority, path });
        assert_eq!(Url::parse("https://a:1/b/c?d=/e"), url(true, "a:1", "/b/c?d=/e"));
        assert_eq!(Url::parse("http://[::1]:80"), url(false, "[::1]:80", "/"));
        for wrong in
            ["a:1", "ftp://a", "https://", "https:///x", "https://u@a/", "https://a b/", "https://a?b"]
        {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }
}
