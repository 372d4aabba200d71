//! What a plugin may do in the end, asked question by question while it runs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::capability::check_argv;
use super::super::destination::{Destination, Host, Target};
use super::super::{Capability, SecretLabel};
use super::{Scope, wording};
use crate::address::{Place, place};

/// Places for requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpScope {
    /// Where to.
    pub destination: Destination,
    /// Whether networks of one's own and this machine are meant too; the link itself and a cloud's metadata
    /// only where the destination is that very address.
    pub private: bool,
}

/// What a plugin may do: asked for and granted both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    process: Vec<Scope>,
    http: Vec<HttpScope>,
    secrets: BTreeSet<SecretLabel>,
    reveal: BTreeSet<SecretLabel>,
    kv: bool,
}

impl Effective {
    pub(super) fn add(&mut self, capability: Capability, scope: Scope) {
        match (capability, scope) {
            (Capability::Process, scope) => self.process.push(scope),
            (Capability::Http, Scope::Http(scope)) => self.http.push(scope),
            (Capability::Secret, Scope::Secret(label)) => drop(self.secrets.insert(label)),
            (Capability::SecretReveal, Scope::Secret(label)) => drop(self.reveal.insert(label)),
            (Capability::Kv, _) => self.kv = true,
            // A scope of another capability is no grant of this one.
            (Capability::Http | Capability::Secret | Capability::SecretReveal, _) => {}
        }
    }

    /// Whether the plugin may run this argument list, where `configured` is the one the operator
    /// wrote beside the label being computed.
    pub fn may_run(&self, argv: &[String], configured: &[String]) -> bool {
        check_argv(argv).is_ok()
            && self.process.iter().any(|scope| match scope {
                Scope::Argv(granted) => granted == argv,
                Scope::Configured => configured == argv,
                Scope::Http(_) | Scope::Secret(_) | Scope::Whole => false,
            })
    }

    /// Whether the plugin may run any program.
    pub fn may_run_any(&self) -> bool {
        !self.process.is_empty()
    }

    /// Whether the plugin may send any requests.
    pub fn may_send(&self) -> bool {
        !self.http.is_empty()
    }

    /// Whether the plugin may send a request there, before it is known which address that is.
    pub fn may_ask(&self, target: &Target) -> bool {
        self.http.iter().any(|scope| scope.destination.covers(target))
    }

    /// Whether a request there may be sent to this address, which its host stands for.
    pub fn may_reach(&self, target: &Target, ip: IpAddr) -> bool {
        let mut scopes = self.http.iter().filter(|scope| scope.destination.covers(target));
        match place(ip) {
            Place::Public => scopes.next().is_some(),
            Place::Private | Place::Loopback => scopes.any(|scope| scope.private),
            // A name may be made to stand for it by whoever answers for the name, so only the address itself
            // is a grant of it.
            Place::LinkLocal => {
                target.host == Host::Address(ip.to_canonical()) && scopes.any(|scope| scope.private)
            }
            Place::Forbidden => false,
        }
    }

    /// Whether the plugin may use this secret.
    pub fn may_use(&self, label: &SecretLabel) -> bool {
        self.secrets.contains(label)
    }

    /// Whether the plugin may see this secret.
    pub fn may_reveal(&self, label: &SecretLabel) -> bool {
        self.reveal.contains(label)
    }

    /// Whether the plugin may keep something.
    pub fn may_keep(&self) -> bool {
        self.kv
    }

    /// One line per thing allowed, for people.
    pub fn lines(&self) -> Vec<String> {
        let process = self.process.iter().map(|scope| wording::granted(Capability::Process, scope));
        let http =
            self.http.iter().map(|scope| wording::granted(Capability::Http, &Scope::Http(scope.clone())));
        let secrets = self.secrets.iter().map(|label| format!("{} {label}", Capability::Secret));
        let reveal = self.reveal.iter().map(|label| format!("{} {label}", Capability::SecretReveal));
        let kv = self.kv.then(|| Capability::Kv.to_string());
        process.chain(http).chain(secrets).chain(reveal).chain(kv).collect()
    }
}
