//! What a refusal of etcd means for the caller. Its words are those of etcd's `rpctypes` and of gRPC.

use teleport_plugin_sdk::storage_backend::Failure;

use crate::wire::{self, Refusal};

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// For the caller's caller.
    Fail(Failure),
    /// The revision asked for is no longer kept.
    Compacted,
    /// The revision asked for is still to come.
    ToCome,
    /// The lease is over. Nothing was changed.
    LeaseOver,
    /// The answer is larger than it may be; less should be asked for.
    TooMuch,
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

/// What to do after a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing was done here; another member may do it.
    Elsewhere(String),
    /// It may have been done.
    Unsure(String),
    /// No other member would say otherwise.
    Final(Problem),
}

/// Words of refusals after which nothing was done and another member may do it.
const ELSEWHERE: [&str; 4] =
    ["no leader", "too many requests", "rpc not supported for learner", "not capable"];

/// Reads an answer whose status is not 200.
pub fn read(status: u16, body: &[u8]) -> Next {
    let refusal = wire::read::<Refusal>(body).unwrap_or_default();
    let text = if refusal.message.is_empty() { refusal.error } else { refusal.message };
    let fail = |failure| Next::Final(Problem::Fail(failure));
    let has = |words: &str| text.contains(words);
    if has("required revision has been compacted") {
        Next::Final(Problem::Compacted)
    } else if has("required revision is a future revision") {
        Next::Final(Problem::ToCome)
    } else if has("requested lease not found") {
        Next::Final(Problem::LeaseOver)
    } else if has("request is too large") || has("message larger than max") || status == 413 {
        fail(Failure::TooLarge(
            "etcd takes no request so large; start it with a higher --max-request-bytes".to_owned(),
        ))
    } else if has("too many operations") {
        fail(Failure::Invalid(
            "etcd takes too few operations in a transaction; start it without --max-txn-ops, which is 128 then".to_owned(),
        ))
    } else if has("database space exceeded") {
        fail(Failure::Unavailable(
            "etcd's database is full: compact and defragment it, raise --quota-backend-bytes, then run \
             `etcdctl alarm disarm`"
                .to_owned(),
        ))
    } else if has("permission denied")
        || has("user name is empty")
        || has("invalid auth token")
        || is_door(status)
    {
        fail(Failure::Invalid(format!(
            "etcd does not let this client in ({}); its gateway does not take users from certificates: \
             turn etcd's own authentication off and let --client-cert-auth decide",
            said(status, &text)
        )))
    } else if status == 404 {
        fail(Failure::Invalid(format!(
            "the peer does not offer etcd's JSON gateway under /v3 ({}); use etcd 3.4 or newer with \
             --enable-grpc-gateway, at its client URL",
            said(status, &text)
        )))
    } else if ELSEWHERE.iter().any(|words| has(words)) {
        Next::Elsewhere(said(status, &text))
    } else {
        Next::Unsure(said(status, &text))
    }
}

fn is_door(status: u16) -> bool {
    matches!(status, 401 | 403 | 407)
}

/// The answer in a few words, as one line.
pub fn said(status: u16, text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    if text.is_empty() { format!("it answered with status {status}") } else { format!("it says: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, text: &str) -> Next {
        read(status, format!(r#"{{"error":"{text}","message":"{text}","code":9}}"#).as_bytes())
    }

    #[test]
    fn each_refusal_has_its_meaning() {
        assert_eq!(
            of(400, "etcdserver: mvcc: required revision has been compacted"),
            Next::Final(Problem::Compacted)
        );
        assert_eq!(
            of(400, "etcdserver: mvcc: required revision is a future revision"),
            Next::Final(Problem::ToCome)
        );
        assert_eq!(of(404, "etcdserver: requested lease not found"), Next::Final(Problem::LeaseOver));
        assert!(matches!(
            of(400, "etcdserver: request is too large"),
            Next::Final(Problem::Fail(Failure::TooLarge(_)))
        ));
        assert!(
            matches!(of(503, "etcdserver: no leader"), Next::Elsewhere(text) if text.contains("no leader"))
        );
        assert!(matches!(of(503, "etcdserver: request timed out"), Next::Unsure(_)), "it may have been done");
        assert!(matches!(of(503, "etcdserver: leader changed"), Next::Unsure(_)));
        assert!(
            matches!(read(404, b"404 page not found\n"), Next::Final(Problem::Fail(Failure::Invalid(text))) if text.contains("3.4"))
        );
        assert!(matches!(read(502, b"<html>"), Next::Unsure(text) if text.contains("502")));
    }
}
