//! Tokens that let somebody in, and what they are told: how a host joins, where a user signs up.

use std::time::Duration;

use api::auth::StatusResponse;
use domain::Timestamp;
use domain::identity::SystemRole;
use domain::label::Labels;
use domain::token::{JoinMethod, Token, TokenSpec};
use serde::Serialize;
use terminal::{Explain, Failure};
use tonic::Code;

use crate::context::{Context, Session};
use crate::shell::quoted;

/// Reads how long a token is good for, before anything is done with it.
///
/// # Errors
/// When it is no duration, or none at all.
pub(crate) fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = domain::duration::parse(text).map_err(|error| error.to_string())?;
    if ttl.is_zero() {
        Err("it would let nobody in; give it some time, such as 30m".to_owned())
    } else {
        Ok(ttl)
    }
}

/// What a new token is to be.
#[derive(Debug)]
pub(crate) struct Wish {
    /// What hosts may join as.
    pub(crate) roles: Vec<SystemRole>,
    /// The secret; one is made when there is none.
    pub(crate) value: Option<String>,
    /// How long it is good for.
    pub(crate) ttl: Duration,
    /// For people.
    pub(crate) labels: Labels,
    /// The user it invites, instead of a host.
    pub(crate) user: Option<String>,
}

/// A token that was made, as programs read it.
#[derive(Debug, Serialize)]
pub(crate) struct Invite {
    /// The secret.
    pub(crate) token: String,
    /// What hosts may join as.
    pub(crate) roles: Vec<SystemRole>,
    /// When it ends.
    pub(crate) expires: Timestamp,
}

/// Makes a token.
///
/// # Errors
/// When the life reaches too far or the auth server refuses the token.
pub(crate) async fn make(context: &Context<'_>, session: &Session, wish: Wish) -> Result<Invite, Failure> {
    let expires = end(context.now(), wish.ttl)?;
    let value = wish.value.map_or_else(|| context.random().token(), Into::into);
    let name = value.reveal_str().unwrap_or_default().to_owned();
    let spec = TokenSpec {
        roles: wish.roles.clone(),
        join_method: JoinMethod::Token,
        suggested_labels: wish.labels,
        invites_user: wish.user,
    };
    let token = Token::new(name.clone(), spec).expiring(Some(expires));
    token.check()?;
    session.client.put(&token, false).await.map_err(|error| {
        if matches!(&error, client::ClientError::Call { code: Code::AlreadyExists, .. }) {
            return Failure::new("a token of this value already exists")
                .hint("choose another value, or leave it out to have one made");
        }
        Failure::from(error).while_doing("cannot make the token")
    })?;
    Ok(Invite { token: name, roles: wish.roles, expires })
}

/// When something ends that begins now.
fn end(now: Timestamp, ttl: Duration) -> Result<Timestamp, Failure> {
    now.checked_add(ttl).map_err(Failure::from).while_doing("--ttl reaches beyond the end of the calendar")
}

/// What the operator of a new host is told.
pub(crate) fn host_text(invite: &Invite, status: &StatusResponse, ttl: Duration) -> String {
    let mut text =
        format!("The invite token: {}\nThis token will expire in {}.\n", invite.token, span_text(ttl));
    let Some((command, address)) = start_command(invite, status) else {
        let roles = invite.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
        text += &format!("\nIt admits: {roles}");
        return text;
    };
    text += &format!("\nRun this on the new host to make it part of the cluster:\n\n  {command}\n");
    text += "\nPlease note:\n\n";
    text +=
        "  - the token can be used several times until it expires; take it back with: tctl tokens rm TOKEN\n";
    text += &format!("  - the new host must be able to reach {address}");
    text
}

/// The command that joins a host, and the address it joins at. There is none for roles that
/// `teleport start` cannot join as.
fn start_command(invite: &Invite, status: &StatusResponse) -> Option<(String, String)> {
    let startable = |role: &SystemRole| matches!(role, SystemRole::Node | SystemRole::Proxy);
    if !invite.roles.iter().all(startable) {
        return None;
    }
    let address = join_address(&invite.roles, status);
    let roles = invite.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    let mut words = vec!["teleport start".to_owned(), format!("--roles={roles}")];
    words.push(format!("--token={}", quoted(&invite.token)));
    words.extend(status.ca_pins.iter().map(|pin| format!("--ca-pin={}", quoted(pin))));
    words.push(format!("--auth-server={}", quoted(&address)));
    Some((words.join(" "), address))
}

