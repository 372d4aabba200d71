//! `tctl plugins ls`: every plugin carried, configured or in the directory, and how it is.

use api::control::{Answer, Plugin, Question};
use clap::Args;
use terminal::{Column, Failure, Format, FormatArgs, Table};

use super::{ask, astray, unread};
use crate::context::Context;

/// Hexadecimal digits of a digest that are shown.
const DIGITS: usize = 12;

/// Arguments of `tctl plugins ls`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// Lists the plugins.
pub(super) async fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Answer::Plugins(plugins) = ask(context, &Question::List).await? else { return Err(astray()) };
    unread::note(context)?;
    let format = arguments.format.format;
    context.printer.list(format, &plugins, table)?;
    if format == Format::Text {
        let reasons: Vec<_> = plugins.iter().filter_map(reason).collect();
        if !reasons.is_empty() {
            context.printer.line(format!("\n{}", reasons.join("\n")))?;
        }
    }
    Ok(())
}

fn reason(plugin: &Plugin) -> Option<String> {
    let reason = domain::printable::escape(plugin.reason.as_deref()?);
    Some(format!("{}: {}: {reason}", plugin.name, plugin.state))
}

fn table(plugins: &[Plugin]) -> Table<7> {
    let mut table = Table::new([
        Column::new("Name"),
        Column::new("Version"),
        Column::new("Kind"),
        Column::new("State"),
        Column::new("Source").may_be_cut(),
        Column::new("Digest"),
        Column::new("Grants").may_be_cut(),
    ]);
    for plugin in plugins {
        let known = plugin.known.as_ref();
        let [version, kind, source, digest, grants] = match known {
            Some(known) => [
                known.version.clone(),
                kind(&known.contract).to_owned(),
                known.source.clone(),
                short(&known.digest),
                known.grants.join("; "),
            ],
            None => Default::default(),
        };
        table.row([plugin.name.clone(), version, kind, plugin.state.clone(), source, digest, grants]);
    }
    table
}

/// The kind in a contract like `teleport:label-provider@1.0.0`.
pub(super) fn kind(contract: &str) -> &str {
    let package = contract.split('@').next().unwrap_or_default();
    package.split_once(':').map_or(package, |(_, kind)| kind)
}

/// Enough of a digest to tell two apart.
pub(super) fn short(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use api::control::Known;

    use super::*;

    #[test]
    fn the_table_has_one_row_per_plugin() {
        let known = Known {
            version: "1.2.3".into(),
            description: "the load".into(),
            contract: "teleport:label-provider@1.0.0".into(),
            source: "this program".into(),
            digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
            publisher: None,
            grants: vec!["process [\"df\"]".into(), "kv".into()],
        };
        let plugin = |name: &str, state: &str, known| Plugin {
            name: name.into(),
            state: state.into(),
            reason: (state == "Refused").then(|| "it is not pinned\nand evil".to_owned()),
            known,
        };
        let plugins = [plugin("label-load", "Ready", Some(known)), plugin("label-x", "Refused", None)];
        let text = table(&plugins).render(terminal::Screen::pipe());
        let expected = [
            "Name           Version     Kind               State       Source           Digest           Grants",
            "----           -------     ----               -----       ------           ------           ------",
            "label-load     1.2.3       label-provider     Ready       this program     e3b0c44298fc     process [\"df\"]; kv",
            "label-x                                       Refused",
        ];
        assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>(), expected);
        assert_eq!(reason(&plugins[1]).unwrap(), "label-x: Refused: it is not pinned\\nand evil");
    }
}
