//! Sockets made as a user.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use teleport_sys::as_user::{OPERATIONS_MAX, OperationError};
use tokio::net::{TcpStream, UnixStream};

use super::*;

#[tokio::test]
async fn a_socket_file_is_connected_to_with_the_users_rights() {
    if !is_root("a_socket_file_is_connected_to_with_the_users_rights") {
        return;
    }
    let (user, home) = nobody();
    let launcher = launcher();
    let path = home.path().join("socket");
    // Made by root and for root alone.
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let error = launcher.connect_unix(&user, &path).await.unwrap_err();
    assert!(
        matches!(&error, OperationError::Refused { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied),
        "{error:?}"
    );
    assert!(error.to_string().contains("as login \"nobody\""), "{error}");
    std::os::unix::fs::chown(&path, Some(user.uid), None).unwrap();
    let mut ours = launcher.connect_unix(&user, &path).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    assert_eq!(theirs.peer_cred().unwrap().uid(), user.uid, "the other side sees the user");
    ours.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    theirs.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn a_socket_file_is_the_users_own_and_private() {
    let (user, home) = if is_root("") { nobody() } else { (me(), tempfile::tempdir().unwrap()) };
    let launcher = launcher();
    let path = home.path().join("socket");
    let listener = launcher.listen_unix(&user, &path, false).await.unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (user.uid, 0o600));
    assert!(metadata.file_type().is_socket());
    let connected = UnixStream::connect(&path).await.unwrap();
    listener.accept().await.unwrap();
    drop((listener, connected));
    // The file is still there: in the way, unless it may be removed.
    assert!(launcher.listen_unix(&user, &path, false).await.is_err());
    launcher.listen_unix(&user, &path, true).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "text").unwrap();
    assert!(launcher().listen_unix(&me(), &path, true).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
}

#[tokio::test]
async fn an_agent_socket_is_private_and_goes_with_its_folder() {
    let (user, _home) = if is_root("") { nobody() } else { (me(), tempfile::tempdir().unwrap()) };
    let launcher = launcher();
    let (listener, path) = launcher.listen_agent(&user).await.unwrap();
    let (_other, another) = launcher.listen_agent(&user).await.unwrap();
    assert_ne!(path, another);
    let folder = std::fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!((folder.uid(), folder.mode() & 0o777), (user.uid, 0o700));
    let user_sees = run(command(&user, &format!("test -S {}", path.display()))).await.unwrap();
    assert!(user_sees.status.success(), "{user_sees:?}");
    let connected = launcher.connect_unix(&user, &path).await.unwrap();
    listener.accept().await.unwrap();
    drop(connected);
    for made in [&path, &another] {
        launcher.remove_agent(&user, made).await.unwrap();
        assert!(!made.parent().unwrap().exists());
    }
    launcher.remove_agent(&user, &path).await.unwrap();
}

#[tokio::test]
async fn low_ports_are_for_root() {
    let launcher = launcher();
    let listener = launcher.listen_tcp(&me(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    TcpStream::connect(address).await.unwrap();
    listener.accept().await.unwrap();
    assert!(launcher.listen_tcp(&me(), address).await.is_err(), "it is taken");
    if !is_root("low_ports_are_for_root") {
        return;
    }
    let (user, _home) = nobody();
    // 1 is tcpmux, which nobody has run for decades.
    let low = "127.0.0.1:1".parse().unwrap();
    let error = launcher.listen_tcp(&user, low).await.unwrap_err();
    assert!(
        matches!(&error, OperationError::Refused { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied),
        "{error:?}"
    );
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

/// The user who owns a TCP connection of this host, by the two ports of its IPv4 addresses.
fn owner(local: u16, remote: u16) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is = fields.get(1)?.ends_with(&local) && fields.get(2)?.ends_with(&remote);
        if is { fields.get(7)?.parse().ok() } else { None }
    })
}

#[tokio::test]
async fn a_connection_to_a_host_belongs_to_the_user() {
    let (user, _home) = if is_root("") { nobody() } else { (me(), tempfile::tempdir().unwrap()) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody is at the first address; the listener was there a moment ago.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut ours = launcher().connect_tcp(&user, "host", vec![gone, address]).await.unwrap();
    let (mut theirs, peer) = listener.accept().await.unwrap();
    assert_eq!(owner(peer.port(), address.port()), Some(user.uid));
    assert!(ours.nodelay().unwrap());
    ours.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    theirs.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_named_with_the_reason() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (addresses, reason) in [(vec![gone, gone], "refused"), (vec![], "no address")] {
        let error = launcher().connect_tcp(&me(), "some.host:1", addresses).await.unwrap_err();
        assert!(error.to_string().contains("cannot connect to some.host:1"), "{error}");
        let OperationError::Refused { source, .. } = error else { panic!("it was tried") };
        assert!(source.to_string().contains(reason), "{source}");
    }
}

#[tokio::test]
async fn both_families_are_listened_on_apart() {
    let launcher = launcher();
    let Ok(six) = launcher.listen_tcp(&me(), "[::]:0".parse().unwrap()).await else {
        eprintln!("SKIPPED both_families_are_listened_on_apart: this host has no IPv6");
        return;
    };
    let port = six.local_addr().unwrap().port();
    launcher.listen_tcp(&me(), ([0, 0, 0, 0], port).into()).await.unwrap();
}

#[tokio::test]
async fn a_path_too_long_and_one_that_is_not_there_are_named() {
    let launcher = launcher();
    let long = format!("/tmp/{}", "x".repeat(200));
    for path in [long.as_str(), "/nonexistent/socket"] {
        let error = launcher.connect_unix(&me(), path.as_ref()).await.unwrap_err();
        assert!(
            matches!(error, OperationError::Refused { .. }) && error.to_string().contains(path),
            "{error:?}"
        );
    }
}

/// A listener that accepts nobody, and whose one place is taken.
fn deaf(folder: &Path) -> (std::path::PathBuf, impl Sized) {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

    let path = folder.join("socket");
    let deaf = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&deaf, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&deaf, 0).unwrap();
    let first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    (path, (deaf, first))
}

#[tokio::test]
async fn a_socket_that_never_accepts_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _deaf) = deaf(folder.path());
    let error = launcher().connect_unix(&me(), &path).await.unwrap_err();
    assert!(
        matches!(&error, OperationError::Refused { source, .. } if source.kind() == std::io::ErrorKind::WouldBlock),
        "{error:?}"
    );
}

/// Connections on their way to a port.
fn on_their_way(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (port, sent) = (format!(":{port:04X}"), "02");
    let is = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(2).is_some_and(|remote| remote.ends_with(&port)) && fields.get(3) == Some(&sent)
    };
    table.lines().filter(is).count()
}

#[tokio::test]
async fn a_connection_that_takes_its_time_is_no_process() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

    // A few may still find room.
    const SLOW: usize = OPERATIONS_MAX + 8;
    // Full with its first connections, it answers no other.
    let deaf = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    bind(&deaf, &any).unwrap();
    listen(&deaf, 0).unwrap();
    let address = std::net::SocketAddr::try_from(getsockname(&deaf).unwrap()).unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let launcher = launcher();
    let mut connecting = tokio::task::JoinSet::new();
    for _ in 0..SLOW {
        let launcher = launcher.clone();
        // Each gives up after some seconds; whoever does begins again.
        connecting.spawn(async move {
            loop {
                _ = launcher.connect_tcp(&me(), "deaf", vec![address]).await;
            }
        });
    }
    // Each process has a turn for as long as it is there: were they processes, there would never be more.
    until("more connections than turns", || on_their_way(address.port()) > OPERATIONS_MAX).await;
}
