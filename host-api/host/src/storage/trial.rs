//! A new version of a storage plugin, tried before it takes the place of the one that serves.

use std::sync::Arc;
use std::time::Duration;

use port::store::StoreError;
use tokio::time::timeout;

use super::ask::{Current, Open};
use crate::call::CallError;
use crate::error::{LoadError, chain};
use crate::host::Core;
use crate::load::Plugin;
use crate::warm::Warm;

/// How long a new version may take to show that it works.
const TRIAL: Duration = Duration::from_secs(20);

/// What a new version did not show.
enum Trial {
    /// That it works.
    Fails(String),
    /// That its records can be reached at the moment.
    Unready(String),
}

impl From<CallError> for Trial {
    fn from(error: CallError) -> Self {
        Self::Fails(chain(&error))
    }
}

impl From<StoreError> for Trial {
    fn from(error: StoreError) -> Self {
        let reason = chain(&error);
        if matches!(error, StoreError::Unavailable(_)) { Self::Unready(reason) } else { Self::Fails(reason) }
    }
}

impl Core {
    /// A new version of a storage backend that has shown that it finds its records: the one before it is
    /// given up for it. Other plugins are not tried, for nothing depends on their next call, nor is a backend that
    /// keeps nobody's records.
    ///
    /// # Errors
    /// [`LoadError::Fails`] when it does not open, or does not say how far the records have come;
    /// [`LoadError::Unready`] when nobody can reach them at the moment.
    pub(crate) async fn tried(&self, plugin: Arc<Plugin>) -> Result<Arc<Plugin>, LoadError> {
        if !self.keeps_records(&plugin.manifest.name) {
            return Ok(plugin);
        }
        let mut step = "start";
        let tried = timeout(TRIAL, self.trial(&plugin, &mut step)).await;
        let (name, version) = (plugin.manifest.name.clone(), plugin.manifest.version.clone());
        match tried.unwrap_or_else(|_| Err(Trial::Fails(format!("it took more than {TRIAL:?}")))) {
            Ok(warm) => {
                plugin.warm.put(warm);
                Ok(plugin)
            }
            Err(Trial::Fails(reason)) => Err(LoadError::Fails { name, version, step, reason }),
            Err(Trial::Unready(reason)) => Err(LoadError::Unready { name, version, step, reason }),
        }
    }

    async fn trial(&self, plugin: &Plugin, step: &mut &'static str) -> Result<Box<Warm>, Trial> {
        let engine = self.lasting(&plugin.manifest.name)?;
        let warm = Warm::start(&plugin.callable, engine).await?;
        *step = "open";
        let (warm, about) = warm.ask(engine, Duration::ZERO, Open).await?;
        about?;
        *step = "current";
        let (warm, revision) = warm.ask(engine, Duration::ZERO, Current).await?;
        revision?;
        Ok(warm)
    }
}
