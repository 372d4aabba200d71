//! The two calls everybody may make. Field names are those Teleport's clients know.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::settings::Settings;

/// Clients older than this are not understood.
const MIN_CLIENT_VERSION: &str = "0.1.0";

/// The routes of the web API.
pub(crate) fn router(settings: Arc<Settings>) -> Router {
    Router::new()
        .route("/webapi/ping", get(ping))
        .route("/webapi/ping/{connector}", get(ping))
        .route("/webapi/find", get(find))
        .fallback(nothing_here)
        .with_state(settings)
}

/// For load balancers and for tools about to sign in.
async fn ping(State(settings): State<Arc<Settings>>) -> Json<Value> {
    let mut answer = found(&settings);
    if let Some(fields) = answer.as_object_mut() {
        let auth = json!({ "type": settings.auth_type, "second_factor": settings.second_factor });
        fields.insert("auth".to_owned(), auth);
    }
    Json(answer)
}

/// For agents: where things are, without what concerns signing in.
async fn find(State(settings): State<Arc<Settings>>) -> Json<Value> {
    Json(found(&settings))
}

fn found(settings: &Settings) -> Value {
    let addresses = &settings.addresses;
    json!({
        "cluster_name": settings.cluster_name,
        "server_version": settings.version,
        "min_client_version": MIN_CLIENT_VERSION,
        "ca_pins": settings.ca_pins,
        "proxy": {
            "tls_routing_enabled": true,
            "kube": { "enabled": false },
            "ssh": {
                "listen_addr": addresses.ssh_listen,
                "tunnel_listen_addr": addresses.tunnel_listen,
                "web_listen_addr": addresses.web_listen,
                "public_addr": addresses.web_public,
                "ssh_public_addr": addresses.ssh_public,
            },
            "db": {},
        },
    })
}

async fn nothing_here(uri: Uri) -> Response {
    let message =
        format!("there is nothing at {}; this port serves /webapi/ping and /webapi/find", uri.path());
    (StatusCode::NOT_FOUND, Json(json!({ "error": { "message": message } }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::settings::Addresses;

    fn settings() -> Arc<Settings> {
        let addresses = Addresses {
            web_public: "proxy.example.com:3080".into(),
            ssh_listen: Some("0.0.0.0:3023".into()),
            ..Addresses::default()
        };
        Arc::new(Settings {
            cluster_name: "main".into(),
            ca_pins: vec!["sha256:00".into()],
            version: "0.1.0".into(),
            auth_servers: vec![],
            addresses,
            auth_type: "local".into(),
            second_factor: "otp".into(),
            plain_http: false,
        })
    }

    async fn ask(path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(settings()).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn ping_tells_how_to_sign_in_and_find_does_not() {
        let (status, ping) = ask("/webapi/ping").await;
        assert_eq!(
            (status, &ping["auth"]["type"], &ping["cluster_name"]),
            (StatusCode::OK, &json!("local"), &json!("main"))
        );
        assert_eq!(ping["proxy"]["ssh"]["public_addr"], "proxy.example.com:3080");
        let (_, find) = ask("/webapi/find").await;
        assert!(find.get("auth").is_none());
        assert_eq!(find["ca_pins"][0], "sha256:00");
    }

    #[tokio::test]
    async fn ping_has_the_fields_clients_know() {
        for path in ["/webapi/ping", "/webapi/ping/github"] {
            let (_, ping) = ask(path).await;
            assert_eq!(ping["auth"], json!({ "type": "local", "second_factor": "otp" }), "{path}");
            let proxy = ping["proxy"].as_object().unwrap();
            let keys: Vec<_> = proxy.keys().map(String::as_str).collect();
            assert_eq!(keys, ["db", "kube", "ssh", "tls_routing_enabled"], "{path}");
            assert_eq!((&proxy["kube"], &proxy["db"]), (&json!({ "enabled": false }), &json!({})));
            assert_eq!(proxy["tls_routing_enabled"], true);
        }
    }

    #[tokio::test]
    async fn an_unknown_path_says_what_there_is() {
        let (status, answer) = ask("/web/login").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(answer["error"]["message"].as_str().unwrap().contains("/web/login"));
    }
}
