//! The secrets of a case or a suite: what its file or the command line gives, else made up, for each the manifest
//! asks for.

use std::collections::BTreeMap;

use domain::plugin::{Capability, Manifest, SecretLabel};
use domain::secret::Secret;
use plugin_host::SecretFrom;
use terminal::{Explain as _, Failure};

/// The secrets of what is `called` so in its file.
///
/// # Errors
/// What is wrong with one, and where it is given: above all that the plugin does not ask for it, and so could not
/// see it.
pub(super) fn gather<'a>(
    manifest: &Manifest,
    called: &str,
    given: &BTreeMap<String, String>,
    by_hand: impl Iterator<Item = (&'a SecretLabel, &'a SecretFrom)>,
) -> Result<BTreeMap<SecretLabel, SecretFrom>, Failure> {
    let needs = manifest.needs.iter();
    let needs = needs.filter(|need| need.capability == Capability::Secret.key());
    let mut secrets = BTreeMap::new();
    for label in needs.filter_map(|need| need.label.as_ref()) {
        let from = made(format!("the-{label}-of-the-tests"));
        secrets.insert(SecretLabel::new(label.as_str())?, from);
    }
    let mut give = |label: SecretLabel, from: SecretFrom| match secrets.insert(label.clone(), from) {
        Some(_) => Ok(()),
        None => Err(Failure::new(format!("the plugin does not ask for the secret {label}")).hint(
            "plugin.toml asks for one with [[needs]], capability = \"secret\", its label and a reason",
        )),
    };
    for (label, value) in given {
        let label = SecretLabel::new(label).map_err(Failure::from);
        label
            .and_then(|label| give(label, made(value.clone())))
            .while_doing(format!("{called:?} cannot be run"))?;
    }
    for (label, from) in by_hand {
        give(label.clone(), from.clone()).while_doing("--secret")?;
    }
    Ok(secrets)
}

fn made(value: String) -> SecretFrom {
    SecretFrom::Environment { name: "of the case".to_owned(), value: Some(Secret::new(value)) }
}
