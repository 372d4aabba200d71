//! Which room may use which: data flows one way, cli → process → service → domain.
//!
//! The first table holds the arrows by kind of room, the second those of single rooms that go beyond.
//! Tests of a room may use more (`[dev-dependencies]`), for those arrows are not in the product.

use teleport_tests_tidy::{Crate, crates};

use crate::none;

/// What a kind of room may use. A name that ends in `/` means all rooms below it. The first row that
/// fits a room is its row.
const KINDS: [(&str, &[&str]); 17] = [
    // Nouns and decisions use nothing here.
    ("agent/domain", &[]),
    ("agent/port", &["agent/domain"]),
    ("agent/api", &["agent/domain"]),
    ("agent/config", &["agent/domain"]),
    ("agent/cli/terminal", &["agent/domain"]),
    (
        "agent/cli/teleport",
        &["agent/process", "agent/cli/terminal", "agent/config", "agent/sys", "agent/telemetry"],
    ),
    // A tool that works by `client` alone.
    (
        "agent/cli/",
        &["agent/cli/terminal", "agent/client", "agent/api", "agent/config", "agent/domain", "agent/port"],
    ),
    // Wires services together; the only room that knows all of them.
    ("agent/process", &["agent/", "host-api/host"]),
    ("agent/client", &["agent/api", "agent/certs", "agent/net", "agent/ssh", "agent/port", "agent/domain"]),
    // A service uses techniques, never another service, never where its bytes are stored.
    (
        "agent/service/",
        &[
            "agent/api",
            "agent/certs",
            "agent/client",
            "agent/domain",
            "agent/net",
            "agent/port",
            "agent/ssh",
            "agent/sys",
            "agent/telemetry",
        ],
    ),
    // Techniques: storage, certs, net, ssh, sys, telemetry, fake.
    ("agent/", &["agent/port", "agent/domain"]),
    ("host-api/host", &["agent/port", "agent/domain", "agent/telemetry"]),
    ("host-api/oci", &["agent/domain"]),
    // Plugins and what they are made with know the contracts alone.
    ("host-api/sdk", &[]),
    ("plugins/", &["host-api/sdk"]),
    ("tests/guests/", &["host-api/sdk"]),
    // Is built before the product, in seconds.
    ("tests/xtask", &[]),
];

/// Arrows beyond those, each with why it is right. One that is not used must go.
const MORE: [(&str, &str, &str); 13] = [
    ("agent/net", "agent/certs", "TLS is made of our certificates and pins"),
    ("agent/ssh", "agent/certs", "host and user certificates are checked where SSH is spoken"),
    ("agent/ssh", "agent/net", "an SSH connection is a limited, listened-for or dialled stream"),
    ("agent/cli/teleport", "agent/net", "chooses the TLS provider, once, before anything speaks"),
    ("agent/cli/teleport", "agent/domain", "reads manifests of plugins that their authors try out"),
    ("agent/cli/teleport", "agent/port", "opens a storage backend that its author tries out"),
    ("agent/cli/teleport", "host-api/host", "signs and checks plugins as the host would, without a daemon"),
    ("agent/cli/teleport", "host-api/oci", "pushes plugins for their authors"),
    ("agent/cli/teleport", "agent/storage", "holds storage backends of authors against the suite for stores"),
    ("agent/cli/tctl", "host-api/host", "looks into plugins as the host would before it installs them"),
    ("agent/cli/tctl", "host-api/oci", "pulls plugins from registries"),
    ("agent/cli/tctl", "agent/certs", "makes keys and reads its own identity"),
    ("agent/cli/tctl", "agent/sys", "writes private files"),
];

/// Crates of others that a room must not use, each with why.
const FOREIGN: [(&str, &[&str], &str); 3] = [
    (
        "agent/domain",
        &["async-trait", "futures", "rand", "rusqlite", "rustix", "russh", "tokio", "tokio-util", "tonic"],
        "decisions know no clock, no chance, no wire and no waiting",
    ),
    ("agent/config", &["tokio", "rustix", "rusqlite"], "settings are read from a text; nothing is opened"),
    ("agent/port", &["rusqlite", "russh", "tonic", "wasmtime"], "a port does not know who implements it"),
];

