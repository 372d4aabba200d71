//! Keeping links: making them again whenever they are lost, and none to a proxy that has one.

use std::sync::Arc;
use std::time::Duration;

use domain::name::HostId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::connect::{Link, Reached};
use super::held::Kept;
use super::links::Up;
use super::waits::{RETRY_FIRST, Waits};
use super::{Agent, Proxies, Told, told};

/// About when a proxy is dialled that was told of: those that are configured come first, and a whole fleet is told at
/// the same moment.
const TOLD: Duration = Duration::from_secs(4);

impl Agent {
    /// Keeps a link to whatever proxy is at this address, for ever.
    pub(super) async fn keep(self: Arc<Self>, address: String) {
        let mut waits = Waits::new(self.settings.retry_max);
        loop {
            let began = Instant::now();
            let reason = match self.link(&address, Kept::Configured).await {
                Ok(Reached::Link(link)) => link.ended().await,
                Ok(Reached::Taken(proxy)) => self.covered(&address, proxy).await,
                Err(error) => ssh::refuse::chain(&error),
            };
            let wait = waits.lost(began.elapsed(), self.deps.random.uniform());
            tracing::warn!(proxy = %address, %reason, retry_in = %domain::duration::tenths(wait), "no link to the proxy");
            self.links.send_modify(|links| links.last_failure = Some(reason));
            sleep(wait).await;
        }
    }

    /// The proxy there has a link, which is as good. Returns when it has none, and says so.
    async fn covered(&self, address: &str, proxy: HostId) -> String {
        if self.held.comes_up(proxy).await {
            tracing::info!(%address, %proxy, "the proxy there has a link already");
            let _up = Up::mark(&self.links, Kept::Configured);
            self.held.down(proxy).await;
        }
        format!("the proxy at {address} has lost its link")
    }

    /// Sees to it that this proxy has a link for as long as it is told of. Returns which it was.
    ///
    /// Behind a load balancer its address may lead to another one; where that had no link either, it has got one.
    pub(super) async fn keep_told(self: Arc<Self>, proxy: HostId, made: mpsc::Sender<Link>) -> HostId {
        let (proxies, waits) = (self.deps.proxies.clone(), Waits::new(self.settings.retry_max));
        let mut pause = TOLD.mul_f64(0.5 + self.deps.random.uniform());
        let mut seeking = Seeking { agent: self, proxies, waits, place: 0, made };
        loop {
            seeking.agent.held.free(proxy).await;
            sleep(pause).await;
            pause = RETRY_FIRST.mul_f64(seeking.agent.deps.random.uniform());
            let Some(addresses) = seeking.addresses(proxy) else { return proxy };
            let wait = seeking.attempt(proxy, &addresses).await;
            seeking.rest(wait, proxy, &addresses).await;
        }
    }
}

/// The way to one proxy that is told of.
struct Seeking {
    agent: Arc<Agent>,
    proxies: Proxies,
    waits: Waits,
    /// Which of its addresses is next.
    place: usize,
    /// Takes the links.
    made: mpsc::Sender<Link>,
}

impl Seeking {
    /// Where it is reached; nothing when it is not told of any more.
    fn addresses(&mut self, proxy: HostId) -> Option<Vec<String>> {
        told::addresses(&self.proxies.borrow_and_update(), proxy, &self.agent.settings.proxies)
    }

    /// Dials the next address once; where the proxy has a link then, until it has none. Returns how long to wait before
    /// the next try.
    async fn attempt(&mut self, proxy: HostId, addresses: &[String]) -> Duration {
        let Some(address) = addresses.get(self.place).or(addresses.first()) else { return Duration::MAX };
        let reached = match self.agent.link(address, Kept::Told).await {
            Ok(Reached::Link(link)) => {
                let there = link.proxy;
                // Whoever takes it ends with this.
                let _ = self.made.send(*link).await;
                Ok(there)
            }
            Ok(Reached::Taken(there)) => Ok(there),
            Err(error) => Err(ssh::refuse::chain(&error)),
        };
        let (is_first, draw) = (self.waits.is_fresh(), self.agent.deps.random.uniform());
        let (reason, wait) = match reached {
            Ok(there) if there == proxy => return self.lost(proxy).await,
            Ok(there) => {
                let wait = self.waits.led_to(there, addresses.len() == 1, draw);
                (format!("its address leads to {there}"), wait)
            }
            Err(reason) => (reason, self.waits.failed(draw)),
        };
        self.place = (self.place + 1) % addresses.len();
        // It may not be for this host to reach, which is said once.
        if is_first {
            tracing::warn!(%proxy, %address, %reason, retry_in = %domain::duration::tenths(wait), "no link to a proxy that was told of");
        } else {
            tracing::debug!(%proxy, %address, %reason, retry_in = %domain::duration::tenths(wait), "no link to a proxy that was told of");
        }
        wait
    }

    /// Returns when a proxy that has a link has none: how long to wait then.
    async fn lost(&mut self, proxy: HostId) -> Duration {
        let began = Instant::now();
        self.agent.held.down(proxy).await;
        self.waits.lost(began.elapsed(), self.agent.deps.random.uniform())
    }

    /// Waits, or until it is told to be reached elsewhere.
    async fn rest(&mut self, wait: Duration, proxy: HostId, addresses: &[String]) {
        let configured = &self.agent.settings.proxies;
        let is_elsewhere =
            |told: &Told| told::addresses(told, proxy, configured).as_deref() != Some(addresses);
        let told = timeout(wait, self.proxies.wait_for(is_elsewhere)).await.map(|told| told.is_ok());
        match told {
            Ok(true) => {
                self.place = 0;
                sleep(self.waits.moved(Instant::now(), self.agent.deps.random.uniform())).await;
            }
            // Nobody tells any more.
            Ok(false) => sleep(wait).await,
            Err(_) => {}
        }
    }
}
