//! Where dynamic labels come from.

use async_trait::async_trait;
use domain::label::DynamicLabel;

/// Why a label has no new value. The last good value stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LabelFailure {
    /// One line for the operator: what failed, and what to change where that is known.
    pub reason: String,
}

/// Computes dynamic labels.
#[async_trait]
pub trait LabelProvider: Send + Sync + 'static {
    /// The label's new value. Bounded in time, memory and output by the implementation.
    ///
    /// # Errors
    /// [`LabelFailure`] says why there is none.
    async fn evaluate(&self, label: &DynamicLabel) -> Result<String, LabelFailure>;

    /// How often what computes the label has been put in place by now: loaded, replaced, let go on. Another number
    /// means that the label may have another value, or one where it had none.
    fn edition(&self, label: &DynamicLabel) -> u64;

    /// Waits for another edition than this one.
    async fn renewed(&self, label: &DynamicLabel, edition: u64);
}
