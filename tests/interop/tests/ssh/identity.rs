//! Sessions as somebody else than the daemon's user, with a home, a shell and groups of their own.
//!
//! A machine need not have a user besides root that has a shell. So the node runs where `/etc/passwd`
//! is a file of the test's own, which only root can arrange; anybody else can only be who they are.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use teleport_tests_interop::{Daemon, Home, World, can_mount, program, run, run_with, seeing};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// Users that exist nowhere else. The shell of the last is in no list, and works.
const ENTRY: &str = "tester:x:47011:65534:Tester:HOME:/bin/sh\n\
                     locked:x:47012:65534:Locked:/nonexistent:/usr/sbin/nologin\n\
                     odd:x:47013:65534:Odd:HOME:/proc/self/root/bin/sh\n";

struct Bed {
    world: World,
    _node: Daemon,
    joe: Home,
    home: String,
}

impl Bed {
    /// None where the test cannot be made; that is said.
    async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// With more arguments for the node's daemon.
    async fn start_with(more: &[&str]) -> Option<Self> {
        if !can_mount().await {
            #[allow(clippy::print_stderr, reason = "a test that does not run must say so")]
            {
                eprintln!("not tested: sessions as another user need root and mount namespaces");
            }
            return None;
        }
        let world = World::start().await;
        let folder = world.folder();
        let home = folder.join("tester").display().to_string();
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(47011), Some(65534)).unwrap();
        // The way there is open to everybody, as the way to homes is.
        run(Command::new("chmod").arg("711").arg(folder)).await.good();
        let passwd = folder.join("passwd");
        let real = std::fs::read_to_string("/etc/passwd").unwrap();
        std::fs::write(&passwd, real + &ENTRY.replace("HOME", &home)).unwrap();
        let node = start_among(&world, &passwd, more).await;
        let joe = world.user("joe", "tester,locked,odd,absent").await;
        world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
        // The proxy is entered with a login the certificate holds.
        let config = std::fs::read_to_string(joe.file("config")).unwrap();
        std::fs::write(joe.file("config"), config.replace("User root", "User tester")).unwrap();
        Some(Self { world, _node: node, joe, home })
    }
}

