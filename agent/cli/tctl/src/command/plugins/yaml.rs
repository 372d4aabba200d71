//! What an operator writes about a plugin of which nothing is written yet: everything it asks for.

use domain::plugin::capability::argv_text;
use domain::plugin::{Capability, Manifest, Need};

use super::install::Trust;
use super::lacking::Beyond;

/// The lines for `teleport.yaml`. What the operator has to choose is in capitals, or has a comment.
pub(super) fn section(manifest: &Manifest, trust: &Trust, pin: &str, limits: &[Beyond]) -> String {
    let vouched = match trust {
        Trust::Publisher(name) | Trust::KnownPublisher(name) => format!("publishers: [{name}]"),
        Trust::Pinned | Trust::Nobody => format!("digest: {pin}"),
    };
    let mut lines = vec![
        "teleport:".to_owned(),
        "  plugins:".to_owned(),
        "    load:".to_owned(),
        format!("      {}:", manifest.name),
        format!("        {vouched}"),
    ];
    let of = |capability: Capability| {
        manifest.needs.iter().filter(move |need| need.capability == capability.key()).collect::<Vec<_>>()
    };
    let secrets = of(Capability::Secret);
    let labels = secrets.iter().filter_map(|need| need.label.as_ref());
    let required = manifest.config.0.iter().filter(|(_, key)| key.required);
    for (part, inner) in [
        ("grants", grants(&of)),
        (
            "secrets",
            labels.map(|label| format!("{label}: {{ file: /PATH, hosts: [\"https://HOST\"] }}")).collect(),
        ),
        ("limits", limits.iter().map(Beyond::line).collect()),
        ("config", required.map(|(name, key)| key.line(name)).collect()),
    ] {
        if !inner.is_empty() {
            lines.push(format!("        {part}:"));
            lines.extend(inner.iter().map(|line| format!("          {line}")));
        }
    }
    lines.join("\n")
}

fn grants<'a>(of: &impl Fn(Capability) -> Vec<&'a Need>) -> Vec<String> {
    let mut lines = Vec::new();
    let commands: Vec<_> = of(Capability::Process)
        .iter()
        .map(|need| {
            need.argv.as_ref().map_or_else(|| "[PROGRAM, ARGUMENT]".to_owned(), |argv| argv_text(argv))
        })
        .collect();
    if !commands.is_empty() {
        lines.push(format!("process: [{}]", commands.join(", ")));
    }
    let http = of(Capability::Http);
    let mut places: Vec<_> =
        http.iter().flat_map(|need| &need.hosts).map(|host| format!("\"{host}\"")).collect();
    if http.iter().any(|need| need.hosts.is_empty()) {
        places.push("\"https://HOST\"".to_owned());
    }
    if !places.is_empty() {
        lines.push(format!("http: [{}]", places.join(", ")));
    }
    let labels: Vec<_> = of(Capability::SecretReveal)
        .iter()
        .filter_map(|need| need.label.as_ref())
        .map(ToString::to_string)
        .collect();
    if !labels.is_empty() {
        lines.push(format!("secret_reveal: [{}]", labels.join(", ")));
    }
    if !of(Capability::Kv).is_empty() {
        lines.push("kv: yes".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use domain::plugin::Grant;
    use domain::plugin::effective;
    use domain::plugin::{ContractKind, limit};

    use super::*;
    use crate::command::plugins::lacking::limits_beyond;

    #[test]
    fn the_lines_are_enough_for_all_that_is_asked_for() {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "name": "label-x", "version": "1", "contract": "teleport:label-provider@1.0.0", "description": "x",
            "needs": [
                { "capability": "process", "argv": ["df", "-h"], "reason": "x" },
                { "capability": "process", "reason": "x" },
                { "capability": "http", "hosts": ["https://a.example.com", "https://b.example.com:8443"], "reason": "x" },
                { "capability": "secret", "label": "api", "reason": "x" },
                { "capability": "secret_reveal", "label": "api", "reason": "x" },
                { "capability": "kv", "reason": "x" },
            ],
            "limits": { "kv_bytes": "16MiB", "memory": "1MiB", "wall": "20s" },
            "config": {
                "city": { "type": "text", "required": true, "description": "whose weather: it's \"here\" #1" },
                "cities": { "type": "list", "required": true, "description": "whose weather" },
                "days": { "type": "number", "required": true, "description": "how many" },
                "units": { "type": "text", "default": "m", "description": "metric or not" },
            },
        }))
        .unwrap();
        let pin = format!("sha256:{}", "0".repeat(64));
        let yaml = section(&manifest, &Trust::Nobody, &pin, &limits_beyond(&manifest).unwrap());
        let settings = config::check(&yaml, "t.yaml").unwrap();
        let plugin = settings.plugins.load.values().next().unwrap();
        let mut grants = plugin.grants.clone();
        grants.extend(plugin.secrets.keys().cloned().map(Grant::secret));
        assert!(effective(&manifest, &grants).is_ok(), "{yaml}");
        assert_eq!(plugin.digests.len(), 1);
        let kind = ContractKind::LabelProvider;
        let limits = limit::resolve(kind, &manifest.name, &manifest.limits, &plugin.limits).unwrap();
        assert_eq!((limits.kv_bytes, limits.memory, limits.wall), (16 << 20, 1 << 20, 20_000));
        assert_eq!(manifest.config.faults(&manifest.name, &plugin.config), [], "{yaml}");
        assert!(yaml.contains("city: TEXT  # whose weather: it's \"here\" #1"), "{yaml}");
        assert!(!yaml.contains("memory") && !yaml.contains("units"), "what needs no word has none: {yaml}");
    }
}
