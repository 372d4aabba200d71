//! `tctl tokens rm`: no host joins with the token any more.
//!
//! A token may be named by its beginning. What is printed of one is what was typed, never more of it.

use clap::Args;
use domain::printable::escape;
use domain::resource::Kind;
use domain::token::{Token, TokenSpec};
use terminal::{Explain, Failure};

use crate::context::{Context, Session};
use crate::record::{is_cut, redacted};

/// The characters of a token that was made up.
const MADE_LEN: usize = 32;

/// The fewest characters of such a token that name it.
const PREFIX_MIN: usize = 8;

/// Arguments of `tctl tokens rm`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The token, or its short form as `tctl tokens ls` prints it; of one that was made up, its first 8 characters or more
    token: String,
}

/// Removes the token.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let typed = &arguments.token;
    match session.client.delete(Kind::Token, typed).await {
        Err(error) if error.is_not_found() => remove_meant(typed, &session, context).await?,
        removed => removed?,
    }
    Ok(context.printer.line(format_args!("Token {} has been deleted", escape(typed)))?)
}

/// Removes the one token that is meant by part of it.
async fn remove_meant(typed: &str, session: &Session, context: &mut Context<'_>) -> Result<(), Failure> {
    let now = context.now();
    let mut tokens: Vec<Token> = context.list::<TokenSpec>(session).await?;
    tokens.retain(|token| !token.is_expired(now));
    let name = meant(typed, tokens.iter().map(Token::name))?;
    match session.client.delete(Kind::Token, name).await {
        // In these words, for the auth server's hold the whole of it.
        Err(error) if error.is_not_found() => Err(none(typed)),
        removed => removed.while_doing(format!("cannot delete token {}", escape(typed))),
    }
}

/// The token that is meant by its beginning.
fn meant<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Result<&'a str, Failure> {
    let found: Vec<_> = names.filter(|name| is_meant(typed, name)).collect();
    match found.as_slice() {
        [name] => Ok(name),
        [] => Err(none(typed)),
        several => Err(Failure::new(format!("{} tokens begin with {}", several.len(), escape(typed))).hint(
            "write more of the one that is meant; whole tokens are listed by: tctl tokens ls --with-secrets",
        )),
    }
}

/// Whether so much names a token: the short form in which it is listed, or enough of its beginning.
fn is_meant(typed: &str, name: &str) -> bool {
    if is_cut(typed) {
        return redacted(name) == typed;
    }
    is_made(name) && typed.chars().count() >= PREFIX_MIN && name.starts_with(typed)
}

/// Whether it is one that was made up and not chosen. The beginning of a chosen one may be another's whole.
fn is_made(name: &str) -> bool {
    name.len() == MADE_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn none(typed: &str) -> Failure {
    let failure = Failure::new(format!("token \"{}\" does not exist", escape(typed)));
    let failure = if !is_cut(typed) && typed.chars().count() < PREFIX_MIN {
        failure.hint(format!("a token is named by at least {PREFIX_MIN} of its characters"))
    } else {
        failure
    };
    failure
        .hint("list the tokens with: tctl tokens ls --with-secrets")
        .hint("a token of the configuration (expiry `never`) is removed there, in auth_service.tokens")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = [
        "0123456789abcdef0123456789abcdef",
        "0123456789ffffff0123456789abcdef",
        "feedfeed89abcdef0123456789abcdef",
    ];

    fn said(typed: &str) -> String {
        meant(typed, NAMES.into_iter()).unwrap_err().render()
    }

    #[test]
    fn a_beginning_or_the_short_form_names_a_token() {
        for typed in ["feedfeed", "feedfeed89ab", "feed…"] {
            assert_eq!(meant(typed, NAMES.into_iter()).unwrap(), NAMES[2], "{typed}");
        }
        assert_eq!(meant("0123456789ab", NAMES.into_iter()).unwrap(), NAMES[0]);
    }

    #[test]
    fn what_several_begin_with_is_refused_with_their_number_and_none_of_them() {
        for typed in ["01234567", "0123456789", "0123…"] {
            let said = said(typed);
            assert!(said.contains(&format!("2 tokens begin with {typed}")), "{said}");
            assert!(NAMES.iter().all(|name| !said.contains(name)), "{said}");
        }
    }

    #[test]
    fn the_beginning_of_a_chosen_one_names_nothing() {
        let error = meant("node-join-1", ["node-join-10"].into_iter()).unwrap_err().render();
        assert!(error.contains("does not exist"), "{error}");
    }

    #[test]
    fn too_little_names_none() {
        for typed in ["feedfee", "f", "fee…"] {
            assert!(said(typed).contains("does not exist"), "{typed}");
        }
        assert!(said("feedfee").contains("at least 8 of its characters"));
        assert!(!said("nobody-has-it").contains("at least 8"));
    }
}
