//! Health: what services say of themselves, told to the health of the whole.

use std::sync::Arc;

use client::view::Freshness;
use domain::health::CHECK_PERIOD;
use node_service::Announced;
use parking_lot::Mutex;
use port::store::{Key, Store};
use storage::RemoteHealth;
use telemetry::health::HealthHandle;
use telemetry::metrics::Metrics;
use telemetry::metrics::prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tunnel_service::agent::Links;

/// Follows services and reports their health.
pub(crate) struct Watchdog {
    pub(crate) health: HealthHandle,
    pub(crate) metrics: Metrics,
    following: Mutex<JoinSet<()>>,
}

impl Watchdog {
    pub(crate) fn new(health: HealthHandle, metrics: Metrics) -> Self {
        Self { health, metrics, following: Mutex::default() }
    }

    /// Adds a service's counters.
    pub(crate) fn register(&self, prefix: &str, add: impl FnOnce(&mut Registry)) {
        self.metrics.register(prefix, add);
    }

    /// A member is well while its view is fresh.
    pub(crate) fn follow_view(&self, role: &'static str, view: watch::Receiver<Freshness>) {
        self.follow(role, view, |freshness| match freshness {
            Freshness::Fresh => Some(Ok(())),
            Freshness::Stale(reason) => Some(Err(reason.clone())),
            Freshness::Empty => None,
        });
    }

    /// A node is well while its heartbeats arrive.
    pub(crate) fn follow_node(&self, announced: watch::Receiver<Announced>) {
        self.follow("heartbeat", announced, |announced| match announced {
            Announced::As(_) => Some(Ok(())),
            Announced::Failed(reason) => Some(Err(reason.clone())),
            Announced::NotYet => None,
        });
    }

    /// Links are well while all of them are up.
    pub(crate) fn follow_links(&self, links: watch::Receiver<Links>) {
        self.follow("tunnel", links, |links| match &links.last_failure {
            _ if links.up >= links.wanted => Some(Ok(())),
            Some(reason) => Some(Err(reason.clone())),
            None => None,
        });
    }

    /// The auth service is well while its store answers.
    pub(crate) fn follow_store(&self, store: Arc<dyn Store>) {
        let health = self.health.clone();
        health.expect("auth");
        self.following.lock().spawn(async move {
            loop {
                match store.get(&Key::of(&["cluster", "name"])).await {
                    Ok(_) => health.worked("auth"),
                    Err(error) => health.failed("auth", error.to_string()),
                };
                tokio::time::sleep(CHECK_PERIOD).await;
            }
        });
    }

    /// Records that a plugin keeps are well while the plugin answers and tells changes.
    pub(crate) fn follow_backend(&self, health: watch::Receiver<RemoteHealth>) {
        self.follow("storage", health, |health| match health.failure() {
            None => Some(Ok(())),
            Some(error) => Some(Err(error.to_string())),
        });
    }

    /// Reports a component again and again, as its state stands: recovering takes repeated good news.
    fn follow<T: Send + Sync + 'static>(
        &self,
        component: &'static str,
        mut state: watch::Receiver<T>,
        judge: impl Fn(&T) -> Option<Result<(), String>> + Send + 'static,
    ) {
        let health = self.health.clone();
        health.expect(component);
        self.following.lock().spawn(async move {
            loop {
                let verdict = judge(&state.borrow_and_update());
                match verdict {
                    Some(Ok(())) => drop(health.worked(component)),
                    Some(Err(reason)) => drop(health.failed(component, reason)),
                    None => {}
                }
                tokio::select! {
                    changed = state.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(CHECK_PERIOD) => {}
                }
            }
        });
    }
}
