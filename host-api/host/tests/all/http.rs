//! Requests of plugins that may be sent: to real servers on loopback, with TLS, client certificates,
//! proxies and secrets; and the ends of those that take too much.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use domain::plugin::PluginName;
use domain::plugin::grant::Use;
use domain::secret::Secret;
use plugin_host::{
    CertificatePair, Outcome, PlaceSettings, PluginHost, ProxyAddress, ProxySettings, ServerAuthority,
};

use crate::sending::{Fetch, Names, denied, fetch, given_up, granted, refused_with};
use crate::serving::{Authority, Proxy, Server};

#[tokio::test]
async fn requests_and_answers_of_every_kind_arrive() {
    let server = Server::plain().await;
    let host = granted(&format!("http://api.test:{}", server.port)).host();
    let url = format!("http://api.test:{}", server.port);
    assert_eq!(fetch(&host, &format!("GET {url}/hello")).await, "200 hello");
    assert_eq!(fetch(&host, &format!("POST {url}/echo text:over")).await, "200 over");
    assert_eq!(fetch(&host, &format!("POST {url}/echo bytes:200000 size")).await, "200 200000");
    assert_eq!(fetch(&host, &format!("GET {url}/nothing")).await, "404 ");
    assert_eq!(fetch(&host, &format!("HEAD {url}/large/100")).await, "200 ");
    assert_eq!(fetch(&host, &format!("GET {url}/drip first")).await, "200 tick", "it is read as it comes");
    let head = fetch(&host, &format!("GET {url}/head?a=b h:x-a=1")).await;
    assert!(head.contains("GET /head?a=b") && head.contains(r#""x-a": "1""#), "{head}");
    assert!(head.contains(&format!(r#""host": "api.test:{}""#, server.port)), "{head}");
    // Connections are kept from call to call; the one that was left in the middle is not.
    assert!(server.connections() <= 3, "{}", server.connections());
}

#[tokio::test]
async fn tls_is_checked_with_the_authority_of_the_grant_and_speaks_http_2() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("api.test", None, &["h2", "http/1.1"])).await;
    let old = Server::tls(authority.server("api.test", None, &["http/1.1"])).await;
    let other = Server::tls(authority.server("other.test", None, &[])).await;
    let mut bed = Fetch::new();
    let ca_file = bed.file("ca.pem", &authority.pem());
    for server in [&server, &old, &other] {
        let destination = bed.grant(&format!("https://api.test:{}", server.port), true);
        let place = PlaceSettings {
            destination,
            authority: ServerAuthority::File(ca_file.clone()),
            certificate: None,
            sign: None,
        };
        bed.plugin().http.push(place);
    }
    let stranger = Server::tls(Authority::new().server("api.test", None, &[])).await;
    bed.grant(&format!("https://api.test:{}", stranger.port), true);
    let host = bed.host();
    let url = |server: &Server| format!("https://api.test:{}/version", server.port);
    assert_eq!(fetch(&host, &format!("GET {}", url(&server))).await, "200 HTTP/2.0");
    assert_eq!(fetch(&host, &format!("GET {}", url(&old))).await, "200 HTTP/1.1");
    for wrong in [&other, &stranger] {
        refused_with(&host, &format!("GET {}", url(wrong)), "ErrorCode::TlsCertificateError").await;
        assert_eq!(wrong.seen.requests.load(SeqCst), 0);
    }
}

#[tokio::test]
async fn a_server_nobody_vouches_for_is_taken_where_the_daemons_own_settings_say_so() {
    let (clients, strangers) = (Authority::new(), Authority::new());
    let server = Server::tls(Authority::new().server("other.test", Some(&clients), &["h2"])).await;
    let mut bed = Fetch::new();
    let destination = bed.grant(&format!("https://api.test:{}", server.port), true);
    let (certificate, key) = clients.issue("client");
    let pair = |bed: &Fetch| CertificatePair {
        cert_file: bed.file("client.pem", &certificate),
        key_file: bed.file("client.key", &key),
    };
    let place = |authority, pair| PlaceSettings {
        destination: destination.clone(),
        authority,
        certificate: Some(pair),
        sign: None,
    };
    let request = format!("GET https://api.test:{}/hello", server.port);
    let files = pair(&bed);
    bed.plugin().http = vec![place(ServerAuthority::Anyone, files)];
    assert_eq!(fetch(&bed.host(), &request).await, "200 hello");
    let (files, other) = (pair(&bed), bed.file("ca.pem", &strangers.pem()));
    bed.plugin().http = vec![place(ServerAuthority::File(other), files)];
    refused_with(&bed.host(), &request, "ErrorCode::TlsCertificateError").await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_by_the_host_and_taken_anew_when_it_changes() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::tls(authority.server("api.test", Some(&clients), &["h2"])).await;
    let mut bed = Fetch::new();
    let destination = bed.grant(&format!("https://api.test:{}", server.port), true);
    let url = format!("https://api.test:{}/hello", server.port);
    let ca_file = ServerAuthority::File(bed.file("ca.pem", &authority.pem()));
    let (certificate, key) = strangers.issue("client");
    let pair = CertificatePair {
        cert_file: bed.file("client.pem", &certificate),
        key_file: bed.file("client.key", &key),
    };
    bed.plugin().http.push(PlaceSettings {
        destination,
        authority: ca_file,
        certificate: Some(pair),
        sign: None,
    });
    let host = bed.host();
    let report = crate::sending::call(&host, &format!("GET {url}")).await;
    assert_eq!(report.outcome(), Outcome::Guest, "the server does not know the authority");
    let (certificate, key) = clients.issue("client");
    bed.file("client.pem", &certificate);
    let report = crate::sending::call(&host, &format!("GET {url}")).await;
    assert_eq!(report.outcome(), Outcome::Guest, "certificate and key do not fit: the old ones go on");
    bed.file("client.key", &key);
    assert_eq!(fetch(&host, &format!("GET {url}")).await, "200 hello");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_said_when_the_plugin_is_loaded() {
    let mut bed = Fetch::new();
    let destination = bed.grant("https://api.test", true);
    let ca_file = ServerAuthority::File(bed.file("ca.pem", "no certificate"));
    bed.plugin().http.push(PlaceSettings { destination, authority: ca_file, certificate: None, sign: None });
    let text = crate::bed::refusal(&bed.host(), "fetch").await;
    assert!(
        text.contains("ca.pem, for requests to https://api.test, holds no certificates in PEM"),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_that_everybody_may_read_is_refused_when_the_plugin_is_loaded() {
    let mut bed = Fetch::new();
    let destination = bed.grant("https://api.test", true);
    let (certificate, key) = Authority::new().issue("client");
    let pair = CertificatePair {
        cert_file: bed.file("client.pem", &certificate),
        key_file: bed.file("client.key", &key),
    };
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // A certificate is no secret.
    mode(&pair.cert_file, 0o644);
    mode(&pair.key_file, 0o644);
    let key = pair.key_file.clone();
    bed.plugin().http.push(PlaceSettings {
        destination,
        authority: ServerAuthority::Machine,
        certificate: Some(pair),
        sign: None,
    });
    let text = crate::bed::refusal(&bed.host(), "fetch").await;
    assert!(text.contains(&format!("run: chmod o-rwx {}", key.display())), "{text}");
    mode(&key, 0o640);
    assert!(bed.host().check(["fetch"]).await.is_empty());
}

#[tokio::test]
async fn a_name_is_reached_at_the_addresses_that_may_be_reached_and_no_others() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://mixed.test:{}", server.port));
    bed.names(Names::new().with("mixed.test", &["169.254.169.254", "127.0.0.1", "fe80::1"]));
    assert_eq!(
        fetch(&bed.host(), &format!("GET http://mixed.test:{}/hello", server.port)).await,
        "200 hello"
    );
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_unless_it_is_excepted() {
    let (authority, proxy, plain) = (Authority::new(), Proxy::start().await, Server::plain().await);
    let tls = Server::tls(authority.server("only-the-proxy-knows.test", None, &["h2"])).await;
    let mut bed = granted(&format!("http://api.test:{}", plain.port));
    bed.grant("http://far.test", false);
    let destination = bed.grant(&format!("https://only-the-proxy-knows.test:{}", tls.port), false);
    let ca_file = ServerAuthority::File(bed.file("ca.pem", &authority.pem()));
    bed.plugin().http.push(PlaceSettings { destination, authority: ca_file, certificate: None, sign: None });
    bed.grant("http://10.0.0.1", false);
    let credentials = Some(("joe".to_owned(), Secret::from("s3cret")));
    let address = ProxyAddress { address: format!("127.0.0.1:{}", proxy.port), credentials };
    let direct = vec!["api.test".to_owned()];
    bed.settings().proxies = ProxySettings { http: Some(address.clone()), https: Some(address), direct };
    let host = bed.host();
    assert_eq!(fetch(&host, "GET http://far.test/x").await, "200 by a proxy!");
    let tunnelled = format!("GET https://only-the-proxy-knows.test:{}/hello", tls.port);
    assert_eq!(fetch(&host, &tunnelled).await, "200 hello");
    {
        let heads = proxy.heads.lock();
        assert!(heads[0].starts_with("GET http://far.test/x HTTP/1.1\r\n"), "{heads:?}");
        assert!(heads[1].starts_with("CONNECT only-the-proxy-knows.test:"), "{heads:?}");
        for head in heads.iter() {
            assert!(head.to_lowercase().contains("proxy-authorization: basic am9lonmzy3jlda=="), "{head}");
        }
    }
    assert_eq!(fetch(&host, &format!("GET http://api.test:{}/hello", plain.port)).await, "200 hello");
    // What may be said without resolving is said before the proxy is asked.
    denied(&host, "GET http://10.0.0.1/", "plugin fetch may not connect to 10.0.0.1 (private); if it may")
        .await;
    denied(&host, "GET http://elsewhere.test/", "plugin fetch is not granted to send requests to").await;
    assert_eq!(proxy.heads.lock().len(), 2);
}

#[tokio::test]
async fn a_plugin_has_so_many_requests_under_way_as_it_may() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    bed.limit("http_concurrency", "2");
    let host = bed.host();
    let answers = fetch(&host, &format!("GET http://api.test:{}/together parallel:6", server.port)).await;
    assert_eq!(answers, ["200 x"; 6].join(" "));
    assert_eq!(server.seen.most_at_once.load(SeqCst), 2);
    let two = format!("GET http://api.test:{}/together parallel:3", server.port);
    tokio::join!(fetch(&host, &two), fetch(&host, &two));
    assert_eq!(server.seen.most_at_once.load(SeqCst), 2, "over all calls");
}

#[tokio::test]
async fn a_request_without_a_turn_is_given_up() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    bed.limit("http_concurrency", "1");
    bed.limit("http_time", "2s");
    let host = bed.host();
    let holding = format!("GET http://api.test:{}/drip first pause:9000", server.port);
    let second = async {
        while server.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        given_up(&host, &format!("GET http://api.test:{}/hello", server.port)).await
    };
    let code = tokio::select! {
        answer = fetch(&host, &holding) => panic!("it should be holding its turn: {answer}"),
        code = second => code,
    };
    assert_eq!(code, "ErrorCode::ConnectionLimitReached");
}

#[tokio::test]
async fn the_requests_of_a_call_are_counted() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    bed.limit("http_requests", "3");
    let host = bed.host();
    let url = format!("http://api.test:{}/hello", server.port);
    assert_eq!(fetch(&host, &format!("GET {url} times:3")).await, "200 hello");
    let text = "plugin fetch sent more than 3 HTTP requests in one call; to allow more, set teleport.plugins.load.fetch.limits.http_requests";
    denied(&host, &format!("GET {url} times:4"), text).await;
    assert_eq!(server.seen.requests.load(SeqCst), 6, "the next call begins anew");
}

#[tokio::test]
async fn bodies_are_bounded_both_ways() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    bed.limit("http_bytes", "100KiB");
    let host = bed.host();
    let url = format!("http://api.test:{}", server.port);
    assert_eq!(fetch(&host, &format!("GET {url}/large/102400 size")).await, "200 102400");
    let text = "more than 100KiB over HTTP in one call";
    denied(&host, &format!("GET {url}/large/102401 size"), text).await;
    denied(&host, &format!("GET {url}/endless/1000 size"), text).await;
    denied(&host, &format!("GET {url}/large/60000 size times:2"), text).await;
    denied(&host, &format!("POST {url}/echo bytes:102401 size"), text).await;
    denied(&host, &format!("POST {url}/echo bytes:60000 size"), text).await;
    for (request, code) in [
        ("GET", "ErrorCode::HttpResponseBodySize(Some(102401))"),
        ("POST", "ErrorCode::HttpRequestBodySize(Some(102400))"),
    ] {
        let code_told = fetch(
            &host,
            &format!(
                "{request} {url}/large/102401 bytes:{} hide",
                if request == "POST" { 102_401 } else { 0 }
            ),
        )
        .await;
        assert_eq!(code_told, code);
    }
}

/// How many requests the host has been asked to send.
async fn requests(host: &PluginHost) -> u64 {
    let account = host.account(&PluginName::new("fetch").unwrap()).await.unwrap();
    let mut uses = account.uses.into_iter().filter(|(what, _)| matches!(what, Use::Http(_)));
    uses.next().map_or(0, |(_, times)| times)
}

#[tokio::test]
async fn bodies_that_no_server_reads_are_held_for_all_calls_together() {
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = deaf.local_addr().unwrap().port();
    let mut bed = granted(&format!("http://api.test:{port}"));
    for (key, value) in [("http_bytes", "24MiB"), ("http_time", "50s"), ("wall", "1m"), ("cpu", "50s")] {
        bed.limit(key, value);
    }
    bed.limit("memory", "128MiB");
    let host = bed.host();
    // More than sockets hold.
    let request = format!("POST http://api.test:{port}/ bytes:{}", 16 << 20);
    // It is loaded by asking, which is no part of what a call takes.
    assert_eq!(requests(&host).await, 0);
    let began = tokio::time::Instant::now();
    let mut first = Box::pin(crate::sending::call(&host, &request));
    let connection = tokio::select! {
        connection = deaf.accept() => connection.unwrap(),
        report = &mut first => panic!("it is not answered: {:?}", report.result),
    };
    let took = began.elapsed();
    let mut second = Box::pin(crate::sending::call(&host, &request));
    // From when the host has the second request, many times as long as the first took as a whole.
    let waiting = async {
        while requests(&host).await < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep((took * 5).clamp(Duration::from_millis(500), Duration::from_secs(20))).await;
    };
    tokio::select! {
        _ = deaf.accept() => panic!("there is no room for another body"),
        report = &mut first => panic!("it is not answered: {:?}", report.result),
        report = &mut second => panic!("it waits: {:?}", report.result),
        () = waiting => {}
    }
    drop((first, connection));
    tokio::select! {
        connection = deaf.accept() => drop(connection.unwrap()),
        report = &mut second => panic!("there is room again: {:?}", report.result),
    }
}

#[tokio::test]
async fn what_is_not_read_is_not_taken_from_the_server() {
    let server = Server::plain().await;
    let host = granted(&format!("http://api.test:{}", server.port)).host();
    let request = format!("GET http://api.test:{}/endless/100000 first size pause:700", server.port);
    fetch(&host, &request).await;
    let taken = server.seen.bytes.load(SeqCst);
    // What the buffers of two sockets, of both sides' libraries and of the host hold.
    assert!(taken < 16 << 20, "{taken}");
}

#[tokio::test]
async fn servers_that_do_not_answer_cost_no_more_than_the_time_there_is() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    bed.limit("http_time", "200ms");
    let host = bed.host();
    let url = format!("http://api.test:{}", server.port);
    assert_eq!(given_up(&host, &format!("GET {url}/hang")).await, "ErrorCode::HttpResponseTimeout");
    assert_eq!(given_up(&host, &format!("GET {url}/hang head:20")).await, "ErrorCode::HttpResponseTimeout");
    let host = granted(&format!("http://api.test:{}", server.port)).host();
    // The library has no code for what goes wrong with a body, only words.
    assert_eq!(given_up(&host, &format!("GET {url}/stall between:50")).await, "connection read timeout");
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    bed.limit("wall", "300ms");
    let report = crate::sending::call(&bed.host(), &format!("GET {url}/drip")).await;
    assert_eq!(report.outcome(), Outcome::Timeout, "a drip ends with the call");
}

#[tokio::test]
async fn failures_have_codes_of_their_own() {
    let server = Server::plain().await;
    let mut bed = granted(&format!("http://api.test:{}", server.port));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bed.grant(&format!("http://api.test:{free}"), true);
    bed.grant("http://nobody.test", true);
    bed.grant(&format!("https://api.test:{}", server.port), true);
    let host = bed.host();
    for (request, code) in [
        (format!("GET http://api.test:{free}/"), "ErrorCode::ConnectionRefused"),
        ("GET http://nobody.test/".to_owned(), "ErrorCode::DnsError"),
        (
            format!("GET http://api.test:{}/headers/200000", server.port),
            "ErrorCode::HttpResponseHeaderSectionSize",
        ),
        (format!("GET https://api.test:{}/", server.port), "ErrorCode::TlsProtocolError"),
    ] {
        let told = given_up(&host, &request).await;
        assert!(told.starts_with(code), "{request}: {told}");
    }
}

#[tokio::test]
async fn a_stand_in_arrives_as_the_secret_at_its_host_and_nowhere_else() {
    let authority = Authority::new();
    let home = Server::tls(authority.server("api.test", None, &["h2"])).await;
    let away = Server::tls(authority.server("api.test", None, &["h2"])).await;
    let mut bed = Fetch::with_needs(&[("secret", "label = \"token\"")]);
    let ca_file = bed.file("ca.pem", &authority.pem());
    for server in [&home, &away] {
        let destination = bed.grant(&format!("https://api.test:{}", server.port), true);
        let ca_file = ServerAuthority::File(ca_file.clone());
        bed.plugin().http.push(PlaceSettings {
            destination,
            authority: ca_file,
            certificate: None,
            sign: None,
        });
    }
    bed.secret("token", "s3cret", &format!("https://api.test:{}", home.port));
    let host = bed.host();
    let url = format!("https://api.test:{}/head", home.port);
    let head = fetch(&host, &format!("GET {url} secret:token")).await;
    assert!(head.contains("Bearer s3cret"), "{head}");
    let head = fetch(&host, &format!("GET {url} basic:token")).await;
    assert!(head.contains("Basic am9lOnMzY3JldA=="), "{head}");
    let text = format!(
        "plugin fetch may not send secret token to https://api.test:{}; if it may, add to teleport.plugins.load.fetch.secrets.token.hosts",
        away.port
    );
    denied(&host, &format!("GET https://api.test:{}/head secret:token", away.port), &text).await;
    let forged = "h:authorization=teleport-secret-00000000000000000000000000000000";
    denied(&host, &format!("GET {url} {forged}"), "a stand-in that this instance has not been given").await;
    assert_eq!(away.seen.requests.load(SeqCst), 0);
}

#[tokio::test]
async fn a_secret_is_shown_with_a_grant_of_its_own_only() {
    let mut bed = Fetch::with_needs(&[("secret", "label = \"token\"")]);
    bed.grant("https://api.test", false);
    bed.secret("token", "s3cret", "https://api.test");
    let text = "plugin fetch may use secret token and not see it; if it may, add under teleport.plugins.load.fetch.grants: secret_reveal: [token]";
    denied(&bed.host(), "reveal token", text).await;
    let needs = [("secret", "label = \"token\""), ("secret_reveal", "label = \"token\"")];
    let mut bed = Fetch::with_needs(&needs);
    bed.grant("https://api.test", false);
    bed.secret("token", "s3cret", "https://api.test");
    let label = domain::plugin::SecretLabel::new("token").unwrap();
    bed.plugin().grants.push(domain::plugin::Grant::secret_reveal(label));
    let (told, seen) = std::sync::mpsc::channel();
    bed.settings().on_change = Some(std::sync::Arc::new(move |change| told.send(change.clone()).is_ok()));
    let host = bed.host();
    for _ in 0..2 {
        assert_eq!(fetch(&host, "reveal token").await, "s3cret");
    }
    let mut reveals = seen.try_iter().filter(|change| change.kind.key() == "reveal");
    let told = reveals.next().unwrap();
    assert_eq!((told.plugin.as_str(), told.facts.version.as_deref()), ("fetch", Some("0.0.1")));
    let label = domain::plugin::SecretLabel::new("token").unwrap();
    assert_eq!(told.kind, plugin_host::ChangeKind::Revealed(label));
    assert_eq!(reveals.next(), None, "once while it is loaded");
}
