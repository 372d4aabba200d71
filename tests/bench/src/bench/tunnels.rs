//! Thousands of agents: joins per second, memory of the proxy per idle tunnel, and how long all of
//! them take to come back when the proxy was killed.
//!
//! The agents are the real ones, many in a process of their own so that their memory is not the
//! proxy's; each has an identity it joined with.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use certs::bundle::Bundle;
use client::join::{Joining, join};
use client::view::View;
use domain::identity::SystemRole;
use domain::name::HostId;
use net::tls::ServerTrust;
use port::clock::SystemClock;
use port::random::{Random, SystemRandom};
use port::stream::{BoxedStream, Origin, Serve};
use ssh::host::HostCheck;
use terminal::{Explain, Failure};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tunnel_service::agent::{Agent, AgentDeps};
use tunnel_service::{AgentSettings, LinkSettings, Metrics};

use crate::measure::{Scale, resident_kib};
use crate::table::{Report, below};
use crate::world::{World, join_token};

/// Joins under way at once.
const AT_ONCE: usize = 64;
/// How long all may take to connect.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) async fn run(world: World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let counts: &[usize] = if scale.quick { &[200] } else { &[2000, 9000] };
    let token = join_token(&world.admin).await?;
    let base = resident_kib(world.proxy.pid());
    let mut crowd: Vec<Crowd> = Vec::new();
    let mut have = 0;
    for count in counts {
        let more = Crowd::start(&world, &token, count - have)?;
        have = *count;
        report.show(format!("joins, to {count} agents"), format!("{:.0}/s", more.joins_per_second), "");
        crowd.push(more);
        wait_for_links(&world, have + 1).await?;
        sleep(Duration::from_secs(5)).await;
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let each = (resident_kib(world.proxy.pid()) - base) / have as f64;
        report.add(below(
            &format!("proxy memory per idle tunnel, {count} tunnels"),
            each,
            48.0,
            "KiB",
            "sshd 1,451 KiB".to_owned(),
        ));
    }
    let took = restart(world, have + 1).await?;
    report.show(
        format!("all {have} tunnels back after the proxy was killed and restarted"),
        format!("{took:.1} s"),
        "",
    );
    Ok(())
}

async fn restart(world: World, links: usize) -> Result<f64, Failure> {
    let yaml = std::fs::read_to_string(world.path("proxy.yaml"))?;
    let World { folder, auth, proxy, node, .. } = world;
    drop(proxy);
    sleep(Duration::from_secs(2)).await;
    let again = crate::world::start_daemon(folder.path(), "proxy", &yaml).await?;
    let started = Instant::now();
    wait(again.diagnostics, links).await?;
    drop((node, auth));
    Ok(started.elapsed().as_secs_f64())
}

async fn wait_for_links(world: &World, links: usize) -> Result<(), Failure> {
    wait(world.proxy.diagnostics, links).await
}

async fn wait(diagnostics: std::net::SocketAddr, links: usize) -> Result<(), Failure> {
    let started = Instant::now();
    let mut up = 0;
    while started.elapsed() < PATIENCE {
        up = links_up(diagnostics).await.unwrap_or(0);
        if up >= links {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new(format!("only {up} of {links} tunnels are up after {} s", PATIENCE.as_secs())))
}

/// The gauge of the proxy itself.
async fn links_up(diagnostics: std::net::SocketAddr) -> Option<usize> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(diagnostics).await.ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    text.lines().find_map(|line| line.split_once("tunnel_links ")?.1.trim().parse().ok())
}

/// Many agents in one process; gone when dropped.
struct Crowd {
    child: Child,
    joins_per_second: f64,
}

impl Crowd {
    fn start(world: &World, token: &str, count: usize) -> Result<Self, Failure> {
        let plan = serde_json::json!({ "proxy": world.web_port.to_string(), "pin": world.pin, "token": token, "count": count });
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--agents", &plan.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .while_doing("cannot start the agents")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let joins_per_second = line.trim().parse().map_err(|_| Failure::new("the agents did not join"))?;
        Ok(Self { child, joins_per_second })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other process: joins, prints how fast, keeps links until its input ends.
pub(crate) async fn agents(plan: &str) -> Result<(), Failure> {
    let plan: serde_json::Value = serde_json::from_str(plan)?;
    let text = |name: &str| plan.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let count = plan.get("count").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let pin = certs::x509::Pin::parse(&text("pin"))?;
    let (proxy, token) = (text("proxy"), text("token"));
    let started = Instant::now();
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut joins = tokio::task::JoinSet::new();
    for number in 0..count {
        let (proxy, token, places) = (proxy.clone(), token.clone(), Arc::clone(&places));
        joins.spawn(async move {
            let _place = places.acquire_owned().await;
            let joining = Joining {
                addresses: vec![proxy],
                trust: ServerTrust::Pins(vec![pin]),
                token: token.as_str().into(),
                host_id: HostId(SystemRandom.uuid()),
                role: SystemRole::Node,
                node_name: format!("agent-{number}"),
                host_addresses: Vec::new(),
            };
            join(&joining, &SystemRandom).await
        });
    }
    let mut bundles = Vec::new();
    while let Some(joined) = joins.join_next().await {
        bundles.push(joined??);
    }
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let rate = count as f64 / started.elapsed().as_secs_f64();
    keep_links(bundles, &proxy);
    let mut out = std::io::stdout();
    std::io::Write::write_all(&mut out, format!("{rate}\n").as_bytes())?;
    std::io::Write::flush(&mut out)?;
    let closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    closed.await??;
    Ok(())
}

fn keep_links(bundles: Vec<Bundle>, proxy: &str) {
    let Some(first) = bundles.first() else { return };
    let view = View::new(&first.identity.cluster, &[], &first.authorities);
    for bundle in bundles {
        let (sender, identity) = watch::channel(Arc::new(bundle));
        let deps = AgentDeps {
            identity,
            proxies: view.proxies(),
            check: HostCheck { view: view.clone(), clock: Arc::new(SystemClock) },
            service: Arc::new(Nobody),
            random: Arc::new(SystemRandom),
            metrics: Metrics::default(),
        };
        let settings = AgentSettings {
            proxies: vec![proxy.to_owned()],
            link: LinkSettings::default(),
            retry_max: Duration::from_secs(90),
        };
        tokio::spawn(async move {
            let _kept = sender;
            Agent::new(settings, deps).run(CancellationToken::new()).await;
        });
    }
}

/// Serves nothing: these agents only hold links.
struct Nobody;

#[async_trait]
impl Serve for Nobody {
    async fn serve(&self, _stream: BoxedStream, _origin: Origin) {}
}
