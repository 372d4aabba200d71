//! Requests of plugins that are not sent: to other places than granted, to addresses that only look like
//! others, with headers that are not a plugin's to set.

use std::net::IpAddr;
use std::sync::atomic::Ordering::SeqCst;

use plugin_host::{Outcome, ProxyAddress, ProxySettings};

use crate::bed::{guest, manifest, refusal};
use crate::sending::{Fetch, Names, call, denied, fetch, given_up, granted, refused_with};
use crate::serving::{Proxy, Server};

#[tokio::test]
async fn sending_needs_a_need_and_a_grant() {
    let mut bed = crate::bed::Bed::new();
    bed.install("fetch", &guest("fetch"), &manifest("fetch"));
    bed.pin("fetch");
    let text = refusal(&bed.host(), "fetch").await;
    assert!(text.contains("plugin fetch imports wasi:http/"), "{text}");
    assert!(text.contains("its manifest does not ask for it; add to plugin.toml"), "{text}");
    let text = refusal(&Fetch::new().host(), "fetch").await;
    assert!(
        text.contains(r#"add under teleport.plugins.load.fetch.grants: http: ["https://HOST"]"#),
        "{text}"
    );
}

#[tokio::test]
async fn another_scheme_host_or_port_is_not_what_was_granted() {
    let server = Server::plain().await;
    let port = server.port;
    let host = granted(&format!("http://api.test:{port}")).host();
    for elsewhere in [
        format!("https://api.test:{port}"),
        "http://api.test".to_owned(),
        format!("http://api.test:{}", port ^ 1),
        format!("http://other.test:{port}"),
        format!("http://sub.api.test:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
    ] {
        let text = format!(
            "plugin fetch is not granted to send requests to {elsewhere}; if it may, add under teleport.plugins.load.fetch.grants: http: [\"{elsewhere}\"]"
        );
        denied(&host, &format!("GET {elsewhere}/hello"), &text).await;
        refused_with(&host, &format!("GET {elsewhere}/hello"), "ErrorCode::HttpRequestDenied").await;
    }
    denied(&host, &format!("GET ftp://api.test:{port}/"), "is no place for requests").await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_host_that_can_be_read_in_two_ways_is_not_read_at_all() {
    let server = Server::plain().await;
    let port = server.port;
    let host = granted(&format!("http://api.test:{port}")).host();
    for disguised in [
        format!("api.test.:{port}"),
        format!("joe@api.test:{port}"),
        format!("api.test:{port}@127.0.0.1:{port}"),
        "2130706433".to_owned(),
        "0x7f000001".to_owned(),
        "0x7f.1".to_owned(),
        "127.1".to_owned(),
        "2852039166".to_owned(),
        "0xa9fea9fe".to_owned(),
        "169.254.43518".to_owned(),
    ] {
        let report = call(&host, &format!("GET http://{disguised}/hello")).await;
        // Some are refused as they are set, by the library's reading of authorities.
        let text = report.result.unwrap_err().to_string();
        assert!(
            text.starts_with("plugin fetch may not send the request: ") || text == "authority",
            "{disguised}: {text}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_a_name_stands_for_counts_and_not_the_name() {
    let server = Server::plain().await;
    let port = server.port;
    let mut bed = Fetch::new();
    for name in ["loopback.test", "private.test", "mapped.test"] {
        bed.grant(&format!("http://{name}:{port}"), false);
    }
    for name in ["metadata.test", "mapped-metadata.test", "multicast.test"] {
        bed.grant(&format!("http://{name}:{port}"), true);
    }
    bed.names(
        Names::new()
            .with("loopback.test", &["127.0.0.1", "::1"])
            .with("private.test", &["10.0.0.1"])
            .with("mapped.test", &["::ffff:127.0.0.1"])
            .with("metadata.test", &["169.254.169.254"])
            .with("mapped-metadata.test", &["::ffff:169.254.169.254"])
            .with("multicast.test", &["224.0.0.1", "0.0.0.0"]),
    );
    let host = bed.host();
    let may = |name: &str| {
        format!(
            "which {name} stands for; if it may, write under teleport.plugins.load.fetch.grants: http: [{{ url: \"http://{name}:{port}\", private: yes }}]"
        )
    };
    for (name, text) in [
        (
            "loopback.test",
            format!("may not connect to 127.0.0.1 (loopback), ::1 (loopback), {}", may("loopback.test")),
        ),
        ("private.test", format!("may not connect to 10.0.0.1 (private), {}", may("private.test"))),
        ("mapped.test", format!("may not connect to 127.0.0.1 (loopback), {}", may("mapped.test"))),
        ("metadata.test", "which metadata.test stands for; no name may lead there".to_owned()),
        ("mapped-metadata.test", "which mapped-metadata.test stands for; no name may".to_owned()),
        ("multicast.test", "which multicast.test stands for; no plugin may".to_owned()),
    ] {
        denied(&host, &format!("GET http://{name}:{port}/hello"), &text).await;
        let code = "ErrorCode::DestinationIpProhibited";
        refused_with(&host, &format!("GET http://{name}:{port}/hello"), code).await;
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn addresses_as_hosts_are_looked_at_the_same_way() {
    let server = Server::plain().await;
    let port = server.port;
    let mut bed = Fetch::new();
    bed.grant(&format!("http://127.0.0.1:{port}"), false);
    let metadata = ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.100.100.200"];
    for host in metadata {
        bed.grant(&format!("http://{host}"), false);
    }
    bed.grant("http://224.0.0.1", true);
    let host = bed.host();
    denied(
        &host,
        &format!("GET http://127.0.0.1:{port}/hello"),
        "may not connect to 127.0.0.1 (loopback); if",
    )
    .await;
    denied(&host, &format!("GET http://[::ffff:127.0.0.1]:{port}/"), "may not connect to 127.0.0.1").await;
    for address in metadata.iter().chain(&["[::ffff:a9fe:a9fe]"]) {
        denied(&host, &format!("GET http://{address}/"), "(link-local or metadata); if it may").await;
    }
    denied(&host, "GET http://224.0.0.1/", "no plugin may").await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_link_and_metadata_are_reached_by_a_grant_of_the_very_address() {
    let proxy = Proxy::start().await;
    let mut bed = Fetch::new();
    bed.grant("http://169.254.169.254", true);
    // What may be reached is decided before a proxy is asked, and nothing is sent to a real one.
    let address = ProxyAddress { address: format!("127.0.0.1:{}", proxy.port), credentials: None };
    bed.settings().proxies = ProxySettings { http: Some(address), ..ProxySettings::default() };
    let host = bed.host();
    for address in ["169.254.169.254", "[::ffff:169.254.169.254]"] {
        assert_eq!(fetch(&host, &format!("GET http://{address}/latest")).await, "200 by a proxy!");
    }
    for other in ["169.254.169.253", "169.254.169.254:8080", "[64:ff9b::a9fe:a9fe]"] {
        denied(&host, &format!("GET http://{other}/"), "is not granted to send requests to").await;
    }
    assert_eq!(proxy.heads.lock().len(), 2);
}

#[tokio::test]
async fn every_connection_is_looked_at_and_not_only_the_first() {
    let server = Server::plain().await;
    let port = server.port;
    let mut bed = Fetch::new();
    bed.grant(&format!("http://rebound.test:{port}"), true);
    let answers: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "169.254.169.254".parse().unwrap()];
    bed.names(Names::new().changing("rebound.test", answers));
    let host = bed.host();
    let request = format!("GET http://rebound.test:{port}/close");
    assert_eq!(fetch(&host, &request).await, "200 closed");
    denied(&host, &request, "no name may lead there").await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_does_not_lead_to_loopback() {
    let server = Server::plain().await;
    let port = server.port;
    let mut bed = Fetch::new();
    bed.grant(&format!("http://rebound.test:{port}"), false);
    bed.limit("http_time", "1s");
    // Nobody is there (RFC 5737); what would be at loopback is not asked.
    let answers: Vec<IpAddr> = vec!["203.0.113.1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    bed.names(Names::new().changing("rebound.test", answers));
    let host = bed.host();
    let request = format!("GET http://rebound.test:{port}/hello");
    assert_ne!(given_up(&host, &request).await, "ErrorCode::DestinationIpProhibited");
    denied(&host, &request, "may not connect to 127.0.0.1 (loopback)").await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_a_request_like_any_other() {
    let server = Server::plain().await;
    let port = server.port;
    let mut bed = granted(&format!("http://api.test:{port}"));
    bed.grant("http://metadata.test", true);
    bed.names(Names::new().with("api.test", &["127.0.0.1"]).with("metadata.test", &["169.254.169.254"]));
    let host = bed.host();
    let to = |location: &str| format!("GET http://api.test:{port}/to?{location}");
    assert_eq!(fetch(&host, &to("http://elsewhere.test/")).await, "302 ", "the host follows nobody");
    assert_eq!(
        fetch(&host, &format!("{} follow", to(&format!("http://api.test:{port}/hello")))).await,
        "200 hello"
    );
    denied(&host, &format!("{} follow", to("http://169.254.169.254/latest")), "is not granted").await;
    denied(&host, &format!("{} follow", to("http://metadata.test/latest")), "no name may lead there").await;
}

#[tokio::test]
async fn headers_and_lines_of_the_hosts_own_are_not_a_plugins() {
    let server = Server::plain().await;
    let port = server.port;
    let host = granted(&format!("http://api.test:{port}")).host();
    let url = format!("http://api.test:{port}/head");
    for (header, error) in [
        ("h:host=evil.test", "host: HeaderError::Forbidden"),
        ("h:connection=upgrade", "connection: HeaderError::Forbidden"),
        ("h:upgrade=websocket", "upgrade: HeaderError::Forbidden"),
        ("h:transfer-encoding=chunked", "transfer-encoding: HeaderError::Forbidden"),
        ("h:proxy-authorization=x", "proxy-authorization: HeaderError::Forbidden"),
        ("h:x-a=b\\r\\nx-evil:_1", "x-a: HeaderError::InvalidSyntax"),
        ("h:x-a\r\nx-evil=1", "x-a\\r\\nx-evil: HeaderError::InvalidSyntax"),
    ] {
        let report = call(&host, &format!("GET {url} {header}")).await;
        assert_eq!(report.result.unwrap_err().to_string(), error);
    }
    for (request, error) in [
        (format!("GET {url}\r\nx-evil:1"), "path"),
        (format!("GE\r\nT {url}"), "method"),
        (format!("GET http://api.test:{port}\r\n/"), "authority"),
    ] {
        let report = call(&host, &request).await;
        assert_eq!(report.result.unwrap_err().to_string(), error, "{request:?}");
    }
    denied(&host, &format!("CONNECT {url}"), "may not send CONNECT requests").await;
    denied(&host, &format!("TRACE {url}"), "may not send TRACE requests").await;
    assert_eq!(server.seen.requests.load(SeqCst), 0);
}

#[tokio::test]
async fn headers_without_end_are_not_held() {
    let host = granted("http://api.test").host();
    let value = "x".repeat(60_000);
    let report = call(&host, &format!("GET http://api.test/ h:x-a={value} h:x-b={value}")).await;
    assert_eq!(report.outcome(), Outcome::Trap);
    let text = report.result.unwrap_err().to_string();
    assert!(text.contains("total size of fields exceeds limit"), "{text}");
}
