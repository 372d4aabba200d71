//! Sessions go on while plugins loop, eat memory, crash and overwhelm the host all the time.

use std::time::Duration;

use teleport_tests_interop::{Daemon, World, program, run};
use tokio::process::Command;
use tokio::time::Instant;

use super::Place;

/// What plugins do, two of each at one time.
const DEEDS: [&str; 9] = [
    "loop",
    "allocate",
    "panic",
    "recurse",
    "log-for-ever",
    "answer-no-text",
    "answer-much, \"1073741824\"",
    "tell-much, \"134217728\"",
    "hold-handles, \"1000000\"",
];

/// How often all plugins are let loose.
const BURSTS: usize = 2;

/// Sessions one after the other in each burst; more while a plugin has not been at it, up to so many.
const SESSIONS: usize = 20;
const SESSIONS_MAX: usize = 500;

/// Far more than one takes, on any machine.
const LONG: Duration = Duration::from_secs(30);

/// How many calls of each plugin ran and failed: not those that were not made.
async fn failed(node: &Daemon, names: &[String]) -> Vec<f64> {
    let mut failed = Vec::new();
    for name in names {
        let mut count = 0.0;
        for outcome in ["trap", "timeout", "memory"] {
            let metric = format!("plugin_calls_total{{plugin=\"{name}\",outcome=\"{outcome}\"}}");
            count += node.metric(&metric).await.unwrap_or_default();
        }
        failed.push(count);
    }
    failed
}

/// Whether there is a plugin of which no call failed in between.
fn missing(before: &[f64], after: &[f64]) -> bool {
    before.iter().zip(after).any(|(before, after)| after <= before)
}

/// Has a plugin called again, whatever it did before.
async fn loose(node: &Daemon, name: &str) {
    let mut tctl = Command::new(program("tctl"));
    run(tctl.args(["plugins", "enable", name, "-c"]).arg(&node.config)).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_served_all_the_while() {
    let world = World::start().await;
    let place = Place::new(&world);
    // Each under a name of its own: what fails too often is left alone, and these are to go on.
    let names: Vec<_> = (0..2 * DEEDS.len()).map(|number| format!("storm-{number}")).collect();
    names.iter().for_each(|name| place.install(name));
    let deeds: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (name.as_str(), DEEDS[number % DEEDS.len()], name.as_str()))
        .collect();
    let says = format!("digest: {}\ngrants:\n  process: [[echo, granted]]\n", place.digest);
    let mut node = place.spawn_each(&world, &says, &deeds);
    node.ready().await;
    let home = world.user("joe", "root").await;
    world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
    for _ in 0..BURSTS {
        let before = failed(&node, &names).await;
        // Those that rest after their failures are let loose again.
        for name in &names {
            loose(&node, name).await;
        }
        let mut served = 0;
        while served < SESSIONS || missing(&before, &failed(&node, &names).await) {
            let started = Instant::now();
            let said = home.on("web-1.main", &format!("echo {served}")).await.good();
            assert_eq!(said.trim(), served.to_string());
            assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
            served += 1;
            assert!(served < SESSIONS_MAX, "every plugin is at it: {:?}", failed(&node, &names).await);
        }
    }
    let memory = node.memory();
    assert!(memory < 400 << 20, "{memory} bytes");
    assert!(node.is_running());
    assert_eq!(node.stop().await.code(), Some(0));
}
