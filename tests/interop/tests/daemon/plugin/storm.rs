//! Sessions go on while plugins loop, eat memory, crash and overwhelm the host all the time.

use std::time::Duration;

use teleport_tests_interop::World;
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

/// Sessions one after the other.
const SESSIONS: usize = 40;

/// Far more than one takes, on any machine.
const LONG: Duration = Duration::from_secs(30);

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
    let began = node.metric("node_failed_labels_total").await.unwrap_or_default();
    for session in 0..SESSIONS {
        let started = Instant::now();
        let said = home.on("web-1.main", &format!("echo {session}")).await.good();
        assert_eq!(said.trim(), session.to_string());
        assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    }
    let failed = node.metric("node_failed_labels_total").await.unwrap() - began;
    assert!(failed >= 8.0, "the plugins were at it meanwhile: {failed} calls failed");
    let memory = node.memory();
    assert!(memory < 400 << 20, "{memory} bytes");
    assert!(node.is_running());
    assert_eq!(node.stop().await.code(), Some(0));
}
