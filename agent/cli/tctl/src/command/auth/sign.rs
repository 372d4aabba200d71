//! `tctl auth sign`: keys made here, certificates made by the auth server, files that hold both.

use std::path::PathBuf;
use std::time::Duration;

use api::auth::{SignHostRequest, SignUserRequest, StatusResponse};
use certs::bundle::HostKeys;
use clap::{Args, ValueEnum};
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::printable::escape;
use ssh_key::Certificate;
use terminal::{Explain, Failure};

use super::export::{authority_lines, proxy_hosts};
use crate::command::users;
use crate::context::{Context, Session};
use crate::credential::{Credential, Target};
use crate::shell::quoted;

/// Arguments of `tctl auth sign`.
#[derive(Debug, Args)]
#[command(after_help = FORMATS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Which files to write
    #[arg(long, value_enum, default_value_t = Format::Openssh)]
    format: Format,
    /// How long the certificates are good for; the roles of a user may allow less [default: 12h]
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
    /// The file of the private key, or the identity file [default: the name of the user or first host]
    #[arg(short, long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
    /// Addresses the certificate may be used from: CIDR ranges separated by commas; users only
    #[arg(long, value_name = "CIDR,CIDR", conflicts_with = "host")]
    source_address: Option<String>,
}

/// Whom the certificates stand for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// Certificates for a user of the cluster, with the logins the roles allow
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A certificate for a host under these names, separated by commas
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    host: Vec<String>,
}

/// Which files to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// PATH, PATH.pub and PATH-cert.pub, for ssh and sshd
    Openssh,
    /// One identity file
    File,
}

/// What the help says about the formats.
const FORMATS: &str = "\
An identity file holds, in this order:
  the SSH private key and the SSH certificate (one line),
  the X.509 private key and the X.509 certificate,
  the host authority as a line for known_hosts and as an X.509 certificate.

Examples:
  tctl auth sign --user=joe --ttl=8h --out=joe && ssh-add joe
  tctl auth sign --host=db.example.com,10.0.0.7 --ttl=90d --out=/etc/ssh/teleport_host_key";

/// How long certificates are good for, where nobody says it.
const TTL: Duration = Duration::from_secs(12 * 3600);

/// Where a node listens that is told nothing else.
const NODE_PORT: u16 = 3022;

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = domain::duration::parse(text).map_err(|error| error.to_string())?;
    if ttl < Duration::from_secs(60) { Err("a certificate lives at least 1m".to_owned()) } else { Ok(ttl) }
}

/// What the auth server made.
struct Signed {
    ssh: String,
    tls: Vec<u8>,
    authorities: Vec<AuthoritySpec>,
}

/// Makes the keys, has them certified and writes the files.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let target = arguments.target()?;
    // Before the auth server is asked: a certificate that is thrown away would still be on record.
    target.check_free(arguments.overwrite)?;
    let session = context.connect().await?;
    let mut keys = HostKeys::generate(context.random())?;
    let signed = arguments.sign(&session, &keys).await?;
    keys.ssh.set_comment(arguments.comment());
    let certificate =
        Certificate::from_openssh(&signed.ssh).while_doing("the auth server's answer cannot be used")?;
    if let Some(note) =
        arguments.shortened(certificate.valid_before().saturating_sub(certificate.valid_after()))
    {
        context.note(note);
    }
    let proxies = proxy_hosts(&session.status);
    let credential = Credential {
        keys,
        ssh_certificate: signed.ssh,
        tls_certificate: signed.tls,
        known_hosts: authority_lines(&signed.authorities, AuthorityType::Host, &proxies),
        tls_authorities: tls_authorities(&signed.authorities),
    };
    let files = target.write(&credential)?;
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let until =
        domain::Timestamp::from_second(i64::try_from(certificate.valid_before()).unwrap_or(i64::MAX))?;
    context.printer.line(format_args!("Written: {}", escape(&names.join(", "))))?;
    context.printer.line(format_args!("Valid until {}", terminal::expiry(Some(until), context.now())))?;
    let advice = arguments.advice(&target, &certificate, &session.status, &proxies);
    Ok(context.printer.line(advice)?)
}

impl Arguments {
    /// The files that will be written.
    fn target(&self) -> Result<Target, Failure> {
        let path = match &self.out {
            Some(path) => path.clone(),
            None => self.default_path()?,
        };
        Ok(match self.format {
            Format::Openssh => Target::Openssh(path),
            Format::File => Target::Identity(path),
        })
    }

    /// A file in this folder, named after whom it stands for.
    fn default_path(&self) -> Result<PathBuf, Failure> {
        let name = self.subject.user.as_deref().or(self.subject.host.first().map(String::as_str));
        let name = name.unwrap_or_default();
        if name.is_empty() || name.starts_with(['.', '-']) || name.contains('/') {
            return Err(Failure::usage(format!("{name:?} cannot name a file; name one with --out")));
        }
        Ok(PathBuf::from(name))
    }

    fn comment(&self) -> String {
        match &self.subject.user {
            Some(user) => format!("teleport:{}", escape(user)),
            None => format!("teleport:{}", escape(&self.subject.host.join(","))),
        }
    }

