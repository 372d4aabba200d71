//! The kinds of plugins as they are named on the command line.

use domain::plugin::ContractKind;
use terminal::Failure;

use super::project::Staged;

/// A kind of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum World {
    /// Computes dynamic labels.
    LabelProvider,
    /// Keeps the records of an auth server.
    StorageBackend,
}

impl World {
    /// Its contract.
    pub(super) fn kind(self) -> ContractKind {
        match self {
            Self::LabelProvider => ContractKind::LabelProvider,
            Self::StorageBackend => ContractKind::StorageBackend,
        }
    }

    /// Holds the kind that is expected against the plugin's own.
    ///
    /// # Errors
    /// With both.
    pub(super) fn check(expected: Option<Self>, staged: &Staged) -> Result<(), Failure> {
        match expected {
            Some(world) if world.kind() != staged.kind => {
                let (name, contract) = (&staged.manifest.name, &staged.manifest.contract);
                let text = format!("plugin {name} is made for {contract}, not for {}", world.kind().served());
                Err(Failure::new(text).hint("leave --world out, or change the plugin's manifest and exports"))
            }
            _ => Ok(()),
        }
    }
}
