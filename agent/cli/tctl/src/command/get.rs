//! `tctl get`: resources as they can be written back.

use clap::Args;
use domain::resource::Kind;
use terminal::{Failure, Format};

use crate::context::{Context, Session};
use crate::listing;
use crate::record::Record;
use crate::reference::{Reference, References};

/// Arguments of `tctl get`.
///
/// Kinds: role, user, token, node, lock, cert_authority, proxy, auth_server; the plural is understood too.
#[derive(Debug, Args)]
#[command(after_help = KINDS)]
pub(crate) struct Arguments {
    /// What to print: KIND, KIND/NAME, several of them separated by commas, or `all` but the servers
    #[arg(value_name = "RESOURCES")]
    references: References,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Print tokens whole, so that `tctl create` can make them again: whoever sees one can use it
    #[arg(long)]
    with_secrets: bool,
}

/// What the help says about kinds.
const KINDS: &str = "\
Kinds: role, user, token, node, lock, cert_authority, proxy, auth_server. The plural is understood, too.

Examples:
  tctl get users
  tctl get user/joe > joe.yaml
  tctl get role/access,users --format=json
  tctl get proxies,auth_servers          where the servers of the cluster are
  tctl get all --with-secrets > backup.yaml";

/// Prints the resources.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let mut records = Vec::new();
    for reference in arguments.references.0 {
        records.extend(fetch(&session, reference).await?);
    }
    if !arguments.with_secrets {
        if records.iter().any(|record| record.kind() == Some(Kind::Token)) {
            context.note("note: tokens are cut short; --with-secrets shows them whole");
        }
        records = records.into_iter().map(Record::without_secrets).collect();
    }
    Ok(listing::print(&mut context.printer, arguments.format, &records)?)
}

async fn fetch(session: &Session, reference: Reference) -> Result<Vec<Record>, Failure> {
    let kind = reference.kind;
    let json = match reference.name {
        Some(name) => vec![session.client.get_json(kind, &name).await?],
        None => session.client.list_json(kind).await?,
    };
    Ok(json.iter().map(|json| Record::from_server(kind, json)).collect())
}