    async fn sign(&self, session: &Session, keys: &HostKeys) -> Result<Signed, Failure> {
        let ssh_public_key = keys.ssh_public()?;
        let tls_public_key = keys.tls.public_der();
        let ttl_seconds = self.ttl().as_secs();
        if let Some(user) = self.subject.user.clone() {
            let source_address = self.source_address.clone().unwrap_or_default();
            let request =
                SignUserRequest { user, ttl_seconds, ssh_public_key, tls_public_key, source_address };
            let made = session.client.sign_user(request).await.map_err(users::refused)?;
            return Ok(Signed { ssh: made.ssh, tls: made.tls, authorities: made.authorities });
        }
        // A certificate that is not written down would still be one of a node.
        let tls_public_key = if self.format == Format::Openssh { Vec::new() } else { tls_public_key };
        let hosts = self.subject.host.iter().map(|host| host.trim().to_owned()).collect();
        let request = SignHostRequest { hosts, ttl_seconds, ssh_public_key, tls_public_key };
        let made = session.client.sign_host(request).await?;
        Ok(Signed { ssh: made.ssh, tls: made.tls, authorities: made.authorities })
    }

    fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(TTL)
    }

    /// What to say when the roles of a user allow less than was asked for.
    fn shortened(&self, life: u64) -> Option<&'static str> {
        (life < self.ttl().as_secs()).then_some(match self.ttl {
            Some(_) => "note: the roles of the user allow a shorter life than --ttl asks for",
            None => "note: the roles of the user limit the life of the certificate",
        })
    }

    /// How to use what was written.
    fn advice(
        &self,
        target: &Target,
        certificate: &Certificate,
        status: &StatusResponse,
        proxies: &[String],
    ) -> String {
        // sshd does not look for a file in the folder somebody happened to be in.
        let path = std::path::absolute(target.path()).unwrap_or_else(|_| target.path().to_owned());
        let path = path.display();
        if self.format == Format::File {
            return "It holds private keys: keep it as safe as a password.".to_owned();
        }
        if self.subject.user.is_none() {
            return format!(
                "Add to /etc/ssh/sshd_config and restart sshd:\n  HostKey {path}\n  HostCertificate {path}-cert.pub\nFor users of the cluster, see: tctl auth export --help"
            );
        }
        let login = certificate.valid_principals().first().map_or("LOGIN", String::as_str);
        format!(
            "Use it with OpenSSH (once, for the host keys: tctl auth export --type=host >> ~/.ssh/known_hosts):\n  ssh-add {}\n  {}",
            quoted(&path.to_string()),
            ssh(login, status, proxies)
        )
    }
}

/// The command that gets onto a node: through a proxy, or straight where there is none.
fn ssh(login: &str, status: &StatusResponse, proxies: &[String]) -> String {
    let [login, cluster] = [login, &status.cluster_name].map(escape);
    if status.proxy_addresses.is_empty() && status.proxy_ssh_addresses.is_empty() {
        // The host's certificate holds the name in the cluster, which no DNS knows.
        return format!(
            "ssh -p {NODE_PORT} -o HostKeyAlias=NODE.{cluster} {login}@ADDRESS\nNo proxy is known; nodes and their addresses are listed by: tctl nodes ls"
        );
    }
    // An auth server of an older version tells the host alone.
    let host = || format!("{}:3023", proxies.first().map_or("<proxyhost>", String::as_str));
    let proxy = status.proxy_ssh_addresses.first().cloned().unwrap_or_else(host);
    format!("ssh -J {login}@{} {login}@NODE.{cluster}", escape(&proxy))
}

fn tls_authorities(authorities: &[AuthoritySpec]) -> Vec<String> {
    let hosts = authorities.iter().filter(|authority| authority.r#type == AuthorityType::Host);
    hosts.flat_map(|authority| &authority.active_keys).map(|keys| keys.tls.clone()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &[&str]) -> Arguments {
        Line::parse_from(["sign", "--user=joe"].iter().chain(line)).arguments
    }

    #[test]
    fn a_short_life_is_blamed_on_the_option_only_where_it_was_given() {
        let given = arguments(&["--ttl=12h"]).shortened(3600).unwrap();
        assert!(given.contains("shorter life than --ttl"), "{given}");
        let silent = arguments(&[]).shortened(3600).unwrap();
        assert!(silent.contains("roles of the user") && !silent.contains("--ttl"), "{silent}");
        assert_eq!(arguments(&[]).shortened(12 * 3600), None);
        assert_eq!(arguments(&["--ttl=1h"]).shortened(3600), None);
    }

    #[test]
    fn the_way_to_a_node_leads_through_a_proxy_where_there_is_one() {
        let status = |web: &[&str], ssh: &[&str]| StatusResponse {
            cluster_name: "main".into(),
            proxy_addresses: web.iter().map(|address| (*address).to_owned()).collect(),
            proxy_ssh_addresses: ssh.iter().map(|address| (*address).to_owned()).collect(),
            ..StatusResponse::default()
        };
        let said = |status: &StatusResponse| ssh("root", status, &proxy_hosts(status));
        let both = status(&["p.example.com:443"], &["p.example.com:2023"]);
        assert_eq!(said(&both), "ssh -J root@p.example.com:2023 root@NODE.main");
        let older = status(&["p.example.com:443"], &[]);
        assert_eq!(said(&older), "ssh -J root@p.example.com:3023 root@NODE.main");
        let none = said(&status(&[], &[]));
        assert!(none.starts_with("ssh -p 3022 -o HostKeyAlias=NODE.main root@ADDRESS\n"), "{none}");
        assert!(none.ends_with("tctl nodes ls") && !none.contains("-J"), "{none}");
    }
}
