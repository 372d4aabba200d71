//! The authorities' keys in memory.

use certs::authority::AuthorityKeys;
use certs::x509::Pin;
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::secret::Secret;
use port::store::{Store, StoreError};

use crate::error::AuthError;
use crate::key;

/// The keys of every authority.
pub(crate) struct Authorities {
    user: AuthorityKeys,
    host: AuthorityKeys,
    public: Vec<AuthoritySpec>,
}

impl Authorities {
    /// Reads the keys from the store.
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, AuthError> {
        let (user, host) = (read(store, AuthorityType::User).await?, read(store, AuthorityType::Host).await?);
        let jwt = read(store, AuthorityType::Jwt).await?;
        let public = vec![user.public()?, host.public()?, jwt.public()?];
        Ok(Self { user, host, public })
    }

    pub(crate) fn user(&self) -> &AuthorityKeys {
        &self.user
    }

    pub(crate) fn host(&self) -> &AuthorityKeys {
        &self.host
    }

    /// What everybody may know.
    pub(crate) fn public(&self) -> &[AuthoritySpec] {
        &self.public
    }

    /// The pins hosts join with.
    pub(crate) fn pins(&self) -> Result<Vec<Pin>, AuthError> {
        Ok(vec![Pin::of(self.host.tls()?.certificate_der())?])
    }
}

async fn read(store: &dyn Store, kind: AuthorityType) -> Result<AuthorityKeys, AuthError> {
    let item = store
        .get(&key::authority(kind))
        .await?
        .ok_or_else(|| StoreError::Corrupt(format!("the {kind} authority is missing")))?;
    Ok(AuthorityKeys::from_secret(&Secret::new(item.value.to_vec()))?)
}
