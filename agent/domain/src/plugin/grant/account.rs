//! Everything that is asked, granted and used, side by side: for the operator who decides, where
//! [`effective`](super::effective) stops at the first difference.

use std::fmt;

use super::super::capability::argv_text;
use super::super::destination::Target;
use super::super::{Argv, Capability, Manifest, Need, PluginName, SecretLabel};
use super::{Grant, Scope, both, is_met, wording};

/// One thing that is asked for, granted, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub what: String,
    /// The reason the manifest gives; none where it does not ask.
    pub reason: Option<String>,
    /// Whether manifest and configuration meet.
    pub meeting: Meeting,
    /// What the configuration grants of it, one line each.
    pub granted: Vec<String>,
    /// What to change in `teleport.yaml` so that they meet.
    pub change: Option<String>,
    /// Which of the uses, by their place in the list, fall under it.
    pub uses: Vec<usize>,
}

/// Whether manifest and configuration meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// Asked for and granted.
    Granted,
    /// Asked for and not granted, or not all of it.
    NotGranted,
    /// Granted and not asked for.
    NotAsked,
    /// No host knows what it is.
    Unknown,
}

impl Meeting {
    /// In a word or two.
    pub fn key(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::NotGranted => "not granted",
            Self::NotAsked => "not asked for",
            Self::Unknown => "unknown",
        }
    }
}

/// Something a plugin did with what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// It ran a program.
    Process(Argv),
    /// It sent a request.
    Http(Target),
    /// It opened a secret.
    Secret(SecretLabel),
    /// It saw a secret.
    SecretReveal(SecretLabel),
    /// It read or kept something.
    Kv,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(argv) => write!(f, "{} {}", Capability::Process, argv_text(argv)),
            Self::Http(target) => write!(f, "{} to {target}", Capability::Http),
            Self::Secret(label) => write!(f, "{} {label}", Capability::Secret),
            Self::SecretReveal(label) => write!(f, "{} {label}", Capability::SecretReveal),
            Self::Kv => f.write_str(Capability::Kv.key()),
        }
    }
}

impl Use {
    fn falls_under(&self, need: &Need) -> bool {
        let of = |capability: Capability| need.capability == capability.key();
        match self {
            Self::Process(argv) => {
                of(Capability::Process) && need.argv.as_ref().is_none_or(|asked| asked == argv)
            }
            Self::Http(target) => {
                of(Capability::Http)
                    && (need.hosts.is_empty() || need.hosts.iter().any(|host| host.covers(target)))
            }
            Self::Secret(label) => of(Capability::Secret) && need.label.as_ref() == Some(label),
            Self::SecretReveal(label) => of(Capability::SecretReveal) && need.label.as_ref() == Some(label),
            Self::Kv => of(Capability::Kv),
        }
    }
}

/// Needs in the order of the manifest, then what is granted beside them.
pub fn account(manifest: &Manifest, grants: &[Grant], uses: &[Use]) -> Vec<Item> {
    let plugin = &manifest.name;
    let asked = manifest.needs.iter().map(|need| of_need(manifest, need, grants, uses));
    let beside = grants.iter().filter(|grant| manifest.needs.iter().all(|need| both(need, grant).is_empty()));
    asked.chain(beside.map(|grant| of_grant(plugin, grant))).collect()
}

/// What a need is for, in a few words.
pub fn need_text(need: &Need) -> String {
    wording::asked(need)
}

fn of_need(manifest: &Manifest, need: &Need, grants: &[Grant], uses: &[Use]) -> Item {
    let known = Capability::parse(&need.capability);
    let scopes = grants.iter().flat_map(|grant| both(need, grant));
    let granted = scopes.filter_map(|scope| Some(wording::granted(known?, &scope))).collect();
    let (meeting, change) = match known {
        None => (Meeting::Unknown, None),
        Some(_) if is_met(need, grants) => (Meeting::Granted, None),
        Some(_) => (Meeting::NotGranted, Some(wording::missing_line(&manifest.name, need, &[need]))),
    };
    let uses = uses.iter().enumerate().filter(|(_, used)| used.falls_under(need));
    Item {
        what: wording::asked(need),
        reason: Some(need.reason.clone()),
        meeting,
        granted,
        change,
        uses: uses.map(|(index, _)| index).collect(),
    }
}

fn of_grant(plugin: &PluginName, grant: &Grant) -> Item {
    let (what, meeting) = match Capability::parse(&grant.capability) {
        Some(capability) => (wording::granted(capability, &grant.scope), Meeting::NotAsked),
        None => (grant.capability.clone(), Meeting::Unknown),
    };
    let change = Some(removal(plugin, grant));
    Item { granted: vec![what.clone()], what, reason: None, meeting, change, uses: Vec::new() }
}