fn fits(room: &str, pattern: &str) -> bool {
    room == pattern || (pattern.ends_with('/') && room.starts_with(pattern))
}

/// The other test crates stand outside the house and may look into every window.
fn is_free(room: &str) -> bool {
    room.starts_with("tests/") && !room.starts_with("tests/guests/") && room != "tests/xtask"
}

fn may(room: &str, other: &str) -> bool {
    let by_kind = KINDS.iter().find(|(pattern, _)| fits(room, pattern)).map_or(&[][..], |(_, rooms)| *rooms);
    let not_a_peer = !(room.starts_with("agent/process") && other.starts_with("agent/cli/"));
    let fake = other == "agent/fake";
    (!fake && not_a_peer && by_kind.iter().any(|pattern| fits(other, pattern)))
        || MORE.iter().any(|(from, to, _)| fits(room, from) && fits(other, to))
}

fn forbidden(crates: &[Crate]) -> Vec<String> {
    let arrows = crates.iter().flat_map(|of| of.rooms.iter().map(move |other| (&of.folder, other)));
    arrows
        .filter(|(room, other)| !is_free(room) && !may(room, other))
        .map(|(room, other)| {
            format!(
                "{room} must not use {other}: hand it in as a port, or add the arrow and its reason to MORE"
            )
        })
        .collect()
}

#[test]
fn arrows_point_down() {
    none(&forbidden(&crates().unwrap()));
}

#[test]
fn every_further_arrow_is_used() {
    let crates = crates().unwrap();
    let used = |from: &str, to: &str| {
        let of = crates.iter().filter(|of| fits(&of.folder, from));
        of.flat_map(|of| &of.rooms).any(|other| fits(other, to))
    };
    let stale = MORE.iter().filter(|(from, to, _)| !used(from, to));
    none(
        &stale
            .map(|(from, to, _)| format!("{from} does not use {to} any more: remove it from MORE"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let of = |folder: &str, rooms: &[&str]| Crate {
        folder: folder.to_owned(),
        rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
        test_rooms: Vec::new(),
        foreign: Vec::new(),
        targets: Vec::new(),
    };
    let allowed = [
        of("agent/service/node", &["agent/ssh", "agent/domain"]),
        of("agent/process", &["agent/service/node", "host-api/host"]),
        of("tests/bench", &["agent/process"]),
        of("plugins/label-command", &["host-api/sdk"]),
    ];
    none(&forbidden(&allowed));
    for (room, other) in [
        ("agent/domain", "agent/port"),
        ("agent/service/node", "agent/service/proxy"),
        ("agent/service/auth", "agent/storage"),
        ("agent/service/auth", "agent/fake"),
        ("agent/storage", "agent/certs"),
        ("agent/process", "agent/cli/terminal"),
        ("agent/cli/tctl", "agent/process"),
        ("host-api/host", "agent/process"),
        ("plugins/label-command", "agent/domain"),
        ("tests/xtask", "agent/domain"),
        ("somewhere/new", "agent/domain"),
    ] {
        assert_eq!(forbidden(&[of(room, &[other])]).len(), 1, "{room} → {other}");
    }
}

/// Fakes are for tests, and a service is tested without the others.
#[test]
fn tests_of_a_service_use_no_other_service() {
    let crates = crates().unwrap();
    let services = crates.iter().filter(|of| of.folder.starts_with("agent/service/"));
    let peers = services.flat_map(|of| {
        let others =
            of.test_rooms.iter().filter(|other| other.starts_with("agent/service/") && **other != of.folder);
        others.map(|other| format!("tests of {} use {other}: that is a test for tests/cluster", of.folder))
    });
    none(&peers.collect::<Vec<_>>());
}

#[test]
fn rooms_use_no_foreign_crate_that_breaks_their_promise() {
    let crates = crates().unwrap();
    let mut problems = Vec::new();
    for (room, banned, why) in FOREIGN {
        let of = crates.iter().find(|of| of.folder == room);
        let Some(of) = of else {
            problems.push(format!("there is no {room}"));
            continue;
        };
        let broken = of.foreign.iter().filter(|name| banned.contains(&name.as_str()));
        problems.extend(broken.map(|name| format!("{room} must not use {name}: {why}")));
    }
    none(&problems);
}
