//! What the proxy is asked for and does not do: it leads to nodes, and to nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::label::Labels;
use domain::node::NodeSpec;
use teleport_tests_cluster::channel::Opened;
use teleport_tests_cluster::raw::{Raw, message};
use teleport_tests_cluster::wire::Message;
use teleport_tests_cluster::{Cluster, Credentials, HostProcess};
use tokio::net::TcpListener;

/// `administratively prohibited` (RFC 4254 section 5.1).
const PROHIBITED: u32 = 1;
/// `connect failed`.
const CONNECT_FAILED: u32 = 2;
/// `unknown channel type`.
const UNKNOWN_TYPE: u32 = 3;

struct Bed {
    cluster: Cluster,
    joe: Credentials,
    node: HostProcess,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let node = cluster.add_node("web-1", "").await;
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        Self { cluster, joe, node }
    }

    async fn client(&self) -> Raw {
        Raw::signed_in(self.cluster.ssh_proxy(), &self.joe, "root").await
    }
}

/// A listener on this machine that nothing may ever reach.
struct Trap {
    port: u16,
    hits: Arc<AtomicUsize>,
}

impl Trap {
    async fn set() -> Self {
        let everywhere = TcpListener::bind("[::]:0").await.unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let hits = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&hits);
        tokio::spawn(async move {
            while everywhere.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        let trap = Self { port, hits };
        // A trap that does not snap proves nothing.
        for address in
            [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))]
        {
            drop(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        while trap.hits.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        trap.hits.store(0, Ordering::SeqCst);
        trap
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_no_node_are_never_dialled() {
    let bed = Bed::start().await;
    let trap = Trap::set().await;
    let mut raw = bed.client().await;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "localhost",
        "localhost.",
        "localhost.main",
        "::1",
        "[::1]",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%lo",
        "fd00:ec2::254",
        "metadata.google.internal",
        "10.0.0.1",
        "proxy-1",
        "proxy-1.main",
        "auth.teleport.internal",
        "@node",
        "@",
        "",
        " ",
        ".",
        "*",
        "web-1\0",
        "web-1 ",
        "web-1\n",
        "../web-1",
        "web-1.main.main",
        "web-1.other",
    ];
    for host in hosts {
        for port in [u32::from(trap.port), 22, 0, 80, u32::MAX] {
            let Opened::Refused(code, reason) = raw.open_direct(host, port).await.unwrap() else {
                panic!("{host:?} port {port} was dialled")
            };
            assert_eq!(code, PROHIBITED, "{host:?}: {reason}");
            assert!(
                reason.contains("is unknown or offline; list nodes with: tctl nodes ls"),
                "{host:?}: {reason}"
            );
            assert!(!reason.chars().any(char::is_control));
        }
    }
    assert_eq!(trap.hits.load(Ordering::SeqCst), 0);
    let event = bed.cluster.audited(|line| line.contains("T1006W") && line.contains("169.254.169.254")).await;
    assert!(event.contains("\"user\":\"joe\""), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_ssh_port_of_a_node_is_reached() {
    let bed = Bed::start().await;
    let trap = Trap::set().await;
    let mut raw = bed.client().await;
    for port in [u32::from(trap.port), 1, 80, 65_536, u32::MAX] {
        let Opened::Refused(code, reason) = raw.open_direct("web-1", port).await.unwrap() else {
            panic!("port {port} was dialled")
        };
        assert_eq!(code, PROHIBITED);
        assert!(reason.contains("serves SSH only") && reason.contains("-L over a session"), "{reason}");
    }
    assert_eq!(trap.hits.load(Ordering::SeqCst), 0);
    for (host, port) in [("web-1", 22), ("web-1", 3022), ("web-1", 0), ("web-1.main", 22), ("WEB-1.Main", 22)]
    {
        assert!(matches!(raw.open_direct(host, port).await.unwrap(), Opened::Channel(_)), "{host}:{port}");
    }
    let id = std::fs::read_to_string(bed.node.data_dir.join("host_uuid")).unwrap();
    for host in [id.trim().to_owned(), format!("{}.main", id.trim()), id.trim().to_uppercase()] {
        assert!(matches!(raw.open_direct(&host, 22).await.unwrap(), Opened::Channel(_)), "{host}");
    }
}

/// A node without labels that announces this address.
fn announcing(name: &str, addr: String) -> NodeSpec {
    NodeSpec {
        hostname: name.into(),
        addr,
        use_tunnel: true,
        labels: Labels::default(),
        cmd_labels: Labels::default(),
        cmd_label_errors: Labels::default(),
        version: String::new(),
    }
}

/// What opening a channel to a node ends with, once the proxy has heard of the node.
async fn open_known(raw: &mut Raw, name: &str) -> Opened {
    let waiting = async {
        loop {
            match raw.open_direct(name, 22).await.unwrap() {
                // The proxy hears of new nodes a moment later.
                Opened::Refused(PROHIBITED, _) => tokio::time::sleep(Duration::from_millis(10)).await,
                answer => return answer,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_lead_the_proxy_to_its_own_loopback() {
    let trap = Trap::set().await;
    let addresses = ["127.0.0.1", "127.8.7.6", "[::1]", "[::ffff:127.0.0.1]"];
    // On a cluster of this machine alone, loopback is where nodes are.
    for (cluster, local) in
        [(Cluster::start().await, true), (Cluster::start_public("proxy.example.com:443").await, false)]
    {
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        let mut raw = Raw::signed_in(cluster.ssh_proxy(), &joe, "root").await;
        let before = trap.hits.load(Ordering::SeqCst);
        for (number, ip) in addresses.iter().enumerate() {
            let name = format!("liar-{number}");
            let liar = cluster.host(domain::identity::SystemRole::Node, &name).await;
            let spec = announcing(&name, format!("{ip}:{}", trap.port));
            cluster.client_of(&liar).heartbeat(&spec, false).await.unwrap();
            match open_known(&mut raw, &name).await {
                Opened::Channel(_) => assert!(local, "{ip}"),
                Opened::Refused(code, text) => {
                    assert!(!local && code == CONNECT_FAILED, "{ip}: {code} {text}");
                    assert!(text.contains("set advertise_ip"), "{text}");
                }
            }
        }
        let hits = trap.hits.load(Ordering::SeqCst) - before;
        assert!(local || hits == 0, "the proxy was led to its own loopback");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_gone_is_said_to_be_offline() {
    let bed = Bed::start().await;
    // A host that says it keeps a tunnel and keeps none.
    let ghost = bed.cluster.host(domain::identity::SystemRole::Node, "ghost").await;
    bed.cluster.client_of(&ghost).heartbeat(&announcing("ghost", String::new()), false).await.unwrap();
    let mut raw = bed.client().await;
    let answer = open_known(&mut raw, "ghost").await;
    let text = "node ghost is offline: it has no tunnel to this proxy and announces no address";
    assert_eq!(answer, Opened::Refused(CONNECT_FAILED, text.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_itself_runs_and_forwards_nothing() {
    let bed = Bed::start().await;
    let trap = Trap::set().await;
    let mut raw = bed.client().await;
    let session = raw.open_session().await.unwrap();
    let pty = Message::part().text("xterm").number(80).number(24).number(0).number(0).text([0]);
    let x11 = Message::part().flag(false).text("MIT-MAGIC-COOKIE-1").text("00").number(0);
    let refused = [
        ("pty-req", pty),
        ("env", Message::part().text("LANG").text("C")),
        ("x11-req", x11),
        ("auth-agent-req@openssh.com", Message::part()),
        ("no-such-request@example.com", Message::part()),
    ];
    for (kind, more) in refused {
        assert!(!raw.is_granted(session, kind, more).await.unwrap(), "{kind}");
    }
    for (kind, more) in [("shell", Message::part()), ("exec", Message::part().text("id"))] {
        let channel = raw.open_session().await.unwrap();
        let said = raw.converse(channel, kind, more).await.unwrap();
        assert!(
            said.stderr.contains("this is a proxy and has no shell; connect to a node: ssh -J"),
            "{said:?}"
        );
        assert_eq!((said.stdout.as_str(), said.status), ("", Some(1)));
    }
    let unix = Message::part().text("/tmp/never").text("").number(0);
    let forwarded =
        Message::part().text("127.0.0.1").number(u32::from(trap.port)).text("127.0.0.1").number(1);
    for (kind, more) in [
        ("direct-streamlocal@openssh.com", unix),
        ("forwarded-tcpip", forwarded),
        ("forwarded-streamlocal@openssh.com", Message::part().text("/tmp/never").text("")),
        ("x11", Message::part().text("127.0.0.1").number(1)),
        ("auth-agent@openssh.com", Message::part()),
        ("tun@openssh.com", Message::part().number(1).number(0)),
    ] {
        let opened = raw.open(kind, more).await.unwrap();
        assert!(
            matches!(opened, Opened::Refused(PROHIBITED | CONNECT_FAILED | UNKNOWN_TYPE, _)),
            "{kind}: {opened:?}"
        );
    }
    let listen = || Message::part().text("").number(0);
    let socket = || Message::part().text("/tmp/never-teleport-listens-here");
    for (kind, more) in [
        ("tcpip-forward", listen()),
        ("cancel-tcpip-forward", listen()),
        ("streamlocal-forward@openssh.com", socket()),
        ("cancel-streamlocal-forward@openssh.com", socket()),
    ] {
        assert!(!raw.is_global_granted(kind, more).await.unwrap(), "{kind}");
    }
    assert!(!std::path::Path::new("/tmp/never-teleport-listens-here").exists());
    assert_eq!(trap.hits.load(Ordering::SeqCst), 0);
    // After all that the connection still does what it is for.
    assert!(matches!(raw.open_direct("web-1", 22).await.unwrap(), Opened::Channel(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn subsystems_that_name_no_node_are_refused_with_the_form() {
    let bed = Bed::start().await;
    let mut raw = bed.client().await;
    let malformed = [
        "sftp",
        "",
        "proxy",
        "proxy:",
        "proxy::22",
        "proxy:web-1:x",
        "proxy:web-1:65536",
        "proxy:web-1@",
        "PROXY:web-1:22",
    ];
    for name in malformed {
        let channel = raw.open_session().await.unwrap();
        let said = raw.converse(channel, "subsystem", Message::part().text(name)).await.unwrap();
        assert_eq!((said.granted, said.status), (Some(false), Some(1)), "{name}: {said:?}");
        assert!(said.stderr.contains("is not a target; write it as proxy:host:port"), "{name}: {said:?}");
    }
    for (name, reason) in [
        ("proxy:web-1:22@elsewhere", "cluster \"elsewhere\" is unknown here"),
        ("proxy:web-2:22", "node \"web-2\" is unknown or offline"),
        ("proxy:127.0.0.1:22", "node \"127.0.0.1\" is unknown or offline"),
        ("proxy:[::1]:22", "node \"::1\" is unknown or offline"),
        ("proxy:web-1:80", "serves SSH only"),
    ] {
        let channel = raw.open_session().await.unwrap();
        let said = raw.converse(channel, "subsystem", Message::part().text(name)).await.unwrap();
        assert!(said.stderr.contains(reason) && said.status == Some(1), "{name}: {said:?}");
    }
    for name in ["proxy:web-1:22", "proxy:web-1", "proxy:web-1:0@main", "proxy:web-1.main:3022"] {
        let channel = raw.open_session().await.unwrap();
        raw.request(channel, "subsystem", Message::part().text(name)).await.unwrap();
        let greeting = raw.receive_one_of(&[message::CHANNEL_DATA]).await.unwrap();
        assert!(String::from_utf8_lossy(&greeting).contains("SSH-2.0-Teleport"), "{name}");
        raw.send(Message::new(message::CHANNEL_CLOSE).number(channel)).await.unwrap();
        raw.receive_one_of(&[message::CHANNEL_CLOSE]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_of_one_name_are_listed_and_none_is_chosen() {
    let bed = Bed::start().await;
    std::fs::create_dir(bed.cluster.folder().join("second")).unwrap();
    let yaml = format!(
        "version: v3\nteleport:\n  nodename: web-1\n  data_dir: {}/second\n  proxy_server: {}\n  ca_pin: {}\n  \
         auth_token: a-token-for-nodes\nssh_service:\n  enabled: yes\n",
        bed.cluster.folder().display(),
        bed.cluster.web(),
        bed.cluster.pin,
    );
    let clock = teleport_tests_cluster::ShiftedClock::default();
    let _twin = teleport_tests_cluster::try_start(&yaml, &clock).await.unwrap();
    let id = |folder: &str| {
        let path = bed.cluster.folder().join(folder).join("host_uuid");
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    };
    let mut raw = bed.client().await;
    let waiting = async {
        loop {
            if let Opened::Refused(_, reason) = raw.open_direct("web-1", 22).await.unwrap() {
                return reason;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    let mut matches = [format!("web-1 ({})", id("web-1")), format!("web-1 ({})", id("second"))];
    matches.sort();
    assert_eq!(
        reason,
        format!("\"web-1\" is ambiguous, it matches {}; connect by UUID instead", matches.join(", "))
    );
    // It may be announced a moment before its link is up.
    let opening = async {
        while !matches!(raw.open_direct(&id("second"), 22).await.unwrap(), Opened::Channel(_)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opening).await.unwrap();
}
