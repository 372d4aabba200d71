//! Records: get, list, put, delete, each with the permit it needs and the rules of its kind.

use api::auth as wire;
use domain::Timestamp;
use domain::access::api::Caller;
use domain::audit::{Context, Detail, RecordFacts};
use domain::lock::{Lock, LockSpec};
use domain::node::NodeSpec;
use domain::resource::{Kind, Resource, ResourceError, Spec};
use domain::role::{RoleSpec, Verb};
use domain::token::TokenSpec;
use domain::user::UserSpec;
use port::store::{Condition, Item, Key, Operation, Revision, StoreError, Transaction};
use serde_json::Value;

use crate::error::AuthError;
use crate::event::acting;
use crate::key;
use crate::service::AuthService;

mod user;

/// A record that was read, checked, and is ready to be written.
#[derive(Debug)]
pub(crate) struct Checked {
    kind: Kind,
    name: String,
    json: Vec<u8>,
    expires: Option<Timestamp>,
}

impl AuthService {
    /// One record.
    pub(crate) async fn get(
        &self,
        caller: &Caller,
        request: wire::GetRequest,
    ) -> Result<wire::Record, AuthError> {
        let kind = parse_kind(&request.kind)?;
        caller.record(kind, Verb::Read)?;
        domain::resource::check_name(kind, &request.name)?;
        let item = self.deps.store.get(&key::record(kind, &request.name)).await?;
        let item = item.ok_or(AuthError::NotFound { kind, name: request.name })?;
        Ok(wire::Record { json: shown(&item)? })
    }

    /// One page of the records of a kind, in the order of their names.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        request: wire::ListRequest,
    ) -> Result<wire::ListResponse, AuthError> {
        let kind = parse_kind(&request.kind)?;
        caller.record(kind, Verb::List)?;
        let limit = match usize::try_from(request.limit).unwrap_or(api::PAGE_MAX) {
            0 => api::PAGE_MAX,
            asked => asked.min(api::PAGE_MAX),
        };
        let from = (!request.page_token.is_empty()).then(|| key::record(kind, &request.page_token));
        let page = self.deps.store.range(&key::records(kind), from.as_ref(), limit).await?;
        let records = page
            .items
            .iter()
            .map(|item| Ok(wire::Record { json: shown(item)? }))
            .collect::<Result<_, AuthError>>()?;
        let next_page_token = page.next.map(|key| key.last_segment().to_owned()).unwrap_or_default();
        Ok(wire::ListResponse { records, next_page_token })
    }

    /// Makes or replaces a record.
    pub(crate) async fn put(
        &self,
        caller: &Caller,
        request: wire::PutRequest,
    ) -> Result<wire::PutResponse, AuthError> {
        let record = check(&request.json)?;
        let (kind, name) = (record.kind, record.name.clone());
        // Who may do neither is refused alike, whether there is such a record or not: the name of a
        // token is a secret.
        caller.record(kind, Verb::Update).or_else(|_| caller.record(kind, Verb::Create))?;
        let key = key::record(kind, &name);
        let existing = self.deps.store.get(&key).await?;
        let verb = if existing.is_some() { Verb::Update } else { Verb::Create };
        caller.record(kind, verb)?;
        if existing.is_some() && !request.replace {
            return Err(AuthError::Exists { kind, name });
        }
        let condition = condition(&key, existing.as_ref(), &request.if_revision)?;
        let transaction =
            Transaction::default().when(condition).put(key, record.json.clone(), record.expires);
        let transaction = self.with_consequences(&record, existing.as_ref(), transaction).await?;
        let facts = RecordFacts::of(kind, &record.json);
        self.record_change(caller, (kind, &name), verb, facts).await?;
        let changed = |error| {
            if matches!(error, StoreError::Conflict(_)) {
                AuthError::Changed { kind, name }
            } else {
                error.into()
            }
        };
        let revision = self.deps.store.write(transaction).await.map_err(changed)?;
        Ok(wire::PutResponse { revision: revision.to_string(), replaced: existing.is_some() })
    }

    /// Removes a record.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        request: wire::DeleteRequest,
    ) -> Result<wire::DeleteResponse, AuthError> {
        let kind = parse_kind(&request.kind)?;
        caller.record(kind, Verb::Delete)?;
        domain::resource::check_name(kind, &request.name)?;
        let key = key::record(kind, &request.name);
        let name = request.name;
        let existing = self.deps.store.get(&key).await?;
        let is_there = existing.is_some();
        // A node that has fallen silent is listed no more, but still has its UUID.
        if !(is_there || kind == Kind::Node && self.is_held(&name).await?) {
            return Err(AuthError::NotFound { kind, name });
        }
        let mut transaction = Transaction::default().then(Operation::Delete(key.clone()));
        if is_there {
            transaction = transaction.when(Condition::Present(key));
        }
        let transaction = match kind {
            Kind::Node => transaction.then(Operation::DeleteRange(key::hosts(&name))),
            Kind::User => self.without_invites(&name, self.revoking(&name, transaction)).await?,
            Kind::Role => {
                self.check_role_unused(&name).await?;
                transaction
            }
            _ => transaction,
        };
        let facts = existing.map(|item| RecordFacts::of(kind, &item.value)).unwrap_or_default();
        self.record_change(caller, (kind, &name), Verb::Delete, facts).await?;
        let gone = |error| {
            if matches!(error, StoreError::Conflict(_)) {
                AuthError::NotFound { kind, name }
            } else {
                error.into()
            }
        };
        self.deps.store.write(transaction).await.map_err(gone)?;
        Ok(wire::DeleteResponse {})
    }

    /// What else has to change with the record, and what must be there for it.
    async fn with_consequences(
        &self,
        record: &Checked,
        existing: Option<&Item>,
        transaction: Transaction,
    ) -> Result<Transaction, AuthError> {
        if record.kind != Kind::User {
            return Ok(transaction);
        }
        let user: Resource<UserSpec> = Resource::from_json(&record.json)?;
        self.check_roles_exist(&user).await?;
        Ok(self.locking(&user, existing.is_some(), transaction))
    }

    /// Writes down the change, before it is made.
    async fn record_change(
        &self,
        caller: &Caller,
        (kind, name): (Kind, &str),
        verb: Verb,
        facts: RecordFacts,
    ) -> Result<(), AuthError> {
        let user = acting(caller);
        // The name of a token is a secret.
        let name = if kind == Kind::Token { redacted(name) } else { name.to_owned() };
        let context = Context { cluster_name: self.cluster.clone(), user, ..Context::default() };
        let detail = match verb {
            Verb::Create => Detail::RecordCreate { kind, name, facts },
            Verb::Delete => Detail::RecordDelete { kind, name, facts },
            _ => Detail::RecordUpdate { kind, name, facts },
        };
        self.record_event(context, detail).await
    }
}

