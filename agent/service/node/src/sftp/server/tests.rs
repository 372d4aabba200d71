//! Requests and answers, without streams, in a folder of their own.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::wire::Input;
use super::*;

/// A server that has been greeted, and a folder.
struct Client {
    server: Server,
    folder: TempDir,
}

/// The fields of an answer behind its id.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    kind: u8,
    body: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let mut server = Server::new(Report::new(None));
        let mut out = Vec::new();
        server.answer(&[kind::INIT, 0, 0, 0, 3], &mut out).unwrap();
        assert_eq!(out[4], kind::VERSION);
        Self { server, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends one request and takes its one answer apart.
    fn ask(&mut self, kind: u8, fields: impl FnOnce(&mut Vec<u8>)) -> Reply {
        let mut packet = vec![kind, 0, 0, 0, 77];
        fields(&mut packet);
        let mut out = vec![1, 2, 3];
        self.server.answer(&packet, &mut out).unwrap();
        let mut input = Input::new(&out[3..]);
        let mut answer = Input::new(input.string().unwrap());
        assert!(input.is_empty(), "one answer to one request");
        let kind = answer.u8().unwrap();
        assert_eq!(answer.u32(), Ok(77));
        let mut body = Vec::new();
        while let Ok(byte) = answer.u8() {
            body.push(byte);
        }
        Reply { kind, body }
    }

    fn path_request(&mut self, kind: u8, path: &Path) -> Reply {
        self.ask(kind, |packet| packet.put_string(path.as_os_str().as_bytes()))
    }

    fn open(&mut self, path: &Path, flags: u32) -> Reply {
        self.ask(kind::OPEN, |packet| {
            packet.put_string(path.as_os_str().as_bytes());
            packet.put_u32(flags);
            Attributes { permissions: Some(0o640), ..Attributes::default() }.write(packet);
        })
    }

    fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> Reply {
        self.ask(kind::READ, |packet| {
            packet.put_string(handle);
            packet.put_u64(offset);
            packet.put_u32(length);
        })
    }

    fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> Reply {
        self.ask(kind::WRITE, |packet| {
            packet.put_string(handle);
            packet.put_u64(offset);
            packet.put_string(data);
        })
    }

    fn extended(&mut self, name: &str, fields: impl FnOnce(&mut Vec<u8>)) -> Reply {
        self.ask(kind::EXTENDED, |packet| {
            packet.put_string(name.as_bytes());
            fields(packet);
        })
    }

    fn two_paths(&mut self, kind: u8, one: &Path, other: &Path) -> Reply {
        self.ask(kind, |packet| {
            packet.put_string(one.as_os_str().as_bytes());
            packet.put_string(other.as_os_str().as_bytes());
        })
    }
}

impl Reply {
    fn status(&self) -> u32 {
        assert_eq!(self.kind, kind::STATUS, "{self:?}");
        Input::new(&self.body).u32().unwrap()
    }

    fn succeeded(&self) {
        assert_eq!(self.status(), Code::Ok as u32, "{}", String::from_utf8_lossy(&self.body));
    }

    /// The one text of a handle, of data or of the name in an answer of one.
    fn text(&self) -> Vec<u8> {
        let mut input = Input::new(&self.body);
        match self.kind {
            kind::HANDLE | kind::DATA => {}
            kind::NAME => assert_eq!(input.u32(), Ok(1)),
            _ => panic!("{self:?}"),
        }
        input.string().unwrap().to_vec()
    }

    fn attributes(&self) -> Attributes {
        assert_eq!(self.kind, kind::ATTRS, "{self:?}");
        Attributes::read(&mut Input::new(&self.body)).unwrap()
    }
}

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;

#[test]
fn nothing_is_done_before_the_greeting() {
    let mut server = Server::new(Report::new(None));
    let mut packet = vec![kind::STAT, 0, 0, 0, 1];
    packet.put_string(b"/");
    assert_eq!(server.answer(&packet, &mut Vec::new()), Err(Refusal::NotBegun));
    assert_eq!(server.answer(&[kind::INIT], &mut Vec::new()), Err(Refusal::Short));
}

