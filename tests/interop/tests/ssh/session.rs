//! Commands: how they end, what goes in and out, and what they see around them.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use teleport_tests_interop::{eventually, login, run, run_with};

use crate::bed::{Bed, NODE};

/// As much as nothing on the way keeps whole.
const MUCH: usize = 64 << 20;

/// Bytes of which no two pieces are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_as_it_ended_there_and_is_written_down() {
    let bed = Bed::start().await;
    for (command, code) in
        [("true", 0), ("exit 1", 1), ("exit 42", 42), ("exit 254", 254), ("no-such-program", 127)]
    {
        assert_eq!(bed.on(command).await.code(), Some(code), "{command}");
    }
    let bad = bed.event("exec", |event| event["command"] == "exit 42").await;
    assert_eq!((&bad["code"], &bad["exitCode"]), (&"T3002E".into(), &"42".into()), "{bad}");
    let good = bed.event("exec", |event| event["command"] == "true").await;
    assert_eq!((&good["code"], &good["exitCode"]), (&"T3002I".into(), &"0".into()), "{good}");
    assert_eq!((&good["user"], &good["login"]), (&"joe".into(), &login().into()), "{good}");
    let sid = good["sid"].as_str().unwrap().to_owned();
    for (name, code) in [("session.start", "T2000I"), ("session.end", "T2004I")] {
        let event = bed.event(name, |event| event["sid"] == sid.as_str()).await;
        assert_eq!((&event["code"], &event["interactive"]), (&code.into(), &false.into()), "{event}");
        assert_eq!(event["cluster_name"], "main");
        assert!(event["addr.remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{event}");
    }
    let start = bed.event("session.start", |event| event["sid"] == sid.as_str()).await;
    assert_eq!(start["initial_command"], serde_json::json!(["true"]), "before it has ended");
    // A client tells a signal with 255 and a line.
    let killed = bed.on("kill -TERM $$").await;
    assert_eq!(killed.code(), Some(255), "{killed:?}");
    let event = bed.event("exec", |event| event["command"] == "kill -TERM $$").await;
    assert_eq!((&event["code"], &event["exitError"]), (&"T3002E".into(), &"killed by SIGTERM".into()));
    assert!(event.get("exitCode").is_none(), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_byte_for_byte() {
    let bed = Bed::start().await;
    let bytes = noise(MUCH);
    let echoed = run_with(bed.joe.command("ssh").args(["-J", "proxy", NODE, "cat"]), &bytes).await;
    assert!(echoed.status.success(), "{}", echoed.stderr);
    assert!(echoed.stdout == bytes, "{} bytes came back, or others", echoed.stdout.len());
    // One way alone, so that the end of the input is what ends the program.
    let summed = run_with(bed.joe.command("ssh").args(["-J", "proxy", NODE, "sha256sum"]), &bytes).await;
    assert_eq!(summed.good().split(' ').next().unwrap(), digest(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_outputs_are_kept_apart_and_neither_holds_up_the_other() {
    let bed = Bed::start().await;
    let output = bed
        .on("head -c 8388608 /dev/zero | tr '\\0' e >&2; echo out; head -c 100000 /dev/zero | tr '\\0' f >&2")
        .await;
    assert_eq!(output.text(), "out\n");
    assert_eq!(output.stderr.len(), 8_388_608 + 100_000);
    assert!(output.stderr.trim_start_matches('e').chars().all(|letter| letter == 'f'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_reads_nothing_or_has_closed_its_output_ends_at_once() {
    let bed = Bed::start().await;
    // The input is never read, and far too much for any buffer.
    let ignored =
        run_with(bed.joe.command("ssh").args(["-J", "proxy", NODE, "echo done"]), &noise(MUCH / 4)).await;
    assert_eq!((ignored.code(), ignored.text()), (Some(0), "done\n".into()), "{}", ignored.stderr);
    let closed = bed.on("exec >&- 2>&-; exit 3").await;
    assert_eq!(closed.code(), Some(3));
    // Whoever leaves something behind that holds neither input nor output is not kept waiting for it.
    let left = bed.on("sleep 300 >/dev/null 2>&1 </dev/null & echo $!").await.good();
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_raw(left.trim().parse().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_command() {
    let bed = Bed::start().await;
    let mark = bed.file("alive");
    let command = format!("trap 'rm -f {mark}; exit 0' HUP; touch {mark}; while :; do sleep 0.1; done");
    let mut ssh = bed.joe.command("ssh");
    ssh.args(["-tt", "-J", "proxy", NODE, &command]);
    ssh.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).kill_on_drop(true);
    let mut child = ssh.spawn().unwrap();
    let there = || std::path::Path::new(&mark).exists();
    eventually("the command runs", || async { there().then_some(()) }).await;
    child.start_kill().unwrap();
    let ended = child.wait().await.unwrap();
    assert_eq!(ended.signal(), Some(9));
    eventually("the command was hung up", || async { (!there()).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_arrive_and_those_that_could_do_harm_do_not() {
    let bed = Bed::start().await;
    let output = run(bed.joe.command("ssh").env("FROM_HOME", "sent along").args([
        "-J",
        "proxy",
        "-o",
        "SendEnv=FROM_HOME",
        "-o",
        "SetEnv=LC_TEST=ä LD_PRELOAD=/evil.so SSH_AUTH_SOCK=/evil OTHER=two",
        NODE,
        "env",
    ]))
    .await;
    assert_eq!(output.stderr, "");
    let text = output.good();
    let lines: Vec<&str> = text.lines().collect();
    let user = format!("USER={}", login());
    for line in ["FROM_HOME=sent along", "LC_TEST=ä", "OTHER=two", "SSH_TELEPORT_USER=joe", user.as_str()] {
        assert!(lines.contains(&line), "{line} in\n{text}");
    }
    for refused in ["LD_PRELOAD", "SSH_AUTH_SOCK"] {
        assert!(!text.contains(refused), "{refused} in\n{text}");
    }
    let id = bed.world.nodes().await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    for name in ["SSH_CONNECTION=127.0.0.1 ", "SSH_SESSION_ID=", "SSH_TELEPORT_CLUSTER_NAME=main"] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name} in\n{text}");
    }
    assert!(lines.contains(&format!("SSH_TELEPORT_HOST_UUID={id}").as_str()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_sessions_share_one_connection() {
    let bed = Bed::start().await;
    let socket = bed.file("master");
    let path = format!("ControlPath={socket}");
    let mut master = bed.joe.command("ssh");
    master.args(["-J", "proxy", "-o", "ControlMaster=yes", "-o", &path, "-N", NODE]);
    let mut master = master.stdin(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
    eventually("the master listens", || async { std::path::Path::new(&socket).exists().then_some(()) }).await;
    let sessions = (0..20).map(|number| {
        let mut ssh = bed.joe.command("ssh");
        // All twenty are open before the first may end.
        let command = format!("echo {number}; cat; exit {number}");
        ssh.args(["-o", "ControlMaster=no", "-o", &path, NODE, &command]);
        ssh.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
        ssh.spawn().unwrap()
    });
    let mut sessions: Vec<_> = sessions.collect();
    eventually("twenty sessions", || async {
        (bed.node.metric("node_sessions").await.unwrap_or_default() >= 20.0).then_some(())
    })
    .await;
    for (number, session) in sessions.drain(..).enumerate() {
        let output = tokio::time::timeout(Duration::from_secs(60), session.wait_with_output()).await;
        let output = output.unwrap().unwrap();
        assert_eq!(output.status.code(), i32::try_from(number).ok());
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{number}\n"));
    }
    // One that reads nothing of what it is sent without end holds up none of the others.
    let mut stuck = bed.joe.command("ssh");
    stuck.args(["-o", &path, NODE, "sleep 1000"]);
    stuck.stdin(std::fs::File::open("/dev/zero").unwrap()).stdout(std::process::Stdio::null());
    let mut stuck = stuck.kill_on_drop(true).spawn().unwrap();
    eventually("the session runs", || async {
        (bed.node.metric("node_sessions").await.unwrap_or_default() >= 1.0).then_some(())
    })
    .await;
    let bytes = noise(1 << 20);
    let beside = run_with(bed.joe.command("ssh").args(["-o", &path, NODE, "cat"]), &bytes).await;
    assert!(beside.stdout == bytes, "{}", beside.stderr);
    let down = run(bed.joe.command("ssh").args(["-o", &path, NODE, "head -c 16777216 /dev/zero"])).await;
    assert_eq!(down.stdout.len(), 16 << 20, "{}", down.stderr);
    stuck.start_kill().unwrap();
    stuck.wait().await.unwrap();
    let ended = run(bed.joe.command("ssh").args(["-o", &path, "-O", "exit", NODE])).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    master.wait().await.unwrap();
}
