//! What members of the cluster claim at the auth server: to be somebody else, to be the auth server
//! itself, to have more to say than fits, to be still welcome.

use std::time::Duration;

use api::auth::join_service_client::JoinServiceClient;
use api::auth::record_service_client::RecordServiceClient;
use client::AuthEndpoint;
use domain::identity::SystemRole;
use domain::node::NodeSpec;
use domain::resource::Kind;
use domain::user::UserSpec;
use port::random::SystemRandom;

use crate::rpc::{Bed, event, join_request, spec, user};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_host_says_it_speaks_for_itself() {
    let bed = Bed::start().await;
    let thief = bed.cluster.host(SystemRole::Node, "thief").await;
    let (honest, thief_client) = (bed.cluster.client_of(&bed.node), bed.cluster.client_of(&thief));
    honest.heartbeat(&serde_json::from_slice::<NodeSpec>(&spec("web-1")).unwrap(), false).await.unwrap();
    // In another's name, and off the list in it: both touch its own record alone.
    thief_client
        .heartbeat(&serde_json::from_slice::<NodeSpec>(&spec("web-1")).unwrap(), false)
        .await
        .unwrap();
    thief_client.heartbeat(&serde_json::from_slice::<NodeSpec>(&spec("web-1")).unwrap(), true).await.unwrap();
    let nodes = bed.cluster.admin().list::<NodeSpec>().await.unwrap();
    let ids: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
    assert_eq!(ids, [bed.node.identity.host_id.to_string()]);
    for sender in [&bed.proxy, &thief] {
        let forged = event(&bed.node.identity.host_id.to_string(), "");
        let uid = serde_json::from_slice::<serde_json::Value>(&forged).unwrap()["uid"].clone();
        bed.cluster.client_of(sender).emit(vec![forged]).await.unwrap();
        let line = bed.cluster.events().into_iter().find(|event| event["uid"] == uid).unwrap();
        assert_eq!(line["server_id"], sender.identity.host_id.to_string());
        assert_eq!(line["cluster_name"], "main");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_pose_as_the_auth_server() {
    let bed = Bed::start().await;
    // As names are the same in any spelling, so must the refusal be.
    let names = ["auth.teleport.internal", "AUTH.Teleport.Internal", "auth.teleport.internal."];
    let token = bed.cluster.token("a-token-for-thieves").await;
    let mut joining = bed.cluster.joining(SystemRole::Node, "thief", token);
    joining.host_addresses = names.map(str::to_owned).to_vec();
    let thief = client::join::join(&joining, &SystemRandom).await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(net::tls::server(&thief, &[net::alpn::AUTH]).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken_in = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_ok()
    });
    let endpoint = AuthEndpoint::of_member(vec![address.to_string()], &bed.node).unwrap();
    let error = client::AuthClient::new(endpoint).status().await.unwrap_err();
    let text = teleport_tests_cluster::chain(&error);
    assert!(text.contains("it is not the auth server of this cluster"), "{text}");
    assert!(!tokio::time::timeout(Duration::from_secs(30), taken_in).await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_messages_are_refused_and_nothing_else_ends() {
    let bed = Bed::start().await;
    let (node, admin) = (bed.cluster.client_of(&bed.node), bed.cluster.admin());
    let large = "x".repeat(64 * 1024);
    let cases = [
        (vec![event("x", &large)], "is larger than 65536 bytes"),
        (vec![event("x", ""); api::EVENTS_MAX + 1], "more than 1000 events in one call"),
        (vec![event("x", &large[..60_000]); 80], "4194304"),
    ];
    for (events, says) in cases {
        let error = node.emit(events).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut fat = user("fat", "access");
    fat.spec.traits.0.insert("padding".to_owned(), vec!["x".repeat(api::MESSAGE_MAX)]);
    assert!(admin.put(&fat, false).await.unwrap_err().to_string().contains("4194304"));
    assert!(admin.get::<UserSpec>("fat").await.unwrap_err().is_not_found());
    let endpoint = bed.endpoint(None);
    let request = join_request(&large, String::new(), Vec::new());
    let refused = JoinServiceClient::new(endpoint.channel()).join(request).await.unwrap_err();
    assert!(refused.message().contains("65536"), "{refused}");
    let written = bed.cluster.events().into_iter().filter(|event| event["padding"].is_string());
    assert_eq!(written.count(), 0, "nothing of it was taken");
    node.emit(vec![event("x", &large[..60_000])]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_user_is_out_of_the_api_at_once() {
    let bed = Bed::start().await;
    let ann = bed.user("ann", "admin").await;
    let client = bed.cluster.client_of(&ann);
    client.status().await.unwrap();
    bed.cluster.admin().delete(Kind::User, "ann").await.unwrap();
    let refused = async {
        loop {
            if let Err(error) = client.status().await {
                return error.to_string();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(text.contains("removed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_before_its_message_is_read() {
    let bed = Bed::start().await;
    let stranger = bed.endpoint(None);
    // Larger than any message may be: whoever reads its length says so.
    let json = vec![b'x'; 2 * api::MESSAGE_MAX];
    let put = |json| api::auth::PutRequest { json, ..api::auth::PutRequest::default() };
    let call = async |endpoint: &std::sync::Arc<AuthEndpoint>, json| {
        RecordServiceClient::new(endpoint.channel()).put(put(json)).await.unwrap_err()
    };
    let refused = call(&stranger, json.clone()).await;
    assert!(refused.message().contains("needs a certificate"), "{refused}");
    let refused = call(&bed.endpoint(Some(&bed.node)), json).await;
    assert!(refused.message().contains("4194304"), "a member's message is looked at: {refused}");
    let token = bed.cluster.token("a-token-for-late-comers").await;
    let joining = bed.cluster.joining(SystemRole::Node, "late", token);
    client::join::join(&joining, &SystemRandom).await.unwrap();
}
