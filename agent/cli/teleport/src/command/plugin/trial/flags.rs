//! What `teleport plugin run` refuses before the host does: the host names lines of `teleport.yaml`, and here there
//! are flags in their place.

use std::collections::BTreeSet;

use domain::plugin::limit::{self, Author, LimitError};
use domain::plugin::{Capability, Manifest, Need};
use terminal::Failure;

use super::super::project::Staged;
use super::Leave;

impl Leave {
    /// Holds the flags against what the plugin asks for.
    ///
    /// # Errors
    /// What is granted or given and not asked for; every need that is not granted, and the flags to add;
    /// configuration the plugin does not read; a limit that is out of bounds.
    pub(in super::super) fn check(&self, staged: &Staged) -> Result<(), Failure> {
        let manifest = &staged.manifest;
        if let Some(needless) = self.of_no_use(manifest) {
            return Err(Failure::usage(needless));
        }
        let missing = self.missing(manifest);
        if !missing.is_empty() {
            let needs = missing.iter().map(|(need, _)| need.as_str()).collect::<Vec<_>>().join(", ");
            let flags: BTreeSet<_> = missing.iter().map(|(_, flag)| flag.as_str()).collect();
            let flags = flags.into_iter().collect::<Vec<_>>().join(" ");
            let name = &manifest.name;
            return Err(Failure::new(format!("plugin {name} asks for what is not granted here: {needs}"))
                .hint(format!("if it may, add {flags}")));
        }
        if let Some(faults) = self.config_faults(manifest) {
            return Err(Failure::usage(faults).hint("here that is --config=KEY=VALUE"));
        }
        let limits = self.limits(manifest);
        limit::resolve(staged.kind, &manifest.name, &manifest.limits, &limits).map(drop).map_err(in_flags)
    }

    /// A flag that changes nothing, because the plugin does not ask for it.
    fn of_no_use(&self, manifest: &Manifest) -> Option<String> {
        let asks =
            |capability: Capability| manifest.needs.iter().any(|need| need.capability == capability.key());
        let is_open = |capability| manifest.needs.iter().any(|need| need.leaves_open(capability));
        if !self.hosts.is_empty() && !is_open(Capability::Http) {
            return Some(
                "--host is of no use: plugin.toml names every place itself, or asks for none".to_owned(),
            );
        }
        if !self.programs.is_empty() && !is_open(Capability::Process) {
            return Some(
                "--program is of no use: plugin.toml names every command itself, or asks for none".to_owned(),
            );
        }
        if let Some(capability) = self.capabilities.iter().find(|capability| !asks(**capability)) {
            return Some(format!("--grant={capability} is of no use: plugin.toml does not ask for it"));
        }
        let is_asked = |label| manifest.needs.iter().any(|need| need.label.as_ref() == Some(label));
        let label = self.secrets.keys().find(|label| !is_asked(label))?;
        Some(format!("--secret={label} is of no use: plugin.toml asks for no secret of that name"))
    }

    /// What the plugin asks for and is not given: each need, and the words to add.
    fn missing(&self, manifest: &Manifest) -> Vec<(String, String)> {
        let ask = |need: &Need| {
            let capability = Capability::parse(&need.capability)?;
            let reason = &need.reason;
            match (capability, &need.label) {
                (Capability::Secret, Some(label)) if !self.secrets.contains_key(label) => {
                    Some((format!("secret {label} ({reason})"), format!("--secret={label}=env:NAME")))
                }
                (Capability::Secret, _) => None,
                (Capability::Http, _) if need.leaves_open(capability) && self.hosts.is_empty() => {
                    let flag = if self.is_given(capability) { "" } else { "--grant=http " };
                    let need = format!("http to places of your choice ({reason})");
                    Some((need, format!("{flag}--host=https://HOST")))
                }
                _ if self.is_given(capability) => None,
                _ => Some((format!("{capability} ({reason})"), format!("--grant={capability}"))),
            }
        };
        manifest.needs.iter().filter_map(ask).collect()
    }
}

/// A limit at fault, in flags.
fn in_flags(error: LimitError) -> Failure {
    let error = error.of_a_flag();
    let reason = error.reason();
    match error {
        LimitError::NotGranted { key, value, .. } => Failure::new(reason)
            .hint(format!("if it may, add --limit={key}={value}, or --grant-all for all it wants")),
        error if error.author() == Author::Flag => Failure::usage(reason),
        _ => Failure::new(reason),
    }
}
