//! What nodes say of themselves.

use domain::label::INVALID_HOSTNAME;
use domain::node::{Node, NodeSpec};

use crate::bed::{Bed, joining};
use crate::node;

#[tokio::test]
async fn an_unfit_host_name_gives_way_to_the_uuid() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "bad_name", "node-token"), &*bed.random).await.unwrap();
    let listed = bed.member(&bundle).heartbeat(&node("bad_name"), false).await.unwrap();
    let id = bundle.identity.host_id.to_string();
    assert_eq!(listed, id);
    let record: Node = bed.admin.get(&id).await.unwrap();
    assert_eq!(record.spec.labels.value(INVALID_HOSTNAME), Some("bad_name"));
}

#[tokio::test]
async fn what_a_node_may_not_say_of_itself_is_taken_out_or_refused() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&bundle);
    let mut spec = node("web-1");
    spec.labels = [("teleport.internal/x", "1"), ("env", "a\u{1b}[2Jb")].into_iter().collect();
    client.heartbeat(&spec, false).await.unwrap();
    let record: Node = bed.admin.get(&bundle.identity.host_id.to_string()).await.unwrap();
    assert_eq!(record.spec.labels.to_string(), "env=a[2Jb");
    for address in ["169.254.169.254:80", "0.0.0.0:22", "example.com:22"] {
        spec.addr = address.into();
        assert!(client.heartbeat(&spec, false).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn silent_nodes_are_forgotten() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    bed.member(&bundle).heartbeat(&node("web-1"), false).await.unwrap();
    assert_eq!(bed.admin.list::<NodeSpec>().await.unwrap().len(), 1);
    bed.clock.advance(domain::node::TTL);
    assert!(bed.admin.list::<NodeSpec>().await.unwrap().is_empty());
}
