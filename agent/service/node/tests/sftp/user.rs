//! As the daemon starts it: as another user, with its report beside it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use port::host_user::{HostUser, HostUsers};
use sys::launch::{Launcher, Settings};
use sys::session::{Program, SpawnRequest, Streams};
use sys::users::SystemUsers;
use teleport_service_node::sftp::BUILTIN;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::server;

const PATIENCE: Duration = Duration::from_secs(60);

/// A packet of these fields, with its length before it.
fn packet(fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
}

#[tokio::test]
async fn it_is_the_user_and_reports_what_it_does() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED it_is_the_user_and_reports_what_it_does: only root can become another user");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let nobody = SystemUsers.find("nobody").unwrap();
    std::os::unix::fs::chown(home.path(), Some(nobody.uid), Some(nobody.gid)).unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "root's").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let user = HostUser { home: home.path().into(), shell: "/bin/sh".into(), ..nobody };
    let launcher = Launcher::new(Settings { program: server(), ..Settings::default() });
    let request = SpawnRequest {
        user: user.clone(),
        program: Program::Builtin(BUILTIN),
        env: Vec::new(),
        terminal: None,
        read_user_env: false,
    };
    let session = launcher.spawn(request).await.unwrap();
    let Streams::Pipes { mut stdin, mut stdout, .. } = session.streams else { panic!() };
    let nothing = [0; 4];
    let requests = [
        packet(&[&[1], &[0, 0, 0, 3]]),
        packet(&[&[14], &[0, 0, 0, 1], &text("made"), &nothing]),
        packet(&[&[3], &[0, 0, 0, 2], &text("secret"), &[0, 0, 0, 1], &nothing]),
    ];
    stdin.write_all(&requests.concat()).await.unwrap();
    drop(stdin);
    let (mut answers, mut lines) = (Vec::new(), String::new());
    let mut report = session.report.unwrap();
    let all = async { tokio::join!(stdout.read_to_end(&mut answers), report.read_to_string(&mut lines)) };
    let (read_answers, read_lines) = timeout(PATIENCE, all).await.unwrap();
    read_answers.and(read_lines).unwrap();
    assert!(timeout(PATIENCE, session.process.wait()).await.unwrap().unwrap().success());
    let made = std::fs::metadata(home.path().join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (user.uid, user.gid));
    let home = home.path().display();
    let expected = [
        format!(r#"{{"action":"mkdir","path":"{home}/made","success":true}}"#),
        format!(
            r#"{{"action":"open","path":"{home}/secret","access":"read","success":false,"error":"Permission denied"}}"#
        ),
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    assert!(answers.windows(17).any(|window| window == b"Permission denied"));
}
