//! The web port and the diagnostics port, as curl sees them.

use serde_json::Value;
use teleport_tests_interop::{Output, World, get, run};
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