#[test]
fn any_version_is_answered_with_three_and_the_extensions() {
    let mut server = Server::new(Report::new(None));
    let mut out = Vec::new();
    server.answer(&[kind::INIT, 0xff, 0xff, 0xff, 0xff], &mut out).unwrap();
    let mut input = Input::new(&out[5..]);
    assert_eq!(input.u32(), Ok(3));
    for (name, version) in EXTENSIONS {
        assert_eq!(input.string(), Ok(name.as_bytes()));
        assert_eq!(input.string(), Ok(version.as_bytes()));
    }
    assert!(input.is_empty());
}

#[test]
fn a_file_is_written_read_and_closed() {
    let mut client = Client::new();
    let path = client.path("file");
    let handle = client.open(&path, READ | WRITE | CREATE | EXCLUSIVE).text();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    client.write(&handle, 6, b"world").succeeded();
    client.write(&handle, 0, b"hello ").succeeded();
    assert_eq!(client.read(&handle, 3, 5).text(), b"lo wo");
    assert_eq!(client.read(&handle, 6, u32::MAX).text(), b"world", "what is asked for is bounded");
    assert_eq!(client.read(&handle, 11, 1).status(), Code::Eof as u32);
    assert_eq!(client.read(&handle, u64::MAX, 1).status(), Code::BadMessage as u32);
    let fstat = client.ask(kind::FSTAT, |packet| packet.put_string(&handle)).attributes();
    assert_eq!(fstat.size, Some(11));
    client.ask(kind::CLOSE, |packet| packet.put_string(&handle)).succeeded();
    assert_eq!(client.read(&handle, 0, 1).status(), Code::NoSuchFile as u32);
    assert_eq!(client.open(&path, WRITE | CREATE | EXCLUSIVE).status(), Code::Failure as u32);
    client.open(&path, WRITE | TRUNCATE).text();
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn a_read_is_at_most_what_fits_a_packet() {
    let mut client = Client::new();
    let path = client.path("file");
    fs::write(&path, vec![7; 2 * DATA_MAX]).unwrap();
    let handle = client.open(&path, READ).text();
    let reply = client.read(&handle, 0, u32::MAX);
    assert_eq!(reply.text().len(), DATA_MAX);
    assert!(reply.body.len() + 5 <= super::super::wire::PACKET_MAX);
}

#[test]
fn appending_ignores_the_offset() {
    let mut client = Client::new();
    let path = client.path("file");
    fs::write(&path, "one ").unwrap();
    let handle = client.open(&path, WRITE | APPEND).text();
    client.write(&handle, 0, b"two").succeeded();
    assert_eq!(fs::read(&path).unwrap(), b"one two");
}

#[test]
fn a_pipe_without_another_end_does_not_hold_the_session_up() {
    let mut client = Client::new();
    let path = client.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    assert_eq!(client.open(&path, WRITE).status(), Code::Failure as u32);
    let handle = client.open(&path, READ).text();
    assert_ne!(client.read(&handle, 0, 10).status(), Code::Ok as u32);
}

#[test]
fn attributes_are_set_by_path_by_handle_and_on_a_link() {
    let mut client = Client::new();
    let (file, link) = (client.path("file"), client.path("link"));
    fs::write(&file, "0123456789").unwrap();
    symlink("file", &link).unwrap();
    let attributes = Attributes {
        size: Some(4),
        owner: Some((fs::metadata(&file).unwrap().uid(), fs::metadata(&file).unwrap().gid())),
        permissions: Some(0o100_600),
        times: Some((1_000_000_000, 1_100_000_000)),
    };
    let set = |packet: &mut Vec<u8>, path: &Path, attributes: Attributes| {
        packet.put_string(path.as_os_str().as_bytes());
        attributes.write(packet);
    };
    client.ask(kind::SETSTAT, |packet| set(packet, &link, attributes)).succeeded();
    let told = client.path_request(kind::STAT, &link).attributes();
    assert_eq!(told, attributes, "a link leads to the file");
    let only_times = Attributes { times: Some((5, 6)), ..Attributes::default() };
    client.extended("lsetstat@openssh.com", |packet| set(packet, &link, only_times)).succeeded();
    assert_eq!(client.path_request(kind::LSTAT, &link).attributes().times, Some((5, 6)));
    assert_eq!(client.path_request(kind::STAT, &link).attributes().times, attributes.times);
    let mode = Attributes { permissions: Some(0o600), ..Attributes::default() };
    let refused = client.extended("lsetstat@openssh.com", |packet| set(packet, &link, mode));
    assert_eq!(refused.status(), Code::Unsupported as u32);
    let handle = client.open(&file, WRITE).text();
    let by_handle = Attributes { size: Some(0), permissions: Some(0o644), ..Attributes::default() };
    client
        .ask(kind::FSETSTAT, |packet| {
            packet.put_string(&handle);
            by_handle.write(packet);
        })
        .succeeded();
    assert_eq!((fs::read(&file).unwrap().len(), fs::metadata(&file).unwrap().mode() & 0o777), (0, 0o644));
}

#[test]
fn folders_are_made_listed_and_removed() {
    let mut client = Client::new();
    let folder = client.path("folder");
    client
        .ask(kind::MKDIR, |packet| {
            packet.put_string(folder.as_os_str().as_bytes());
            Attributes { permissions: Some(0o750), ..Attributes::default() }.write(packet);
        })
        .succeeded();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o750);
    fs::write(folder.join("inside"), "x").unwrap();
    fs::set_permissions(folder.join("inside"), PermissionsExt::from_mode(0o644)).unwrap();
    let handle = client.path_request(kind::OPENDIR, &folder).text();
    let listed = client.ask(kind::READDIR, |packet| packet.put_string(&handle));
    assert_eq!((listed.kind, Input::new(&listed.body).u32()), (kind::NAME, Ok(3)));
    assert!(String::from_utf8_lossy(&listed.body).contains("-rw-r--r--   1 "), "a line as of `ls -l`");
    let end = client.ask(kind::READDIR, |packet| packet.put_string(&handle));
    assert_eq!(end.status(), Code::Eof as u32);
    assert_eq!(client.read(&handle, 0, 1).status(), Code::NoSuchFile as u32, "a folder is no file");
    assert_eq!(client.path_request(kind::RMDIR, &folder).status(), Code::Failure as u32);
    client.path_request(kind::REMOVE, &folder.join("inside")).succeeded();
    client.path_request(kind::RMDIR, &folder).succeeded();
    assert_eq!(client.path_request(kind::OPENDIR, &folder).status(), Code::NoSuchFile as u32);
}