/// A node that sees this file as `/etc/passwd`.
async fn start_among(world: &World, passwd: &Path, more: &[&str]) -> Daemon {
    let config = world.folder().join("web-1.yaml");
    std::fs::write(&config, world.node_yaml("web-1", "")).unwrap();
    let mut command = seeing(passwd, "/etc/passwd");
    command.arg(program("teleport")).args(["start", "-c"]).arg(&config).args(more);
    let mut node = Daemon::spawn_command(world.folder(), "web-1", command);
    node.ready().await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_that_user_with_their_home_and_nothing_of_the_daemon() {
    let Some(bed) = Bed::start().await else { return };
    let output = bed
        .joe
        .on("web-1.main", "id -un; id -u; id -G; pwd; echo $HOME $USER $SHELL; ls /proc/self/fd | wc -l")
        .await;
    let home = &bed.home;
    assert_eq!(output.good(), format!("tester\n47011\n65534\n{home}\n{home} tester /bin/sh\n4\n"));
    // Neither the daemon's secrets nor its processes are theirs.
    let data = bed.world.folder().join("data-web-1/identity/node.json").display().to_string();
    let denied = bed.joe.on("web-1.main", &format!("cat {data}")).await;
    assert!(!denied.status.success() && denied.stderr.contains("Permission denied"), "{denied:?}");
    let event = bed.world.event("the session", |event| event["event"] == "session.start").await;
    assert_eq!((&event["user"], &event["login"]), (&"joe".into(), &"tester".into()), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_the_user_count_where_the_node_permits_them() {
    for (more, expected) in [(&["--permit-user-env"][..], "theirs\n"), (&[], "none\n")] {
        let Some(bed) = Bed::start_with(more).await else { return };
        let folder = Path::new(&bed.home).join(".tsh");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("environment"), "OWN=theirs\n").unwrap();
        for path in [folder.clone(), folder.join("environment")] {
            std::os::unix::fs::chown(path, Some(47011), Some(65534)).unwrap();
        }
        let output = bed.joe.on("web-1.main", "echo ${OWN:-none}").await;
        assert_eq!(output.good(), expected, "{more:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_forwards_are_that_users_too() {
    let Some(bed) = Bed::start().await else { return };
    let near = bed.world.folder().join("near");
    std::fs::write(&near, "text").unwrap();
    for protocol in ["-s", "-O"] {
        let mut scp = bed.joe.command("scp");
        scp.args(["-q", protocol, "-o", "ProxyJump=proxy"]).arg(&near);
        run(scp.arg(format!("web-1.main:copy{protocol}"))).await.good();
        let copy = std::fs::metadata(format!("{}/copy{protocol}", bed.home)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&copy), 47011, "{protocol}");
    }
    let mut sftp = bed.joe.command("sftp");
    sftp.args(["-q", "-o", "ProxyJump=proxy", "-b", "-", "web-1.main"]);
    let output = run_with(&mut sftp, b"get /etc/shadow /dev/null\n").await;
    assert!(!output.status.success() && output.stderr.contains("Permission denied"), "{}", output.stderr);
    // A socket file of root's is not reached, and a port below 1024 is not listened on.
    let socket = bed.world.folder().join("root.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    run(Command::new("chmod").arg("600").arg(&socket)).await.good();
    let forward = format!("{}/mine.sock:{}", bed.world.folder().display(), socket.display());
    // KILL, for ssh looks for other signals before it waits and not while it does, so that one may be lost.
    let script = format!(
        "exec 3<>/dev/null; ssh -F {c} -J proxy -N -L {forward} web-1.main & pid=$!; \
         until [ -S {mine} ]; do sleep 0.05; done; \
         curl -s --max-time 30 --unix-socket {mine} http://localhost/; code=$?; kill -9 $pid; exit $code",
        c = bed.joe.file("config").display(),
        mine = bed.world.folder().join("mine.sock").display(),
    );
    run(Command::new("sh").args(["-c", &script])).await;
    let shown = socket.display().to_string();
    let event = bed.world.event("the socket", |event| event["addr"] == shown.as_str()).await;
    assert_eq!((&event["code"], &event["login"]), (&"T3003E".into(), &"tester".into()), "{event}");
    assert!(event["error"].as_str().unwrap().contains("ermission denied"), "{event}");
    let low = bed
        .joe
        .ssh(&["-J", "proxy", "-o", "ExitOnForwardFailure=yes", "-R", "81:127.0.0.1:1", "web-1.main", "true"])
        .await;
    assert!(low.stderr.contains("remote port forwarding failed for listen port 81"), "{}", low.stderr);
}

/// The user who owns the other end of a connection over IPv4 on this host.
fn owner(stream: &TcpStream) -> Option<u32> {
    let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let (local, remote) = (port(stream.peer_addr().unwrap()), port(stream.local_addr().unwrap()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is = fields.get(1)?.ends_with(&local) && fields.get(2)?.ends_with(&remote);
        if is { fields.get(7)?.parse().ok() } else { None }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_reached_as_that_user() {
    let Some(bed) = Bed::start().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // By name, so that the node looks it up; and by address.
    for host in ["localhost", "127.0.0.1"] {
        let mut ssh = bed.joe.command("ssh");
        ssh.args(["-J", "proxy", "-W", &format!("{host}:{port}"), "web-1.main"]);
        ssh.stdin(Stdio::piped()).kill_on_drop(true);
        let _ssh = ssh.spawn().unwrap();
        let accepted = tokio::time::timeout(Duration::from_secs(60), listener.accept()).await;
        let (stream, _) = accepted.expect("nobody comes").unwrap();
        assert_eq!(owner(&stream), Some(47011), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_is_not_listed_gets_commands_and_no_file_transfer() {
    let Some(bed) = Bed::start().await else { return };
    assert_eq!(bed.joe.on("odd@web-1.main", "id -un").await.good(), "odd\n");
    let mut sftp = bed.joe.command("sftp");
    sftp.args(["-q", "-o", "ProxyJump=proxy", "-b", "-", "odd@web-1.main"]);
    let output = run_with(&mut sftp, b"ls /\n").await;
    assert!(!output.status.success(), "{output:?}");
    for part in ["/proc/self/root/bin/sh", "/etc/shells", "odd"] {
        assert!(output.stderr.contains(part), "{part} in {}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_are_locked_or_absent_get_no_session() {
    let Some(bed) = Bed::start().await else { return };
    let locked = bed.joe.on("locked@web-1.main", "id").await;
    assert!(!locked.status.success() && locked.text() != "uid", "{locked:?}");
    assert!(!locked.text().contains("uid="), "{locked:?}");
    let mut sftp = bed.joe.command("sftp");
    sftp.args(["-q", "-o", "ProxyJump=proxy", "-b", "-", "locked@web-1.main"]);
    let output = run_with(&mut sftp, b"ls /\n").await;
    assert!(!output.status.success(), "a shell that lets nobody in is not gone past: {output:?}");
    let absent = bed.joe.on("absent@web-1.main", "id").await;
    assert!(!absent.status.success() && absent.stderr.contains("absent"), "{absent:?}");
    let event =
        bed.world.event("the exec", |event| event["event"] == "exec" && event["login"] == "absent").await;
    assert_eq!(event["code"], "T3002E", "{event}");
}
