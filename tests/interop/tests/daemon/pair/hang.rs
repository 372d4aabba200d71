//! The way to etcd hangs, and etcd forgets meanwhile what happened: sessions are served all the while, and
//! afterwards nothing that was decided elsewhere is missed.

use std::net::SocketAddr;

use teleport_tests_interop::Port;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::etcd::Etcd;
use super::{Auth, LOCK_BOUND, locks_out, session, ssh, user};

/// A way to a server on which nothing may move for a while.
struct Way {
    address: SocketAddr,
    held: watch::Sender<bool>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, held) = (listener.local_addr().unwrap(), watch::Sender::new(false));
        let watched = held.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, watched.clone()));
            }
        });
        Self { address, held }
    }

    /// Connections are taken, and nothing moves on them.
    fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Connections from before end, and new ones work.
    fn free(&self) {
        self.held.send_replace(false);
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut held: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        biased;
        _ = held.wait_for(|held| *held) => {}
        _ = copy_bidirectional(&mut client, &mut server) => return,
    }
    let _ = held.wait_for(|held| !*held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_served_while_etcd_hangs_and_what_it_forgot_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path()).await;
    let (way, node) = (Way::to(etcd.address(0)).await, Port::free());
    let storage = etcd.storage_at(&[way.address], "client", "ca");
    let mut here = Auth::spawn_with(&folder, "auth-1", &storage, |yaml| {
        let on = format!("ssh_service:\n  enabled: yes\n  listen_addr: {}\n", node.address());
        yaml.replace("ssh_service:\n  enabled: no\n", &on)
    });
    here.daemon.ready().await;
    let mut elsewhere = Auth::spawn(&folder, "auth-2", &etcd.storage("client", "ca"));
    elsewhere.daemon.ready().await;
    let joe = user(folder.path(), "joe", [&here, &here]).await;
    let ann = user(folder.path(), "ann", [&here, &here]).await;
    let across = session(folder.path(), &node, &joe, "exec sleep 600").await;

    way.hold();
    for number in 0..3 {
        let said = ssh(&node, &ann, &format!("echo {number}")).await.good();
        assert_eq!(said, format!("{number}\n"));
    }
    let state = here.daemon.until_state(503).await;
    assert!(state.to_string().contains("storage"), "{state}");
    assert_eq!(ssh(&node, &ann, "echo still").await.good(), "still\n");
    let refused = here.try_tctl(&["users", "add", "eve", "root"], "").await;
    assert!(refused.code() == Some(1) && refused.stderr.contains("no answer in time"), "{}", refused.stderr);
    // What happens elsewhere is not heard of here, and etcd no longer knows it as a change.
    elsewhere.tctl(&["lock", "--user", "joe", "--message", "on holiday"]).await;
    etcd.compact().await;
    assert!(!across.is_finished());
    assert_eq!(ssh(&node, &joe, "echo unheard").await.good(), "unheard\n");

    way.free();
    let ended = tokio::time::timeout(LOCK_BOUND, across).await.expect("the lock ends the session").unwrap();
    assert!(ended.code() == Some(255) && ended.stderr.contains("on holiday"), "{}", ended.stderr);
    here.daemon.logged("no longer keeps changes as old as").await;
    here.daemon.until_state(200).await;
    // Changes are heard of again as they happen.
    let across = session(folder.path(), &node, &ann, "exec sleep 600").await;
    locks_out(&elsewhere, "ann", across, LOCK_BOUND).await;
    for auth in [here, elsewhere] {
        assert!(!auth.daemon.log().contains("panicked"), "{}", auth.daemon.log());
        assert_eq!(auth.daemon.stop().await.code(), Some(0));
    }
}