#[test]
fn a_rename_spares_what_is_there_and_a_posix_rename_does_not() {
    let mut client = Client::new();
    let (from, to) = (client.path("from"), client.path("to"));
    fs::write(&from, "from").unwrap();
    fs::write(&to, "to").unwrap();
    assert_eq!(client.two_paths(kind::RENAME, &from, &to).status(), Code::Failure as u32);
    assert_eq!(fs::read(&to).unwrap(), b"to");
    let posix = client.extended("posix-rename@openssh.com", |packet| {
        packet.put_string(from.as_os_str().as_bytes());
        packet.put_string(to.as_os_str().as_bytes());
    });
    posix.succeeded();
    assert_eq!(fs::read(&to).unwrap(), b"from");
    client.two_paths(kind::RENAME, &to, &from).succeeded();
    assert!(from.exists() && !to.exists());
}

#[test]
fn links_are_made_and_read() {
    let mut client = Client::new();
    let (file, soft, hard) = (client.path("file"), client.path("soft"), client.path("hard"));
    fs::write(&file, "x").unwrap();
    client.two_paths(kind::SYMLINK, Path::new("file"), &soft).succeeded();
    assert_eq!(client.path_request(kind::READLINK, &soft).text(), b"file");
    assert_eq!(client.path_request(kind::READLINK, &file).status(), Code::BadMessage as u32);
    let linked = client.extended("hardlink@openssh.com", |packet| {
        packet.put_string(file.as_os_str().as_bytes());
        packet.put_string(hard.as_os_str().as_bytes());
    });
    linked.succeeded();
    assert_eq!(fs::metadata(&hard).unwrap().nlink(), 2);
}

