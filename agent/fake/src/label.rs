//! Dynamic labels from a script.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use domain::label::DynamicLabel;
use parking_lot::Mutex;
use port::label::{Edition, LabelFailure, LabelProvider};
use tokio::sync::watch;

/// Answers what it was told to, label by label.
///
/// Answers told with [`FakeLabels::then`] are given once each, in order; after them the one of
/// [`FakeLabels::always`]; a label nobody spoke of fails.
#[derive(Debug)]
pub struct FakeLabels {
    script: Mutex<HashMap<String, Script>>,
    calls: Mutex<Vec<DynamicLabel>>,
    hanging: watch::Sender<bool>,
    edition: watch::Sender<Edition>,
}

#[derive(Debug, Default)]
struct Script {
    once: VecDeque<Result<String, LabelFailure>>,
    always: Option<Result<String, LabelFailure>>,
}

impl Default for FakeLabels {
    fn default() -> Self {
        let (hanging, _) = watch::channel(false);
        Self { script: Mutex::default(), calls: Mutex::default(), hanging, edition: watch::Sender::default() }
    }
}

impl FakeLabels {
    /// A provider that knows no label.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next answer not yet told for this label.
    pub fn then(&self, label: &str, answer: Result<&str, &str>) {
        self.script.lock().entry(label.to_owned()).or_default().once.push_back(owned(answer));
    }

    /// The answer when no other is left.
    pub fn always(&self, label: &str, answer: Result<&str, &str>) {
        self.script.lock().entry(label.to_owned()).or_default().always = Some(owned(answer));
    }

    /// While on, calls are counted but not answered, as a command that hangs.
    pub fn hang(&self, on: bool) {
        self.hanging.send_replace(on);
    }

    /// What computes the labels is put in place anew.
    pub fn renew(&self) {
        self.edition.send_modify(|edition| edition.versions += 1);
    }

    /// What computes the labels is let go on after it has failed.
    pub fn release(&self) {
        self.edition.send_modify(|edition| edition.releases += 1);
    }

    /// Every label that was asked for, in order.
    pub fn calls(&self) -> Vec<DynamicLabel> {
        self.calls.lock().clone()
    }

    fn answer(&self, label: &str) -> Result<String, LabelFailure> {
        let mut script = self.script.lock();
        let told = script.get_mut(label).and_then(|script| script.once.pop_front().or(script.always.clone()));
        told.unwrap_or_else(|| Err(LabelFailure { reason: format!("nothing is scripted for label {label}") }))
    }
}

fn owned(answer: Result<&str, &str>) -> Result<String, LabelFailure> {
    answer.map(str::to_owned).map_err(|reason| LabelFailure { reason: reason.to_owned() })
}

#[async_trait]
impl LabelProvider for FakeLabels {
    async fn evaluate(&self, label: &DynamicLabel) -> Result<String, LabelFailure> {
        self.calls.lock().push(label.clone());
        // The sender lives as long as this provider does, so waiting cannot fail.
        let _ = self.hanging.subscribe().wait_for(|hanging| !hanging).await;
        self.answer(&label.name)
    }

    fn edition(&self, _: &DynamicLabel) -> Edition {
        *self.edition.borrow()
    }

    async fn renewed(&self, _: &DynamicLabel, edition: Edition, has_failed: bool) {
        let _ = self.edition.subscribe().wait_for(|now| edition.is_past(*now, has_failed)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn label(name: &str) -> DynamicLabel {
        let period = Duration::from_secs(1);
        DynamicLabel {
            name: name.to_owned(),
            command: Vec::new(),
            period,
            plugin: "label-command".to_owned(),
        }
    }

    #[tokio::test]
    async fn answers_in_the_order_told_and_then_always_the_same() {
        let labels = FakeLabels::new();
        labels.then("up", Ok("1"));
        labels.then("up", Err("no such command"));
        labels.always("up", Ok("2"));
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(labels.evaluate(&label("up")).await.ok());
        }
        assert_eq!(answers, [Some("1".into()), None, Some("2".into()), Some("2".into())]);
        assert!(labels.evaluate(&label("other")).await.is_err());
        assert_eq!(labels.calls().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn hangs_until_released() {
        let labels = FakeLabels::new();
        labels.always("up", Ok("1"));
        labels.hang(true);
        let up = label("up");
        let mut call = labels.evaluate(&up);
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut call).await.is_err());
        labels.hang(false);
        assert_eq!(call.await.unwrap(), "1");
    }
}
