//! The first start makes the cluster; every later one finds it.
//!
//! Name, authorities and preset roles are written in one transaction on condition that there is no
//! name yet: of two auth servers that start on one store at once, one makes the cluster and the
//! other finds it, and a crash leaves either all of it or nothing.

use domain::Timestamp;
use domain::authority::{AuthorityType, CertAuthority};
use domain::resource::Kind;
use domain::role::presets;
use port::random::Random;
use port::store::{Condition, Store, StoreError, Transaction};

use crate::authority::Authorities;
use crate::error::AuthError;
use crate::key;
use crate::settings::Settings;

/// Finds the cluster in the store, or makes it where this host belongs to none yet.
///
/// # Errors
/// [`AuthError::OtherCluster`] when the store holds one of another name than the configuration says,
/// [`AuthError::EmptyStore`] when it holds none and this host belongs to one.
pub(crate) async fn open(
    store: &dyn Store,
    settings: &Settings,
    now: Timestamp,
    random: &dyn Random,
) -> Result<(String, Authorities), AuthError> {
    if let Some(name) = find(store).await? {
        return load(store, name, settings).await;
    }
    if let Some(known) = settings.known_cluster.clone() {
        return Err(AuthError::EmptyStore { store: settings.store.clone(), known });
    }
    let name = settings.cluster_name.as_ref().map_or_else(|| random.uuid().to_string(), ToString::to_string);
    match store.write(founding(&name, now, random)?).await {
        Ok(_) => {
            tracing::info!(cluster = %name, "made the cluster: user, host and jwt authorities, preset roles")
        }
        Err(StoreError::Conflict(_)) => tracing::info!("another auth server made the cluster first"),
        Err(error) => return Err(error.into()),
    }
    let name = find(store).await?.unwrap_or(name);
    load(store, name, settings).await
}

async fn find(store: &dyn Store) -> Result<Option<String>, AuthError> {
    let item = store.get(&key::cluster_name()).await?;
    Ok(item.map(|item| String::from_utf8_lossy(&item.value).into_owned()))
}

async fn load(
    store: &dyn Store,
    name: String,
    settings: &Settings,
) -> Result<(String, Authorities), AuthError> {
    if let Some(wanted) = settings.cluster_name.as_ref().filter(|wanted| wanted.as_str() != name) {
        let (store, wanted) = (settings.store.clone(), wanted.to_string());
        return Err(AuthError::OtherCluster { store, found: name, wanted });
    }
    let authorities = Authorities::load(store).await?;
    Ok((name, authorities))
}

/// Everything a new cluster consists of.
fn founding(name: &str, now: Timestamp, random: &dyn Random) -> Result<Transaction, AuthError> {
    let mut founding = Transaction::default().when(Condition::Absent(key::cluster_name())).put(
        key::cluster_name(),
        name.as_bytes().to_vec(),
        None,
    );
    for kind in AuthorityType::ALL {
        let keys = certs::authority::AuthorityKeys::generate(kind, name, now, random)?;
        let public = CertAuthority::new(kind.as_str(), keys.public()?);
        founding = founding.put(key::authority(kind), keys.to_secret()?.reveal().to_vec(), None).put(
            key::record(Kind::CertAuthority, kind.as_str()),
            public.to_json(),
            None,
        );
    }
    for role in presets() {
        founding = founding.put(key::record(Kind::Role, role.name()), role.to_json(), None);
    }
    Ok(founding)
}
