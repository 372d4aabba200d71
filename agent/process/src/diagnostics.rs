//! The diagnostics port: `/healthz`, `/readyz`, `/metrics`. Plain HTTP, for this network only.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use telemetry::health::{self, HealthHandle};
use telemetry::metrics::{self, Metrics};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::ProcessError;

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
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .map_err(ProcessError::Diagnostics)
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
