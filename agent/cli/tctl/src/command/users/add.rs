//! `tctl users add`: a user, and an invite with which they will choose how they sign in.

use std::time::Duration;

use clap::Args;
use domain::Timestamp;
use domain::printable::escape;
use domain::user::{CreatedBy, LOGINS, User, UserRef, UserSpec};
use serde::Serialize;
use terminal::{Failure, FormatArgs};

use crate::context::Context;
use crate::invite::{self, Wish};
use crate::shell::quoted;

/// The longest an invite can be used.
const TTL_MAX: Duration = Duration::from_secs(48 * 3600);

/// The role of a user for whom none is named.
const DEFAULT_ROLE: &str = "access";

/// Who made a user that was made with `tctl`, as in files of Teleport.
const CREATOR: &str = "builtin-Admin";

/// Arguments of `tctl users add`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The user's name
    name: String,
    /// Operating-system logins the user may use, separated by commas [default without --roles: the name]
    #[arg(value_delimiter = ',', conflicts_with = "more_logins")]
    logins: Vec<String>,
    /// The user's roles, separated by commas [default: access]
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<String>,
    /// The same as LOGINS; goes with --roles
    #[arg(long = "logins", value_name = "LOGINS", value_delimiter = ',', requires = "roles")]
    more_logins: Vec<String>,
    /// How long the invite can be used, at most 48h
    #[arg(long, default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = invite::ttl(text)?;
    if ttl > TTL_MAX { Err("an invite can be used for at most 48h".to_owned()) } else { Ok(ttl) }
}

/// A user that was made, as programs read it.
#[derive(Debug, Serialize)]
struct Added {
    user: String,
    roles: Vec<String>,
    logins: Vec<String>,
    token: String,
    url: String,
    expires: Timestamp,
    #[serde(skip)]
    proxy: String,
    #[serde(skip)]
    ttl: Duration,
}

impl Arguments {
    /// The record that was asked for. The old form names neither roles nor `--logins`.
    fn user(&self, now: Timestamp) -> User {
        let old_form = self.roles.is_empty();
        let asked = self.logins.iter().chain(&self.more_logins);
        let mut logins: Vec<String> =
            asked.map(|login| login.trim().to_owned()).filter(|login| !login.is_empty()).collect();
        if logins.is_empty() && old_form {
            logins.push(self.name.clone());
        }
        let roles = if old_form { vec![DEFAULT_ROLE.to_owned()] } else { self.roles.clone() };
        let created_by = CreatedBy { time: Some(now), user: Some(UserRef { name: CREATOR.to_owned() }) };
        let mut spec = UserSpec { roles, created_by: Some(created_by), ..UserSpec::default() };
        if !logins.is_empty() {
            spec.traits.0.insert(LOGINS.to_owned(), logins);
        }
        User::new(self.name.clone(), spec)
    }
}

/// Makes the user and the invite.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let user = arguments.user(context.now());
    user.check()?;
    session.client.put(&user, false).await.map_err(super::refused)?;
    let wish = Wish {
        roles: Vec::new(),
        value: None,
        ttl: arguments.ttl,
        labels: domain::label::Labels::default(),
        user: Some(arguments.name.clone()),
    };
    let invite = invite::make(context, &session, wish).await.map_err(|failure| {
        let name = quoted(&arguments.name).into_owned();
        failure
            .while_doing("the user was made, but not the invite")
            .hint(format!("start over with: tctl users rm {name}; tctl users add {name} …"))
    })?;
    let (url, proxy) = invite::user_url(&invite, &session.status);
    let added = Added {
        logins: user.spec.logins().to_vec(),
        user: user.metadata.name,
        roles: user.spec.roles,
        token: invite.token,
        url,
        expires: invite.expires,
        proxy,
        ttl: arguments.ttl,
    };
    Ok(context.printer.record(arguments.format.format, &added, text)?)
}

/// What the operator is told.
fn text(added: &Added) -> String {
    let name = escape(&added.user);
    let logins = if added.logins.is_empty() { "none".to_owned() } else { added.logins.join(", ") };
    let sign = quoted(&added.user);
    [
        format!("User \"{name}\" has been created (roles: {}; logins: {logins}).", added.roles.join(", ")),
        format!("Share this link with the user; it is valid for {}:", invite::span_text(added.ttl)),
        added.url.clone(),
        String::new(),
        format!("NOTE: make sure that {} is a proxy of this cluster which the user can reach.", added.proxy),
        "NOTE: the page behind the link comes with the release that brings signing in. Until then, make"
            .to_owned(),
        format!("certificates for the user with: tctl auth sign --user={sign} --out={sign}"),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn made(line: &[&str]) -> Result<(Vec<String>, Vec<String>), clap::Error> {
        let line = Line::try_parse_from(std::iter::once(&"add").chain(line))?;
        let user = line.arguments.user(Timestamp::UNIX_EPOCH);
        Ok((user.spec.roles.clone(), user.spec.logins().to_vec()))
    }

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_old_form_names_logins_by_position() {
        assert_eq!(made(&["joe", "joe,root"]).unwrap(), (list(&["access"]), list(&["joe", "root"])));
        assert_eq!(made(&["ross"]).unwrap(), (list(&["access"]), list(&["ross"])));
    }

    #[test]
    fn the_new_form_names_roles_and_gives_no_login_by_itself() {
        assert_eq!(made(&["--roles=access,editor", "joe"]).unwrap(), (list(&["access", "editor"]), vec![]));
        let with_logins = made(&["joe", "--roles=access", "--logins=root,ubuntu"]).unwrap();
        assert_eq!(with_logins, (list(&["access"]), list(&["root", "ubuntu"])));
        assert_eq!(made(&["joe", "root", "--roles=editor"]).unwrap(), (list(&["editor"]), list(&["root"])));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(made(&["joe", "--logins=root"]).is_err(), "--logins goes with --roles");
        assert!(made(&["joe", "root", "--roles=a", "--logins=x"]).is_err(), "logins twice");
        assert!(made(&["joe", "--ttl=49h"]).unwrap_err().to_string().contains("48h"));
        assert!(made(&["joe", "--ttl=0"]).unwrap_err().to_string().contains("would let nobody in"));
        assert!(made(&[]).is_err());
    }
}
