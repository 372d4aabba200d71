//! Stand-ins: words a plugin writes into the headers of a request where the secret belongs.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::plugin::SecretLabel;
use domain::plugin::destination::{Scheme, Target};
use domain::secret::Secret;
use parking_lot::Mutex;
use port::random::{Random as _, SystemRandom};

use super::Given;

/// Stand-ins of one instance.
const STAND_INS_MAX: usize = 256;

/// How every stand-in begins; a header that holds one is not sent before it has been replaced.
const MARK: &str = "teleport-secret-";

/// What each stand-in of one instance is replaced by, and whose secret that is. Shared with the requests
/// the instance has under way.
#[derive(Clone, Default)]
pub(crate) struct StandIns(Arc<Mutex<VecDeque<StandIn>>>);

struct StandIn {
    name: String,
    label: SecretLabel,
    text: Secret,
}

/// Why a request with a stand-in is not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StandInError {
    /// Nobody made it, or another instance did.
    #[error("a header holds a stand-in that this instance has not been given")]
    Unknown,
    /// The secret may not go there.
    #[error("secret {label} may not be sent to {target}")]
    Elsewhere {
        /// The secret.
        label: SecretLabel,
        /// Where the request goes.
        target: Box<Target>,
    },
}

impl StandIns {
    /// A new one.
    pub(super) fn make(&self, label: SecretLabel, text: Secret) -> String {
        let name = format!("{MARK}{}", SystemRandom.uuid_bytes_hex());
        let mut stand_ins = self.0.lock();
        if stand_ins.len() >= STAND_INS_MAX {
            // The oldest of a long life.
            stand_ins.pop_front();
        }
        stand_ins.push_back(StandIn { name: name.clone(), label, text });
        name
    }

    /// A header's value as it is sent to `target`; nothing when it holds no stand-in.
    ///
    /// # Errors
    /// [`StandInError`] when the secret may not go there.
    pub(crate) fn replace(
        &self,
        given: &Given,
        target: &Target,
        value: &[u8],
    ) -> Result<Option<Secret>, StandInError> {
        let Some(at) = find(value, MARK.as_bytes()) else { return Ok(None) };
        let end = at + MARK.len() + 32;
        let name = value.get(at..end).and_then(|name| std::str::from_utf8(name).ok());
        let stand_ins = self.0.lock();
        // The newest first: an instance that makes one for each request uses that one.
        let made = stand_ins.iter().rev().find(|made| Some(made.name.as_str()) == name);
        let StandIn { label, text: secret, .. } = made.ok_or(StandInError::Unknown)?;
        let hosts = given.get(label).map(|settings| settings.hosts.as_slice()).unwrap_or_default();
        if target.scheme != Scheme::Https || !hosts.iter().any(|host| host.covers(target)) {
            return Err(StandInError::Elsewhere { label: label.clone(), target: Box::new(target.clone()) });
        }
        let (before, after) = (value.get(..at).unwrap_or_default(), value.get(end..).unwrap_or_default());
        Ok(Some(Secret::new([before, secret.reveal(), after].concat())))
    }
}

fn find(value: &[u8], mark: &[u8]) -> Option<usize> {
    value.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use domain::plugin::Destination;

    use super::super::{SecretFrom, SecretSettings};
    use super::*;

    fn label() -> SecretLabel {
        SecretLabel::new("token").unwrap()
    }

    fn given(host: &str) -> Given {
        let from = SecretFrom::Environment { name: "X".to_owned(), value: None };
        [(label(), SecretSettings { from, hosts: vec![Destination::parse(host).unwrap()] })].into()
    }

    fn to(scheme: &str, host: &str) -> Target {
        Target::parse(scheme, host).unwrap()
    }

    #[test]
    fn a_stand_in_becomes_the_secret_on_the_way_to_its_hosts_only() {
        let stand_ins = StandIns::default();
        let name = stand_ins.make(label(), Secret::from("s3cret"));
        assert!(!name.contains("s3cret"));
        let header = format!("Bearer {name}!");
        let replace =
            |target: Target| stand_ins.replace(&given("https://api.example.com"), &target, header.as_bytes());
        let sent = replace(to("https", "api.example.com")).unwrap().unwrap();
        assert_eq!(sent.reveal_str(), Some("Bearer s3cret!"));
        for elsewhere in
            [to("https", "evil.com"), to("http", "api.example.com"), to("https", "api.example.com:8443")]
        {
            let error = replace(elsewhere).unwrap_err();
            assert!(matches!(error, StandInError::Elsewhere { .. }), "{error}");
        }
        let target = to("https", "api.example.com");
        assert_eq!(stand_ins.replace(&given("https://api.example.com"), &target, b"plain"), Ok(None));
    }

    #[test]
    fn the_stand_in_of_another_instance_means_nothing() {
        let name = StandIns::default().make(label(), Secret::from("s3cret"));
        let target = to("https", "api.example.com");
        for header in [name.as_str(), MARK, "teleport-secret-xyz"] {
            let replaced =
                StandIns::default().replace(&given("https://api.example.com"), &target, header.as_bytes());
            assert_eq!(replaced, Err(StandInError::Unknown), "{header}");
        }
    }

    #[test]
    fn stand_ins_come_to_an_end() {
        let stand_ins = StandIns::default();
        for _ in 0..STAND_INS_MAX * 2 {
            stand_ins.make(label(), Secret::from("x"));
        }
        assert_eq!(stand_ins.0.lock().len(), STAND_INS_MAX);
    }
}
