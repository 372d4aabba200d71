//! `teleport:storage-backend/many@1.1.0`: several questions in one call, where a plugin offers that.

use port::store::{Item, Key, Revision, StoreError, Transaction};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::{Answer, convert};
use crate::call::CallState;
use crate::contract::storage_backend::Put;

#[allow(missing_docs, reason = "generated: the documents are in the WIT files")]
#[allow(clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/storage-backend", "../../wit/storage-backend-1.1"],
        world: "teleport:storage-backend/storage-backend-many@1.1.0",
        exports: { default: async },
        with: { "teleport:storage-backend/types@1.0.0": crate::contract::storage_backend::v1::bindings::teleport::storage_backend::types },
    });
}

use bindings::exports::teleport::storage_backend1_1_0::many as wire;
use bindings::{StorageBackendMany, StorageBackendManyIndices};

/// The interface's name among a component's exports.
const EXPORT: &str = "teleport:storage-backend/many@1.1.0";

/// Where the functions are in a component that offers them.
pub(super) struct Offer(StorageBackendManyIndices);

/// The functions of an instance.
pub(super) struct Many(StorageBackendMany);

impl Offer {
    /// None where the component does not export the interface.
    ///
    /// # Errors
    /// wasmtime's, when it is of another type than the contract says.
    pub(super) fn find(pre: &InstancePre<CallState>) -> wasmtime::Result<Option<Self>> {
        if pre.component().get_export_index(None, EXPORT).is_none() {
            return Ok(None);
        }
        StorageBackendManyIndices::new(pre).map(|indices| Some(Self(indices)))
    }

    pub(super) fn load(&self, store: &mut Store<CallState>, instance: &Instance) -> wasmtime::Result<Many> {
        self.0.load(store, instance).map(Many)
    }
}

impl Many {
    pub(super) async fn get(&self, store: &mut Store<CallState>, keys: &[Key]) -> Answer<Vec<Option<Item>>> {
        let texts: Vec<_> = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let answer = self.0.teleport_storage_backend1_1_0_many().call_get(store, &texts).await?;
        Ok(answer.map_err(convert::failure).and_then(|items| {
            if items.is_empty() || items.len() > keys.len() {
                let text = "the backend answered another number of questions than it was asked";
                return Err(StoreError::Corrupt(text.to_owned()));
            }
            items.into_iter().map(|item| item.map(convert::item).transpose()).collect()
        }))
    }

    pub(super) async fn put(&self, store: &mut Store<CallState>, puts: &[Put]) -> Answer<Vec<Revision>> {
        let entries: Vec<_> = puts.iter().map(entry).collect();
        let answer = self.0.teleport_storage_backend1_1_0_many().call_put(store, &entries).await?;
        let nothing = Transaction::default();
        let answer = answer.map_err(|failure| convert::write_failure(failure, &nothing));
        Ok(answer.and_then(|revisions| {
            let (count, rise) = (revisions.len(), revisions.is_sorted_by(|one, next| one < next));
            if count != puts.len() || !rise {
                let text = format!(
                    "the plugin has {count} revisions for {} puts, or not in their order",
                    puts.len()
                );
                return Err(StoreError::Corrupt(text));
            }
            Ok(revisions.into_iter().map(Revision).collect())
        }))
    }
}

fn entry(put: &Put) -> wire::Entry {
    wire::Entry {
        key: put.key.as_str().to_owned(),
        value: put.value.to_vec(),
        expires: put.expires.map(convert::micros),
    }
}
