//! The auth service over its real wire, with a store in memory and an audit log that remembers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod bed;
mod certificate;
mod heartbeat;
mod joining;
mod presence;
mod record;

use bed::Bed;
use client::ClientError;
use domain::label::Labels;
use domain::node::NodeSpec;
use domain::user::{User, UserSpec};

fn user(name: &str, roles: &[&str]) -> User {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let traits = domain::traits::Traits([("logins".to_owned(), vec!["root".to_owned()])].into());
    User::new(name, UserSpec { roles, traits, ..UserSpec::default() })
}

fn node(hostname: &str) -> NodeSpec {
    NodeSpec {
        hostname: hostname.into(),
        addr: String::new(),
        use_tunnel: true,
        labels: Labels::default(),
        cmd_labels: Labels::default(),
        cmd_label_errors: Labels::default(),
        version: "0.1.0".into(),
    }
}

fn said(error: ClientError) -> String {
    error.to_string()
}

#[tokio::test]
async fn a_second_start_finds_the_cluster_and_another_name_is_refused() {
    let bed = Bed::start().await;
    let pins = bed.service.pins().unwrap();
    let again = bed.open_again(Some("main")).await.unwrap();
    assert_eq!(again.pins().unwrap(), pins);
    let error = bed.open_again(Some("other")).await.err().unwrap().to_string();
    assert!(
        error.starts_with("the store in memory belongs to the cluster \"main\"")
            && error.contains("\"other\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_of_a_cluster_makes_no_other_in_an_empty_store() {
    let bed = Bed::start().await;
    let (error, items) = bed.open_empty("the cluster \"main\"").await;
    let error = error.unwrap().to_string();
    let says = "the store in memory is empty, but this data_dir belongs to the cluster \"main\"";
    assert!(error.starts_with(says) && error.contains("teleport.storage"), "{error}");
    assert_eq!(items, 0, "nothing was written");
}