#[test]
fn a_real_path_may_lack_its_last_part_only() {
    let mut client = Client::new();
    let real = client.folder.path().canonicalize().unwrap();
    fs::create_dir(client.path("folder")).unwrap();
    symlink("folder", client.path("link")).unwrap();
    symlink("nowhere", client.path("broken")).unwrap();
    let ask = |client: &mut Client, name: &str| {
        let path = client.path(name);
        client.path_request(kind::REALPATH, &path)
    };
    assert_eq!(
        ask(&mut client, "link//./../link/new").text(),
        real.join("folder/new").as_os_str().as_bytes()
    );
    assert_eq!(ask(&mut client, "none/new").status(), Code::NoSuchFile as u32);
    assert_eq!(ask(&mut client, "broken").status(), Code::NoSuchFile as u32);
    let here = std::env::current_dir().unwrap().canonicalize().unwrap();
    for path in ["", "."] {
        assert_eq!(client.path_request(kind::REALPATH, Path::new(path)).text(), here.as_os_str().as_bytes());
    }
    assert_eq!(client.path_request(kind::REALPATH, Path::new("/")).text(), b"/");
}

#[test]
fn homes_are_found_with_and_without_a_name() {
    let mut client = Client::new();
    let mine = sys::users::current().unwrap();
    let home = mine.home.canonicalize().unwrap();
    let expand = |client: &mut Client, path: &str| {
        client.extended("expand-path@openssh.com", |p| p.put_string(path.as_bytes()))
    };
    assert_eq!(expand(&mut client, "~").text(), home.as_os_str().as_bytes());
    let named = format!("~{}/not-there", mine.name);
    assert_eq!(expand(&mut client, &named).text(), home.join("not-there").as_os_str().as_bytes());
    assert_eq!(expand(&mut client, "~no-such-user/x").status(), Code::NoSuchFile as u32);
    let asked = client.extended("home-directory", |packet| packet.put_string(mine.name.as_bytes()));
    assert_eq!(asked.text(), mine.home.as_os_str().as_bytes());
}

#[test]
fn a_file_is_copied_without_a_way_through_the_client() {
    let mut client = Client::new();
    let (from, to) = (client.path("from"), client.path("to"));
    let content: Vec<u8> = (0..500_000u32).map(|index| (index % 251) as u8).collect();
    fs::write(&from, &content).unwrap();
    let source = client.open(&from, READ).text();
    let target = client.open(&to, READ | WRITE | CREATE).text();
    let copy = |client: &mut Client, from: &[u8], offset: u64, length: u64, to: &[u8], at: u64| {
        let (from, to) = (from.to_vec(), to.to_vec());
        client.extended("copy-data", move |packet| {
            packet.put_string(&from);
            packet.put_u64(offset);
            packet.put_u64(length);
            packet.put_string(&to);
            packet.put_u64(at);
        })
    };
    copy(&mut client, &source, 0, 0, &target, 0).succeeded();
    assert!(fs::read(&to).unwrap() == content);
    copy(&mut client, &source, 10, 5, &target, 0).succeeded();
    assert_eq!(fs::read(&to).unwrap()[..5], content[10..15]);
    assert_eq!(copy(&mut client, &source, 499_999, 2, &target, 0).status(), Code::Eof as u32);
    assert_eq!(copy(&mut client, &source, 0, 0, &source, 0).status(), Code::Failure as u32);
    // The same file by another name: its end is where it was, so there is one.
    let again = client.open(&from, READ | WRITE).text();
    copy(&mut client, &source, 0, 0, &again, 500_000).succeeded();
    assert_eq!(fs::metadata(&from).unwrap().len(), 1_000_000);
}

#[test]
fn a_file_system_and_the_limits_are_told() {
    let mut client = Client::new();
    let folder = client.folder.path().as_os_str().as_bytes().to_vec();
    let told = client.extended("statvfs@openssh.com", |packet| packet.put_string(&folder));
    assert_eq!((told.kind, told.body.len()), (kind::EXTENDED_REPLY, 11 * 8));
    let mut input = Input::new(&told.body);
    assert!(input.u64().unwrap() >= 512);
    let limits = client.extended("limits@openssh.com", |_| {});
    let mut input = Input::new(&limits.body);
    assert_eq!((input.u64(), input.u64(), input.u64()), (Ok(262_144), Ok(261_120), Ok(261_120)));
}

