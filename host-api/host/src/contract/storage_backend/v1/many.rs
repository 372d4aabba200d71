//! `get-many` and `put-many` of `teleport:storage-backend@1.1.0`: several questions in one call, where a plugin
//! offers that.

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
        inline: "
            package teleport:served;
            world every-hook {
                export teleport:storage-backend/get-many@1.1.0;
                export teleport:storage-backend/put-many@1.1.0;
            }
        ",
        world: "teleport:served/every-hook",
        exports: { default: async },
        with: { "teleport:storage-backend/types@1.0.0": crate::contract::storage_backend::v1::bindings::teleport::storage_backend::types },
    });
}

use bindings::exports::teleport::storage_backend1_1_0::{get_many, put_many};

/// The interfaces' names among a component's exports.
const GET_MANY: &str = "teleport:storage-backend/get-many@1.1.0";
const PUT_MANY: &str = "teleport:storage-backend/put-many@1.1.0";

/// Where the functions are in a component, as far as it offers them.
#[derive(Default)]
pub(super) struct Offer {
    get: Option<get_many::GuestIndices>,
    put: Option<put_many::GuestIndices>,
}

/// The functions of an instance.
#[derive(Default)]
pub(super) struct Many {
    pub(super) get: Option<GetMany>,
    pub(super) put: Option<PutMany>,
}

/// Several items in one call.
pub(super) struct GetMany(get_many::Guest);

/// Several puts in one call.
pub(super) struct PutMany(put_many::Guest);

impl Offer {
    /// What the component exports of them.
    ///
    /// # Errors
    /// wasmtime's, when one is of another type than the contract says.
    pub(super) fn find(pre: &InstancePre<CallState>) -> wasmtime::Result<Self> {
        let exports = |interface| pre.component().get_export_index(None, interface).is_some();
        Ok(Self {
            get: exports(GET_MANY).then(|| get_many::GuestIndices::new(pre)).transpose()?,
            put: exports(PUT_MANY).then(|| put_many::GuestIndices::new(pre)).transpose()?,
        })
    }

    pub(super) fn gets(&self) -> bool {
        self.get.is_some()
    }

    pub(super) fn puts(&self) -> bool {
        self.put.is_some()
    }

    pub(super) fn load(&self, store: &mut Store<CallState>, instance: &Instance) -> wasmtime::Result<Many> {
        let get = self.get.as_ref().map(|get| get.load(&mut *store, instance)).transpose()?;
        let put = self.put.as_ref().map(|put| put.load(store, instance)).transpose()?;
        Ok(Many { get: get.map(GetMany), put: put.map(PutMany) })
    }
}

impl GetMany {
    pub(super) async fn call(&self, store: &mut Store<CallState>, keys: &[Key]) -> Answer<Vec<Option<Item>>> {
        let texts: Vec<_> = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let answer = self.0.call_get_many(store, &texts).await?;
        Ok(answer.map_err(convert::failure).and_then(|items| {
            if items.is_empty() || items.len() > keys.len() {
                let text = "the backend answered another number of questions than it was asked";
                return Err(StoreError::Corrupt(text.to_owned()));
            }
            items.into_iter().map(|item| item.map(convert::item).transpose()).collect()
        }))
    }
}

impl PutMany {
    pub(super) async fn call(&self, store: &mut Store<CallState>, puts: &[Put]) -> Answer<Vec<Revision>> {
        let entries: Vec<_> = puts.iter().map(entry).collect();
        let answer = self.0.call_put_many(store, &entries).await?;
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

fn entry(put: &Put) -> put_many::Entry {
    put_many::Entry {
        key: put.key.as_str().to_owned(),
        value: put.value.to_vec(),
        expires: put.expires.map(convert::micros),
    }
}
