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

/// How often what computes a label has been put in place by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edition {
    /// Loaded, or replaced by another version: any label may have another value.
    pub versions: u64,
    /// Let go on as it is: only a label that has failed may have another answer.
    pub releases: u64,
}

impl Edition {
    /// Whether a label that was asked for in this one, and `has_failed` or not, may have another answer in that one.
    pub fn is_past(self, now: Self, has_failed: bool) -> bool {
        self.versions != now.versions || (has_failed && self.releases != now.releases)
    }
}

/// Computes dynamic labels.
#[async_trait]
pub trait LabelProvider: Send + Sync + 'static {
    /// The label's new value. Bounded in time, memory and output by the implementation.
    ///
    /// # Errors
    /// [`LabelFailure`] says why there is none.
    async fn evaluate(&self, label: &DynamicLabel) -> Result<String, LabelFailure>;

    /// How often what computes the label has been put in place by now.
    fn edition(&self, label: &DynamicLabel) -> Edition;

    /// Waits until a label may have another answer than in this edition, in which it `has_failed` or not.
    async fn renewed(&self, label: &DynamicLabel, edition: Edition, has_failed: bool);
}
