//! Lines for OpenSSH's files: `known_hosts`, `authorized_keys`, `TrustedUserCAKeys`.

use domain::authority::{AuthoritySpec, AuthorityType};

/// The lines `tctl auth export` prints for one authority: one per key in force.
///
/// For hosts they belong into `known_hosts`; `hosts` are patterns besides `*.<cluster>`, such as the
/// proxy's own name. For users they belong into `authorized_keys`, or without the leading
/// `cert-authority` into the file of sshd's `TrustedUserCAKeys`.
pub fn export(authority: &AuthoritySpec, hosts: &[String]) -> Vec<String> {
    let cluster = &authority.cluster_name;
    let keys = authority.active_keys.iter().map(|keys| keys.ssh.as_str()).filter(|key| !key.is_empty());
    match authority.r#type {
        AuthorityType::Host => {
            let patterns: Vec<_> =
                std::iter::once(format!("*.{cluster}")).chain(hosts.iter().cloned()).collect();
            let patterns = patterns.join(",");
            keys.map(|key| format!("@cert-authority {patterns} {key} type=host")).collect()
        }
        AuthorityType::User => {
            keys.map(|key| format!("cert-authority {key} clustername={cluster}&type=user")).collect()
        }
        AuthorityType::Jwt => Vec::new(),
    }
}
