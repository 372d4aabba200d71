//! `tctl plugins explain`: asked, granted and used, side by side, with what to change.

use api::control::{Answer, Explained, Item, Question};
use clap::Args;
use domain::printable::escape;
use terminal::{Column, Failure, Format, FormatArgs, Table};

use super::{ask, astray, unread};
use crate::context::Context;

/// Arguments of `tctl plugins explain`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The plugin
    name: String,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// Explains a plugin.
pub(super) async fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let question = Question::Explain { name: arguments.name.clone() };
    let Answer::Explained(explained) = ask(context, &question).await? else { return Err(astray()) };
    unread::note(context)?;
    let format = arguments.format.format;
    if format != Format::Text {
        return Ok(context.printer.record(format, &explained, |_| String::new())?);
    }
    context.printer.line(heading(&explained))?;
    if !explained.items.is_empty() {
        context.printer.line("")?;
        context.printer.table(&table(&explained))?;
    }
    for line in below(&explained) {
        context.printer.line(line)?;
    }
    Ok(())
}

fn heading(explained: &Explained) -> String {
    let plugin = &explained.plugin;
    let mut text = match &plugin.known {
        Some(known) => {
            format!("{} {} from {}: {}", plugin.name, known.version, known.source, plugin.state)
        }
        None => format!("{}: {}", plugin.name, plugin.state),
    };
    if let Some(reason) = &plugin.reason {
        text.push_str(&format!("\n  {}", escape(reason)));
    }
    let served = plugin.known.as_ref().map(|known| &known.version);
    match &explained.asking_version {
        Some(version) if explained.asking_other => {
            let is_same = served.is_some_and(|served| served == version);
            let which = if is_same { "the other file of version" } else { "version" };
            text.push_str(&format!("\n  below: what {which} {version} asks for, which is not served yet"));
        }
        Some(_) => {}
        None => text.push_str(
            "\n  what it asks for is not known: its file is read once somebody vouches for it; look into it with `tctl plugins inspect FILE`",
        ),
    }
    if explained.asking_version.is_some() && explained.items.is_empty() {
        text.push_str("\n  it asks for nothing and is granted nothing");
    }
    text
}

fn table(explained: &Explained) -> Table<5> {
    let mut table = Table::new([
        Column::new("What"),
        Column::new("Asked, because").may_be_cut(),
        Column::new("State"),
        Column::new("Granted").may_be_cut(),
        Column::new("Used"),
    ]);
    for item in &explained.items {
        let reason = item.reason.clone().unwrap_or_else(|| "(not asked for)".to_owned());
        let granted = item.granted.join("; ");
        table.row([item.what.clone(), reason, item.meeting.clone(), granted, times(item)]);
    }
    table
}

fn times(item: &Item) -> String {
    match item.used.iter().map(|used| used.times).sum::<u64>() {
        0 => "no".to_owned(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    }
}

/// What has been used in detail, and what to change.
fn below(explained: &Explained) -> Vec<String> {
    let mut lines = Vec::new();
    let used: Vec<_> = explained.items.iter().flat_map(|item| &item.used).collect();
    if !used.is_empty() {
        lines.push(format!("\nUsed since {:.0}, when the daemon started:", explained.since));
        lines.extend(used.iter().map(|used| format!("  {} ({})", escape(&used.what), used.times)));
    }
    if explained.further_uses > 0 {
        lines.push(format!("  and {} more that are not told apart", explained.further_uses));
    }
    let changes: Vec<_> = explained.items.iter().filter_map(|item| item.change.as_ref()).collect();
    if !changes.is_empty() {
        lines.push("\nSo that both meet, as far as you agree, in teleport.yaml:".to_owned());
        lines.extend(changes.iter().map(|change| format!("  {}", escape(change))));
        lines.push("The daemon reads it when it starts.".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use api::control::{Plugin, Used};
    use domain::Timestamp;

    use super::*;

    #[test]
    fn a_refused_plugin_is_explained_with_the_line_to_add() {
        let item = |what: &str, meeting: &str, change: Option<&str>, used| Item {
            what: what.into(),
            reason: Some("reads the load".into()),
            meeting: meeting.into(),
            granted: Vec::new(),
            change: change.map(str::to_owned),
            used,
        };
        let explained = Explained {
            plugin: Plugin {
                name: "label-x".into(),
                state: "Refused".into(),
                reason: Some("why".into()),
                known: None,
            },
            asking_version: Some("1.0.0".into()),
            asking_other: false,
            items: vec![
                item("process [\"df\"]", "not granted", Some("add it"), vec![]),
                item("kv", "granted", None, vec![Used { what: "kv".into(), times: 3 }]),
            ],
            since: Timestamp::UNIX_EPOCH,
            further_uses: 0,
        };
        assert_eq!(heading(&explained), "label-x: Refused\n  why");
        let text = table(&explained).render(terminal::Screen::pipe());
        assert!(text.lines().nth(2).unwrap().contains("not granted"), "{text}");
        assert!(text.lines().nth(3).unwrap().ends_with("3 times"), "{text}");
        let expected = [
            "\nUsed since 1970-01-01T00:00:00Z, when the daemon started:",
            "  kv (3)",
            "\nSo that both meet, as far as you agree, in teleport.yaml:",
            "  add it",
            "The daemon reads it when it starts.",
        ];
        assert_eq!(below(&explained), expected);
    }

    #[test]
    fn which_file_asks_is_said_where_it_is_not_the_one_that_is_served() {
        let known = |version: &str| api::control::Known {
            version: version.into(),
            description: String::new(),
            contract: "teleport:label-provider@1.0.0".into(),
            source: "/plugins/label-x/plugin.wasm".into(),
            digest: String::new(),
            publisher: None,
            grants: Vec::new(),
        };
        let heading = |served, asking_other| {
            let plugin = Plugin {
                name: "label-x".into(),
                state: "Behind".into(),
                reason: None,
                known: Some(known(served)),
            };
            let item = Item {
                what: "kv".into(),
                reason: None,
                meeting: "granted".into(),
                granted: Vec::new(),
                change: None,
                used: Vec::new(),
            };
            heading(&Explained {
                plugin,
                asking_version: Some("2.0.0".into()),
                asking_other,
                items: vec![item],
                since: Timestamp::UNIX_EPOCH,
                further_uses: 0,
            })
        };
        assert!(heading("1.0.0", true).ends_with("what version 2.0.0 asks for, which is not served yet"));
        let same = heading("2.0.0", true);
        assert!(same.ends_with("what the other file of version 2.0.0 asks for, which is not served yet"));
        assert!(!heading("2.0.0", false).contains("below"));
    }
}
