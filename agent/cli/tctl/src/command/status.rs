//! `tctl status`: who answers, where a rotation stands, the pins hosts join with.

use clap::Args;
use domain::authority::{AuthoritySpec, AuthorityType, Rotation};
use domain::printable::escape;
use serde::Serialize;
use terminal::{Explain, Failure, FormatArgs};

use crate::context::Context;

/// Arguments of `tctl status`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// The state of the cluster.
#[derive(Debug, Serialize)]
struct State {
    cluster: String,
    version: String,
    authorities: Vec<Authority>,
    ca_pins: Vec<String>,
    proxy_addresses: Vec<String>,
    auth_addresses: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Authority {
    r#type: AuthorityType,
    rotation: Rotation,
}

/// Prints the state of the cluster.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let status = context.connect().await?.status;
    let authorities = api::authorities_from_wire(&status.authorities)
        .while_doing("cannot read the authorities of the cluster")
        .hint("is tctl older than the auth server?")?;
    let state = State {
        cluster: status.cluster_name,
        version: status.version,
        authorities: in_order(&authorities),
        ca_pins: status.ca_pins,
        proxy_addresses: status.proxy_addresses,
        auth_addresses: status.auth_addresses,
    };
    Ok(context.printer.record(arguments.format.format, &state, text)?)
}

/// As the manual lists them.
fn in_order(authorities: &[AuthoritySpec]) -> Vec<Authority> {
    let order = [AuthorityType::Host, AuthorityType::User, AuthorityType::Jwt];
    let of_type = |kind| authorities.iter().filter(move |authority| authority.r#type == kind);
    let shown =
        |authority: &AuthoritySpec| Authority { r#type: authority.r#type, rotation: authority.rotation };
    order.into_iter().flat_map(of_type).map(shown).collect()
}

/// One row per fact, the names in one column.
fn text(state: &State) -> String {
    let mut rows = vec![("Cluster", state.cluster.clone()), ("Version", state.version.clone())];
    for authority in &state.authorities {
        rows.push((authority_name(authority.r#type), rotation_text(authority.rotation).to_owned()));
    }
    rows.extend(state.ca_pins.iter().map(|pin| ("CA pin", pin.clone())));
    let lines = rows.iter().map(|(name, value)| format!("{name:<8} {}", escape(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn authority_name(kind: AuthorityType) -> &'static str {
    match kind {
        AuthorityType::Host => "Host CA",
        AuthorityType::User => "User CA",
        AuthorityType::Jwt => "JWT CA",
    }
}

fn rotation_text(rotation: Rotation) -> &'static str {
    match rotation {
        Rotation::Standby => "never rotated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_two_columns() {
        let authority = |r#type| Authority { r#type, rotation: Rotation::Standby };
        let state = State {
            cluster: "main".into(),
            version: "0.1.0".into(),
            authorities: [AuthorityType::Host, AuthorityType::User, AuthorityType::Jwt].map(authority).into(),
            ca_pins: vec!["sha256:aa".into(), "sha256:bb".into()],
            proxy_addresses: vec![],
            auth_addresses: vec![],
        };
        let expected = "Cluster  main\nVersion  0.1.0\nHost CA  never rotated\nUser CA  never rotated\nJWT CA   never rotated\nCA pin   sha256:aa\nCA pin   sha256:bb";
        assert_eq!(text(&state), expected);
    }
}
