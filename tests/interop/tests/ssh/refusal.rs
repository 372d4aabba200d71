//! Who does not get in, what stock ssh shows them, and what is written down.

use std::process::Stdio;
use std::time::Duration;

use teleport_tests_interop::{Home, login};
use tokio::io::AsyncReadExt;

use crate::bed::{Bed, NODE};
use crate::forged::{authority, keygen, replace};

/// The sentence for whoever showed no certificate that is worth a look.
const NONE: &str = "no valid certificate of this cluster was offered (plain keys and expired certificates are not accepted); get a new one, which an administrator makes with `tctl auth sign`";

/// What somebody is told at both doors when their certificate is no good; and both write it down.
async fn refused_at_the_proxy(bed: &Bed, home: &Home, reason: &str) {
    let before = bed.world.events().len();
    let output = home.on(NODE, "echo in").await;
    assert_eq!((output.code(), output.text().as_str()), (Some(255), ""), "{reason}: {}", output.stderr);
    assert!(output.stderr.contains(&format!("access denied: {reason}")), "{reason}: {}", output.stderr);
    let event = bed
        .world
        .event(reason, |event| {
            let later = bed.world.events()[before..].iter().any(|other| other["uid"] == event["uid"]);
            later
                && event["code"] == "T3007W"
                && event["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(reason) || reason.starts_with(error))
        })
        .await;
    assert_eq!((&event["event"], &event["success"]), (&"auth".into(), &false.into()), "{event}");
    assert_eq!(event["login"], login().as_str(), "{event}");
    assert!(event["addr.remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_certificates_that_are_no_good_are_told_why() {
    let bed = Bed::start().await;
    let (users, hosts) = (authority(&bed.world, "user").await, authority(&bed.world, "host").await);
    let other = bed.world.folder().join("other");
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", other.to_str().unwrap()]).await;
    let me = login();
    let joe = &bed.joe;
    // The same tool and the same options as below make a good one, so it is what differs that is refused.
    replace(joe, &users, &["-n", &me, "-V", "-1h:+1h", "-O", "no-x11-forwarding"]).await;
    assert_eq!(joe.on(NODE, "echo in").await.good(), "in\n");
    let good = ["-n", me.as_str(), "-V", "-1h:+1h"];
    replace(joe, &other, &good).await;
    refused_at_the_proxy(&bed, joe, "the certificate was not signed by this cluster's user authority").await;
    replace(joe, &hosts, &good).await;
    refused_at_the_proxy(&bed, joe, "the certificate was not signed by this cluster's user authority").await;
    // OpenSSH itself keeps back what is out of its time, and offers the plain key instead.
    replace(joe, &users, &["-n", &me, "-V", "-2h:-1h"]).await;
    refused_at_the_proxy(&bed, joe, NONE).await;
    replace(joe, &users, &["-n", &me, "-V", "+1h:+2h"]).await;
    refused_at_the_proxy(&bed, joe, NONE).await;
    replace(joe, &users, &["-n", &me, "-V", "-1h:+1h", "-O", "source-address=10.0.0.0/8"]).await;
    refused_at_the_proxy(&bed, joe, "the certificate may not be used from 127.0.0.1").await;
    replace(joe, &users, &["-n", &me, "-V", "-1h:+1h", "-O", "critical:no-such-option=x"]).await;
    refused_at_the_proxy(&bed, joe, "the certificate has the critical option \"no-such-option\"").await;
    replace(joe, &users, &["-h", "-n", &me, "-V", "-1h:+1h"]).await;
    std::fs::remove_file(joe.file("id-cert.pub")).unwrap();
    refused_at_the_proxy(&bed, joe, NONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_address_that_fits_lets_in() {
    let bed = Bed::start().await;
    for (range, fits) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let out = bed.joe.file("id").display().to_string();
        let range = format!("--source-address={range}");
        bed.world.tctl(&["auth", "sign", "--user=joe", "--out", &out, "--overwrite", &range]).await;
        if fits {
            assert_eq!(bed.on("echo in").await.good(), "in\n");
        } else {
            refused_at_the_proxy(&bed, &bed.joe, "the certificate may not be used from 127.0.0.1").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_not_allowed_is_refused_by_the_node() {
    let bed = Bed::start().await;
    let at = format!("nobody@{NODE}");
    // The proxy is entered as oneself; it is the node that refuses.
    let output = bed.joe.on(&at, "echo in").await;
    let reason = format!("the certificate does not allow the login \"nobody\", only {:?}", login());
    assert_eq!(output.code(), Some(255));
    assert!(output.stderr.contains(&format!("access denied: {reason}")), "{}", output.stderr);
    let event = bed.event("auth", |event| event["login"] == "nobody").await;
    assert_eq!((&event["code"], &event["error"]), (&"T3007W".into(), &reason.into()), "{event}");
    // A certificate from before the role changed holds a login that is no longer allowed.
    let eve = bed.world.user("eve", &format!("nobody,{}", login())).await;
    bed.world.tctl(&["users", "rm", "eve"]).await;
    bed.world.tctl(&["users", "add", "eve", &login()]).await;
    let told = teleport_tests_interop::eventually("eve is refused", || async {
        let output = eve.on(NODE, "echo in").await;
        (!output.status.success()).then_some(output.stderr)
    })
    .await;
    assert!(told.contains("access denied: "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_denies_is_told_apart_from_a_node_that_is_not_there() {
    let bed = Bed::start().await;
    let role = "kind: role\nversion: v7\nmetadata: {name: elsewhere}\nspec:\n  \
                allow: {logins: ['{{internal.logins}}'], node_labels: {env: prod}}\n";
    bed.world.try_tctl(&["create"], role.as_bytes()).await.good();
    bed.world.tctl(&["users", "add", "ann", "--roles=elsewhere", &format!("--logins={}", login())]).await;
    let ann = bed.world.sign("ann").await;
    // What one may not reach, one does not learn of.
    let output = ann.on(NODE, "echo in").await;
    assert!(!output.status.success());
    assert!(output.stderr.contains("node \"web-1.main\" is unknown or offline"), "{}", output.stderr);
    let event =
        bed.world.event("the refusal", |event| event["code"] == "T1006W" && event["user"] == "ann").await;
    // Whoever reads the log does.
    let reason = event["reason"].as_str().unwrap();
    assert!(reason.starts_with("web-1.main: none of the roles of ann allow the node web-1;"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_locked_out_of_an_open_session_reads_why() {
    let bed = Bed::start().await;
    let mut ssh = bed.joe.command("ssh");
    ssh.args(["-J", "proxy", NODE, "echo on; exec sleep 1000"]).kill_on_drop(true);
    ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut ssh = ssh.spawn().unwrap();
    let mut on = [0; 3];
    ssh.stdout.as_mut().unwrap().read_exact(&mut on).await.unwrap();
    bed.world.tctl(&["lock", "--user=joe", "--message=stolen laptop"]).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), ssh.wait_with_output()).await;
    let ended = ended.expect("the session goes on").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(255), "{said}");
    assert!(said.contains("access is locked: stolen laptop"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_key_is_refused_before_it_is_signed_with_and_its_certificate_is_not() {
    let bed = Bed::start().await;
    let (joe, users, me) = (&bed.joe, authority(&bed.world, "user").await, login());
    let config = std::fs::read_to_string(joe.file("config")).unwrap();
    for (kind, cipher) in [
        ("ed25519", "aes256-gcm@openssh.com"),
        ("ecdsa", "chacha20-poly1305@openssh.com"),
        ("rsa", "aes128-ctr"),
    ] {
        let (id, public) = (joe.file("id"), joe.file("id.pub"));
        std::fs::remove_file(&id).unwrap();
        std::fs::remove_file(&public).unwrap();
        keygen(&["-q", "-t", kind, "-N", "", "-f", id.to_str().unwrap()]).await;
        replace(joe, &users, &["-n", &me, "-V", "-1h:+1h"]).await;
        // The key and then its certificate, as OpenSSH does by itself; and the other way round.
        let certificate = format!("  CertificateFile {}\n", joe.file("id-cert.pub").display());
        for first in ["", &certificate] {
            std::fs::write(joe.file("config"), format!("{config}  Ciphers {cipher}\n{first}")).unwrap();
            let output = joe.ssh(&["-v", "-J", "proxy", NODE, "echo in"]).await;
            assert_eq!(output.text(), "in\n", "{kind}, {cipher}: {}", output.stderr);
            let accepted: Vec<_> =
                output.stderr.lines().filter(|line| line.contains("Server accepts key: ")).collect();
            assert_eq!(accepted.len(), 2, "one for each hop: {}", output.stderr);
            assert!(accepted.iter().all(|line| line.contains("-CERT ")), "{kind}, {cipher}: {accepted:?}");
        }
    }
}
