//! Certificates made with `ssh-keygen`, also such as the auth server never makes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use teleport_tests_interop::{Home, World, python, run, script};
use tokio::process::Command;

/// Runs `ssh-keygen`.
pub(crate) async fn keygen(arguments: &[&str]) -> String {
    run(Command::new("ssh-keygen").args(arguments)).await.good()
}

/// What `ssh-keygen -L` says of a certificate.
pub(crate) async fn shown(certificate: &Path) -> String {
    keygen(&["-L", "-f", certificate.to_str().unwrap()]).await
}

/// The lines of a section of that: one for each principal or extension.
pub(crate) fn section(shown: &str, title: &str) -> Vec<String> {
    let lines = shown.lines().skip_while(|line| line.trim() != title).skip(1);
    lines.take_while(|line| line.starts_with("                ")).map(|line| line.trim().to_owned()).collect()
}

/// A file with the private key of one of the cluster's authorities.
pub(crate) async fn authority(world: &World, kind: &str) -> PathBuf {
    let database = world.folder().join("data-main/backend/sqlite.db");
    let text = run(Command::new(python()).arg(script("authority.py")).arg(database).arg(kind)).await.good();
    let path = world.folder().join(format!("authority-{kind}"));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

/// Replaces the certificate of a home by one for the same key, signed by this key, with these options
/// of `ssh-keygen`, that names the same user of the cluster.
pub(crate) async fn replace(home: &Home, authority: &Path, options: &[&str]) {
    let old = shown(&home.file("id-cert.pub")).await;
    let extension = section(&old, "Extensions:").remove(0);
    let (name, hex) = extension.split_once(" UNKNOWN OPTION: ").expect("the user is named in an extension");
    let hex = hex.split(' ').next().unwrap();
    // The text's length goes before it.
    let bytes: Vec<u8> =
        (8..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let identity = format!("extension:{name}={}", String::from_utf8(bytes).unwrap());
    let (signer, key) = (authority.to_str().unwrap(), home.file("id.pub"));
    let mut arguments = vec!["-q", "-s", signer, "-I", "joe", "-O", &identity];
    arguments.extend(options);
    arguments.push(key.to_str().unwrap());
    keygen(&arguments).await;
}
