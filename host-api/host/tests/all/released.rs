//! Plugins that were compiled when their contract was new are loaded and called, whatever the SDK has become. The
//! components are in `tests/guests/released` and are never compiled again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use domain::plugin::configuration::Written;
use domain::plugin::{Digest, Grant, PluginName};
use plugin_host::Outcome;
use port::backend::Backend as _;
use port::store::{Key, Transaction};

use crate::bed::{Bed, call, manifest_with_process};

/// Each released version of a contract with a world, and the component kept for it. A line here is never changed.
const KEPT: [(&str, &str); 3] = [
    ("label-provider-1.0.0", "sha256:a0a2a456aaeb8e29ff5580ec53ec9d4f26c833a90197448ba32f37e5246da288"),
    ("storage-backend-1.0.0", "sha256:e703d50c5c9686902a166663d96667c5720206d4d6e17d96a1e8095638264711"),
    ("storage-backend-1.1.0", "sha256:f1203bf2de4e410025ed65769986cfc15cdc0dc6755724d020340e874f185e30"),
];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn kept(contract: &str) -> Vec<u8> {
    std::fs::read(repository().join(format!("tests/guests/released/{contract}.wasm"))).expect("it is kept")
}

#[test]
fn each_released_contract_has_a_plugin_and_none_is_changed() {
    let released = std::fs::read_to_string(repository().join("wit/released.toml")).unwrap();
    let contracts = released.lines().filter_map(|line| line.strip_prefix("\"teleport:")?.split('"').next());
    // What the host offers has no world of its own: the plugins of the others use it.
    let contracts = contracts.filter(|contract| !contract.starts_with("host@"));
    let contracts: BTreeSet<_> = contracts.map(|contract| contract.replace('@', "-")).collect();
    assert_eq!(contracts, KEPT.map(|(contract, _)| contract.to_owned()).into());
    for (contract, digest) in KEPT {
        assert_eq!(Digest::of(&kept(contract)).to_string(), digest, "{contract} is not to be changed");
    }
}

#[tokio::test]
async fn labels_of_1_0() {
    let mut bed = Bed::new();
    bed.install("hostile", &kept("label-provider-1.0.0"), &manifest_with_process("hostile"));
    bed.pin("hostile");
    bed.grant("hostile", "echo from a program");
    let host = bed.host();
    assert_eq!(call(&host, "echo well").await.result.unwrap(), "well");
    assert_eq!(call(&host, "run echo from a program").await.result.unwrap(), "from a program");
    assert_eq!(call(&host, "fail").await.outcome(), Outcome::Guest);
}

/// Opens the store of this component, writes a record and reads it; the value as it comes back.
async fn written_and_read(contract: &str) -> String {
    let mut bed = Bed::new();
    let text = crate::bed::manifest("kept").replace(
        "label-provider@1.0.0",
        &format!("storage-backend@{}", contract.trim_start_matches("storage-backend-")),
    ) + "[[needs]]\ncapability = \"kv\"\nreason = \"keeps the records\"\n\
         [config.deed]\ntype = \"text\"\ndefault = \"\"\ndescription = \"what it does instead\"\n";
    bed.install("kept", &kept(contract), &text);
    bed.pin("kept");
    let name = PluginName::new("kept").unwrap();
    bed.settings.storage = Some(name.clone());
    let plugin = bed.plugin("kept");
    plugin.grants.push(Grant::kv());
    plugin.config.insert("deed".to_owned(), Written::One(String::new()));
    let host = bed.host();
    let storage = host.storage(name);
    storage.open().await.unwrap();
    let key = Key::of(&["t", "a"]);
    storage.write(&Transaction::default().put(key.clone(), "1", None)).await.unwrap();
    let item = storage.get(&key).await.unwrap().expect("it was written");
    String::from_utf8(item.value.to_vec()).unwrap()
}

#[tokio::test]
async fn storage_of_1_0() {
    assert_eq!(written_and_read("storage-backend-1.0.0").await, "1");
}

#[tokio::test]
async fn storage_of_1_1() {
    // Its value says how it was asked for.
    assert_eq!(written_and_read("storage-backend-1.1.0").await, "alone");
}
