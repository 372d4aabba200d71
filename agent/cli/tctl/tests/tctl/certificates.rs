//! Authorities and certificates as OpenSSH's own tools read them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use certs::bundle::{Bundle, HostKeys};
use certs::x509::KeyPair;
use client::{AuthClient, AuthEndpoint};
use domain::authority::AuthorityType;
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use domain::resource::Kind;

use crate::cluster::Cluster;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What `ssh-keygen` prints.
fn keygen(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).current_dir(folder).output();
    let output = output.expect("ssh-keygen runs (Debian: openssh-client)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

async fn with_joe() -> Cluster {
    let cluster = Cluster::new().await;
    cluster.tctl(&["users", "add", "joe", "joe,root"]).await.ok();
    cluster
}

#[tokio::test]
async fn authorities_are_exported_as_lines_for_openssh() {
    let cluster = Cluster::new().await;
    let user = cluster.tctl(&["auth", "export", "--type=user"]).await.ok();
    assert!(
        user.starts_with("cert-authority ssh-ed25519 ") && user.ends_with(" clustername=main&type=user\n")
    );
    let host = cluster.tctl(&["auth", "export", "--type=host"]).await.ok();
    assert!(host.starts_with("@cert-authority *.main,proxy.example.com ssh-ed25519 "), "{host}");
    assert_eq!(cluster.tctl(&["auth", "export"]).await.ok(), user + &host);
    cluster.tctl(&["auth", "export", "--type=jwt"]).await.failed(2);
    cluster.file("known_hosts", &host);
    for name in ["node.main", "proxy.example.com"] {
        let found = keygen(cluster.folder.path(), &["-F", name, "-f", "known_hosts"]);
        assert!(found.contains("CA") || found.contains("cert-authority"), "{found}");
    }
}

#[tokio::test]
async fn a_users_certificate_is_written_for_openssh() {
    let cluster = with_joe().await;
    let sign = ["auth", "sign", "--user=joe", "--ttl=1h", "--source-address=127.0.0.0/8"];
    let text = cluster.tctl(&sign).await.ok();
    assert!(text.starts_with("Written: joe, joe.pub, joe-cert.pub\nValid until "), "{text}");
    assert!(text.contains("(59m") || text.contains("(1h0m0s)"), "{text}");
    assert!(text.contains("ssh -J joe@proxy.example.com:2023 joe@NODE.main"), "{text}");
    for file in ["joe", "joe.pub", "joe-cert.pub"] {
        assert_eq!(mode(&cluster.path(file)), 0o600, "{file}");
    }
    let shown = keygen(cluster.folder.path(), &["-L", "-f", "joe-cert.pub"]);
    for part in
        ["user certificate", "Key ID: \"joe\"", "joe\n", "root\n", "source-address 127.0.0.0/8", "permit-pty"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // The three files belong together, and a private key of ours is one for OpenSSH.
    let public = keygen(cluster.folder.path(), &["-y", "-f", "joe"]);
    let written = std::fs::read_to_string(cluster.path("joe.pub")).unwrap();
    assert_eq!(public.split_whitespace().nth(1), written.split_whitespace().nth(1));
    assert!(written.ends_with(" teleport:joe\n"), "{written}");
}

#[tokio::test]
async fn without_a_proxy_the_way_to_a_node_is_told_straight() {
    let cluster = Cluster::with(&[], &[]).await;
    cluster.tctl(&["users", "add", "joe", "joe,root"]).await.ok();
    let done = cluster.tctl(&["auth", "sign", "--user=joe"]).await;
    assert_eq!(done.err, "", "nobody asked for a life");
    let text = done.ok();
    assert!(text.contains("ssh -p 3022 -o HostKeyAlias=NODE.main joe@ADDRESS"), "{text}");
    assert!(!text.contains("-J"), "{text}");
}

#[tokio::test]
async fn a_hosts_certificate_is_written_for_sshd() {
    let cluster = Cluster::new().await;
    let sign = ["auth", "sign", "--host=db.example.com,10.0.0.7", "--out=key", "--ttl=90d"];
    let text = cluster.tctl(&sign).await.ok();
    let key = cluster.folder.path().canonicalize().unwrap().join("key").display().to_string();
    assert!(text.contains(&format!("HostKey {key}\n  HostCertificate {key}-cert.pub\n")), "{text}");
    let shown = keygen(cluster.folder.path(), &["-L", "-f", "key-cert.pub"]);
    assert!(shown.contains("host certificate") && shown.contains("db.example.com"), "{shown}");
    assert!(shown.contains("10.0.0.7"), "{shown}");
    let error = cluster.tctl(&["auth", "sign", "--host=a*b", "--out=x"]).await.failed(1);
    assert!(error.contains("wildcards"), "{error}");
    assert!(!cluster.path("x").exists());
}

#[tokio::test]
async fn nothing_is_overwritten_unless_that_is_asked_for() {
    let cluster = with_joe().await;
    cluster.file("joe-cert.pub", "mine");
    let events = cluster.audit.lines().len();
    let error = cluster.tctl(&["auth", "sign", "--user=joe"]).await.failed(1);
    assert!(error.contains("joe-cert.pub exists already") && error.contains("--overwrite"), "{error}");
    assert!(
        !cluster.path("joe").exists() && cluster.audit.lines().len() == events,
        "no certificate was made"
    );
    assert_eq!(std::fs::read_to_string(cluster.path("joe-cert.pub")).unwrap(), "mine");
    cluster.tctl(&["auth", "sign", "--user=joe", "--overwrite"]).await.ok();
    assert!(
        std::fs::read_to_string(cluster.path("joe-cert.pub")).unwrap().starts_with("ssh-ed25519-cert-v01")
    );
}

#[tokio::test]
async fn an_identity_file_holds_everything_in_order_and_opens_the_cluster() {
    let cluster = with_joe().await;
    let text =
        cluster.tctl(&["auth", "sign", "--user=joe", "--format=file", "--out=joe.identity"]).await.ok();
    assert!(text.starts_with("Written: joe.identity\n") && text.contains("as safe as a password"), "{text}");
    assert_eq!(mode(&cluster.path("joe.identity")), 0o600);
    let file = std::fs::read_to_string(cluster.path("joe.identity")).unwrap();
    let starts: Vec<_> =
        file.lines().filter(|line| line.contains("BEGIN") || line.contains("ssh-ed25519")).collect();
    let parts = [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-ed25519-cert-v01@openssh.com ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "@cert-authority *.main,proxy.example.com ssh-ed25519 ",
        "-----BEGIN CERTIFICATE-----",
    ];
    assert_eq!(starts.len(), parts.len(), "{starts:?}");
    for (line, part) in starts.iter().zip(parts) {
        assert!(line.starts_with(part), "{line} {part}");
    }
    keygen(cluster.folder.path(), &["-y", "-f", "joe.identity"]);
    // With what is in the file alone, the auth server takes the bearer for the user.
    let bundle = bundle(&file, &cluster);
    let client = AuthClient::new(
        AuthEndpoint::of_member(vec![cluster.service.address().to_string()], &bundle).unwrap(),
    );
    assert_eq!(client.status().await.unwrap().cluster_name, "main");
    let refused = client.list_json(Kind::User).await.unwrap_err().to_string();
    assert!(refused.contains("user joe may not list"), "{refused}");
}

/// The parts of an identity file, put together as a client needs them.
fn bundle(file: &str, cluster: &Cluster) -> Bundle {
    let parts = pem::parse_many(file).unwrap();
    let part = |tag: &str| parts.iter().filter(|part| part.tag() == tag).cloned().collect::<Vec<_>>();
    let tls = KeyPair::from_pem(&pem::encode(&part("PRIVATE KEY")[0])).unwrap();
    let ssh = file.split_inclusive("-----END OPENSSH PRIVATE KEY-----\n").next().unwrap();
    let ssh = ssh_key::PrivateKey::from_openssh(ssh).unwrap();
    let certificate = file.lines().find(|line| line.starts_with("ssh-ed25519-cert-v01")).unwrap();
    let [leaf, authority] = &part("CERTIFICATE")[..] else { panic!("not two certificates") };
    let mut authorities = cluster.service.authorities().to_vec();
    authorities.retain(|spec| spec.r#type == AuthorityType::Host);
    assert_eq!(pem::parse(&authorities[0].active_keys[0].tls).unwrap().contents(), authority.contents());
    Bundle {
        // Whom the certificate stands for is in the certificate; this part of a bundle is for hosts.
        identity: HostIdentity {
            host_id: HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap(),
            role: SystemRole::Node,
            cluster: "main".into(),
        },
        keys: HostKeys { ssh, tls },
        ssh_certificate: ssh_key::Certificate::from_openssh(certificate).unwrap(),
        tls_certificate: leaf.contents().to_vec(),
        authorities,
    }
}

#[tokio::test]
async fn what_cannot_be_signed_is_refused() {
    let cluster = with_joe().await;
    cluster.tctl(&["auth", "sign"]).await.failed(2);
    cluster.tctl(&["auth", "sign", "--user=joe", "--host=a"]).await.failed(2);
    cluster.tctl(&["auth", "sign", "--host=a", "--source-address=10.0.0.0/8"]).await.failed(2);
    cluster.tctl(&["auth", "sign", "--user=joe", "--ttl=10s"]).await.failed(2);
    assert!(cluster.tctl(&["auth", "sign", "--host=../a"]).await.failed(2).contains("--out"));
    assert!(
        cluster.tctl(&["auth", "sign", "--user=bob"]).await.failed(1).contains("user \"bob\" does not exist")
    );
    let error = cluster.tctl(&["auth", "sign", "--user=joe", "--out=no/joe"]).await.failed(1);
    assert!(error.contains("no is not a folder"), "{error}");
    let error = cluster.tctl(&["auth", "sign", "--user=joe", "--source-address=home"]).await.failed(1);
    assert!(error.contains("address"), "{error}");
    cluster.tctl(&["users", "add", "--roles=access", "nologin"]).await.ok();
    let error = cluster.tctl(&["auth", "sign", "--user=nologin"]).await.failed(1);
    assert!(error.contains("has no logins"), "{error}");
    let long = cluster.tctl(&["auth", "sign", "--user=joe", "--ttl=100h"]).await;
    assert!(long.err.contains("shorter life"), "{long:?}");
    assert!(long.ok().contains("(29h59m"), "30 hours is the most");
}
