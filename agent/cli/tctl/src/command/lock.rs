//! `tctl lock`: somebody or something is shut out at once, whatever their certificate says.

use std::time::Duration;

use clap::Args;
use domain::Timestamp;
use domain::lock::{Lock, LockSpec, Target};
use domain::name::HostId;
use domain::resource::{Kind, check_name};
use serde::Serialize;
use terminal::{Explain, Failure, FormatArgs};

use crate::context::{Context, Session};
use crate::record::title;

/// Arguments of `tctl lock`.
#[derive(Debug, Args)]
#[command(after_help = USE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Targets,
    /// Told to whoever is shut out
    #[arg(long, value_name = "TEXT", default_value = "")]
    message: String,
    /// Shut out only certificates that were made until now; those that are made from now on are good
    #[arg(long, conflicts_with = "server_id")]
    until_now: bool,
    /// How long the lock holds [default: until it is removed]
    #[arg(long, value_parser = self::ttl)]
    ttl: Option<Duration>,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// What the help says about locks.
const USE: &str = "\
A lock with several targets shuts out only whom all of them fit.
List locks with `tctl get locks`; lift one with `tctl rm lock/NAME`.";

/// Whom the lock shuts out.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Targets {
    /// Shut out a user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Shut out every user with a role
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// Shut out an operating-system login, on every host
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// Shut out a host, by its UUID
    #[arg(long, value_name = "UUID", value_parser = host_id)]
    server_id: Option<HostId>,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = domain::duration::parse(text).map_err(|error| error.to_string())?;
    if ttl.is_zero() { Err("a lock without time would shut out nobody".to_owned()) } else { Ok(ttl) }
}

fn host_id(text: &str) -> Result<HostId, &'static str> {
    HostId::parse(text).ok_or("it is not the UUID of a host; list them with: tctl nodes ls")
}

/// A lock that was made, as programs read it.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    target: Target,
    expires: Option<Timestamp>,
}

/// Makes the lock.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Arguments { target: Targets { user, role, login, server_id }, message, until_now, ttl, format } =
        arguments;
    let ends = |ttl| context.now().checked_add(ttl);
    let expires = ttl.map(ends).transpose().while_doing("--ttl reaches beyond the end of the calendar")?;
    let target = Target { user, role, login, serial: None, server_id };
    let name = context.random().uuid().to_string();
    let spec = LockSpec { target: target.clone(), message, issued_before: until_now.then(|| context.now()) };
    let lock = Lock::new(name.clone(), spec).expiring(expires);
    lock.check()?;
    let session = context.connect().await?;
    session.client.put(&lock, false).await.while_doing("cannot make the lock")?;
    note_strangers(context, &session, (&target, until_now)).await;
    let made = Made { name, target, expires };
    let text =
        |made: &Made| format!("Created a lock with name \"{0}\"; lift it with: tctl rm lock/{0}", made.name);
    Ok(context.printer.record(format.format, &made, text)?)
}

/// Says which of the names are nobody's. The lock is made all the same, and first: who signs in by single sign-on
/// becomes a user only then, and a lock must not wait for its spelling.
async fn note_strangers(context: &mut Context<'_>, session: &Session, (target, until_now): (&Target, bool)) {
    for (kind, name) in [(Kind::User, &target.user), (Kind::Role, &target.role)] {
        let Some(name) = name else { continue };
        // No record has a name that none can have. Whatever else keeps the answer away, the lock holds.
        let is_stranger = check_name(kind, name).is_err()
            || session.client.get_json(kind, name).await.is_err_and(|error| error.is_not_found());
        if is_stranger {
            context.note(stranger(kind, name, until_now));
        }
    }
}

fn stranger(kind: Kind, name: &str, until_now: bool) -> String {
    let title = title(kind, name);
    let holds = if until_now { "shuts out certificates that are out" } else { "waits for one" };
    format!("note: there is no {title} now; the lock {holds}; if it is misspelt, see: tctl get {kind}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_exist_is_named_with_the_list_of_those_who_do() {
        let said = stranger(Kind::Role, "acess", false);
        assert!(said.starts_with("note: there is no role \"acess\" now; "), "{said}");
        assert!(said.ends_with("tctl get roles"), "{said}");
        assert!(stranger(Kind::User, "a\nb", false).ends_with("tctl get users"));
        let until_now = stranger(Kind::User, "x", true);
        assert!(
            !until_now.contains("waits") && until_now.contains("certificates that are out"),
            "{until_now}"
        );
    }
}
