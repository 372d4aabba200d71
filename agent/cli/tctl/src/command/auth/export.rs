//! `tctl auth export`: lines for `known_hosts`, `authorized_keys` and `TrustedUserCAKeys`.

use api::auth::StatusResponse;
use clap::{Args, ValueEnum};
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::certificate::check_principal;
use terminal::{Explain, Failure};

use crate::context::Context;

/// Arguments of `tctl auth export`.
#[derive(Debug, Args)]
#[command(after_help = USE)]
pub(crate) struct Arguments {
    /// Which authority [default: both]
    #[arg(long, value_enum)]
    r#type: Option<Type>,
}

/// What the help says about where the lines belong.
const USE: &str = "\
The host authority belongs into ~/.ssh/known_hosts of clients:
  tctl auth export --type=host >> ~/.ssh/known_hosts
The user authority belongs into ~/.ssh/authorized_keys of one user of an OpenSSH server.
For all users, cut off `cert-authority` and let TrustedUserCAKeys in sshd_config name the file:
  tctl auth export --type=user | sed 's/^cert-authority //' > /etc/ssh/teleport_user_ca.pub";

/// An authority whose keys OpenSSH can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    /// Signs users: for servers
    User,
    /// Signs hosts: for clients
    Host,
}

impl Type {
    fn authority(self) -> AuthorityType {
        match self {
            Self::User => AuthorityType::User,
            Self::Host => AuthorityType::Host,
        }
    }
}

/// Prints the lines.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let authorities = api::authorities_from_wire(&session.status.authorities)
        .while_doing("cannot read the authorities of the cluster")?;
    let kinds = arguments.r#type.map_or_else(|| vec![Type::User, Type::Host], |kind| vec![kind]);
    let proxies = proxy_hosts(&session.status);
    for kind in kinds.into_iter().map(Type::authority) {
        for line in authority_lines(&authorities, kind, &proxies) {
            context.printer.line(line)?;
        }
    }
    Ok(())
}

/// The lines of one authority.
pub(super) fn authority_lines(
    authorities: &[AuthoritySpec],
    kind: AuthorityType,
    proxies: &[String],
) -> Vec<String> {
    let of_kind = authorities.iter().filter(|authority| authority.r#type == kind);
    of_kind.flat_map(|authority| certs::ssh::line::export(authority, proxies)).collect()
}

/// The hosts under which proxies are reached, each once. OpenSSH looks a host up without its port, too,
/// so the name alone fits every port of it.
pub(super) fn proxy_hosts(status: &StatusResponse) -> Vec<String> {
    let mut hosts = Vec::new();
    for address in status.proxy_addresses.iter().chain(&status.proxy_ssh_addresses) {
        let Ok(config::HostPort { host, .. }) = config::HostPort::parse(address, 3080) else { continue };
        // What is no principal could be read as a pattern or as two.
        if check_principal(&host).is_ok() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_proxies_come_without_port_and_once() {
        let addresses = ["p.example.com:3080", "p.example.com:443", "[::1]:3080", "*:3080", "10.0.0.1:3080"];
        let status = StatusResponse {
            proxy_addresses: addresses.map(str::to_owned).to_vec(),
            proxy_ssh_addresses: ["p.example.com:3023", "ssh.example.com:22"].map(str::to_owned).to_vec(),
            ..StatusResponse::default()
        };
        assert_eq!(proxy_hosts(&status), ["p.example.com", "::1", "10.0.0.1", "ssh.example.com"]);
    }
}
