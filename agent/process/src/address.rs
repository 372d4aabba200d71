//! Where this host is reached: what it announces and what goes into its certificates.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use auth_service::ProxyAddresses;
use config::{Advertise, HostPort, ProxySettings, Settings};

/// Where the services of a process are reached; absent ones do not run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The auth service.
    pub auth: Option<SocketAddr>,
    /// SSH for users of the proxy.
    pub ssh_proxy: Option<SocketAddr>,
    /// Links of agents.
    pub tunnel: Option<SocketAddr>,
    /// The web port.
    pub web: Option<SocketAddr>,
    /// The node.
    pub node: Option<SocketAddr>,
    /// Diagnostics.
    pub diagnostics: Option<SocketAddr>,
}

impl Addresses {
    /// The services that listen, by name.
    pub fn shown(&self) -> Vec<(&'static str, SocketAddr)> {
        [
            ("auth", self.auth),
            ("proxy ssh", self.ssh_proxy),
            ("proxy tunnel", self.tunnel),
            ("proxy web", self.web),
            ("node ssh", self.node),
            ("diagnostics", self.diagnostics),
        ]
        .into_iter()
        .filter_map(|(service, address)| Some((service, address?)))
        .collect()
    }
}

/// The address of this host that packets to `server` leave from. Nothing is sent: connecting a UDP
/// socket only asks the routing table.
pub(crate) fn local_towards(server: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    let target = server.to_socket_addrs().ok()?.next()?;
    let any: SocketAddr =
        if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (IpAddr::from([0u16; 8]), 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// `ip:port` under which proxies reach a service that listens on `listen`: what the operator
/// advertises, else the address listened on, else the one towards the auth server.
pub(crate) fn announced(listen: SocketAddr, advertise: Option<&Advertise>, server: &str) -> String {
    let port = advertise.and_then(|advertise| advertise.port).unwrap_or(listen.port());
    let advertised = advertise.and_then(|advertise| resolve(&advertise.host));
    let ip = match advertised {
        Some(ip) => ip,
        None if !listen.ip().is_unspecified() => listen.ip(),
        None => local_towards(server).unwrap_or(IpAddr::from([127, 0, 0, 1])),
    };
    SocketAddr::new(ip, port).to_string()
}

fn resolve(host: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    host.parse().ok().or_else(|| Some((host, 0).to_socket_addrs().ok()?.next()?.ip()))
}

/// The names and addresses, besides the host's name, that its certificates are for.
pub(crate) fn names(
    listen: &[SocketAddr],
    advertise: Option<&Advertise>,
    public: &[&HostPort],
) -> Vec<String> {
    let mut names: Vec<String> = public.iter().map(|address| address.host.clone()).collect();
    names.extend(advertise.map(|advertise| advertise.host.clone()));
    let specific = listen.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
    names.extend(specific.map(|ip| ip.to_string()));
    names.sort();
    names.dedup();
    names
}

/// An address to connect to for one that is listened on: everywhere means here.
pub(crate) fn dialable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), listen.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), listen.port())
        }
        _ => listen,
    }
}

/// The names and addresses this host's certificates are for.
pub(crate) fn host_names(settings: &Settings) -> Vec<String> {
    let proxy = settings.proxy.as_ref();
    let public: Vec<_> = proxy
        .into_iter()
        .flat_map(|proxy| {
            proxy.public_addrs.iter().chain(&proxy.ssh_public_addrs).chain(&proxy.tunnel_public_addrs)
        })
        .chain(settings.node.iter().flat_map(|node| &node.public_addrs))
        .collect();
    let mut listen: Vec<SocketAddr> = Vec::new();
    listen.extend(proxy.into_iter().flat_map(|proxy| proxy.ssh_listen.into_iter().chain([proxy.web_listen])));
    listen.extend(settings.node.as_ref().map(|node| node.listen));
    names(&listen, settings.advertise.as_ref(), &public)
}

