//! `tctl nodes ls`: the hosts that are online, filtered, sorted by name.

use clap::Args;
use domain::label::Labels;
use domain::label::selector::{OneOrMany, Selector, SelectorText};
use domain::label::spec::{self, SpecError};
use domain::node::Node;
use domain::query::{Query, Subject};
use terminal::{Column, Failure, Format, FormatArgs, Table};

use crate::context::Context;

/// Arguments of `tctl nodes ls`.
#[derive(Debug, Args)]
#[command(after_help = QUERIES)]
pub(crate) struct Arguments {
    /// Only hosts with all of these labels: key=value,key2=value2; a value may hold `*`
    labels: Option<String>,
    /// Only hosts whose name, UUID, address or labels hold all of these words, separated by blanks or commas
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// Only hosts for which this is true: labels["env"] == "prod" && !search("old")
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Show every label whole, also those the cluster keeps for itself, and what went wrong with them
    #[arg(short, long)]
    verbose: bool,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// What the help says about queries.
const QUERIES: &str = "\
A query compares name (of the host), labels[\"key\"] or labels.key, and \"texts\" by ==, != or equals(a, b);
a label that a host lacks is empty. search(\"a\", \"b\") looks for words as --search does. Conditions are
joined by &&, || and !, and grouped by parentheses.

Examples:
  tctl nodes ls env=prod,os=debian*
  tctl nodes ls --query='labels.env == \"prod\" && (name != \"web-1\" || search(\"10.0.0\"))'";

/// Lists the nodes.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Arguments { labels, search, query, verbose, format } = arguments;
    let selector = labels.as_deref().map(selector).transpose()?;
    let query = query.as_deref().map(read_query).transpose()?;
    let words = words(search.as_deref().unwrap_or_default());
    let session = context.connect().await?;
    let mut nodes: Vec<Node> = context.list(&session).await?;
    nodes.retain(|node| {
        let fits = selector.as_ref().is_none_or(|selector| selector.matches(&node.spec.all_labels()));
        let fits = fits && query.as_ref().is_none_or(|query| answers(query, node));
        fits && holds_words(node, &words)
    });
    nodes.sort_by(|a, b| (&a.spec.hostname, a.name()).cmp(&(&b.spec.hostname, b.name())));
    if nodes.is_empty() && format.format == Format::Text {
        return Ok(context.printer.line("No nodes found")?);
    }
    match format.format {
        Format::Text if verbose => context.printer.table(&long_table(&nodes))?,
        format => context.printer.list(format, &nodes, short_table)?,
    }
    Ok(())
}

fn selector(text: &str) -> Result<Selector, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("the labels to filter by cannot be read: {error}"))
    };
    let spec = spec::parse(text).map_err(|error| match error {
        SpecError::NoValue(entry) => wrong(&format!("{entry:?} has no value; write key=value")),
        error => wrong(&error),
    })?;
    if let Some(label) = spec.dynamic.first() {
        return Err(wrong(&format!("{:?} holds a command; filter by its value instead", label.name)));
    }
    let pairs = spec.fixed.iter();
    let pairs: SelectorText =
        pairs.map(|(key, value)| (key.to_owned(), OneOrMany(vec![value.to_owned()]))).collect();
    if pairs.is_empty() {
        return Err(wrong(&"they are empty; write key=value"));
    }
    Selector::new(&pairs).map_err(|error| wrong(&error))
}

fn read_query(text: &str) -> Result<Query, Failure> {
    let wrong = |error| Failure::usage(format!("--query cannot be read: {error}"));
    Query::parse(text).map_err(wrong)
}

fn answers(query: &Query, node: &Node) -> bool {
    let (labels, text) = (node.spec.all_labels(), text(node));
    query.matches(Subject { name: &node.spec.hostname, labels: &labels, text: &text })
}

