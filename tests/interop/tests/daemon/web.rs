//! The web port and the diagnostics port, as curl sees them.

use serde_json::Value;
use teleport_tests_interop::{Output, World, eventually, get, run};
use tokio::process::Command;

pub(crate) async fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    run(command.args(["-q", "--silent", "--show-error", "--max-time", "30"]).args(arguments)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_asks_the_web_port() {
    let world = World::start().await;
    let web = world.ports.web.address();
    for path in ["/webapi/ping", "/webapi/find"] {
        let url = format!("https://{web}{path}");
        let answer = curl(&["--insecure", "--fail", "--write-out", "\n%{content_type}", &url]).await.good();
        let (body, media) = answer.rsplit_once('\n').unwrap();
        assert!(media.starts_with("application/json"), "{media}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["cluster_name"], "main", "{body}");
        assert_eq!(body["server_version"], "0.1.0", "{body}");
        assert_eq!(body["ca_pins"][0], world.pin(), "{body}");
        assert_eq!(body["proxy"]["ssh"]["listen_addr"], world.ports.ssh.address().to_string(), "{body}");
        assert_eq!(body["proxy"]["ssh"]["tunnel_listen_addr"], world.ports.tunnel.address().to_string());
        let old = curl(&["--insecure", "--fail", "--http1.1", &url]).await.good();
        assert_eq!(serde_json::from_str::<Value>(&old).unwrap(), body, "in either version of HTTP");
    }
    let nothing =
        curl(&["--insecure", "--write-out", "%{http_code}", &format!("https://{web}/nothing")]).await.good();
    assert!(nothing.ends_with("404") && nothing.contains("/webapi/ping"), "{nothing}");
    let plain = curl(&["--include", &format!("http://{web}/webapi/ping")]).await.good();
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("use https://"), "{plain}");
    // Not vouched for by anybody: curl says no unless told otherwise.
    assert_eq!(curl(&[&format!("https://{web}/webapi/ping")]).await.code(), Some(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_the_operator_are_read_again_and_those_out_of_order_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let known = |name: &str| folder.path().join(name).display().to_string();
    let put = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(known(name), made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&chain, made.cert.pem()).unwrap();
    };
    put("first");
    let pair = format!("  - cert_file: {}\n    key_file: {}\n", chain.display(), key.display());
    let more = format!("  https_keypairs:\n{pair}  https_keypairs_reload_interval: 1s\n");
    let world = World::start_with(&more).await;
    let url = format!("https://{}/webapi/ping", world.ports.web.address());
    let shows = async |name: &str| curl(&["--cacert", &known(name), &url]).await.code() == Some(0);
    assert!(shows("first").await);
    std::fs::write(&chain, "no certificate").unwrap();
    let line = world.main.logged("the certificates of the web port stay as they are").await;
    assert!(line.contains("chain.pem cannot be served") && line.contains("no certificate in PEM"), "{line}");
    assert!(shows("first").await);
    put("second");
    eventually("the other certificate is shown", || async { shows("second").await.then_some(()) }).await;
    assert!(!shows("first").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_diagnostics_port_says_how_everything_is() {
    let world = World::start().await;
    let node = world.node("web-1").await;
    for daemon in [&world.main, &node] {
        assert_eq!(
            get(daemon.diagnostics(), "/healthz").await.unwrap(),
            (200, r#"{"status":"ok"}"#.to_owned())
        );
        let (status, body) = daemon.state().await.unwrap();
        assert_eq!(
            (status, &body["status"], &body["pid"]),
            (200, &"ok".into(), &daemon.pid().into()),
            "{body}"
        );
        assert_eq!(daemon.metric("process_state").await, Some(0.0));
        assert_eq!(get(daemon.diagnostics(), "/debug").await.unwrap().0, 404);
    }
    let components = |body: &Value| -> Vec<String> {
        let list = body["components"].as_array().unwrap().iter();
        list.map(|component| component["component"].as_str().unwrap().to_owned()).collect()
    };
    let main = components(&world.main.state().await.unwrap().1);
    assert_eq!(main, ["audit", "auth", "process", "proxy"]);
    let own = components(&node.state().await.unwrap().1);
    assert_eq!(own, ["audit", "heartbeat", "node", "process", "tunnel"]);
    for name in [
        "auth_joins_total{success=\"true\"}",
        "tunnel_links",
        "auth_heartbeats_total",
        "teleport_audit_log_events_total",
    ] {
        assert!(world.main.metric(name).await.is_some_and(|value| value >= 1.0), "{name}");
    }
    for name in ["proxy_connections", "proxy_refused_dials_total", "auth_certificates_total{kind=\"Host\"}"] {
        assert!(world.main.metric(name).await.is_some(), "{name}");
    }
    for name in [
        "node_sessions_started_total",
        "node_failed_labels_total",
        "teleport_audit_spool_bytes",
        "process_open_fds",
    ] {
        assert!(node.metric(name).await.is_some(), "{name}");
    }
    let home = world.user("joe", "root").await;
    home.on("web-1.main", "true").await.good();
    assert_eq!(node.metric("node_sessions_started_total").await, Some(1.0));
}
