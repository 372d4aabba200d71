use proptest::prelude::*;

use super::*;
use crate::label::Labels;
use crate::node::NodeSpec;

fn node(id: u8, hostname: &str, addr: &str) -> Arc<Node> {
    let spec = NodeSpec {
        hostname: hostname.into(),
        addr: addr.into(),
        use_tunnel: addr.is_empty(),
        labels: Labels::default(),
        cmd_labels: Labels::default(),
        cmd_label_errors: Labels::default(),
        version: String::new(),
    };
    Arc::new(Node::new(uuid(id), spec))
}

fn uuid(id: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{id:02x}")
}

fn index(nodes: &[Arc<Node>]) -> NodeIndex {
    let mut index = NodeIndex::default();
    nodes.iter().cloned().for_each(|node| index.insert(node));
    index
}

fn target(host: &str, port: u16) -> Target {
    Target { host: host.into(), port, cluster: None }
}

fn resolve<'a>(index: &'a NodeIndex, host: &str, port: u16) -> Result<&'a Arc<Node>, RouteError> {
    index.resolve(&target(host, port), "main", |_| true)
}

#[test]
fn a_node_is_found_by_name_uuid_and_address() {
    let index = index(&[node(1, "web-1", "10.0.0.1:3022"), node(2, "web-2", "")]);
    for host in ["web-1", "WEB-1", "web-1.main", "10.0.0.1", &uuid(1), &format!("{}.main", uuid(1))] {
        assert_eq!(resolve(&index, host, 22).unwrap().name(), uuid(1), "{host}");
    }
    assert_eq!(resolve(&index, "web-2", 3022).unwrap().name(), uuid(2));
}

#[test]
fn what_is_no_node_is_not_found() {
    let index = index(&[node(1, "web-1", "10.0.0.1:3022")]);
    for host in ["127.0.0.1", "169.254.169.254", "::1", "localhost", "web", "example.com", "10.0.0.2", ""] {
        assert!(matches!(resolve(&index, host, 22), Err(RouteError::NotFound(_))), "{host}");
    }
}

#[test]
fn an_ambiguous_name_lists_its_matches() {
    let index = index(&[node(1, "db", ""), node(2, "db", ""), node(3, "web", "")]);
    let error = resolve(&index, "db", 22).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&uuid(1)) && text.contains(&uuid(2)) && !text.contains(&uuid(3)), "{text}");
}

#[test]
fn hidden_nodes_neither_match_nor_make_a_name_ambiguous() {
    let index = index(&[node(1, "db", ""), node(2, "db", "")]);
    let found = index.resolve(&target("db", 22), "main", |node| node.name() == uuid(2)).unwrap();
    assert_eq!(found.name(), uuid(2));
    assert!(matches!(index.resolve(&target("db", 22), "main", |_| false), Err(RouteError::NotFound(_))));
}

#[test]
fn two_nodes_at_one_address_differ_by_port() {
    let index = index(&[node(1, "a", "10.0.0.1:3022"), node(2, "b", "10.0.0.1:3122")]);
    assert_eq!(resolve(&index, "10.0.0.1", 3122).unwrap().name(), uuid(2));
    assert!(matches!(resolve(&index, "10.0.0.1", 22), Err(RouteError::Ambiguous { .. })));
}

#[test]
fn other_ports_of_a_node_are_not_reachable() {
    let index = index(&[node(1, "web-1", "10.0.0.1:2222")]);
    assert!(resolve(&index, "web-1", 2222).is_ok());
    assert!(matches!(resolve(&index, "web-1", 80), Err(RouteError::WrongPort { .. })));
}

#[test]
fn a_node_that_changes_its_name_is_found_by_the_new_one_only() {
    let mut index = index(&[node(1, "old", "10.0.0.1:3022")]);
    index.insert(node(1, "new", "10.0.0.2:3022"));
    assert!(resolve(&index, "old", 22).is_err() && resolve(&index, "10.0.0.1", 22).is_err());
    assert!(resolve(&index, "new", 22).is_ok());
    index.remove(&uuid(1));
    assert!(index.is_empty() && resolve(&index, "new", 22).is_err());
}

#[test]
fn subsystem_names_read_as_stock_clients_send_them() {
    let parse = |text| Target::parse_subsystem(text).unwrap();
    assert_eq!(parse("proxy:web-1:3022"), target("web-1", 3022));
    assert_eq!(parse("proxy:web-1"), target("web-1", 0));
    assert_eq!(parse("proxy:[::1]:22"), target("::1", 22));
    assert_eq!(parse("proxy:web-1:22@east").cluster.as_deref(), Some("east"));
    for bad in ["sftp", "proxy:", "proxy::22", "proxy:a:b", "proxy:a:70000", "proxy:a:22@"] {
        assert!(Target::parse_subsystem(bad).is_err(), "{bad}");
    }
}

#[test]
fn another_cluster_is_unknown() {
    let index = index(&[node(1, "web-1", "")]);
    let target = Target { cluster: Some("east".into()), ..target("web-1", 22) };
    assert!(matches!(index.resolve(&target, "main", |_| true), Err(RouteError::UnknownCluster(_))));
}

proptest! {
    #[test]
    fn no_subsystem_name_panics(text in ".{0,60}") {
        let _ = Target::parse_subsystem(&text);
        let _ = Target::parse_subsystem(&format!("proxy:{text}"));
    }
}
