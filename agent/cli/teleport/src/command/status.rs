//! `teleport status`: which session this is. Everything it knows is in the environment, where the node
//! put it.

use std::io::Write;

use terminal::{Failure, Printer, Screen};

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let Some(session) = variable("SSH_SESSION_ID") else {
        return Err(Failure::new("this is not inside a Teleport SSH session")
            .hint("connect to a node first: ssh -J PROXY:3023 LOGIN@NODE"));
    };
    let shown = |name: &str| variable(name).unwrap_or_else(|| "unknown".to_owned());
    let mut printer = Printer::new(out, Screen::pipe());
    let user = shown("SSH_TELEPORT_USER");
    printer.line(format!(
        "User ID     : {user}, logged in as {} from {}",
        shown("USER"),
        shown("SSH_CLIENT")
    ))?;
    printer.line(format!("Cluster Name: {}", shown("SSH_TELEPORT_CLUSTER_NAME")))?;
    printer.line(format!("Host UUID   : {}", shown("SSH_TELEPORT_HOST_UUID")))?;
    printer.line(format!("Session ID  : {session}"))?;
    Ok(())
}
