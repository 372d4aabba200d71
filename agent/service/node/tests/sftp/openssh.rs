//! OpenSSH's `sftp` and `scp`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{pattern, server};

/// Whether the client is installed; says so when it is not.
fn have(program: &str) -> bool {
    let there = Command::new(program).arg("-h").stdin(Stdio::null()).output().is_ok();
    if !there {
        eprintln!("SKIPPED: {program} is not installed; run: apt-get install openssh-client");
    }
    there
}

/// Runs `sftp` with these commands; relative paths on both sides start in the folder.
fn sftp(folder: &Path, commands: &str) -> Output {
    let mut client = Command::new("sftp")
        .args(["-q", "-b", "-", "-D"])
        .arg(server())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    client.wait_with_output().unwrap()
}

/// The same, when all must succeed; what was printed.
fn sftp_ok(folder: &Path, commands: &str) -> String {
    let output = sftp(folder, commands);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn sixty_four_megabytes_go_up_and_down_byte_for_byte() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    let content = pattern(64 * 1024 * 1024 + 12_345);
    fs::write(folder.path().join("local"), &content).unwrap();
    sftp_ok(folder.path(), "put local remote\nget remote back\n");
    for name in ["remote", "back"] {
        assert!(fs::read(folder.path().join(name)).unwrap() == content, "{name}");
    }
}

#[test]
fn a_transfer_that_was_cut_off_goes_on() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    let content = pattern(3_000_000);
    fs::write(folder.path().join("whole"), &content).unwrap();
    for part in ["up", "down"] {
        fs::write(folder.path().join(part), &content[..1_234_567]).unwrap();
    }
    sftp_ok(folder.path(), "reput whole up\nreget whole down\n");
    for part in ["up", "down"] {
        assert!(fs::read(folder.path().join(part)).unwrap() == content, "{part}");
    }
}

#[test]
fn files_are_managed() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    fs::write(folder.path().join("file"), "content").unwrap();
    let commands = "mkdir dir\nput file dir/one\nrename dir/one dir/two\nchmod 600 dir/two\n\
                    ln -s two dir/soft\nln dir/two dir/hard\nmkdir dir/empty\nrmdir dir/empty\nrm file\n";
    sftp_ok(folder.path(), commands);
    let dir = folder.path().join("dir");
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["hard", "soft", "two"]);
    assert_eq!(fs::read_link(dir.join("soft")).unwrap(), Path::new("two"));
    let two = fs::metadata(dir.join("two")).unwrap();
    assert_eq!((two.mode() & 0o777, two.nlink()), (0o600, 2));
    assert!(!folder.path().join("file").exists());
}

#[test]
fn a_folder_is_listed_like_ls_does() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    fs::write(folder.path().join("file"), "12345").unwrap();
    fs::set_permissions(folder.path().join("file"), PermissionsExt::from_mode(0o640)).unwrap();
    fs::write(folder.path().join(".hidden"), "").unwrap();
    assert_eq!(sftp_ok(folder.path(), "ls -1\n").lines().collect::<Vec<_>>(), ["sftp> ls -1", "file"]);
    let all = sftp_ok(folder.path(), "ls -1a\n");
    assert_eq!(all.lines().collect::<Vec<_>>(), ["sftp> ls -1a", ".", "..", ".hidden", "file"]);
    let long = sftp_ok(folder.path(), "ls -l\n");
    let ls = Command::new("ls")
        .args(["-l", "file"])
        .env("LC_ALL", "C")
        .current_dir(folder.path())
        .output()
        .unwrap();
    // Some clients write the line themselves, and the protocol does not tell them the number of links.
    let words = |line: &str| -> Vec<String> {
        line.split_whitespace()
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .map(|(_, word)| word.to_owned())
            .collect()
    };
    assert_eq!(words(long.lines().last().unwrap()), words(&String::from_utf8(ls.stdout).unwrap()));
    let numbers = sftp_ok(folder.path(), "ls -ln\n");
    assert!(numbers.contains("-rw-r-----"), "{numbers}");
}

#[test]
fn places_and_room_are_told() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    let here = folder.path().canonicalize().unwrap();
    let told = sftp_ok(folder.path(), "pwd\nmkdir sub\ncd sub\npwd\ndf -h\n");
    assert!(told.contains(&format!("Remote working directory: {}\n", here.display())), "{told}");
    assert!(told.contains(&format!("{}/sub\n", here.display())) && told.contains("%Capacity"), "{told}");
}

#[test]
fn times_and_modes_are_kept_when_asked_for() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o604)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    sftp_ok(folder.path(), "put -pf file up\nget -p file down\n");
    for name in ["up", "down"] {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!((metadata.mtime(), metadata.mode() & 0o777), (1_234_567_890, 0o604), "{name}");
    }
}

#[test]
fn a_file_is_copied_on_the_server() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    let content = pattern(1_000_000);
    fs::write(folder.path().join("one"), &content).unwrap();
    let output = sftp(folder.path(), "copy one two\n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("Invalid command") {
        eprintln!("SKIPPED a_file_is_copied_on_the_server: this sftp is older than OpenSSH 9.1");
        return;
    }
    assert!(output.status.success(), "{said}");
    assert!(fs::read(folder.path().join("two")).unwrap() == content);
}

#[test]
fn trees_go_up_and_down() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    fs::create_dir_all(folder.path().join("tree/a/b")).unwrap();
    for index in 0..300 {
        fs::write(folder.path().join(format!("tree/a/b/{index}")), index.to_string()).unwrap();
    }
    sftp_ok(folder.path(), "put -R tree up\nget -R up down\n");
    for index in 0..300 {
        let path = folder.path().join(format!("down/a/b/{index}"));
        assert_eq!(fs::read_to_string(path).unwrap(), index.to_string());
    }
}

#[test]
fn what_fails_says_why() {
    if !have("sftp") {
        return;
    }
    let folder = folder();
    fs::create_dir_all(folder.path().join("full/inner")).unwrap();
    for (commands, expected) in [
        ("get none\n", "not found"),
        ("rmdir full\n", "Failure"),
        ("rm /proc/1/comm\n", "Permission denied"),
        ("put /etc/passwd none/there\n", "No such file"),
    ] {
        let output = sftp(folder.path(), commands);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{commands}: {said}");
    }
}

#[test]
fn scp_goes_through_it_too() {
    if !have("scp") {
        return;
    }
    let folder = folder();
    let content = pattern(5_000_000);
    fs::write(folder.path().join("file"), &content).unwrap();
    for (from, to) in [("file", "host:up"), ("host:up", "down")] {
        let output = Command::new("scp")
            .args(["-q", "-s", "-D"])
            .arg(server())
            .args([from, to])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{from} {to}: {said}");
    }
    for name in ["up", "down"] {
        assert!(fs::read(folder.path().join(name)).unwrap() == content, "{name}");
    }
}
