//! Which way the node of this process is reached: over links to proxies, or at a port of its own.
//!
//! An address alone does not say whether a proxy or an auth server is there, so whoever is there is asked, until
//! somebody answers: a host that starts before its proxy does must not be taken for one that is reached directly.

use std::time::Duration;

use client::ClientError;
use client::find::{Belief, find};
use config::{ServerKind, Settings};
use domain::backoff::Backoff;
use futures::future::join_all;
use port::random::Random;

/// The first and the longest wait before the servers are asked again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What a server turned out to be; nothing where it does not answer.
type Kind = Option<ServerKind>;

/// The proxies a node has to link to: the configured servers that are proxies. A process that runs
/// auth or joined an auth server is reached directly.
pub(crate) async fn proxies(settings: &Settings, servers: &[String], random: &dyn Random) -> Vec<String> {
    let Some(join) = &settings.join else { return Vec::new() };
    match join.kind {
        ServerKind::Auth => Vec::new(),
        ServerKind::Proxy => servers.to_vec(),
        ServerKind::Unknown => {
            let ask = async |server: &str| {
                let found = find(server, Belief::Hint).await?;
                Ok(if found.is_some() { ServerKind::Proxy } else { ServerKind::Auth })
            };
            found_out(servers, ask, random).await
        }
    }
}

/// Asks until it is known.
async fn found_out(
    servers: &[String],
    ask: impl AsyncFn(&str) -> Result<ServerKind, ClientError>,
    random: &dyn Random,
) -> Vec<String> {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        let answers = join_all(servers.iter().map(|server| ask(server))).await;
        for (server, error) in servers.iter().zip(answers.iter().map(Result::as_ref)) {
            if let Err(error) = error {
                let reason = ssh::refuse::chain(error);
                tracing::warn!(%server, %reason, "cannot tell yet whether this is a proxy or an auth server");
            }
        }
        let kinds: Vec<Kind> = answers.into_iter().map(Result::ok).collect();
        if let Some(proxies) = among(servers, &kinds) {
            return proxies;
        }
        tokio::time::sleep(backoff.failed(random.uniform())).await;
    }
}

/// The proxies among these servers, as soon as that can be told. Beside a proxy, a server that does not answer is
/// taken for one: a link to it is tried for as long as it takes.
fn among(servers: &[String], kinds: &[Kind]) -> Option<Vec<String>> {
    if kinds.contains(&Some(ServerKind::Proxy)) {
        let with_kinds = servers.iter().zip(kinds);
        let proxies = with_kinds.filter(|(_, kind)| **kind != Some(ServerKind::Auth));
        return Some(proxies.map(|(server, _)| server.clone()).collect());
    }
    (servers.is_empty() || kinds.contains(&Some(ServerKind::Auth))).then(Vec::new)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use fake::FakeRandom;

    use super::*;

    const PROXY: Kind = Some(ServerKind::Proxy);
    const AUTH: Kind = Some(ServerKind::Auth);

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_that_answers_settles_it_for_those_that_do_not() {
        let servers = names(&["a", "b", "c"]);
        assert_eq!(among(&servers, &[None, None, None]), None);
        assert_eq!(among(&servers, &[None, PROXY, None]), Some(servers.clone()));
        assert_eq!(among(&servers, &[AUTH, PROXY, None]), Some(names(&["b", "c"])));
        assert_eq!(among(&servers, &[None, AUTH, None]), Some(Vec::new()));
        assert_eq!(among(&[], &[]), Some(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_starts_after_the_host_is_waited_for() {
        let asked = Cell::new(0);
        let ask = async |_: &str| {
            asked.set(asked.get() + 1);
            if asked.get() < 20 {
                return Err(ClientError::Connect { address: "p".into(), source: "refused".into() });
            }
            Ok(ServerKind::Proxy)
        };
        let servers = names(&["p"]);
        assert_eq!(found_out(&servers, ask, &FakeRandom::new(1)).await, servers);
        assert_eq!(asked.get(), 20);
    }
}
