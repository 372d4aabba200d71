//! The diagnostics port: `/healthz`, `/readyz`, `/metrics`. Plain HTTP, for this network only.
//!
//! Whoever asks is a stranger and stays one, so a connection serves one request and ends: however many
//! others stand there, the one that asks is answered.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use net::gate::{Gate, Stranger};
use net::listen::{ConnectionLimit, Listener, MAX_CONNECTIONS};
use telemetry::health::{self, HealthHandle};
use telemetry::metrics::{self, Metrics};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::ProcessError;

/// Connections per source.
const PER_SOURCE: usize = 64;
/// Connections in all.
const IN_ALL: usize = 256;
/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const HEAD_MAX: usize = 16 * 1024;
/// How long answers under way may take once it is to stop.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    health: HealthHandle,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), ProcessError> {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(numbers))
        .with_state((health, metrics));
    let listener = Listener::of(listener, ConnectionLimit::new(MAX_CONNECTIONS));
    let listener = listener.map_err(ProcessError::Diagnostics)?;
    let (gate, answering) = (Gate::with_room(PER_SOURCE, IN_ALL), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stranger, router) = (gate.enter(accepted.peer.ip()), router.clone());
        answering.spawn(async move {
            answer_one(accepted.stream, router, stranger).await;
            drop(accepted.place);
        });
    }
    answering.close();
    // What still stands there unasked ends with this process.
    let _ = tokio::time::timeout(GOODBYE, answering.wait()).await;
    Ok(())
}

/// One request and its answer, unless the client is turned out before.
async fn answer_one(stream: TcpStream, router: Router, stranger: Stranger) {
    let mut http = Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        // A client that breaks the protocol or goes away is its own affair.
        _ = connection => {}
        _ = stranger.turned_out() => {}
    }
}

type Sources = (HealthHandle, Metrics);

async fn healthz() -> Response {
    answer(health::healthz())
}

async fn readyz(State((health, _)): State<Sources>) -> Response {
    answer(health::readyz(&health, std::process::id()))
}

fn answer((status, body): (u16, String)) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, health::CONTENT_TYPE)], body).into_response()
}

async fn numbers(State((_, metrics)): State<Sources>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use domain::Timestamp;
    use port::clock::SystemClock;
    use telemetry::Build;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Longer than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn port() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<Result<(), ProcessError>>) {
        let health = HealthHandle::new(Arc::new(SystemClock));
        let build = Build { version: "1.2.3", revision: "" };
        let metrics = Metrics::of_process(build, health.clone(), Timestamp::UNIX_EPOCH);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, health, metrics, stop.clone()));
        (address, stop, serving)
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            // To its end: one request is all a connection is for.
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap()
    }

    async fn closed(stream: &mut TcpStream) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        let _ = read.expect("it stays open");
    }

    #[tokio::test]
    async fn a_thousand_who_say_nothing_do_not_stop_a_health_check() {
        let (address, stop, serving) = port().await;
        let mut idle = Vec::new();
        for number in 0..1000 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
            }
            idle.push(stream);
        }
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/metrics").await.contains("process_"));
        // There was never room for most of them.
        for stream in idle.iter_mut().take(1000 - PER_SOURCE) {
            closed(stream).await;
        }
        stop.cancel();
        tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn half_a_request_is_not_waited_for_and_a_large_one_not_read() {
        let (address, _stop, _serving) = port().await;
        let before = tokio::time::Instant::now();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        closed(&mut half).await;
        closed(&mut silent).await;
        assert!(before.elapsed() < net::gate::GRACE, "it is the head's own time that ran out");
        let answer = ask(address, &format!("/{}", "x".repeat(HEAD_MAX))).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}
