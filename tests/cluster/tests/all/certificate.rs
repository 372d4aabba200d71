//! Certificates that must not open anything: the reason reaches the user and the audit log.

use std::net::SocketAddr;
use std::time::Duration;

use domain::authority::AuthorityType;
use domain::lock::{Lock, LockSpec, Target};
use domain::resource::Resource;
use domain::role::Role;
use russh::ChannelMsg;
use serde_json::Value;
use teleport_tests_cluster::forge::{ED25519_CERTIFICATE, Forged, Key, Shown, Verdict};
use teleport_tests_cluster::raw::Raw;
use teleport_tests_cluster::wire::Message;
use teleport_tests_cluster::{Client, Cluster, Credentials};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The sentence for whoever never showed a certificate that can be judged.
const NONE_VALID: &str = "no valid certificate of this cluster was offered";

/// A cluster, a node that listens, and one user with one login.
struct Bed {
    cluster: Cluster,
    node: SocketAddr,
    joe: Credentials,
    users: Key,
    _process: teleport_tests_cluster::HostProcess,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let process = cluster.add_node("web-1", "  force_listen: yes\n  listen_addr: 127.0.0.1:0\n").await;
        let node = process.running.addresses.node.unwrap();
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        let users = cluster.authority(AuthorityType::User).await;
        Self { cluster, node, joe, users, _process: process }
    }

    fn honest(&self) -> Forged {
        Forged::like(&self.joe)
    }

    fn key(&self) -> Key {
        Key::of(&self.joe.key)
    }

    /// Signed by the cluster's own authority.
    fn signed(&self, forged: &Forged) -> Shown {
        Shown::certificate(self.key(), forged.sign(&self.users))
    }

    async fn try_at(&self, address: SocketAddr, login: &str, shown: &Shown) -> Verdict {
        Raw::stranger(address).await.unwrap().sign_in(login, shown).await.unwrap()
    }

    /// Tries at node and proxy; both must refuse with this reason and write it down.
    async fn refused_everywhere(&self, shown: &Shown, reason: &str) {
        for address in [self.node, self.cluster.ssh_proxy()] {
            self.refused(address, shown, reason).await;
        }
    }

    async fn refused(&self, address: SocketAddr, shown: &Shown, reason: &str) {
        let event = self.tried(Raw::stranger(address).await.unwrap(), shown, reason).await;
        assert!(event["login"] == "root", "{event}");
    }

    /// The event of one who is refused for this reason.
    async fn tried(&self, mut raw: Raw, shown: &Shown, reason: &str) -> Value {
        let Verdict::Refused(told) = raw.sign_in("root", shown).await.unwrap() else {
            panic!("they should hear: {reason}")
        };
        assert!(told.starts_with("access denied: ") && told.contains(reason), "{told:?} should say {reason}");
        self.last_refusal(raw, reason).await
    }

    /// The event of a connection that now ends, and was refused for this reason. Events of connections
    /// that ended before may still be on their way.
    async fn last_refusal(&self, raw: Raw, reason: &str) -> Value {
        let for_it = |event: &Value| {
            event["code"] == "T3007W" && event["error"].as_str().is_some_and(|error| error.contains(reason))
        };
        let refusals = || self.cluster.events().into_iter().filter(for_it);
        let before = refusals().count();
        drop(raw);
        let written = async {
            loop {
                if let Some(event) = refusals().nth(before) {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written).await.expect("the refusal is written down")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_right_passes() {
    let bed = Bed::start().await;
    let copy = bed.signed(&bed.honest());
    for address in [bed.node, bed.cluster.ssh_proxy()] {
        assert_eq!(bed.try_at(address, "root", &copy).await, Verdict::Accepted, "forged like the real one");
        assert_eq!(bed.try_at(address, "root", &Shown::honest(&bed.joe)).await, Verdict::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_are_refused() {
    let bed = Bed::start().await;
    let honest = bed.honest();
    let stranger = Key::fresh();
    let other = Shown::certificate(bed.key(), honest.sign(&stranger));
    bed.refused_everywhere(&other, "not signed by this cluster's user authority").await;
    let hosts = bed.cluster.authority(AuthorityType::Host).await;
    let by_hosts = Shown::certificate(bed.key(), honest.sign(&hosts));
    bed.refused_everywhere(&by_hosts, "not signed by this cluster's user authority").await;
    let host = Forged { kind: 2, ..honest.clone() };
    bed.refused_everywhere(&bed.signed(&host), "is not a user certificate").await;
    let real_host = Shown::certificate(bed.key(), host.sign(&hosts));
    bed.refused_everywhere(&real_host, "is not a user certificate").await;
    let lie = Forged { signed_by: Some(bed.users.public()), ..honest.clone() };
    let lie = Shown::certificate(bed.key(), lie.sign(&stranger));
    bed.refused_everywhere(&lie, NONE_VALID).await;
    let mut broken = honest.sign(&bed.users);
    let last = broken.len() - 1;
    broken[last] ^= 1;
    bed.refused_everywhere(&Shown::certificate(bed.key(), broken), NONE_VALID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_signed_by_a_certificate_is_refused() {
    let bed = Bed::start().await;
    // The authority's own key in a certificate that the authority itself made: trusted by whoever
    // looks at the key inside only.
    let of_authority = Forged { key: bed.users.public()[15 + 4..].to_vec(), ..bed.honest() };
    let certified_authority = of_authority.sign(&bed.users);
    for signed_by in [certified_authority.clone(), Message::part().text(ED25519_CERTIFICATE).into_bytes()] {
        let forged = Forged { signed_by: Some(signed_by), ..bed.honest() };
        for address in [bed.node, bed.cluster.ssh_proxy()] {
            let verdict = bed.try_at(address, "root", &bed.signed(&forged)).await;
            assert_ne!(verdict, Verdict::Accepted);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_places_hold() {
    let bed = Bed::start().await;
    let Forged { valid_after: after, valid_before: before, .. } = bed.honest();
    // The library that speaks the protocol judges the time first, before it calls anything of ours, and
    // does not say what it found: the client hears what time it is here.
    let raw = Raw::stranger(bed.node).await.unwrap();
    bed.tried(raw, &bed.signed(&bed.honest().valid(after - 7200, after - 3600)), NONE_VALID).await;
    bed.refused_everywhere(&bed.signed(&bed.honest().valid(after - 7200, after - 3600)), NONE_VALID).await;
    bed.refused_everywhere(&bed.signed(&bed.honest().valid(before, before + 3600)), NONE_VALID).await;
    let elsewhere = bed.honest().critical("source-address", "192.0.2.0/24");
    let raw = Raw::stranger(bed.node).await.unwrap();
    let event = bed.tried(raw, &bed.signed(&elsewhere), "may not be used from").await;
    assert_eq!(event["user"], "joe", "the cluster made the certificate, so it is his: {event}");
    let strangers = Shown::certificate(bed.key(), elsewhere.sign(&Key::fresh()));
    let raw = Raw::stranger(bed.node).await.unwrap();
    let event = bed.tried(raw, &strangers, "not signed by this cluster").await;
    assert!(event.get("user").is_none(), "anybody can write a name into a certificate: {event}");
    bed.refused_everywhere(&bed.signed(&elsewhere), "may not be used from 127.0.0.1").await;
    let broken = bed.honest().critical("source-address", "127.0.0.1,everywhere");
    bed.refused_everywhere(&bed.signed(&broken), "source-address option is malformed").await;
    let forced = bed.honest().critical("force-command", "true");
    bed.refused_everywhere(&bed.signed(&forced), "\"force-command\", which is not supported").await;
    let here = bed.honest().critical("source-address", "127.0.0.0/8");
    assert_eq!(bed.try_at(bed.node, "root", &bed.signed(&here)).await, Verdict::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn principals_are_compared_whole() {
    let bed = Bed::start().await;
    let wrong = "does not allow the login \"root\"";
    let near: [&[&[u8]]; 9] = [
        &[b"deploy,root"],
        &[b"root,deploy"],
        &[b"root\0"],
        &[b"root\0deploy"],
        &[b"root\n"],
        &[b"deploy\nroot"],
        &[b" root", b"root "],
        &[b"*", b"r?ot", b"ROOT"],
        &[b"", b","],
    ];
    for principals in near {
        bed.refused(bed.node, &bed.signed(&bed.honest().principals(principals)), wrong).await;
    }
    bed.refused_everywhere(&bed.signed(&bed.honest().principals(&[])), "has no principals").await;
    let right = bed.honest().principals(&[b"deploy", b"root"]);
    assert_eq!(bed.try_at(bed.node, "root", &bed.signed(&right)).await, Verdict::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_must_say_who_it_is() {
    let bed = Bed::start().await;
    for extensions in [vec![], vec![("identity@teleport".to_owned(), b"{}".to_vec())]] {
        let anonymous = Forged { extensions, ..bed.honest() };
        bed.refused_everywhere(&bed.signed(&anonymous), "carries no identity of this cluster").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_certificates_are_refused() {
    let bed = Bed::start().await;
    bed.refused_everywhere(&Shown::plain(bed.key()), NONE_VALID).await;
    let authority = Shown::plain(bed.cluster.authority(AuthorityType::User).await);
    bed.refused_everywhere(&authority, NONE_VALID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signed_is_the_user_whatever_was_offered() {
    let bed = Bed::start().await;
    let shown = Shown::honest(&bed.joe);
    let thief = Key::fresh();
    for address in [bed.node, bed.cluster.ssh_proxy()] {
        let mut raw = Raw::stranger(address).await.unwrap();
        // Offered and found acceptable, as stock clients do it; then signed with another key.
        raw.send(Raw::key_request("root", &shown, false)).await.unwrap();
        raw.receive_one_of(&[60]).await.unwrap();
        let request = raw.signed_request("root", &shown, &thief);
        raw.send(request).await.unwrap();
        assert!(matches!(raw.verdict().await.unwrap(), Verdict::Refused(_)));
        // Offered one, signed in with another: a certificate of one's own is what counts.
        let own = Shown::plain(Key::fresh());
        raw.send(Raw::key_request("root", &shown, false)).await.unwrap();
        raw.receive_one_of(&[60]).await.unwrap();
        let request = raw.signed_request("root", &own, &own.key);
        raw.send(request).await.unwrap();
        assert!(matches!(raw.verdict().await.unwrap(), Verdict::Refused(_)));
        // A signature of another connection is none of this one.
        let mut other = Raw::stranger(address).await.unwrap();
        let stolen = other.signed_request("root", &shown, &shown.key);
        raw.send(stolen).await.unwrap();
        assert!(matches!(raw.verdict().await.unwrap(), Verdict::Refused(_)));
        assert_eq!(other.sign_in("root", &shown).await.unwrap(), Verdict::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_shuts_out_at_once_and_says_why() {
    let bed = Bed::start().await;
    let locks = [
        Target { user: Some("joe".into()), ..Target::default() },
        Target { serial: Some(bed.joe.certificate.serial()), ..Target::default() },
        Target { role: Some("access".into()), ..Target::default() },
    ];
    for (number, target) in locks.into_iter().enumerate() {
        let message = format!("stolen laptop {number}");
        let name = format!("lock-{number}");
        let lock = Lock::new(&name, LockSpec { target, message: message.clone(), issued_before: None });
        bed.cluster.admin().put(&lock, false).await.unwrap();
        for address in [bed.node, bed.cluster.ssh_proxy()] {
            bed.until_refused(address, &message).await;
            bed.refused(address, &Shown::honest(&bed.joe), &message).await;
        }
        bed.cluster.admin().delete(domain::resource::Kind::Lock, &name).await.unwrap();
        bed.until_accepted(bed.node).await;
        bed.until_accepted(bed.cluster.ssh_proxy()).await;
    }
}

impl Bed {
    async fn until_refused(&self, address: SocketAddr, reason: &str) {
        let refused = |verdict: &Verdict| matches!(verdict, Verdict::Refused(told) if told.contains(reason));
        self.until(address, refused).await;
    }

    async fn until_accepted(&self, address: SocketAddr) {
        self.until(address, |verdict| *verdict == Verdict::Accepted).await;
    }

    /// Tries until the verdict is as wanted: what auth decided reaches services a moment later.
    async fn until(&self, address: SocketAddr, wanted: impl Fn(&Verdict) -> bool) {
        let shown = Shown::honest(&self.joe);
        let trying = async {
            while !wanted(&self.try_at(address, "root", &shown).await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), trying).await.unwrap();
    }
}

fn role(text: &str) -> Role {
    Resource::from_json(text.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_asks_the_roles_again() {
    let bed = Bed::start().await;
    let admin = bed.cluster.admin();
    // The certificate allows a login that no role of the user does.
    let more = bed.signed(&bed.honest().principals(&[b"root", b"postgres"]));
    let verdict = bed.try_at(bed.node, "postgres", &more).await;
    assert!(
        matches!(&verdict, Verdict::Refused(told) if told.contains("none of the roles of joe allow the login postgres")),
        "{verdict:?}"
    );
    admin
        .put(
            &role(
                r#"{"kind":"role","version":"v7","metadata":{"name":"elsewhere"},
            "spec":{"allow":{"logins":["root"],"node_labels":{"env":"prod"}}}}"#,
            ),
            false,
        )
        .await
        .unwrap();
    let ann = bed.cluster.user("ann", &["elsewhere"], &["root"]).await;
    bed.refused(bed.node, &Shown::honest(&ann), "none of the roles of ann allow the node").await;
    // To the proxy a node one may not reach is as good as none.
    let (client, answer) = Client::connect(bed.cluster.ssh_proxy(), &ann, "root").await.unwrap();
    assert!(answer.success());
    assert!(client.dial("web-1", 22).await.is_err());
    let event = bed.cluster.audited(|line| line.contains("T1006W") && line.contains("ann")).await;
    let reason = "web-1: none of the roles of ann allow the node web-1; the user is told that it is unknown";
    assert!(event.contains(reason), "{event}");
    admin
        .put(
            &role(
                r#"{"kind":"role","version":"v7","metadata":{"name":"not-here"},
            "spec":{"deny":{"node_labels":{"*":"*"}}}}"#,
            ),
            false,
        )
        .await
        .unwrap();
    let eve = bed.cluster.user("eve", &["access", "not-here"], &["root"]).await;
    bed.refused(bed.node, &Shown::honest(&eve), "role not-here denies eve access").await;
}

/// Says something there and hears it back.
async fn answers(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

/// Tries until nobody is there any more.
async fn until_closed<S>(mut connect: impl AsyncFnMut() -> std::io::Result<S>) {
    let trying = async {
        while connect().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), trying).await.expect("it goes on listening");
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_and_agents_admit_nobody_once_the_role_forbids_it() {
    let bed = Bed::start().await;
    let (client, _) = Client::connect(bed.cluster.ssh_proxy(), &bed.joe, "root").await.unwrap();
    let (session, _) = client.node("web-1", "root").await.unwrap();
    let port = session.handle.tcpip_forward("127.0.0.1", 0).await.unwrap();
    let address = format!("127.0.0.1:{port}");
    answers(TcpStream::connect(&address).await.unwrap()).await.unwrap();
    let mut with_agent = session.handle.channel_open_session().await.unwrap();
    with_agent.agent_forward(true).await.unwrap();
    with_agent.exec(true, "echo $SSH_AUTH_SOCK; cat").await.unwrap();
    let socket = loop {
        if let ChannelMsg::Data { data } = with_agent.wait().await.unwrap() {
            break String::from_utf8(data.to_vec()).unwrap().trim().to_owned();
        }
    };
    answers(UnixStream::connect(&socket).await.unwrap()).await.unwrap();
    let mut role = domain::role::presets().into_iter().find(|role| role.name() == "access").unwrap();
    role.spec.options.port_forwarding = false;
    role.spec.options.forward_agent = false;
    bed.cluster.admin().put(&role, true).await.unwrap();
    until_closed(async || TcpStream::connect(&address).await).await;
    until_closed(async || UnixStream::connect(&socket).await).await;
    for reason in ["the roles do not allow port forwarding here", "do not allow forwarding the agent here"] {
        bed.cluster.audited(|line| line.contains(reason)).await;
        assert_eq!(bed.cluster.audit_log().matches(reason).count(), 1, "{reason}");
    }
    // What the role still allows goes on.
    assert_eq!(session.exec("echo in").await.unwrap().stdout, "in\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_what_is_open_and_nobody_elses() {
    let bed = Bed::start().await;
    let eve = bed.cluster.user("eve", &["access"], &["root"]).await;
    let (client, _) = Client::connect(bed.cluster.ssh_proxy(), &bed.joe, "root").await.unwrap();
    let (session, _) = client.node("web-1", "root").await.unwrap();
    let (bystander, _) = Client::connect(bed.cluster.ssh_proxy(), &eve, "root").await.unwrap();
    let (bystander, _) = bystander.node("web-1", "root").await.unwrap();
    let port = session.handle.tcpip_forward("127.0.0.1", 0).await.unwrap();
    let address = format!("127.0.0.1:{port}");
    answers(TcpStream::connect(&address).await.unwrap()).await.unwrap();
    let mut running = session.handle.channel_open_session().await.unwrap();
    running.exec(true, "echo $$; exec sleep 1000").await.unwrap();
    let program = loop {
        if let ChannelMsg::Data { data } = running.wait().await.unwrap() {
            let number = String::from_utf8(data.to_vec()).unwrap();
            break std::path::PathBuf::from(format!("/proc/{}", number.trim()));
        }
    };
    // A lock of somebody else's wakes the connection up and does not end it.
    for (name, user) in [("other", "nobody"), ("joe", "joe")] {
        assert!(program.exists() && !session.handle.is_closed());
        let target = Target { user: Some(user.into()), ..Target::default() };
        let lock = Lock::new(name, LockSpec { target, message: "stolen laptop".into(), issued_before: None });
        bed.cluster.admin().put(&lock, false).await.unwrap();
    }
    let ended = async { while running.wait().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the session goes on");
    until_closed(async || TcpStream::connect(&address).await).await;
    until_closed(async || std::fs::metadata(&program)).await;
    let event = bed.cluster.audited(|line| line.contains("access is locked: stolen laptop")).await;
    assert!(event.contains(r#""event":"client.disconnect""#) && event.contains("T3006I"), "{event}");
    assert!(event.contains(r#""user":"joe""#) && event.contains(r#""server_hostname":"web-1""#), "{event}");
    assert_eq!(bystander.exec("echo in").await.unwrap().stdout, "in\n");
}
