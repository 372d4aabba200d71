//! `tctl plugins inspect`: one plugin of this host as the daemon knows it, or a file or artifact as it says
//! of itself.

use api::control::{Answer, Plugin, Question};
use clap::Args;
use domain::plugin::grant::need_text;
use domain::plugin::{ContractKind, Limits, Manifest, configuration};
use domain::printable::escape;
use serde::Serialize;
use terminal::{Failure, FormatArgs};

use super::arrival::{Arrival, SourceArgs, is_source};
use super::install::{Trust, known_publishers, written};
use super::{ask, astray};
use crate::context::Context;

/// Arguments of `tctl plugins inspect`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A plugin of this host, a file, or oci://HOST/REPOSITORY[:TAG|@sha256:…]
    #[arg(value_name = "NAME|FILE|oci://…")]
    what: String,
    /// How a registry is reached.
    #[command(flatten)]
    source: SourceArgs,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// A plugin that is not installed by this.
#[derive(Debug, Serialize)]
struct Inspected {
    name: String,
    version: String,
    contract: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<String>,
    from: String,
    digest: String,
    /// Whether the daemon would take it by what the configuration says.
    trust: String,
    needs: Vec<Need>,
    /// Limits it wants other than the default.
    limits: Vec<Limit>,
    /// What it reads of its configuration.
    config: Vec<Key>,
    imports: Vec<String>,
    exports: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Need {
    what: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Limit {
    key: String,
    wanted: String,
    default: String,
}

#[derive(Debug, Serialize)]
struct Key {
    key: String,
    /// What it takes, in words.
    takes: &'static str,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    description: String,
}

/// Shows a plugin.
pub(super) async fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let format = arguments.format.format;
    if is_source(&arguments.what) {
        let arrival = arguments.source.look(&arguments.what, context).await?;
        let inspected = inspected(&arrival, context)?;
        return Ok(context.printer.record(format, &inspected, text)?);
    }
    let Answer::Plugins(plugins) = ask(context, &Question::List).await? else { return Err(astray()) };
    let Some(plugin) = plugins.into_iter().find(|plugin| plugin.name == arguments.what) else {
        let failure = Failure::new(format!("there is no plugin {:?} on this host", arguments.what));
        return Err(
            failure.hint("tctl plugins ls lists them; a file is written with its folder, like ./plugin.wasm")
        );
    };
    Ok(context.printer.record(format, &plugin, known_text)?)
}

fn inspected(arrival: &Arrival, context: &Context<'_>) -> Result<Inspected, Failure> {
    let Arrival { delivery, from } = arrival;
    let manifest = delivery.manifest();
    let settings = context.place.settings()?;
    let trust = match delivery.vouched(&written(&settings, &manifest.name), &known_publishers(&settings)) {
        Ok(publisher) => Trust::of(publisher.as_ref(), &settings, manifest, delivery.digest()).to_string(),
        Err(error) => format!("not trusted: {}", Failure::from(error).chain()),
    };
    let need = |need: &domain::plugin::Need| Need { what: need_text(need), reason: need.reason.clone() };
    Ok(Inspected {
        name: manifest.name.to_string(),
        version: manifest.version.clone(),
        contract: manifest.contract.to_string(),
        description: manifest.description.clone(),
        homepage: manifest.homepage.clone(),
        from: from.clone(),
        digest: delivery.digest().to_string(),
        trust,
        needs: manifest.needs.iter().map(need).collect(),
        limits: limits(manifest)?,
        config: manifest.config.0.iter().map(key).collect(),
        imports: delivery.imports().to_vec(),
        exports: delivery.exports().to_vec(),
    })
}

fn limits(manifest: &Manifest) -> Result<Vec<Limit>, Failure> {
    let defaults = Limits::of(ContractKind::serving(&manifest.contract)?);
    let limit = |(key, wanted): (&String, &String)| {
        let (key, default) = (key.clone(), defaults.written(key));
        Limit { key, wanted: wanted.clone(), default }
    };
    Ok(manifest.limits.iter().map(limit).collect())
}

fn key((key, read): (&String, &configuration::Key)) -> Key {
    let (key, takes, required) = (key.clone(), read.kind.form(), read.required);
    Key { key, takes, required, default: read.default.clone(), description: read.description.clone() }
}

fn text(inspected: &Inspected) -> String {
    let mut lines = rows(&[
        ("Name", &inspected.name),
        ("Version", &inspected.version),
        ("Contract", &inspected.contract),
        ("Description", &inspected.description),
        ("Homepage", inspected.homepage.as_deref().unwrap_or_default()),
        ("From", &inspected.from),
        ("Digest", &inspected.digest),
        ("Trust", &inspected.trust),
    ]);
    lines.push(if inspected.needs.is_empty() { "It asks for nothing." } else { "It asks for:" }.to_owned());
    lines.extend(
        inspected.needs.iter().map(|need| format!("  {} ({})", escape(&need.what), escape(&need.reason))),
    );
    if !inspected.limits.is_empty() {
        lines.push("It wants these limits:".to_owned());
        let limits = inspected.limits.iter();
        lines.extend(limits.map(|Limit { key, wanted, default }| {
            format!("  {}: {} (default {default})", escape(key), escape(wanted))
        }));
    }
    if !inspected.config.is_empty() {
        lines.push("It reads of its configuration:".to_owned());
        lines.extend(inspected.config.iter().map(|key| format!("  {}", key_text(key))));
    }
    lines.join("\n")
}

fn key_text(Key { key, takes, required, default, description }: &Key) -> String {
    let holds = match default {
        _ if *required => ", required".to_owned(),
        Some(default) => format!(", default {default:?}"),
        None => String::new(),
    };
    format!("{key}: {takes}{holds} ({})", escape(description))
}

fn known_text(plugin: &Plugin) -> String {
    let mut shown = vec![("Name", plugin.name.as_str()), ("State", &plugin.state)];
    shown.extend(plugin.reason.as_deref().map(|reason| ("Reason", reason)));
    if let Some(known) = &plugin.known {
        shown.extend([
            ("Version", known.version.as_str()),
            ("Contract", &known.contract),
            ("Description", &known.description),
            ("Source", &known.source),
            ("Digest", &known.digest),
            ("Publisher", known.publisher.as_deref().unwrap_or_default()),
        ]);
        shown.extend(known.grants.iter().map(|grant| ("Grant", grant.as_str())));
    }
    rows(&shown).join("\n")
}

/// What is empty is left out.
fn rows(rows: &[(&str, &str)]) -> Vec<String> {
    let shown = rows.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(name, value)| format!("{name:13}{}", escape(value))).collect()
}