fn words(text: &str) -> Vec<String> {
    let words = text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn holds_words(node: &Node, words: &[String]) -> bool {
    let text = text(node).to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

/// What words are looked for in.
fn text(node: &Node) -> String {
    let spec = &node.spec;
    format!("{}\n{}\n{}\n{}", spec.hostname, node.name(), spec.addr, spec.all_labels())
}

fn short_table(nodes: &[Node]) -> Table<5> {
    let mut table = Table::new([
        Column::new("Host"),
        Column::new("UUID"),
        Column::new("Public Address"),
        Column::new("Labels").may_be_cut(),
        Column::new("Version"),
    ]);
    for node in nodes {
        table.row(row(node, &node.spec.all_labels().without_internal()));
    }
    table
}

fn long_table(nodes: &[Node]) -> Table<6> {
    let mut table = Table::new([
        Column::new("Host"),
        Column::new("UUID"),
        Column::new("Public Address"),
        Column::new("Labels"),
        Column::new("Version"),
        Column::new("Label Errors"),
    ]);
    for node in nodes {
        let [host, uuid, address, labels, version] = row(node, &node.spec.all_labels());
        table.row([host, uuid, address, labels, version, node.spec.cmd_label_errors.to_string()]);
    }
    table
}

fn row(node: &Node, labels: &Labels) -> [String; 5] {
    let spec = &node.spec;
    let address = spec.public_address().to_owned();
    [spec.hostname.clone(), node.name().to_owned(), address, labels.to_string(), spec.version.clone()]
}

#[cfg(test)]
mod tests {
    use domain::node::NodeSpec;

    use super::*;

    fn node() -> Node {
        let spec = NodeSpec {
            hostname: "turing".into(),
            addr: "10.1.0.15:3022".into(),
            use_tunnel: false,
            labels: [("distro", "ubuntu"), ("teleport.internal/invalid-hostname", "a_b")]
                .into_iter()
                .collect(),
            cmd_labels: [("uptime", "up 1 hour, 15 minutes")].into_iter().collect(),
            cmd_label_errors: [("kernel", "exit status 1")].into_iter().collect(),
            version: "0.1.0".into(),
        };
        Node::new("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f", spec)
    }

    fn selects(text: &str) -> bool {
        selector(text).unwrap().matches(&node().spec.all_labels())
    }

    #[test]
    fn labels_filter_by_value_and_pattern() {
        assert!(selects("distro=ubuntu"));
        assert!(selects("distro=ub*,uptime=\"up 1 hour, 15 minutes\""));
        assert!(!selects("distro=ubuntu,env=prod"));
        for wrong in ["distro", "", "a=[1m:x]", "a=1,a=2", "distro=^(x$"] {
            assert_eq!(selector(wrong).unwrap_err().code(), 2, "{wrong}");
        }
    }

    #[test]
    fn words_are_looked_for_everywhere_and_all_needed() {
        let found = |text: &str| holds_words(&node(), &words(text));
        assert!(found("") && found("TURING") && found("ubuntu, 10.1.0.15") && found("d52527f9 hour"));
        assert!(!found("turing debian"));
    }

    #[test]
    fn queries_see_the_host_name_every_label_and_all_that_words_do() {
        let holds = |text: &str| answers(&read_query(text).unwrap(), &node());
        assert!(holds(r#"name == "turing" && labels.distro == "ubuntu""#));
        assert!(holds(r#"labels["uptime"] != "" && search("D52527F9", "10.1.0.15")"#));
        assert!(!holds(r#"name == "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f""#));
        let failure = read_query("name = 'x'").unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.render().contains("--query cannot be read: column 6: "), "{}", failure.render());
    }

    #[test]
    fn the_clusters_own_labels_and_errors_show_on_demand() {
        let screen = terminal::Screen::pipe();
        let short = short_table(&[node()]).render(screen);
        assert!(short.contains("distro=ubuntu,uptime=up 1 hour, 15 minutes     0.1.0\n"), "{short}");
        assert!(!short.contains("internal") && !short.contains("exit status"), "{short}");
        let long = long_table(&[node()]).render(screen);
        assert!(long.contains("teleport.internal/invalid-hostname=a_b"), "{long}");
        assert!(long.contains("kernel=exit status 1"), "{long}");
        let narrow = terminal::Screen::terminal(60);
        assert!(long_table(&[node()]).render(narrow).contains("15 minutes"));
        assert!(!short_table(&[node()]).render(narrow).contains("15 minutes"));
    }
}
