//! Something made of a host's identity, made anew when the identity was renewed: the configurations of
//! servers, which hold keys and certificates.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use certs::bundle::Bundle;
use tokio::sync::watch;

/// The thing for the identity of this moment.
#[derive(Debug)]
pub struct Renewed<T> {
    identity: watch::Receiver<Arc<Bundle>>,
    /// With the serial number of the certificate it was made of.
    made: ArcSwapOption<(u64, T)>,
}

impl<T: Clone> Renewed<T> {
    /// Nothing is made before it is wanted.
    pub fn new(identity: watch::Receiver<Arc<Bundle>>) -> Self {
        Self { identity, made: ArcSwapOption::empty() }
    }

    /// The thing, made by `make` where the identity has changed. Two callers may both make it.
    ///
    /// # Errors
    /// Those of `make`; it is tried again next time.
    pub fn get<E>(&self, make: impl FnOnce(&Bundle) -> Result<T, E>) -> Result<T, E> {
        let bundle = Arc::clone(&self.identity.borrow());
        let serial = bundle.ssh_certificate.serial();
        if let Some(made) = self.made.load_full().filter(|made| made.0 == serial) {
            return Ok(made.1.clone());
        }
        let thing = make(&bundle)?;
        self.made.store(Some(Arc::new((serial, thing.clone()))));
        Ok(thing)
    }

    /// The thing, where making it cannot fail.
    pub fn now(&self, make: impl FnOnce(&Bundle) -> T) -> T {
        let Ok(thing) = self.get(|bundle| Ok::<_, std::convert::Infallible>(make(bundle)));
        thing
    }
}
