//! Records in etcd through the plugin, beside the same etcd reached natively: through `etcd-client`, which
//! the goal is about, and through its JSON gateway for comparison. One put or range a request in both; the plugin
//! host asks what gathers while other calls are under way in one request.
//!
//! `etcd-client` is there when the benchmarks were built with the feature of that name, as
//! `cargo xtask bench` does. Without it the rows say so and reach no goal.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant, PluginName};
use plugin_host::{PluginHost, PluginSettings, Settings, StoragePlugin};
use port::backend::Backend as _;
use port::store::{Key, Transaction};
use terminal::{Explain, Failure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::measure::{Scale, median, median_ratio};
use crate::table::{Report, Row, Verdict, at_least};
use crate::world::free_ports;

mod gateway;
#[cfg(feature = "etcd-client")]
mod native;

use gateway::Gateway;

/// Callers at one time: as many as the host keeps instances for, and as many as a busy auth server has.
const CALLERS: [usize; 2] = [8, 64];
const VALUE: [u8; 200] = [b'v'; 200];
const READY: Duration = Duration::from_secs(30);

struct Etcd {
    child: Child,
    address: SocketAddr,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Etcd {
    async fn start(folder: &Path) -> Result<Self, Failure> {
        let [address, peer] = free_ports()?;
        let (client, peer) = (format!("http://{address}"), format!("http://{peer}"));
        let child = Command::new("etcd")
            .args(["--name", "bench", "--data-dir"])
            .arg(folder.join("etcd"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("bench={peer}")])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .while_doing("cannot start etcd")
            .hint("install etcd-server, the peer of this benchmark")?;
        let etcd = Self { child, address };
        let began = Instant::now();
        while began.elapsed() < READY {
            if let Ok(mut gateway) = Gateway::connect(address).await
                && gateway.get("ready").await.is_ok()
            {
                return Ok(etcd);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(Failure::new("etcd does not answer"))
    }

    fn plugin(&self, folder: &Path) -> Result<StoragePlugin, Failure> {
        let mut settings = Settings::new(folder);
        let name = PluginName::new("storage-etcd")?;
        settings.storage = Some(name.clone());
        let url = format!("http://{}", self.address);
        let plugin = PluginSettings {
            grants: vec![Grant::http(Destination::parse(&url)?, true)],
            config: BTreeMap::from([("peers".to_owned(), Written::Many(vec![url]))]),
            ..PluginSettings::default()
        };
        settings.plugins.insert(name.clone(), plugin);
        Ok(PluginHost::new(settings)?.storage(name))
    }
}

#[derive(Clone, Copy)]
enum Work {
    Put,
    Get,
}

/// What one pass does: so many callers, each so often, one after the other.
#[derive(Clone, Copy)]
struct Load {
    work: Work,
    callers: usize,
    each: usize,
}

/// Rates of one kind of work, a pass of each after the other.
#[derive(Default)]
struct Rates {
    ours: Vec<f64>,
    /// None where `etcd-client` is not built in.
    client: Vec<f64>,
    gateway: Vec<f64>,
}

impl Rates {
    fn row(&mut self, what: &str) -> Row {
        let shown = |rates: &mut Vec<f64>| format!("{:.0}/s", median(rates));
        let to_gateway = median_ratio(&self.ours, &self.gateway);
        let gateway = format!("JSON gateway {} ({to_gateway:.2} x)", shown(&mut self.gateway));
        if self.client.is_empty() {
            let missing =
                "etcd-client is not built in: install protobuf-compiler, build with --features etcd-client";
            return Row {
                what: what.to_owned(),
                ours: shown(&mut self.ours),
                peer: format!("{missing}; {gateway}"),
                ratio: String::new(),
                goal: ">= 0.7 x".to_owned(),
                verdict: Verdict::Shown,
            };
        }
        let ratio = median_ratio(&self.ours, &self.client);
        let peer = format!("etcd-client {}; {gateway}", shown(&mut self.client));
        at_least(what, (shown(&mut self.ours), peer), ratio, 0.7)
    }
}

pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let etcd = Etcd::start(folder.path()).await?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let plugin = Arc::new(etcd.plugin(&data)?);
    plugin.open().await?;
    for (work, what, all) in [(Work::Put, "puts", 3_200), (Work::Get, "gets", 6_400)] {
        for callers in CALLERS {
            let load = Load { work, callers, each: scale.rounds(all / callers) };
            let mut rates = Rates::default();
            ours_once(&plugin, load).await?;
            for _ in 0..scale.rounds(8) {
                rates.ours.push(ours_once(&plugin, load).await?);
                #[cfg(feature = "etcd-client")]
                rates.client.push(native::once(etcd.address, load).await?);
                rates.gateway.push(gateway_once(etcd.address, load).await?);
            }
            report.add(rates.row(&format!("etcd through the plugin: {what}, {callers} callers")));
        }
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "thousands")]
async fn rate(mut callers: JoinSet<Result<(), Failure>>, load: Load, began: Instant) -> Result<f64, Failure> {
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok((load.callers * load.each) as f64 / began.elapsed().as_secs_f64())
}

async fn ours_once(plugin: &Arc<StoragePlugin>, load: Load) -> Result<f64, Failure> {
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..load.callers {
        let plugin = Arc::clone(plugin);
        callers.spawn(async move {
            for number in 0..load.each {
                let key = Key::of(&["bench", &format!("{caller}-{number}")]);
                match load.work {
                    Work::Put => {
                        let put = Transaction::default().put(key, Bytes::from_static(&VALUE), None);
                        plugin.write(&put).await?;
                    }
                    Work::Get => drop(plugin.get(&key).await?),
                }
            }
            Ok(())
        });
    }
    rate(callers, load, began).await
}

async fn gateway_once(address: SocketAddr, load: Load) -> Result<f64, Failure> {
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..load.callers {
        callers.spawn(async move {
            let mut gateway = Gateway::connect(address).await?;
            for number in 0..load.each {
                let key = format!("/gateway/{caller}-{number}");
                match load.work {
                    Work::Put => gateway.put(&key).await?,
                    Work::Get => gateway.get(&key).await?,
                }
            }
            Ok(())
        });
    }
    rate(callers, load, began).await
}