/// The first characters of a secret, enough to tell two apart.
fn redacted(secret: &str) -> String {
    let shown: String = secret.chars().take(4).collect();
    format!("{shown}…")
}

fn parse_kind(text: &str) -> Result<Kind, AuthError> {
    Ok(Kind::parse(text).ok_or_else(|| ResourceError::UnknownKind(text.to_owned()))?)
}

/// A stored record with the revision it has.
pub(crate) fn shown(item: &Item) -> Result<Vec<u8>, AuthError> {
    let damaged = |error: serde_json::Error| AuthError::Store(StoreError::Corrupt(error.to_string()));
    let mut record: Value = serde_json::from_slice(&item.value).map_err(damaged)?;
    if let Some(metadata) = record.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("revision".to_owned(), item.revision.to_string().into());
    }
    serde_json::to_vec(&record).map_err(damaged)
}

/// Reads a record of whatever kind and checks it.
fn check(json: &[u8]) -> Result<Checked, AuthError> {
    let shape = |error: serde_json::Error| ResourceError::Shape(error.to_string());
    let value: Value = serde_json::from_slice(json).map_err(shape)?;
    let name = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    match parse_kind(name)? {
        Kind::User => checked::<UserSpec>(json),
        Kind::Role => checked::<RoleSpec>(json),
        Kind::Token => checked::<TokenSpec>(json),
        Kind::Node => checked::<NodeSpec>(json),
        Kind::Lock => checked::<LockSpec>(json),
        // The permit refuses these; they are read so that the refusal is about rights, not about form.
        Kind::CertAuthority => checked::<domain::authority::AuthoritySpec>(json),
        Kind::Proxy => checked::<domain::server::ProxySpec>(json),
        Kind::AuthServer => checked::<domain::server::AuthServerSpec>(json),
    }
}

fn checked<S: Spec>(json: &[u8]) -> Result<Checked, AuthError> {
    let mut record = Resource::<S>::from_json(json)?;
    record.check_written()?;
    record.metadata.revision = None;
    Ok(Checked {
        kind: S::KIND,
        name: record.metadata.name.clone(),
        expires: record.metadata.expires,
        json: record.to_json(),
    })
}

/// The record must be as it was when it was looked at, or as the caller last saw it.
fn condition(key: &Key, existing: Option<&Item>, if_revision: &str) -> Result<Condition, AuthError> {
    if !if_revision.is_empty() {
        let revision = if_revision
            .parse()
            .map_err(|_| AuthError::Invalid(format!("{if_revision:?} is not a revision")))?;
        return Ok(Condition::Unchanged(key.clone(), Revision(revision)));
    }
    Ok(match existing {
        Some(item) => Condition::Unchanged(key.clone(), item.revision),
        None => Condition::Absent(key.clone()),
    })
}

/// A lock as the store keeps it.
fn lock_operation(lock: &Lock) -> Operation {
    Operation::Put {
        key: key::record(Kind::Lock, lock.name()),
        value: lock.to_json().into(),
        expires: lock.metadata.expires,
    }
}
