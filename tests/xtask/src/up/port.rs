//! Which ports the cluster gets: the standard ones where they are free, else what the system offers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::{During, Failure};

/// The ports of a cluster, all on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// SSH of the proxy, for clients.
    pub(crate) ssh: SocketAddr,
    /// Reverse tunnels.
    pub(crate) tunnel: SocketAddr,
    /// The auth server.
    pub(crate) auth: SocketAddr,
    /// HTTPS of the proxy; agents need this one only.
    pub(crate) web: SocketAddr,
    /// Health and metrics of auth and proxy.
    pub(crate) cluster_health: SocketAddr,
    /// Health and metrics of the node.
    pub(crate) node_health: SocketAddr,
}

/// The standard ports, in the order of the fields above.
const STANDARD: [u16; 6] = [3023, 3024, 3025, 3080, 3000, 3001];
const NONE_FREE: &str = "cannot find a free port on loopback";

impl Ports {
    /// Chooses them. They are free now; whoever takes one before the daemons do makes those fail.
    pub(crate) fn choose() -> Result<Self, Failure> {
        Self::near(STANDARD)
    }

    fn near(wanted: [u16; 6]) -> Result<Self, Failure> {
        let free = |port: &u16| listen(*port).or_else(|_| listen(0));
        // All are held until the last is chosen, so that none is chosen twice.
        let held: Vec<_> = wanted.iter().map(free).collect::<Result<_, _>>().during(NONE_FREE)?;
        let chosen: Vec<_> =
            held.iter().map(TcpListener::local_addr).collect::<Result<_, _>>().during(NONE_FREE)?;
        let [ssh, tunnel, auth, web, cluster_health, node_health] = *chosen.as_slice() else {
            return Err(Failure::new(NONE_FREE));
        };
        Ok(Self { ssh, tunnel, auth, web, cluster_health, node_health })
    }

    /// What each is for, as it is shown.
    pub(crate) fn rows(&self) -> [(&'static str, SocketAddr); 6] {
        [
            ("proxy, SSH for clients", self.ssh),
            ("proxy, reverse tunnels", self.tunnel),
            ("auth", self.auth),
            ("proxy, HTTPS and agents", self.web),
            ("health of auth and proxy", self.cluster_health),
            ("health of the node", self.node_health),
        ]
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let holder = listen(0).unwrap();
        let taken = holder.local_addr().unwrap().port();
        let ports = Ports::near([taken, 0, 0, 0, 0, 0]).unwrap();
        assert_ne!(ports.ssh.port(), taken);
        let mut all: Vec<_> = ports.rows().map(|(_, address)| address.port()).to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "each is another: {ports:?}");
    }
}
