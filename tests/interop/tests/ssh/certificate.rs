//! What stands in certificates, and OpenSSH's own server that trusts them.

use std::path::Path;
use std::process::Stdio;

use teleport_tests_interop::{Home, Port, World, eventually, login, run};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::bed::{Bed, NODE};
use crate::forged::{keygen, section, shown};

#[tokio::test(flavor = "multi_thread")]
async fn a_users_certificate_names_the_user_and_their_logins() {
    let world = World::start().await;
    let joe = world.user("joe", "root,postgres").await;
    let text = shown(&joe.file("id-cert.pub")).await;
    assert!(text.contains("Type: ssh-ed25519-cert-v01@openssh.com user certificate"), "{text}");
    assert!(text.contains("Key ID: \"joe\"") && text.contains("Signing CA: ED25519 SHA256:"), "{text}");
    let mut principals = section(&text, "Principals:");
    principals.sort();
    assert_eq!(principals, ["postgres", "root"]);
    let extensions = section(&text, "Extensions:");
    for permit in ["permit-agent-forwarding", "permit-port-forwarding", "permit-pty"] {
        assert!(extensions.iter().any(|line| line == permit), "{text}");
    }
    let exported = world.folder().join("user_ca.pub");
    let line = world.tctl(&["auth", "export", "--type=user"]).await;
    std::fs::write(&exported, line.strip_prefix("cert-authority ").unwrap()).unwrap();
    let print = keygen(&["-l", "-f", exported.to_str().unwrap()]).await;
    let print = print.split(' ').nth(1).unwrap();
    assert!(text.contains(&format!("Signing CA: ED25519 {print} ")), "signed by another: {text}{print}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_certificate_holds_its_names_and_no_others() {
    let bed = Bed::start().await;
    let identity = bed.world.folder().join("data-web-1/identity/node.json");
    let identity: serde_json::Value = serde_json::from_slice(&std::fs::read(identity).unwrap()).unwrap();
    let file = bed.world.folder().join("host-cert.pub");
    std::fs::write(&file, identity["certificates"]["ssh"].as_str().unwrap()).unwrap();
    let text = shown(&file).await;
    assert!(text.contains("Type: ssh-ed25519-cert-v01@openssh.com host certificate"), "{text}");
    let id = std::fs::read_to_string(bed.world.folder().join("data-web-1/host_uuid")).unwrap();
    let id = id.trim();
    let with_cluster = format!("{id}.main");
    let expected = [&with_cluster, id, "web-1.main", "web-1", "localhost", "127.0.0.1", "::1"];
    assert_eq!(section(&text, "Principals:"), expected, "{text}");
    assert!(text.contains(&format!("Key ID: \"{id}\"")), "{text}");
}

/// OpenSSH's server with a host certificate of the cluster, for the cluster's users.
async fn sshd(world: &World, port: &Port) -> Child {
    let folder = world.folder();
    let file = |name: &str| folder.join(name).display().to_string();
    world.tctl(&["auth", "sign", "--host=stock.main,127.0.0.1", "--out", &file("stock")]).await;
    let line = world.tctl(&["auth", "export", "--type=user"]).await;
    std::fs::write(file("ca.pub"), line.strip_prefix("cert-authority ").unwrap()).unwrap();
    let config = format!(
        "Port {}\nListenAddress 127.0.0.1\nHostKey {key}\nHostCertificate {key}-cert.pub\nTrustedUserCAKeys {}\n\
         AuthorizedKeysFile none\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         UsePAM no\nPidFile none\nStrictModes no\n",
        port.number(),
        file("ca.pub"),
        key = file("stock"),
    );
    std::fs::write(file("sshd_config"), config).unwrap();
    // Without its service nobody makes the folder its strangers are locked into.
    if login() == "root" {
        std::fs::create_dir_all("/run/sshd").unwrap();
    }
    let log = std::fs::File::create(file("sshd.log")).unwrap();
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f", &file("sshd_config")]).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(log).kill_on_drop(true).spawn().expect("sshd; run: cargo xtask test");
    eventually("sshd answers", || async { TcpStream::connect(port.address()).await.ok() }).await;
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_sshd_takes_our_users_and_our_users_trust_it() {
    let (world, port) = (World::start().await, Port::free());
    let _sshd = sshd(&world, &port).await;
    let number = port.number().to_string();
    let try_as = |home: Home, name: &'static str| {
        let number = number.clone();
        async move {
            let alias = format!("HostKeyAlias={name}");
            home.ssh(&["-o", &alias, "-p", &number, "127.0.0.1", "echo", "in"]).await
        }
    };
    let joe = world.user("joe", &login()).await;
    joe.trust("*", world.authority());
    for name in ["stock.main", "127.0.0.1"] {
        assert_eq!(try_as(joe.clone(), name).await.good(), "in\n", "{name}");
    }
    // A name that is not in the host's certificate.
    let other = try_as(joe.clone(), "other.main").await;
    assert!(other.stderr.contains("name is not a listed principal"), "{}", other.stderr);
    // A user whose certificate does not hold the login.
    let eve = world.user("eve", "somebody").await;
    eve.trust("*", world.authority());
    let refused = try_as(eve, "stock.main").await;
    assert!(refused.stderr.contains("Permission denied (publickey)"), "{}", refused.stderr);
    let log = || std::fs::read_to_string(world.folder().join("sshd.log")).unwrap();
    eventually("sshd says why", || async { log().contains("name is not a listed principal").then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_shows_its_names_and_the_identity_file_serves_stock_ssh() {
    let bed = Bed::start().await;
    let told = bed.joe.ssh(&["-vv", "proxy", "-s", "proxy:web-1:22"]).await.stderr;
    for name in ["proxy-1.main", "proxy-1", "localhost", "127.0.0.1"] {
        assert!(told.contains(&format!("Server host certificate hostname: {name}\r\n")), "{name} in {told}");
    }
    let out = bed.file("identity");
    bed.world.tctl(&["auth", "sign", "--user=joe", "--format=file", "--out", &out]).await;
    let text = std::fs::read_to_string(&out).unwrap();
    let mut stock = Path::new(&out).to_owned();
    stock.set_extension("key");
    // OpenSSH reads the key from it and finds the certificate beside it.
    let certificate = text.lines().find(|line| line.starts_with("ssh-ed25519-cert-v01")).unwrap();
    let end = "-----END OPENSSH PRIVATE KEY-----\n";
    std::fs::write(&stock, &text[..text.find(end).unwrap() + end.len()]).unwrap();
    std::fs::write(stock.with_extension("key-cert.pub"), format!("{certificate}\n")).unwrap();
    run(Command::new("chmod").arg("600").arg(&stock)).await.good();
    std::fs::copy(&stock, bed.joe.file("id")).unwrap();
    std::fs::copy(stock.with_extension("key-cert.pub"), bed.joe.file("id-cert.pub")).unwrap();
    std::fs::remove_file(bed.joe.file("id.pub")).unwrap();
    assert_eq!(bed.joe.on(NODE, "echo in").await.good(), "in\n");
}
