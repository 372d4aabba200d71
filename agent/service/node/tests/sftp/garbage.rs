//! Bytes no client sends.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use super::{pattern, server};

const INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];

fn start() -> Child {
    Command::new(server())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends these bytes and then the end.
fn send(bytes: &[u8]) -> Output {
    let mut child = start();
    // It may end before it has read all of them.
    _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

fn refused(bytes: &[u8], expected: &str) {
    let output = send(bytes);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("sftp: ") && said.contains(expected), "{said}");
}

#[test]
fn lengths_no_packet_has_end_the_session() {
    for length in [0u32, 262_145, 1 << 31, u32::MAX] {
        let expected = format!("a packet of {length} bytes");
        refused(&length.to_be_bytes(), &expected);
        refused(&[&INIT[..], &length.to_be_bytes(), &[7; 100]].concat(), &expected);
    }
}

#[test]
fn packets_cut_short_end_the_session() {
    for cut in 1..INIT.len() {
        refused(&INIT[..cut], "in the middle of a packet");
    }
    refused(&[&INIT[..], &[0, 0, 0, 4, 17, 0, 0, 0]].concat(), "too short to be answered");
    assert!(send(&INIT).status.success());
    assert!(send(b"").status.success());
}

#[test]
fn nothing_is_answered_before_the_greeting() {
    let mut stat = vec![0, 0, 0, 10, 17, 0, 0, 0, 1, 0, 0, 0, 1];
    stat.push(b'/');
    refused(&stat, "before it said which version");
    assert_eq!(send(&stat).stdout, b"");
}

#[test]
fn noise_ends_the_session_and_nothing_else() {
    for skip in 0..50 {
        let output = send(&pattern(100_000 + skip)[skip..]);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_came_before_the_noise_is_answered() {
    let output = send(&[&INIT[..], &[0xff; 64]].concat());
    assert_eq!(output.stdout.get(4), Some(&2), "the version");
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_the_session_goes_on() {
    let mut child = start();
    let mut stdin = child.stdin.take().unwrap();
    let malformed = [0, 0, 0, 9, 17, 0, 0, 0, 42, 0xff, 0xff, 0xff, 0xff];
    let limits = [&[0, 0, 0, 27, 200, 0, 0, 0, 43, 0, 0, 0, 18][..], b"limits@openssh.com"].concat();
    stdin.write_all(&[&INIT[..], &malformed, &limits].concat()).unwrap();
    drop(stdin);
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    assert!(child.wait().unwrap().success());
    let mut answers = Vec::new();
    let mut rest = out.as_slice();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (answer, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        answers.push((answer[0], answer[1..].to_vec()));
        rest = after;
    }
    let kinds: Vec<u8> = answers.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [2, 101, 201]);
    assert_eq!(answers[1].1[..8], [0, 0, 0, 42, 0, 0, 0, 5], "bad message");
}

#[test]
fn a_client_that_reads_nothing_is_waited_for_with_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, pattern(1_000_000)).unwrap();
    let mut child = start();
    let mut stdin = child.stdin.take().unwrap();
    let path = path.to_str().unwrap().as_bytes();
    let length = (5 + 4 + path.len() + 8) as u32;
    let open = [
        &length.to_be_bytes()[..],
        &[3, 0, 0, 0, 1],
        &(path.len() as u32).to_be_bytes(),
        path,
        &[0, 0, 0, 1, 0, 0, 0, 0],
    ]
    .concat();
    // The first name a server gives is that of its first place, used once.
    let read =
        [&[0, 0, 0, 29, 5, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8], &[0, 3, 0xd0, 0]]
            .concat();
    stdin.write_all(&[&INIT[..], &open].concat()).unwrap();
    // A thousand reads of 250 kB each: more than any buffer on the way.
    let writer = std::thread::spawn(move || {
        for _ in 0..1000 {
            stdin.write_all(&read).unwrap();
        }
    });
    // Read one answer, so that the server is at work, then none.
    let mut stdout = child.stdout.take().unwrap();
    let mut some = [0; 1000];
    stdout.read_exact(&mut some).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kilobytes: u32 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 64 * 1024, "{peak}");
    let copied = std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    writer.join().unwrap();
    assert!(copied > 249_000_000, "{copied}");
    assert!(child.wait().unwrap().success());
}