/// Where a host joins: at a proxy, which needs one open port only. A proxy itself joins at the auth
/// server, because it must not depend on another proxy.
fn join_address(roles: &[SystemRole], status: &StatusResponse) -> String {
    let proxy = status.proxy_addresses.first().filter(|_| !roles.contains(&SystemRole::Proxy));
    let address = proxy.or(status.auth_addresses.first()).or(status.proxy_addresses.first());
    address.map_or_else(|| "<auth-server>:3025".to_owned(), Clone::clone)
}

/// Where a user signs up, and the proxy that serves the page.
pub(crate) fn user_url(invite: &Invite, status: &StatusResponse) -> (String, String) {
    let proxy = status.proxy_addresses.first().map_or("<proxyhost>:3080", String::as_str);
    (format!("https://{proxy}/web/invite/{}", invite.token), proxy.to_owned())
}

/// How long something is good for, in words.
pub(crate) fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let several = |number: u64, unit: &str| {
        if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
    };
    match seconds {
        seconds if seconds > 3600 && seconds.is_multiple_of(3600) => several(seconds / 3600, "hour"),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => several(seconds / 60, "minute"),
        _ => domain::duration::format(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(proxies: &[&str]) -> StatusResponse {
        StatusResponse {
            ca_pins: vec!["sha256:aa".into(), "sha256:bb".into()],
            proxy_addresses: proxies.iter().map(|proxy| (*proxy).to_owned()).collect(),
            auth_addresses: vec!["auth.example.com:3025".into()],
            ..StatusResponse::default()
        }
    }

    fn invite(token: &str, roles: &[SystemRole]) -> Invite {
        Invite { token: token.into(), roles: roles.to_vec(), expires: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_node_joins_at_the_proxy_with_every_pin() {
        let (command, address) =
            start_command(&invite("secret", &[SystemRole::Node]), &status(&["proxy.example.com:3080"]))
                .unwrap();
        assert_eq!(address, "proxy.example.com:3080");
        assert_eq!(
            command,
            "teleport start --roles=node --token=secret --ca-pin=sha256:aa --ca-pin=sha256:bb --auth-server=proxy.example.com:3080"
        );
    }

    #[test]
    fn a_proxy_joins_at_the_auth_server() {
        let roles = [SystemRole::Node, SystemRole::Proxy];
        let (command, _) = start_command(&invite("it's", &roles), &status(&["p:3080"])).unwrap();
        assert!(command.contains("--roles=node,proxy --token='it'\\''s'"), "{command}");
        assert!(command.ends_with("--auth-server=auth.example.com:3025"), "{command}");
        let (command, _) = start_command(&invite("t", &[SystemRole::Node]), &status(&[])).unwrap();
        assert!(command.ends_with("--auth-server=auth.example.com:3025"), "{command}");
    }

    #[test]
    fn what_cannot_be_started_yet_is_given_no_command() {
        let text =
            host_text(&invite("t", &[SystemRole::TrustedCluster]), &status(&[]), Duration::from_secs(60));
        assert_eq!(
            text,
            "The invite token: t\nThis token will expire in 1 minute.\n\nIt admits: trusted_cluster"
        );
    }

    #[test]
    fn users_sign_up_at_the_proxy() {
        let user = invite("abc", &[]);
        assert_eq!(user_url(&user, &status(&["p:443"])).0, "https://p:443/web/invite/abc");
        assert_eq!(user_url(&user, &status(&[])).0, "https://<proxyhost>:3080/web/invite/abc");
    }

    #[test]
    fn spans_are_told_in_the_largest_fitting_unit() {
        let text = |seconds| span_text(Duration::from_secs(seconds));
        assert_eq!(text(300), "5 minutes");
        assert_eq!(text(60), "1 minute");
        assert_eq!(text(3600), "60 minutes");
        assert_eq!(text(48 * 3600), "48 hours");
        assert_eq!(text(90), "1m30s");
        assert_eq!(text(30), "30s");
    }

    #[test]
    fn a_life_without_end_or_beginning_is_refused() {
        for nothing in ["0", "0s", "0h0m", "soon", ""] {
            assert!(ttl(nothing).is_err(), "{nothing:?}");
        }
        assert_eq!(ttl("1h30m"), Ok(Duration::from_secs(5400)));
        assert!(end(Timestamp::UNIX_EPOCH, Duration::from_secs(u64::MAX)).is_err());
        assert!(end(Timestamp::UNIX_EPOCH, Duration::from_secs(1)).is_ok());
    }
}
