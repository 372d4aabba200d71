//! `tctl tokens rm`: no host joins with the token any more.

use clap::Args;
use domain::printable::escape;
use domain::resource::Kind;
use terminal::{Explain, Failure};

use crate::context::Context;

/// Arguments of `tctl tokens rm`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The whole token, as `tctl tokens ls --with-secrets` prints it
    token: String,
}

/// Removes the token.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let removed = session.client.delete(Kind::Token, &arguments.token).await;
    if removed.as_ref().is_err_and(client::ClientError::is_not_found) {
        return removed
            .hint("list the tokens with: tctl tokens ls --with-secrets")
            .hint("a token of the configuration (expiry `never`) is removed there, in auth_service.tokens");
    }
    removed?;
    Ok(context.printer.line(format_args!("Token {} has been deleted", escape(&arguments.token)))?)
}
