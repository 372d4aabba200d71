//! Constants of this machine, so that every figure can be held against what is possible.

use std::time::Duration;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey as VerifyingKey};

use crate::measure::timed;
use crate::table::Report;

/// How often each is done.
const TIMES: u32 = 2000;

/// What a handshake consists of, and the ceiling that follows: client → proxy → node is two
/// handshakes, both ends of both on this machine.
pub(crate) fn constants(report: &mut Report) {
    let exchange = each(key_exchange);
    let pair = Ed25519KeyPair::generate().ok();
    let Some(pair) = pair else { return };
    let signature = pair.sign(b"message");
    let sign = each(|| {
        std::hint::black_box(pair.sign(b"message"));
    });
    let verifying = VerifyingKey::new(&aws_lc_rs::signature::ED25519, pair.public_key().as_ref().to_vec());
    let verify = each(|| {
        let _ = std::hint::black_box(verifying.verify(b"message", signature.as_ref()));
    });
    // One side: key exchange, one signature, two verifications (a certificate and a signature).
    let side = exchange + sign + verify * 2;
    let ceiling = 2.0 / (side.as_secs_f64() * 4.0);
    report.show("X25519 key exchange", format!("{:.0}/s", 1.0 / exchange.as_secs_f64()), "");
    report.show(
        "Ed25519 sign / verify",
        format!("{:.0}/s / {:.0}/s", 1.0 / sign.as_secs_f64(), 1.0 / verify.as_secs_f64()),
        "",
    );
    report.show("ceiling: sessions through two hops, both ends here, 2 cores", format!("{ceiling:.0}/s"), "");
}

fn key_exchange() {
    // A fresh key and its agreement, as every handshake makes them.
    let ours = PrivateKey::generate(&X25519).ok();
    let theirs = PrivateKey::generate(&X25519).and_then(|key| key.compute_public_key()).ok();
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        let peer = UnparsedPublicKey::new(&X25519, theirs.as_ref().to_vec());
        let _ = agree(&ours, peer, aws_lc_rs::error::Unspecified, |secret| {
            Ok(std::hint::black_box(secret.len()))
        });
    }
}

fn each(work: impl Fn()) -> Duration {
    let ((), took) = timed(|| (0..TIMES).for_each(|_| work()));
    took / TIMES
}
