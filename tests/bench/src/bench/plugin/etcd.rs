//! Records in etcd through the plugin, beside the same etcd asked natively: its JSON gateway over kept
//! HTTP connections, one put or range a request. (Its gRPC cannot be had without a compiler of protocol
//! descriptions, and the plugin does not speak it either.)

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant, PluginName};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use plugin_host::{PluginHost, PluginSettings, Settings, StoragePlugin};
use port::backend::Backend as _;
use port::store::{Key, Transaction};
use serde_json::json;
use terminal::{Explain, Failure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::measure::{Scale, median, median_ratio};
use crate::table::{Report, at_least};
use crate::world::free_ports;

/// Callers at one time: as many as the host keeps instances for.
const CALLERS: usize = 8;
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
            if let Ok(mut native) = Native::connect(address).await
                && native.get("ready").await.is_ok()
            {
                return Ok(etcd);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(Failure::new("etcd does not answer"))
    }

    fn plugin(&self, folder: &Path) -> Result<StoragePlugin, Failure> {
        let mut settings = Settings::new(folder);
        settings.storage = true;
        let name = PluginName::new("storage-etcd")?;
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

/// One connection to etcd's gateway.
struct Native {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Native {
    async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end is seen by the sender.
        drop(tokio::spawn(connection));
        Ok(Self { sender, host: address.to_string() })
    }

    async fn post(&mut self, path: &str, body: serde_json::Value) -> Result<(), Failure> {
        let request = hyper::Request::post(path)
            .header("host", &self.host)
            .body(Full::new(Bytes::from(body.to_string())))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(Failure::new(format!("etcd answered {status}: {}", String::from_utf8_lossy(&body))));
        }
        serde_json::from_slice::<serde_json::Value>(&body)?;
        Ok(())
    }

    async fn put(&mut self, key: &str) -> Result<(), Failure> {
        self.post("/v3/kv/put", json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(VALUE) })).await
    }

    async fn get(&mut self, key: &str) -> Result<(), Failure> {
        self.post("/v3/kv/range", json!({ "key": STANDARD.encode(key) })).await
    }
}

#[derive(Clone, Copy)]
enum Work {
    Put,
    Get,
}

pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let etcd = Etcd::start(folder.path()).await?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let plugin = Arc::new(etcd.plugin(&data)?);
    plugin.open().await?;
    for (work, what, each) in [
        (Work::Put, "etcd through the plugin: puts, 8 callers", scale.rounds(200)),
        (Work::Get, "etcd through the plugin: gets, 8 callers", scale.rounds(800)),
    ] {
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        ours_once(&plugin, work, each / 4).await?;
        for _ in 0..scale.rounds(8) {
            ours.push(ours_once(&plugin, work, each).await?);
            peer.push(native_once(etcd.address, work, each).await?);
        }
        let ratio = median_ratio(&ours, &peer);
        let shown = |rates: &mut Vec<f64>| format!("{:.0}/s", median(rates));
        let shown = (shown(&mut ours), format!("its JSON gateway, natively {}", shown(&mut peer)));
        report.add(at_least(what, shown, ratio, 0.7));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "thousands")]
async fn rate(
    mut callers: JoinSet<Result<(), Failure>>,
    each: usize,
    began: Instant,
) -> Result<f64, Failure> {
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok((CALLERS * each) as f64 / began.elapsed().as_secs_f64())
}

async fn ours_once(plugin: &Arc<StoragePlugin>, work: Work, each: usize) -> Result<f64, Failure> {
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..CALLERS {
        let plugin = Arc::clone(plugin);
        callers.spawn(async move {
            for number in 0..each {
                let key = Key::of(&["bench", &format!("{caller}-{number}")]);
                match work {
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
    rate(callers, each, began).await
}

async fn native_once(address: SocketAddr, work: Work, each: usize) -> Result<f64, Failure> {
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..CALLERS {
        callers.spawn(async move {
            let mut native = Native::connect(address).await?;
            for number in 0..each {
                let key = format!("/native/{caller}-{number}");
                match work {
                    Work::Put => native.put(&key).await?,
                    Work::Get => native.get(&key).await?,
                }
            }
            Ok(())
        });
    }
    rate(callers, each, began).await
}
