use domain::plugin::PublisherName;
use domain::plugin::publisher::PublicKey as Key;
use minisign::KeyPair;
use proptest::prelude::*;

use super::*;

fn publisher(name: &str, key: &str) -> Publisher {
    Publisher { name: PublisherName::new(name).unwrap(), key: Key::parse(key).unwrap() }
}

fn plugin(name: &str) -> PluginName {
    PluginName::new(name).unwrap()
}

/// Somebody with a key.
struct Signer {
    pair: KeyPair,
    publisher: Publisher,
}

impl Signer {
    fn new(name: &str) -> Self {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let publisher = publisher(name, &pair.pk.to_base64());
        Self { pair, publisher }
    }

    fn sign(&self, bytes: &[u8], statement: &str) -> String {
        minisign::sign(None, &self.pair.sk, bytes, Some(statement), None).unwrap().into_string()
    }
}

const STATEMENT: &str = "teleport-plugin name=label-load version=1.2.3";

fn checked(signature: &str, listed: &[Publisher], known: &[Publisher]) -> Result<Signed, SignatureError> {
    check(&plugin("label-load"), b"test", signature.as_bytes(), Trust { listed, known })
}

#[test]
fn a_signature_of_a_listed_publisher_counts() {
    let (acme, globex) = (Signer::new("acme"), Signer::new("globex"));
    let listed = [acme.publisher.clone(), globex.publisher.clone()];
    let signed = checked(&globex.sign(b"test", STATEMENT), &listed, &[]).unwrap();
    assert_eq!((signed.publisher, signed.statement.to_string()), (globex.publisher, STATEMENT.to_owned()));
}

#[test]
fn another_file_and_another_statement_do_not() {
    let acme = Signer::new("acme");
    let listed = [acme.publisher.clone()];
    let good = acme.sign(b"test", STATEMENT);
    let other_file = acme.sign(b"Test", STATEMENT);
    let newer = good.replace("version=1.2.3", "version=1.2.4");
    for bad in [other_file, newer] {
        let error = checked(&bad, &listed, &[]).unwrap_err();
        assert!(matches!(&error, SignatureError::OtherFile { .. }), "{error}");
        assert!(error.to_string().contains(&listed[0].to_string()), "{error}");
    }
}

#[test]
fn a_key_that_is_not_listed_is_named_with_its_number() {
    let (acme, globex) = (Signer::new("acme"), Signer::new("globex"));
    let (listed, known) = ([acme.publisher.clone()], [acme.publisher.clone(), globex.publisher.clone()]);
    let signature = globex.sign(b"test", STATEMENT);
    let key = globex.publisher.key.id();
    let stranger = checked(&signature, &listed, &listed).unwrap_err().to_string();
    assert_eq!(
        stranger,
        format!(
            "it is signed with key {key}, which is no publisher's; only {} may sign this plugin",
            acme.publisher
        )
    );
    let other = checked(&signature, &listed, &known).unwrap_err().to_string();
    assert!(other.contains(&format!("key {key}, which is that of publisher globex, not listed")), "{other}");
}

/// The number of a key is chosen by whoever makes it.
#[test]
fn a_forged_number_does_not_help_and_does_not_harm() {
    let (acme, forger) = (Signer::new("acme"), Signer::new("forger"));
    let number = |key: &Key| STANDARD.decode(key.as_str()).unwrap()[2..10].to_owned();
    let theirs = number(&acme.publisher.key);
    let renumber = |line: &str| {
        let mut bytes = STANDARD.decode(line).unwrap();
        bytes[2..10].copy_from_slice(&theirs);
        STANDARD.encode(bytes)
    };
    let signature = forger.sign(b"test", STATEMENT);
    let mut lines: Vec<String> = signature.lines().map(str::to_owned).collect();
    lines[1] = renumber(&lines[1]);
    let forged = lines.join("\n");
    let error = checked(&forged, std::slice::from_ref(&acme.publisher), &[]).unwrap_err();
    assert!(matches!(error, SignatureError::OtherFile { .. }), "{error}");
    // Two publishers of one number are both tried.
    let twin = publisher("twin", &renumber(forger.publisher.key.as_str()));
    let signed = checked(&forged, &[acme.publisher, twin.clone()], &[]).unwrap();
    assert_eq!(signed.publisher, twin);
}

#[test]
fn a_signature_says_which_plugin_it_is_of() {
    let acme = Signer::new("acme");
    let listed = [acme.publisher.clone()];
    let refused = |statement: &str| checked(&acme.sign(b"test", statement), &listed, &[]).unwrap_err();
    assert!(matches!(refused("timestamp:1\tfile:plugin.wasm"), SignatureError::Statement(_)));
    let other = refused("teleport-plugin name=label-disk version=1.2.3");
    assert_eq!(other.to_string(), "the signature is of plugin label-disk, not of label-load");
}

/// Signatures from the documentation of minisign, by one key over the text `test`.
#[test]
fn only_prehashed_signatures_count() {
    let known = [publisher("jedisct1", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")];
    let legacy = "untrusted comment: signature from minisign secret key\n\
        RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
        trusted comment: timestamp:1555779966\tfile:test\n\
        QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n";
    assert!(matches!(checked(legacy, &known, &[]), Err(SignatureError::Legacy)));
    let prehashed = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1556193335\tfile:test\n\
        y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
    // It is whole, so what is wrong is what it says.
    assert!(matches!(checked(prehashed, &known, &[]), Err(SignatureError::Statement(_))));
}

#[test]
fn what_is_no_signature_is_named() {
    let acme = Signer::new("acme");
    let good = acme.sign(b"test", STATEMENT);
    let lines: Vec<&str> = good.lines().collect();
    let line = |index: usize, text: &str| {
        let mut lines = lines.clone();
        lines[index] = text;
        lines.join("\n")
    };
    let cases = [
        (String::new(), "four lines"),
        (lines[..3].join("\n"), "four lines"),
        (format!("{good}one more\n"), "four lines"),
        (line(0, "comment"), "untrusted comment"),
        (line(1, "RU"), "as minisign writes"),
        (line(1, lines[3]), "as minisign writes"),
        (line(2, "comment: x"), "as minisign writes"),
        (line(3, lines[1]), "as minisign writes"),
    ];
    for (bad, expected) in cases {
        let error = checked(&bad, std::slice::from_ref(&acme.publisher), &[]).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed(_)), "{bad}: {error}");
        assert!(error.to_string().contains(expected), "{error} should say {expected}");
    }
    let trust = Trust { listed: &[acme.publisher], known: &[] };
    let binary = check(&plugin("label-load"), b"test", &[0xff; 300], trust).unwrap_err();
    assert!(binary.to_string().contains("not text"), "{binary}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One byte of the signature changed in any line but the first: refused. The first is anybody's.
    #[test]
    fn no_changed_signature_counts(place in 0.0..1.0f64, byte in 0x20..0x7fu8) {
        let acme = Signer::new("acme");
        let good = acme.sign(b"test", STATEMENT);
        let start = good.find('\n').unwrap() + 1;
        let end = good.trim_end().len();
        let at = start + (place * (end - start) as f64) as usize;
        let mut bytes = good.clone().into_bytes();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let trust = Trust { listed: &[acme.publisher], known: &[] };
        prop_assert!(check(&plugin("label-load"), b"test", &bytes, trust).is_err());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = check(&plugin("label-load"), b"test", &bytes, Trust { listed: &[], known: &[] });
    }
}
