//! Takes secrets out of what is written down.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use domain::plugin::SecretLabel;
use plugin_host::SecretFrom;
use terminal::{Explain as _, Failure};
use zeroize::Zeroizing;

/// The largest secret, as the host has it.
const SECRET_MAX: u64 = 64 * 1024;

/// Less than this is no secret when it is only seen on the way: taking out every `1` would leave nothing to test by.
const SEEN_MIN: usize = 8;

/// What secrets look like, and what stands in their place; the longest first, for one secret may be a part of
/// another.
#[derive(Default)]
pub(super) struct Redaction(Vec<(Zeroizing<Vec<u8>>, String)>);

impl Redaction {
    /// For these secrets, in every form they are likely to come back in.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn new(secrets: &BTreeMap<SecretLabel, SecretFrom>) -> Result<Self, Failure> {
        let mut redaction = Self::default();
        for (label, from) in secrets {
            redaction.add(&value(from)?, &format!("[secret {label}]"));
        }
        Ok(redaction)
    }

    /// A header that was really sent with something nobody may read in it. A server that tells what it was asked
    /// would tell that: as it was sent, without the scheme, and for `Basic` what is encoded in it.
    pub(super) fn sent(&mut self, header: &[u8]) {
        const MARK: &str = "[sent]";
        self.seen(header, MARK);
        let Some((scheme, rest)) = split(header, b' ') else { return };
        self.seen(rest, MARK);
        if let Some(pair) =
            scheme.eq_ignore_ascii_case(b"basic").then(|| STANDARD.decode(rest).ok()).flatten()
        {
            let pair = Zeroizing::new(pair);
            self.seen(&pair, MARK);
            if let Some((_, password)) = split(&pair, b':') {
                self.seen(password, MARK);
            }
        }
    }

    /// A cookie that another machine has set, which is as good as a password there.
    pub(super) fn cookie(&mut self, header: &str) {
        let pair = header.split(';').next().unwrap_or_default();
        let value = pair.split_once('=').map_or(pair, |(_, value)| value);
        self.seen(value.trim().as_bytes(), "[cookie]");
    }

    fn seen(&mut self, value: &[u8], mark: &str) {
        if value.len() >= SEEN_MIN {
            self.add(value, mark);
        }
    }

    fn add(&mut self, value: &[u8], mark: &str) {
        if value.is_empty() {
            return;
        }
        for form in forms(value) {
            if !self.0.iter().any(|(known, _)| *known == form) {
                self.0.push((form, mark.to_owned()));
            }
        }
        // Stable: what is the same length is taken out as it came.
        self.0.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    }

    /// The same bytes without secrets.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.iter().fold(bytes.to_vec(), |bytes, (value, mark)| replace(&bytes, value, mark.as_bytes()))
    }

    /// The same text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
}

/// A value as it is, in base64, percent-encoded and as it stands in JSON.
fn forms(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let base64 = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(value));
    // RFC 3986 leaves these as they are; what JavaScript calls a component, and forms, leave some more.
    let percent = [&b"-._~"[..], b"-._~!'()*", b"-._*"]
        .into_iter()
        .flat_map(|plain| [true, false].map(|is_upper| percent(value, plain, is_upper)));
    let forms = percent.clone().map(|text| text.replace("%20", "+"));
    let text = String::from_utf8_lossy(value);
    let json = [false, true].into_iter().flat_map(|is_ascii| {
        let escaped = escaped(&text, is_ascii);
        [escaped.replace('/', "\\/"), escaped]
    });
    let all = base64.into_iter().chain(percent).chain(forms).chain(json);
    std::iter::once(value.to_vec()).chain(all.map(String::into_bytes)).map(Zeroizing::new).collect()
}

fn percent(value: &[u8], plain: &[u8], is_upper: bool) -> String {
    let encode = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() || plain.contains(byte) => char::from(*byte).to_string(),
        byte if is_upper => format!("%{byte:02X}"),
        byte => format!("%{byte:02x}"),
    };
    value.iter().map(encode).collect()
}