/// Where to remove what.
fn removal(plugin: &PluginName, grant: &Grant) -> String {
    let (at, key) = (format!("teleport.plugins.load.{plugin}"), &grant.capability);
    match &grant.scope {
        Scope::Argv(argv) => format!("remove under {at}.grants: process: [{}]", argv_text(argv)),
        Scope::Http(scope) => format!("remove under {at}.grants: http: [\"{}\"]", scope.destination),
        Scope::Secret(label) if *key == Capability::Secret.key() => {
            format!("remove under {at}.secrets: {label}")
        }
        Scope::Secret(label) => format!("remove under {at}.grants: {key}: [{label}]"),
        Scope::Configured | Scope::Whole => format!("remove under {at}.grants: {key}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::Destination;

    fn manifest(needs: serde_json::Value) -> Manifest {
        serde_json::from_value(json!({
            "name": "label-x", "version": "1", "contract": "teleport:label-provider@1.0.0",
            "description": "x", "needs": needs,
        }))
        .unwrap()
    }

    fn argv(words: &[&str]) -> Argv {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn every_difference_is_shown_with_its_line() {
        let manifest = manifest(json!([
            { "capability": "process", "argv": ["uptime"], "reason": "reads the load" },
            { "capability": "process", "argv": ["df", "-h"], "reason": "reads the disks" },
            { "capability": "secret", "label": "api", "reason": "signs in" },
            { "capability": "teleportation", "reason": "magic" },
        ]));
        let grants = [Grant::process(argv(&["df", "-h"])), Grant::process(argv(&["id"])), Grant::kv()];
        let items = account(&manifest, &grants, &[Use::Process(argv(&["df", "-h"])), Use::Kv]);
        let shown: Vec<_> = items
            .iter()
            .map(|item| (item.what.as_str(), item.meeting.key(), item.change.as_deref().unwrap_or_default()))
            .collect();
        let expected = [
            (
                r#"process ["uptime"]"#,
                "not granted",
                r#"add under teleport.plugins.load.label-x.grants: process: [["uptime"]]"#,
            ),
            (r#"process ["df", "-h"]"#, "granted", ""),
            (
                "secret api",
                "not granted",
                r#"add under teleport.plugins.load.label-x.secrets: api: { file: /PATH, hosts: ["https://HOST"] }"#,
            ),
            ("teleportation", "unknown", ""),
            (
                r#"process ["id"]"#,
                "not asked for",
                r#"remove under teleport.plugins.load.label-x.grants: process: [["id"]]"#,
            ),
            ("kv", "not asked for", "remove under teleport.plugins.load.label-x.grants: kv"),
        ];
        assert_eq!(shown, expected);
        assert_eq!(items[1].uses, [0]);
        assert_eq!(items[4].granted, [r#"process ["id"]"#], "though it is of no use");
        assert!(items.iter().enumerate().all(|(index, item)| index == 1 || item.uses.is_empty()));
    }

    #[test]
    fn a_need_of_several_places_is_met_when_each_is() {
        let manifest = manifest(json!([
            { "capability": "http", "hosts": ["https://a.example.com", "https://b.example.com"], "reason": "asks" },
        ]));
        let grant = |url| Grant::http(Destination::parse(url).unwrap(), false);
        let used = Use::Http(Target::parse("https", "a.example.com").unwrap());
        let one = account(&manifest, &[grant("https://a.example.com")], std::slice::from_ref(&used));
        assert_eq!((one[0].meeting, one[0].granted.len(), one[0].uses.len()), (Meeting::NotGranted, 1, 1));
        let both = [grant("https://a.example.com"), grant("https://b.example.com")];
        let items = account(&manifest, &both, &[]);
        assert_eq!((items.len(), items[0].meeting, items[0].granted.len()), (1, Meeting::Granted, 2));
    }

    #[test]
    fn an_account_without_differences_is_what_is_effective() {
        let manifest = manifest(json!([{ "capability": "kv", "reason": "remembers" }]));
        for grants in [vec![], vec![Grant::kv()], vec![Grant::kv(), Grant::process_configured()]] {
            let meets = account(&manifest, &grants, &[]).iter().all(|item| item.meeting == Meeting::Granted);
            assert_eq!(meets, super::super::effective(&manifest, &grants).is_ok(), "{grants:?}");
        }
    }
}
