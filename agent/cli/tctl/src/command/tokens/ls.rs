//! `tctl tokens ls`: the tokens that can still be used, those that end first at the end.

use clap::Args;
use domain::Timestamp;
use domain::identity::SystemRole;
use domain::label::Labels;
use domain::token::{StaticToken, Token};
use serde::Serialize;
use terminal::{Column, Failure, Format, FormatArgs, Table};

use crate::context::Context;
use crate::record::redacted;

/// Arguments of `tctl tokens ls`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show tokens whole: whoever sees one can use it
    #[arg(long)]
    with_secrets: bool,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// A token as it is listed.
#[derive(Debug, PartialEq, Serialize)]
struct Listed {
    /// Cut short unless secrets are asked for.
    token: String,
    roles: Vec<SystemRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invites_user: Option<String>,
    labels: Labels,
    /// Never when absent.
    expires: Option<Timestamp>,
    /// Whether it stands in the configuration.
    r#static: bool,
}

/// Lists the tokens.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let mut tokens: Vec<Listed> = configured(context)?.into_iter().map(Listed::from).collect();
    let now = context.now();
    let dynamic = context.list::<domain::token::TokenSpec>(&session).await?;
    tokens.extend(dynamic.into_iter().filter(|token| !token.is_expired(now)).map(Listed::from));
    tokens.sort_by(|a, b| (a.expires, &a.token).cmp(&(b.expires, &b.token)));
    if !arguments.with_secrets {
        tokens.iter_mut().for_each(|token| token.token = redacted(&token.token));
    }
    let format = arguments.format.format;
    if tokens.is_empty() && format == Format::Text {
        return Ok(context.printer.line("No active tokens found.")?);
    }
    Ok(context.printer.list(format, &tokens, |tokens| table(tokens, now))?)
}

/// The tokens of the configuration. One in a file that cannot be read is noted: it must not hide the
/// others.
fn configured(context: &mut Context<'_>) -> Result<Vec<StaticToken>, Failure> {
    let settings = context.place.settings()?;
    let mut tokens = Vec::new();
    for source in settings.auth.iter().flat_map(|auth| &auth.tokens) {
        match source.read(&config::read_file) {
            Ok(token) => tokens.push(token),
            Err(error) => {
                context.note(format_args!("note: a token of the configuration is left out: {error}"))
            }
        }
    }
    Ok(tokens)
}

impl From<StaticToken> for Listed {
    fn from(token: StaticToken) -> Self {
        Self {
            token: token.value.reveal_str().unwrap_or_default().to_owned(),
            roles: token.roles,
            invites_user: None,
            labels: Labels::default(),
            expires: None,
            r#static: true,
        }
    }
}

impl From<Token> for Listed {
    fn from(token: Token) -> Self {
        Self {
            roles: token.spec.roles,
            invites_user: token.spec.invites_user,
            labels: token.spec.suggested_labels,
            expires: token.metadata.expires,
            token: token.metadata.name,
            r#static: false,
        }
    }
}

impl Listed {
    fn r#type(&self) -> String {
        if self.invites_user.is_some() {
            return "User signup".to_owned();
        }
        self.roles.iter().map(|role| role.title()).collect::<Vec<_>>().join(",")
    }

    /// The labels; before them, whom it invites.
    fn labels(&self) -> String {
        let invited = self.invites_user.as_ref().map(|user| format!("invites {user}"));
        let labels = (!self.labels.is_empty()).then(|| self.labels.to_string());
        invited.into_iter().chain(labels).collect::<Vec<_>>().join(",")
    }
}

fn table(tokens: &[Listed], now: Timestamp) -> Table<4> {
    let mut table = Table::new([
        Column::new("Token"),
        Column::new("Type"),
        Column::new("Labels").may_be_cut(),
        Column::new("Expiry Time (UTC)"),
    ]);
    for token in tokens {
        let expiry = terminal::expiry(token.expires, now);
        table.row([token.token.clone(), token.r#type(), token.labels(), expiry]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_columns_of_the_manual() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let fixed =
            StaticToken { roles: vec![SystemRole::Proxy, SystemRole::Node], value: "eoKoh0caiw6we".into() };
        let spec = |user: Option<&str>| domain::token::TokenSpec {
            roles: if user.is_some() { vec![] } else { vec![SystemRole::Node] },
            join_method: domain::token::JoinMethod::Token,
            suggested_labels: [("env", "dev")].into_iter().collect(),
            invites_user: user.map(str::to_owned),
        };
        let node = Token::new("696c0471", spec(None)).expiring(Some(at("2026-11-21T03:51:00Z")));
        let user = Token::new("6fc5545a", spec(Some("joe"))).expiring(Some(at("2026-11-21T04:24:00Z")));
        let text = table(&[fixed.into(), node.into(), user.into()], at("2026-11-21T03:21:48Z"))
            .render(terminal::Screen::pipe());
        let expected = [
            "Token             Type            Labels                  Expiry Time (UTC)",
            "-----             ----            ------                  -----------------",
            "eoKoh0caiw6we     Proxy,Node                              never",
            "696c0471          Node            env=dev                 21 Nov 26 03:51 UTC (29m12s)",
            "6fc5545a          User signup     invites joe,env=dev     21 Nov 26 04:24 UTC (1h2m12s)",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
