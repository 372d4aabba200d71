//! Forwarding: ports, socket files and the agent.

use std::process::Stdio;

use teleport_tests_interop::{Output, Port, eventually, run, run_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{Child, Command};

use crate::bed::{Bed, NODE};

/// Answers every connection with the same bytes backwards, once the input has ended.
async fn backwards(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes.reverse();
    // Whoever asked may be gone.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

/// A server on a port.
async fn tcp_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(backwards(stream));
        }
    });
    port
}

/// A server on a socket file.
fn unix_server(path: &str) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(backwards(stream));
        }
    });
}

/// Says something and hears it backwards, a megabyte of it.
async fn echoes(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut bytes: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    bytes.reverse();
    assert!(answer == bytes, "{} bytes came back, or others", answer.len());
}

/// A client that does nothing but forward.
fn forwarding(bed: &Bed, arguments: &[&str]) -> Child {
    let mut ssh = bed.joe.command("ssh");
    ssh.args(["-J", "proxy", "-N", "-o", "ExitOnForwardFailure=yes"]).args(arguments).arg(NODE);
    ssh.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn reach(port: &Port) -> TcpStream {
    eventually("the port is open", || async { TcpStream::connect(port.address()).await.ok() }).await
}

async fn reach_file(path: &str) -> UnixStream {
    eventually("the socket is there", || async { UnixStream::connect(path).await.ok() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_sockets_of_the_node_are_reached_from_here() {
    let bed = Bed::start().await;
    let (port, server, socket) = (Port::free(), tcp_server().await, bed.file("server.sock"));
    unix_server(&socket);
    let (near, to) = (bed.file("near.sock"), format!("{}:127.0.0.1:{server}", port.number()));
    let both = format!("{near}:{socket}");
    let _ssh = forwarding(&bed, &["-L", &to, "-L", &both]);
    echoes(reach(&port).await).await;
    echoes(reach_file(&near).await).await;
    // Several at once over the one connection.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let address = port.address();
        tasks.spawn(async move { echoes(TcpStream::connect(address).await.unwrap()).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for address in [format!("127.0.0.1:{server}"), socket] {
        let event = bed.event("port", |event| event["addr"] == address.as_str()).await;
        assert_eq!((&event["code"], &event["user"]), (&"T3003I".into(), &"joe".into()), "{event}");
    }
    // Where nobody listens, the connection is made and ended, and that is written down.
    let nobody = Port::free();
    let at = format!("127.0.0.1:{}", nobody.number());
    let output = bed.through("ssh", &["-W", &at, NODE]).await;
    assert!(!output.status.success() && output.stderr.contains("Connection refused"), "{}", output.stderr);
    let event = bed.event("port", |event| event["addr"] == at.as_str()).await;
    assert_eq!((&event["code"], &event["success"]), (&"T3003E".into(), &false.into()), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_sockets_here_are_reached_from_the_node() {
    let bed = Bed::start().await;
    let (port, server, socket) = (Port::free(), tcp_server().await, bed.file("server.sock"));
    unix_server(&socket);
    let (far, to) = (bed.file("far.sock"), format!("{}:127.0.0.1:{server}", port.number()));
    let both = format!("{far}:{socket}");
    let ssh = forwarding(&bed, &["-R", &to, "-R", &both]);
    echoes(reach(&port).await).await;
    echoes(reach_file(&far).await).await;
    for address in [format!("localhost:{}", port.number()), far.clone()] {
        let event = bed.event("port", |event| event["addr"] == address.as_str()).await;
        assert_eq!(event["code"], "T3003I", "{event}");
    }
    // A port the system chooses, told to the client; and one that is taken.
    let mut chosen = forwarding(&bed, &["-R", &format!("0:127.0.0.1:{server}")]);
    let mut told = tokio::io::BufReader::new(chosen.stderr.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut told, &mut line).await.unwrap();
    let number: u16 =
        line.split(' ').nth(2).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    echoes(TcpStream::connect(("127.0.0.1", number)).await.unwrap()).await;
    let taken = forwarding(&bed, &["-R", &to]).wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!taken.status.success() && said.contains("remote port forwarding failed"), "{said}");
    let event = bed.event("port", |event| event["code"] == "T3003E").await;
    assert!(event["error"].as_str().unwrap().contains("in use"), "{event}");
    // With the client both are gone.
    drop(ssh);
    eventually("the port is closed", || async {
        TcpStream::connect(port.address()).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_forward_is_a_socks_proxy() {
    let bed = Bed::start().await;
    let port = Port::free();
    let _ssh = forwarding(&bed, &["-D", &port.number().to_string()]);
    drop(reach(&port).await);
    // The name is looked up on the node; what answers is the proxy's own web port.
    let url = format!("https://localhost:{}/webapi/ping", bed.world.ports.web.number());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--max-time", "60", "--socks5-hostname"]);
    let output = run(curl.arg(port.address().to_string()).arg(&url)).await.good();
    assert!(output.contains("\"cluster_name\":\"main\""), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_answers_inside_the_session_and_is_gone_after_it() {
    let bed = Bed::start().await;
    let socket = bed.file("agent.sock");
    let _agent = Command::new("ssh-agent")
        .args(["-D", "-a", &socket])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(reach_file(&socket).await);
    let key = bed.joe.file("id");
    let added = run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket)).await;
    assert!(added.status.success(), "{}", added.stderr);
    let command = "ssh-add -l && echo $SSH_AUTH_SOCK && stat -c %a $SSH_AUTH_SOCK";
    let arguments = |agent: &str, flag| {
        [flag, "-o".to_owned(), agent.to_owned(), "-J".into(), "proxy".into(), NODE.into(), command.into()]
    };
    let with = format!("IdentityAgent={socket}");
    let output = run(bed.joe.command("ssh").args(arguments(&with, "-A".into()))).await;
    let text = output.good();
    assert!(text.contains("ED25519") && text.contains("ED25519-CERT"), "{text}");
    let forwarded = text.lines().find(|line| line.starts_with('/')).unwrap().to_owned();
    assert!(forwarded != socket && text.trim().ends_with("00"), "{text}");
    eventually("the socket is gone", || async { (!std::path::Path::new(&forwarded).exists()).then_some(()) })
        .await;
    let without: Output = run(bed.joe.command("ssh").args(arguments(&with, "-a".into()))).await;
    assert!(!without.status.success() && without.stderr.contains("authentication agent"), "{without:?}");
    // And with it one hops on to another node, with nothing on the first but the agent.
    let hop = format!(
        "cat > {k} && ssh -F /dev/null -o UserKnownHostsFile={k} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \
         -o ProxyCommand='ssh -F /dev/null -o UserKnownHostsFile={k} -o StrictHostKeyChecking=yes -p {p} %r@127.0.0.1 -s proxy:%h:%p' \
         {NODE} echo hopped",
        k = bed.file("hop_hosts"),
        p = bed.world.ports.ssh.number(),
    );
    let mut ssh = bed.joe.command("ssh");
    ssh.args(["-A", "-o", &with, "-J", "proxy", NODE, &hop]);
    let output = run_with(&mut ssh, bed.world.authority().as_bytes()).await;
    assert_eq!(output.good(), "hopped\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_forwarding_has_none() {
    let bed = Bed::start().await;
    let role = "kind: role\nversion: v7\nmetadata: {name: plain}\nspec:\n  options: {port_forwarding: false, forward_agent: false}\n  \
                allow: {logins: ['{{internal.logins}}'], node_labels: {'*': '*'}}\n";
    bed.world.try_tctl(&["create"], role.as_bytes()).await.good();
    let login = teleport_tests_interop::login();
    bed.world.tctl(&["users", "add", "ann", "--roles=plain", &format!("--logins={login}")]).await;
    let ann = bed.world.sign("ann").await;
    let server = tcp_server().await;
    let at = format!("127.0.0.1:{server}");
    let output = ann.ssh(&["-J", "proxy", "-W", &at, NODE]).await;
    assert!(!output.status.success(), "{output:?}");
    assert!(output.stderr.contains("the roles do not allow port forwarding here"), "{}", output.stderr);
    let event = bed.event("port", |event| event["user"] == "ann").await;
    assert_eq!((&event["code"], &event["addr"]), (&"T3003E".into(), &at.into()), "{event}");
    assert_eq!(ann.on(NODE, "echo in").await.good(), "in\n");
}