#[test]
fn names_are_given_for_numbers() {
    let mut client = Client::new();
    let told = client.extended("users-groups-by-id@openssh.com", |packet| {
        packet.put_string(&[0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]);
        packet.put_string(&[0, 0, 0, 0]);
    });
    let mut input = Input::new(&told.body);
    let mut users = Input::new(input.string().unwrap());
    assert_eq!((users.string(), users.string()), (Ok(&b"root"[..]), Ok(&b""[..])));
    assert_eq!(Input::new(input.string().unwrap()).string(), Ok(&b"root"[..]));
    let half = client.extended("users-groups-by-id@openssh.com", |packet| {
        packet.put_string(&[0, 0, 0]);
        packet.put_string(b"");
    });
    assert_eq!(half.status(), Code::BadMessage as u32);
}

#[test]
fn what_is_not_known_is_said_to_be_so() {
    let mut client = Client::new();
    assert_eq!(client.ask(150, |_| {}).status(), Code::Unsupported as u32);
    assert_eq!(client.extended("teapot@example.com", |_| {}).status(), Code::Unsupported as u32);
    assert_eq!(client.ask(kind::OPEN, |_| {}).status(), Code::BadMessage as u32);
    assert_eq!(client.path_request(kind::STAT, Path::new("a\0b")).status(), Code::BadMessage as u32);
    let long = "x".repeat(5000);
    assert_eq!(client.path_request(kind::STAT, Path::new(&long)).status(), Code::BadMessage as u32);
}

#[test]
fn what_the_user_may_not_is_refused_by_the_system() {
    let mut client = Client::new();
    let path = client.path("file");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let expected = if rustix::process::geteuid().is_root() { kind::HANDLE } else { kind::STATUS };
    assert_eq!(client.open(&path, READ).kind, expected);
    assert_eq!(
        client.path_request(kind::REMOVE, Path::new("/proc/1/comm")).status(),
        Code::PermissionDenied as u32
    );
}

#[test]
fn what_was_done_is_reported_with_its_end() {
    let file = tempfile::tempfile().unwrap();
    let mut client = Client::new();
    client.server.report = Report::new(Some(file.try_clone().unwrap()));
    let (path, other) = (client.path("file"), client.path("other"));
    let handle = client.open(&path, WRITE | CREATE).text();
    client.write(&handle, 0, b"x").succeeded();
    client
        .ask(kind::FSETSTAT, |packet| {
            packet.put_string(&handle);
            Attributes::default().write(packet);
        })
        .succeeded();
    client.path_request(kind::STAT, &path);
    client.two_paths(kind::RENAME, &path, &other).succeeded();
    client.path_request(kind::REMOVE, &path);
    client.server.send_report().unwrap();
    let mut text = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut text, 0).unwrap();
    let told: Vec<(String, String, Option<String>, bool)> = String::from_utf8(text)
        .unwrap()
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| line[name].as_str().map(str::to_owned);
            (
                field("action").unwrap(),
                field("path").unwrap(),
                field("target_path"),
                line["success"].as_bool().unwrap(),
            )
        })
        .collect();
    let (path, other) = (path.to_str().unwrap().to_owned(), other.to_str().unwrap().to_owned());
    let expected = [
        ("open".to_owned(), path.clone(), None, true),
        ("setstat".to_owned(), path.clone(), None, true),
        ("rename".to_owned(), path.clone(), Some(other), true),
        ("remove".to_owned(), path, None, false),
    ];
    assert_eq!(told, expected, "and reading and asking are not");
}

proptest! {
    /// Only requests that name handles: bytes at random may not come to be paths.
    #[test]
    fn handles_nobody_was_given_do_no_harm(
        kind in prop_oneof![Just(kind::CLOSE), Just(kind::READ), Just(kind::WRITE), Just(kind::FSTAT), Just(kind::READDIR)],
        fields in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut client = Client::new();
        let path = client.path("file");
        client.open(&path, READ | WRITE | CREATE).text();
        let reply = client.ask(kind, |packet| packet.extend(fields));
        prop_assert_ne!(reply.status(), Code::Ok as u32);
    }
}
