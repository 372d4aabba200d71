//! `proxy_service`: the door of the cluster.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::{self, HostPort};
use crate::field::Field;
use crate::section::Section;
use crate::settings::Version;

/// The port for SSH clients.
pub(crate) const SSH_PORT: u16 = 3023;
/// The port for reverse tunnels.
pub(crate) const TUNNEL_PORT: u16 = 3024;
/// The port for everything that speaks TLS.
pub(crate) const WEB_PORT: u16 = 3080;

/// What the proxy service does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    /// For SSH clients; from `version: v2` on only when the file sets it.
    pub ssh_listen: Option<SocketAddr>,
    /// For reverse tunnels; from `version: v2` on only when the file sets it.
    pub tunnel_listen: Option<SocketAddr>,
    /// For everything that speaks TLS.
    pub web_listen: SocketAddr,
    /// Where clients reach the web port from outside, the main one first.
    pub public_addrs: Vec<HostPort>,
    /// Where SSH clients reach it from outside.
    pub ssh_public_addrs: Vec<HostPort>,
    /// Where agents reach the tunnel port from outside.
    pub tunnel_public_addrs: Vec<HostPort>,
    /// Certificates of the web port; one of its own making when there is none.
    pub keypairs: Vec<Keypair>,
    /// How often the files of [`ProxySettings::keypairs`] are read again; never when absent.
    pub keypairs_reload: Option<Duration>,
    /// Where to get a certificate by itself, when it should.
    pub acme: Option<Acme>,
}

/// A certificate and its key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keypair {
    /// The key.
    pub key_file: PathBuf,
    /// The certificate and what leads to its authority.
    pub cert_file: PathBuf,
}

/// How to get a certificate from an ACME authority (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Whom the authority may write to.
    pub email: Option<String>,
    /// The authority's directory; Let's Encrypt when absent.
    pub uri: Option<String>,
}

/// Reads `proxy_service`.
pub(crate) fn read(proxy: &mut Section<'_>, version: Version) -> ProxySettings {
    let web_default = address::everywhere(WEB_PORT);
    let web_listen = proxy.listen("web_listen_addr", web_default).unwrap_or(web_default);
    let mut listener = |key, port| {
        let default = address::everywhere(port);
        let stated = proxy.listen(key, default);
        stated.or_else(|| (!version.multiplexes()).then_some(default))
    };
    let ssh_listen = listener("listen_addr", SSH_PORT);
    let tunnel_listen = listener("tunnel_listen_addr", TUNNEL_PORT);
    let acme = proxy.within("acme", acme);
    if acme.is_some() {
        let message = "has no effect in this version: without https_keypairs the web port shows a certificate of its own making";
        proxy.report().warning(proxy.key_at("acme"), &proxy.path_of("acme"), message);
    }
    ProxySettings {
        ssh_listen,
        tunnel_listen,
        web_listen,
        public_addrs: address::public(proxy, "public_addr", web_listen.port()),
        ssh_public_addrs: address::public(proxy, "ssh_public_addr", SSH_PORT),
        tunnel_public_addrs: address::public(proxy, "tunnel_public_addr", TUNNEL_PORT),
        keypairs: keypairs(proxy),
        keypairs_reload: proxy.duration("https_keypairs_reload_interval").filter(|every| !every.is_zero()),
        acme,
    }
}

fn keypairs(proxy: &mut Section<'_>) -> Vec<Keypair> {
    let mut pairs: Vec<Keypair> = pair(proxy, "https_key_file", "https_cert_file").into_iter().collect();
    let list = proxy.field("https_keypairs").and_then(|field| field.list()).unwrap_or_default();
    let one = |item: &Field<'_>| item.within(|section| pair(section, "key_file", "cert_file")).flatten();
    pairs.extend(list.iter().filter_map(one));
    pairs
}

/// Two files that are of no use alone.
fn pair(section: &mut Section<'_>, key: &'static str, cert: &'static str) -> Option<Keypair> {
    let (key_file, cert_file) = (section.path(key), section.path(cert));
    match (section.key_at(key), section.key_at(cert)) {
        (Some(_), None) => section.problem(key, format!("needs {cert} beside it")),
        (None, Some(_)) => section.problem(cert, format!("needs {key} beside it")),
        _ => {}
    }
    Some(Keypair { key_file: key_file?, cert_file: cert_file? })
}

fn acme(section: &mut Section<'_>) -> Option<Acme> {
    let enabled = section.flag("enabled").unwrap_or(false);
    let email = section.field("email").and_then(|field| email(&field));
    let uri = section.field("uri").and_then(|field| {
        let uri = field.text()?;
        if !uri.starts_with("https://") {
            field.problem("must start with https://");
        }
        Some(uri.to_owned())
    });
    enabled.then_some(Acme { email, uri })
}

fn email(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let fits = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    if text.split_once('@').is_none_or(|(name, host)| !fits(name) || !fits(host)) {
        field.problem(format!("{} is not an e-mail address", crate::shown::shown(text)));
    }
    Some(text.to_owned())
}
