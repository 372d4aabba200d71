//! Sessions on a terminal, with a person at it.

use serde_json::{Value, json};
use teleport_tests_interop::{Output, python, run_with, script};
use tokio::process::Command;

use crate::bed::{Bed, NODE};

/// Lets somebody sit at a terminal and run ssh with these arguments. They do these steps.
async fn sit(bed: &Bed, arguments: &[&str], steps: &Value) {
    let mut command = Command::new(python());
    command.arg(script("terminal.py")).args(["ssh", "-F"]).arg(bed.joe.file("config")).args(arguments);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TERM", "xterm-256color");
    let output: Output = run_with(&mut command, steps.to_string().as_bytes()).await;
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_has_a_terminal_that_echoes_interrupts_and_changes_size() {
    let bed = Bed::start().await;
    // What is expected never stands in what is typed, for that is echoed.
    let steps = json!([
        ["send", "PS1='ready''> '; stty -a | head -1; echo term=$TERM; tty\n"],
        ["expect", "rows 25; columns 80;"],
        ["expect", "term=xterm-256color"],
        ["expect", "/dev/pts/"],
        ["expect", "ready> "],
        ["send", "stty size; echo ec''ho\n"],
        ["expect", "stty size"],
        ["expect", "25 80"],
        ["expect", "echo"],
        ["expect", "ready> "],
        ["send", "sh -c 'echo st\"\"arted; exec sleep 1000'\n"],
        ["expect", "started"],
        ["send", "\u{3}"],
        ["expect", "^C"],
        ["expect", "ready> "],
        ["send", "trap 'echo now $(stty size)' WINCH; echo tr''apped\n"],
        ["expect", "trapped"],
        ["expect", "ready> "],
        ["resize", 132, 43],
        ["send", "sleep 0.1; echo af''ter\n"],
        ["expect", "now 43 132"],
        ["expect", "after"],
        ["expect", "ready> "],
        ["send", "exit 7\n"],
        ["end", 7],
    ]);
    sit(&bed, &["-J", "proxy", NODE], &steps).await;
    let start = bed.event("session.start", |_| true).await;
    assert_eq!((&start["interactive"], &start["size"]), (&true.into(), &"80:25".into()), "{start}");
    let resize = bed.event("resize", |_| true).await;
    assert_eq!((&resize["size"], &resize["code"]), (&"132:43".into(), &"T2002I".into()), "{resize}");
    let end = bed.event("session.end", |event| event["sid"] == start["sid"]).await;
    assert_eq!((&end["interactive"], &end["participants"]), (&true.into(), &json!(["joe"])), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_in_the_background_holds_no_terminal_open() {
    let bed = Bed::start().await;
    // It ignores the hang-up and keeps the terminal as its input and output.
    let keeper = "trap '' HUP; sleep 300 & echo pid=$!; exit 3";
    let output = bed.joe.ssh(&["-tt", "-J", "proxy", NODE, keeper]).await;
    assert_eq!(output.code(), Some(3), "{output:?}");
    let text = output.text();
    let pid = text.trim().strip_prefix("pid=").unwrap_or_else(|| panic!("{text:?}")).parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_program_says_at_its_end_is_shown() {
    let bed = Bed::start().await;
    // A terminal adds a return to each line.
    let output = bed.joe.ssh(&["-tt", "-J", "proxy", NODE, "seq 200000"]).await;
    let expected: String = (1..=200_000).map(|n| format!("{n}\r\n")).collect();
    assert_eq!(output.code(), Some(0), "{}", output.stderr);
    assert!(output.text() == expected, "{} of {} bytes", output.stdout.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permit_there_is_no_terminal() {
    let bed = Bed::start().await;
    let users = crate::forged::authority(&bed.world, "user").await;
    let me = teleport_tests_interop::login();
    crate::forged::replace(&bed.joe, &users, &["-n", &me, "-O", "clear", "-O", "no-pty"]).await;
    // Whoever insists on one goes; whoever does not, works without.
    let output = bed.joe.ssh(&["-tt", "-J", "proxy", NODE, "tty"]).await;
    assert!(output.stderr.contains("PTY allocation request failed"), "{output:?}");
    assert_eq!(output.text(), "");
    let output = bed.joe.ssh(&["-T", "-J", "proxy", NODE, "tty; echo on"]).await;
    assert_eq!(output.text(), "not a tty\non\n", "{output:?}");
}