/// Without the quotation marks around it.
fn escaped(text: &str, is_ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if !is_ascii {
        return inner.to_owned();
    }
    let mut units = [0; 2];
    let mut ascii = String::new();
    for character in inner.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let escapes = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            ascii.extend(escapes);
        }
    }
    ascii
}

fn value(from: &SecretFrom) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match from {
        SecretFrom::Environment { name, value } => match value {
            Some(value) => Ok(Zeroizing::new(value.reveal().to_vec())),
            None => Err(Failure::new(format!("the variable {name} is not set"))),
        },
        SecretFrom::File(path) => {
            let doing = || format!("the secret in {} cannot be read", path.display());
            let file = std::fs::File::open(path).while_doing(doing())?;
            let mut bytes = Zeroizing::new(Vec::new());
            std::io::Read::read_to_end(&mut std::io::Read::take(file, SECRET_MAX), &mut bytes)
                .while_doing(doing())?;
            let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
            bytes.truncate(end);
            Ok(bytes)
        }
    }
}

fn replace(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(what) {
            replaced.extend_from_slice(with);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;

    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_it_is_written() {
        let secret = |label: &str, value: &str| {
            let value = Some(Secret::new(value));
            (SecretLabel::new(label).unwrap(), SecretFrom::Environment { name: "X".to_owned(), value })
        };
        let secrets = [secret("token", "s3cret"), secret("longer", "s3cret-and-more"), secret("none", "")];
        let redaction = Redaction::new(&secrets.into()).unwrap();
        assert_eq!(redaction.text("a s3cret s3cret-and-more b"), "a [secret token] [secret longer] b");
        assert_eq!(redaction.text("czNjcmV0"), "[secret token]");
        assert_eq!(redaction.bytes(b"\xffs3cret\xff"), b"\xff[secret token]\xff");
    }

    #[test]
    fn a_secret_is_taken_out_of_every_encoding_of_it() {
        let value = "pä/ss \"w?o>r~d";
        let from = SecretFrom::Environment { name: "X".to_owned(), value: Some(Secret::new(value)) };
        let redaction = Redaction::new(&[(SecretLabel::new("token").unwrap(), from)].into()).unwrap();
        for form in [
            value,
            "cMOkL3NzICJ3P28+cn5k",
            "cMOkL3NzICJ3P28-cn5k",
            "p%C3%A4%2Fss%20%22w%3Fo%3Er~d",
            "p%c3%a4%2fss%20%22w%3fo%3er~d",
            "p%C3%A4%2Fss+%22w%3Fo%3Er%7Ed",
            "pä/ss \\\"w?o>r~d",
            "pä\\/ss \\\"w?o>r~d",
            "p\\u00e4/ss \\\"w?o>r~d",
        ] {
            assert_eq!(redaction.text(&format!("<{form}>")), "<[secret token]>", "{form}");
        }
        // Of any length: with and without its end.
        let from = SecretFrom::Environment { name: "X".to_owned(), value: Some(Secret::new("s3cret!")) };
        let redaction = Redaction::new(&[(SecretLabel::new("token").unwrap(), from)].into()).unwrap();
        assert_eq!(redaction.text("<czNjcmV0IQ==> <czNjcmV0IQ>"), "<[secret token]> <[secret token]>");
    }

    #[test]
    fn what_was_sent_in_a_header_is_taken_out_wherever_it_comes_back() {
        let mut redaction = Redaction::default();
        // joe:open sesame
        redaction.sent(b"Basic am9lOm9wZW4gc2VzYW1l");
        redaction.sent(b"Bearer abc/def.ghi");
        redaction.sent(b"id=1");
        redaction.cookie("session=0123456789; Path=/");
        for gone in [
            "Basic am9lOm9wZW4gc2VzYW1l",
            "am9lOm9wZW4gc2VzYW1l",
            "joe:open sesame",
            "open%20sesame",
            "abc/def.ghi",
            "abc\\/def.ghi",
            "0123456789",
        ] {
            let said = redaction.text(&format!("<{gone}>"));
            assert!(said == "<[sent]>" || said == "<[cookie]>", "{gone}: {said}");
        }
        assert_eq!(redaction.text("id=1, joe"), "id=1, joe", "too short to tell from what is no secret");
    }
}
