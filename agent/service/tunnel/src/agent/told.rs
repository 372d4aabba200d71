//! What proxies tell of themselves, as far as an agent goes by it.

use std::net::IpAddr;
use std::sync::Arc;

use domain::name::HostId;
use domain::server::{Proxy, host, is_loopback};

/// The proxies that are told of.
pub(super) fn hosts(told: &[Arc<Proxy>]) -> Vec<HostId> {
    told.iter().filter_map(|proxy| HostId::parse(proxy.name())).collect()
}

/// Where a proxy is reached; nothing where it is not told of any more.
///
/// A loopback address is its own and no other machine's, so it is none to an agent that reaches its configured proxies
/// elsewhere.
pub(super) fn addresses(told: &[Arc<Proxy>], proxy: HostId, configured: &[String]) -> Option<Vec<String>> {
    // The unspecified address is dialled as loopback.
    let is_here = |address: &str| {
        let host = host(address);
        is_loopback(host) || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified())
    };
    let all_here = configured.iter().any(|address| is_here(address));
    let proxy = told.iter().find(|told| HostId::parse(told.name()) == Some(proxy))?;
    let addresses = proxy.spec.public_addrs.iter();
    Some(addresses.filter(|address| all_here || !is_here(address)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use domain::server::ProxySpec;

    use super::*;

    const ID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";

    fn id() -> HostId {
        HostId::parse(ID).unwrap()
    }

    fn told(addresses: &[&str]) -> Vec<Arc<Proxy>> {
        let public_addrs = addresses.iter().map(ToString::to_string).collect();
        vec![Arc::new(Proxy::new(ID, ProxySpec { public_addrs, ..ProxySpec::default() }))]
    }

    #[test]
    fn a_proxys_own_loopback_is_nobody_elses() {
        let told = told(&[
            "127.0.0.1:3080",
            "[::1]:3080",
            "LocalHost.:3080",
            "[::ffff:127.0.0.2]:1",
            "0.0.0.0:3080",
            "[::]:3080",
            "p.example.com:443",
        ]);
        let elsewhere = addresses(&told, id(), &["proxy.example.com:443".to_owned()]);
        assert_eq!(elsewhere, Some(vec!["p.example.com:443".to_owned()]));
        let here = addresses(&told, id(), &["127.0.0.1:3080".to_owned()]);
        assert_eq!(here.map(|addresses| addresses.len()), Some(7));
    }

    #[test]
    fn one_that_is_not_told_of_has_no_address() {
        assert_eq!(
            addresses(&told(&[]), HostId::parse("11111111-f9b2-41d0-bb5a-e23b0cfe0f8f").unwrap(), &[]),
            None
        );
        assert_eq!(addresses(&told(&[]), id(), &[]), Some(Vec::new()));
        assert_eq!(hosts(&told(&[])), [id()]);
    }
}