/// Where `tctl` tells new hosts and users that the proxy of this process is: the public addresses; for the SSH
/// port, where it has none of its own, the hosts of the others; else the address each port is bound to.
pub(crate) fn proxies_told(settings: &Settings, proxy: &ProxySettings, bound: &Addresses) -> ProxyAddresses {
    let shown = |addresses: &[HostPort]| addresses.iter().map(ToString::to_string).collect();
    let here = |bound: SocketAddr| match bound.ip().is_unspecified() {
        true => HostPort { host: settings.nodename.clone(), port: bound.port() },
        false => HostPort { host: bound.ip().to_string(), port: bound.port() },
    };
    let web = match (&proxy.public_addrs[..], bound.web) {
        ([], web) => web.map(here).into_iter().collect(),
        (public, _) => public.to_vec(),
    };
    let ssh = match (&proxy.ssh_public_addrs[..], bound.ssh_proxy) {
        ([], Some(ssh)) if proxy.public_addrs.is_empty() => vec![here(ssh)],
        ([], Some(ssh)) => {
            let hosts = proxy.public_addrs.iter();
            hosts.map(|address| HostPort { host: address.host.clone(), port: ssh.port() }).collect()
        }
        (public, Some(_)) => public.to_vec(),
        (_, None) => Vec::new(),
    };
    ProxyAddresses { web: shown(&web), ssh: shown(&ssh) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_operator_advertises_wins() {
        let advertise = Advertise { host: "10.0.0.9".into(), port: None };
        assert_eq!(announced(listen("0.0.0.0:3022"), Some(&advertise), "127.0.0.1:3025"), "10.0.0.9:3022");
        let with_port = Advertise { port: Some(22), ..advertise };
        assert_eq!(announced(listen("0.0.0.0:3022"), Some(&with_port), "127.0.0.1:3025"), "10.0.0.9:22");
    }

    #[test]
    fn else_the_address_listened_on_or_the_one_towards_auth() {
        assert_eq!(announced(listen("127.0.0.2:3022"), None, "127.0.0.1:3025"), "127.0.0.2:3022");
        assert_eq!(announced(listen("0.0.0.0:3022"), None, "127.0.0.1:3025"), "127.0.0.1:3022");
    }

    #[test]
    fn everywhere_is_dialled_here() {
        assert_eq!(dialable(listen("0.0.0.0:3025")), listen("127.0.0.1:3025"));
        assert_eq!(dialable(listen("[::]:3025")), listen("[::1]:3025"));
        assert_eq!(dialable(listen("10.0.0.1:3025")), listen("10.0.0.1:3025"));
    }

    fn told(yaml: &str) -> ProxyAddresses {
        let yaml = format!("version: v1\nteleport:\n  nodename: here\n{yaml}");
        let settings = config::check(&yaml, "teleport.yaml").unwrap();
        let [web, ssh_proxy] = ["0.0.0.0:3080", "127.0.0.2:2023"].map(|text| Some(listen(text)));
        let bound = Addresses { web, ssh_proxy, ..Addresses::default() };
        proxies_told(&settings, settings.proxy.as_ref().unwrap(), &bound)
    }

    #[test]
    fn users_find_the_ssh_port_where_the_operator_says_or_where_the_web_port_is() {
        let unstated = told("");
        assert_eq!(
            (&unstated.web[..], &unstated.ssh[..]),
            (&["here:3080".into()][..], &["127.0.0.2:2023".into()][..])
        );
        let web = told("proxy_service:\n  public_addr: p.example.com:443\n");
        assert_eq!(
            (&web.web[..], &web.ssh[..]),
            (&["p.example.com:443".into()][..], &["p.example.com:2023".into()][..])
        );
        let both =
            told("proxy_service:\n  public_addr: p.example.com:443\n  ssh_public_addr: ssh.example.com:22\n");
        assert_eq!(both.ssh, ["ssh.example.com:22"]);
    }
}
