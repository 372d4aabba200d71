//! How needs and grants are said to people, and which line to add where.

use std::fmt;

use super::super::capability::argv_text;
use super::super::{Argv, Capability, Manifest, Need, PluginName};
use super::{GrantError, Scope};

/// Where to add what, so that a plugin may run a command.
pub fn process_line(plugin: &PluginName, argv: &[String]) -> String {
    grant_line(plugin, format_args!("process: [{}]", argv_text(argv)))
}

/// Where to add what, so that a plugin may send requests to a place.
pub fn http_line(plugin: &PluginName, destination: &impl fmt::Display) -> String {
    grant_line(plugin, format_args!("http: [\"{destination}\"]"))
}

fn grant_line(plugin: &PluginName, grant: fmt::Arguments<'_>) -> String {
    format!("add under teleport.plugins.load.{plugin}.grants: {grant}")
}

/// Missing needs that are told at one time. Each is told as a whole: with a part of it the plugin would not load either.
const TOLD: usize = 9;

/// The error for a need nobody granted, and for those `further` ones.
pub(super) fn not_granted(manifest: &Manifest, need: &Need, further: &[&Need]) -> GrantError {
    let told: Vec<&Need> = [need].into_iter().chain(further.iter().copied()).take(TOLD).collect();
    let (plugin, mut also) = (manifest.name.clone(), String::new());
    for (index, need) in told.iter().enumerate().skip(1) {
        also += &format!("; it also asks for {} ({})", asked(need), need.reason);
        // One line is for all of a kind.
        if !told.iter().take(index).any(|before| share_a_line(before, need)) {
            also += &format!(": {}", missing_line(&plugin, need, &told));
        }
    }
    if told.len() <= further.len() {
        also += &format!("; and for more, which `tctl plugins explain {plugin}` shows");
    }
    let line = missing_line(&plugin, need, &told);
    GrantError::NotGranted { plugin, what: asked(need), reason: need.reason.clone(), line, also }
}

/// Whether two needs are granted by items of one key.
fn share_a_line(one: &Need, other: &Need) -> bool {
    let of_a_key = |need: &Need| !matches!(Capability::parse(&need.capability), Some(Capability::Secret));
    one.capability == other.capability && of_a_key(one)
}

/// Where to add a need, together with those of `told`, of which it is one, that are granted by the same key.
pub(super) fn missing_line(plugin: &PluginName, need: &Need, told: &[&Need]) -> String {
    let alike: Vec<&Need> = told.iter().copied().filter(|other| share_a_line(need, other)).collect();
    match Capability::parse(&need.capability) {
        Some(Capability::Http) => {
            let all: Vec<_> = alike.iter().flat_map(|need| &need.hosts).map(ToString::to_string).collect();
            if all.is_empty() {
                return http_line(plugin, &"https://HOST");
            }
            http_line(plugin, &all.join("\", \""))
        }
        Some(Capability::Secret) => format!(
            "add under teleport.plugins.load.{plugin}.secrets: {}: {{ file: /PATH, hosts: [\"https://HOST\"] }}",
            label(need)
        ),
        Some(Capability::SecretReveal) => {
            let labels: Vec<_> = alike.iter().map(|need| label(need)).collect();
            grant_line(plugin, format_args!("secret_reveal: [{}]", labels.join(", ")))
        }
        Some(Capability::Kv) => grant_line(plugin, format_args!("kv: yes")),
        Some(Capability::Process) | None => {
            let example: Argv = vec!["PROGRAM".to_owned(), "ARGUMENT".to_owned()];
            let all = alike.iter().map(|need| argv_text(need.argv.as_ref().unwrap_or(&example)));
            grant_line(plugin, format_args!("process: [{}]", all.collect::<Vec<_>>().join(", ")))
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
