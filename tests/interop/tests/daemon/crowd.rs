//! Ten thousand who connect and never sign in, and one who does.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use teleport_tests_interop::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Places they come from, and how many come from each: no place sends more than one may, and all together
/// send more than there is room for.
const SOURCES: u8 = 80;
const EACH: usize = 125;
/// How many come at the same moment.
const LANES: u8 = 8;
/// Descriptors the test needs beside theirs.
const OWN: u64 = 500;
/// What the daemon may have open for all of them together: far fewer than there are, and what else it does.
const OPEN_MAX: usize = 6_000;

/// As many descriptors as this process may have.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, most).unwrap();
    let needed = u64::from(SOURCES) * EACH as u64 + OWN;
    assert!(limit.maximum.is_none_or(|most| most >= needed), "needs {needed} descriptors; see ulimit -Hn");
}

/// Those of one place, each once the one before it was let in. Every second says something, and no more of it.
async fn strangers(from: Ipv4Addr, door: SocketAddr) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for number in 0..EACH {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(door).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S', "it is greeted");
        if number % 2 == 0 {
            // It may have been turned out already.
            let _ = stream.write_all(b"SSH-2.0-half").await;
        }
        crowd.push(stream);
    }
    crowd
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_half_open_connections_do_not_keep_a_client_out() {
    raise_limit();
    let world = World::start().await;
    let _node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    let door = world.ports.ssh.address();
    let mut coming = JoinSet::new();
    for lane in 0..LANES {
        coming.spawn(async move {
            let mut crowd = Vec::new();
            for source in (lane..SOURCES).step_by(usize::from(LANES)) {
                crowd.extend(strangers(Ipv4Addr::new(127, 0, 1, source + 1), door).await);
            }
            crowd
        });
    }
    let crowd = coming.join_all().await;
    assert_eq!(crowd.iter().map(Vec::len).sum::<usize>(), usize::from(SOURCES) * EACH);
    assert_eq!(home.on("web-1.main", "echo in").await.good(), "in\n");
    let open = world.main.descriptors();
    assert!(open < OPEN_MAX, "{open} descriptors are open");
    // A crowd that is still there keeps nobody out the second time either.
    assert_eq!(home.on("web-1.main", "echo again").await.good(), "again\n");
    drop(crowd);
}
