//! Clients that are not OpenSSH: asyncssh and paramiko.

use teleport_tests_interop::{login, python, run, script};
use tokio::process::Command;

use crate::bed::{Bed, NODE};

async fn client(bed: &Bed, name: &str) {
    let folder = bed.world.folder().join("copies");
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new(python());
    command.arg(script(name)).arg(bed.joe.folder()).arg(bed.world.ports.ssh.number().to_string());
    command.args([login().as_str(), NODE]).arg(&folder);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", bed.joe.folder());
    let output = run(&mut command).await;
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
    let sftp = bed.event("sftp", |event| event["code"] == "TS001I").await;
    assert_eq!(sftp["user"], "joe", "{sftp}");
    let failed = bed.event("sftp", |event| event["code"] == "TS001E").await;
    assert!(failed["path"].as_str().unwrap().ends_with("/absent"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncssh_runs_copies_and_forwards() {
    client(&Bed::start().await, "asyncssh_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko_runs_copies_and_forwards() {
    client(&Bed::start().await, "paramiko_client.py").await;
}
