//! Sessions on a terminal.

use std::os::unix::fs::MetadataExt;

use teleport_sys::session::{Pty, Terminal, WindowSize};

use super::*;

fn on_terminal(user: &HostUser, line: &str, modes: &[(u8, u32)]) -> SpawnRequest {
    let size = WindowSize { cols: 101, rows: 37, xpixel: 808, ypixel: 592 };
    let terminal = Terminal { term: "xterm-256color".into(), size, modes: modes.to_vec() };
    SpawnRequest { terminal: Some(terminal), ..command(user, line) }
}

async fn start(request: SpawnRequest) -> (Pty, Process) {
    let Session { streams, process, .. } = launcher().spawn(request).await.unwrap();
    let Streams::Pty(pty) = streams else { panic!("a terminal was asked for") };
    (pty, process)
}

/// All output up to the end of the session.
async fn read_all(pty: &mut Pty) -> String {
    let mut out = Vec::new();
    tokio::time::timeout(PATIENCE, pty.read_to_end(&mut out)).await.unwrap().unwrap();
    text(out).replace("\r\n", "\n")
}

/// Output up to and with this text.
async fn read_until(pty: &mut Pty, end: &str) -> String {
    let mut out = String::new();
    let reading = async {
        while !out.contains(end) {
            let mut bytes = [0; 1024];
            let count = pty.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "ended after {out:?}");
            out.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    assert!(read.is_ok(), "{end:?} never came, only {out:?}");
    out
}

#[tokio::test]
async fn size_modes_kind_and_name_are_as_asked_for() {
    let modes = [(1, 4), (53, 0), (36, 0), (42, 1), (72, 0), (128, 9600), (129, 9600)];
    let (mut pty, process) =
        start(on_terminal(&me(), "stty -a; echo $TERM; echo $SSH_TTY; tty; tty <&2", &modes)).await;
    let name = pty.name().to_owned();
    let out = read_all(&mut pty).await;
    for expected in
        ["rows 37; columns 101", "intr = ^D", " -echo ", "-icrnl", "iutf8", "-onlcr", "speed 9600 baud"]
    {
        assert!(out.contains(expected) && !out.contains("-iutf8"), "{expected} in {out}");
    }
    assert!(out.ends_with(&format!("xterm-256color\n{name}\n{name}\n{name}\n")), "{out}");
    assert!(ended(&process).await.success());
}

#[tokio::test]
async fn it_is_the_controlling_terminal_of_a_login_shell() {
    let request = SpawnRequest { program: Program::Shell, ..on_terminal(&me(), "", &[]) };
    let (mut pty, process) = start(request).await;
    pty.write_all(b"echo $0 $(ps -o tty= -p $$); echo to-the-terminal > /dev/tty; exit 9\n").await.unwrap();
    let name = pty.name().trim_start_matches("/dev/").to_owned();
    let out = read_all(&mut pty).await;
    assert!(out.contains(&format!("-sh {name}\n")) && out.contains("\nto-the-terminal\n"), "{out}");
    assert_eq!(ended(&process).await, ExitStatus::Code(9));
}

#[tokio::test]
async fn the_terminal_belongs_to_the_user_and_the_tty_group() {
    if !is_root("the_terminal_belongs_to_the_user_and_the_tty_group") {
        return;
    }
    let (user, _home) = nobody();
    let (mut pty, process) =
        start(on_terminal(&user, "echo ready; read line; echo more > $(tty)", &[])).await;
    read_until(&mut pty, "ready").await;
    let metadata = std::fs::metadata(pty.name()).unwrap();
    assert_eq!(metadata.uid(), user.uid);
    if let Some(group) = teleport_sys::users::group_id("tty") {
        assert_eq!((metadata.gid(), metadata.mode() & 0o777), (group, 0o620));
    }
    pty.write_all(b"\n").await.unwrap();
    assert!(read_all(&mut pty).await.contains("more"), "the user may open it again");
    assert!(ended(&process).await.success());
}

#[tokio::test]
async fn a_change_of_the_window_reaches_the_program() {
    let line = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done";
    let (mut pty, process) = start(on_terminal(&me(), line, &[])).await;
    read_until(&mut pty, "ready").await;
    pty.resize(WindowSize { cols: 90, rows: 25, ..WindowSize::default() }).unwrap();
    assert!(read_all(&mut pty).await.contains("25 90"));
    ended(&process).await;
}

#[tokio::test]
async fn the_interrupt_character_interrupts_the_program_in_front() {
    let request = SpawnRequest { program: Program::Shell, ..on_terminal(&me(), "", &[]) };
    let (mut pty, process) = start(request).await;
    // What the terminal echoes has the quotes; what the shell prints has not.
    pty.write_all(b"PS1='rea''dy> '\n").await.unwrap();
    read_until(&mut pty, "ready> ").await;
    // Said by the program in front itself: the shell loses an interrupt between making it and running it.
    pty.write_all(b"sh -c 'echo start\"\"ed; exec sleep 1000'\n").await.unwrap();
    read_until(&mut pty, "started").await;
    pty.write_all(&[3]).await.unwrap();
    read_until(&mut pty, "ready> ").await;
    pty.write_all(b"echo code $((128 + 2)) $?\nexit\n").await.unwrap();
    let out = read_all(&mut pty).await;
    assert!(out.contains("code 130 130"), "{out}");
    ended(&process).await;
}

#[tokio::test]
async fn much_output_is_whole_and_ends_as_an_end() {
    let (mut pty, process) = start(on_terminal(&me(), "seq 1 100000", &[])).await;
    let out = read_all(&mut pty).await;
    assert!(out == (1..=100_000).map(|line| format!("{line}\n")).collect::<String>(), "{} bytes", out.len());
    assert!(ended(&process).await.success());
}

#[tokio::test]
async fn one_clone_reads_while_another_writes() {
    let (pty, process) =
        start(on_terminal(&me(), "stty raw -echo; echo go; head -c 300000 | wc -c", &[])).await;
    let (mut reader, mut writer) = (pty.clone(), pty);
    read_until(&mut reader, "go").await;
    let writing = tokio::spawn(async move { writer.write_all(&vec![b'x'; 300_000]).await });
    assert!(read_all(&mut reader).await.contains("300000"));
    writing.await.unwrap().unwrap();
    assert!(ended(&process).await.success());
}

#[tokio::test]
async fn a_terminal_that_is_dropped_hangs_the_session_up() {
    let (pty, process) = start(on_terminal(&me(), "sleep 1000", &[])).await;
    drop(pty);
    let status = ended(&process).await;
    assert!(matches!(status, ExitStatus::Signal { name: "HUP", .. }), "{status:?}");
}
