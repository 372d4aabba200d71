//! Where things are in the store.

use domain::authority::AuthorityType;
use domain::identity::SystemRole;
use domain::name::HostId;
use domain::resource::Kind;
use port::store::{Key, Prefix};

/// The cluster's name.
pub(crate) fn cluster_name() -> Key {
    Key::of(&["cluster", "name"])
}

/// The private keys of an authority.
pub(crate) fn authority(kind: AuthorityType) -> Key {
    Key::of(&["authority", kind.as_str()])
}

/// The keys of a host in a role.
pub(crate) fn host(host_id: HostId, role: SystemRole) -> Key {
    Key::of(&["host", &host_id.to_string(), role.as_str()])
}

/// The keys of a host in every role.
pub(crate) fn hosts(host_id: &str) -> Prefix {
    Prefix::of(&["host", host_id])
}

/// The names of a proxy.
pub(crate) fn reserved(host_id: HostId) -> Key {
    Key::of(&["reserved", &host_id.to_string()])
}

/// The names of every proxy.
pub(crate) fn all_reserved() -> Prefix {
    Prefix::of(&["reserved"])
}

/// A record.
pub(crate) fn record(kind: Kind, name: &str) -> Key {
    Key::of(&["record", kind.as_str(), name])
}

/// All records of a kind.
pub(crate) fn records(kind: Kind) -> Prefix {
    Prefix::of(&["record", kind.as_str()])
}
