//! How needs and grants are said to people, and which line to add where.

use super::super::capability::argv_text;
use super::super::{Argv, Capability, Manifest, Need, PluginName};
use super::{GrantError, Scope};

/// Where to add what, so that a plugin may run a command.
pub fn process_line(plugin: &PluginName, argv: &[String]) -> String {
    format!("add under teleport.plugins.load.{plugin}.grants: process: [{}]", argv_text(argv))
}

/// Where to add what, so that a plugin may send requests to a place.
pub fn http_line(plugin: &PluginName, destination: &impl std::fmt::Display) -> String {
    format!("add under teleport.plugins.load.{plugin}.grants: http: [\"{destination}\"]")
}

/// The error for a need nobody granted, and for those `further` ones.
pub(super) fn not_granted(manifest: &Manifest, need: &Need, further: &[&Need]) -> GrantError {
    let plugin = manifest.name.clone();
    let also = |need: &&Need| {
        format!("; it also asks for {} ({}): {}", asked(need), need.reason, missing_line(&plugin, need))
    };
    let also = further.iter().map(also).collect();
    let line = missing_line(&plugin, need);
    GrantError::NotGranted { plugin, what: asked(need), reason: need.reason.clone(), line, also }
}

/// Where to add what is missing.
pub(super) fn missing_line(plugin: &PluginName, need: &Need) -> String {
    match Capability::parse(&need.capability) {
        Some(Capability::Http) => match need.hosts.as_slice() {
            [] => http_line(plugin, &"https://HOST"),
            hosts => {
                let all: Vec<_> = hosts.iter().map(ToString::to_string).collect();
                http_line(plugin, &all.join("\", \""))
            }
        },
        Some(Capability::Secret) => format!(
            "add under teleport.plugins.load.{plugin}.secrets: {}: {{ file: /PATH, hosts: [\"https://HOST\"] }}",
            label(need)
        ),
        Some(Capability::SecretReveal) => {
            format!("add under teleport.plugins.load.{plugin}.grants: secret_reveal: [{}]", label(need))
        }
        Some(Capability::Kv) => format!("add under teleport.plugins.load.{plugin}.grants: kv: yes"),
        Some(Capability::Process) | None => {
            let example: Argv = vec!["PROGRAM".to_owned(), "ARGUMENT".to_owned()];
            process_line(plugin, need.argv.as_ref().unwrap_or(&example))
        }
    }
}

/// What a grant is of.
pub(super) fn granted(capability: Capability, scope: &Scope) -> String {
    match scope {
        Scope::Argv(argv) => format!("{capability} {}", argv_text(argv)),
        Scope::Configured => format!("{capability} with the command configured for each label"),
        Scope::Http(scope) if scope.private => {
            format!("{capability} to {}, private addresses too", scope.destination)
        }
        Scope::Http(scope) => format!("{capability} to {}", scope.destination),
        Scope::Secret(label) => format!("{capability} {label}"),
        Scope::Whole => capability.to_string(),
    }
}

/// What a need is for.
pub(super) fn asked(need: &Need) -> String {
    let capability = &need.capability;
    if let Some(argv) = &need.argv {
        return format!("{capability} {}", argv_text(argv));
    }
    if !need.hosts.is_empty() {
        let hosts: Vec<_> = need.hosts.iter().map(ToString::to_string).collect();
        return format!("{capability} to {}", hosts.join(" and "));
    }
    match Capability::parse(capability) {
        Some(Capability::Process) => format!("{capability} with commands of your choice"),
        Some(Capability::Http) => format!("{capability} to places of your choice"),
        Some(Capability::Secret | Capability::SecretReveal) => format!("{capability} {}", label(need)),
        Some(Capability::Kv) | None => capability.clone(),
    }
}

fn label(need: &Need) -> &str {
    need.label.as_ref().map_or("LABEL", |label| label.as_str())
}

/// Everything a manifest asks for, and what to do with a grant that is none of it.
pub(super) fn asked_list(manifest: &Manifest) -> String {
    if manifest.needs.is_empty() {
        return "it asks for nothing; remove that".to_owned();
    }
    let asks = manifest.needs.iter().map(asked).collect::<Vec<_>>().join(", ");
    format!("it asks for {asks}; remove that, or write what is asked for in its place,")
}
