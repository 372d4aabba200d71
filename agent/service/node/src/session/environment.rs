//! Variables of a session: what the client may set, and what we tell about the connection.

use domain::name::HostId;
use port::stream::Origin;

/// The most variables of one session.
pub(crate) const VARIABLES_MAX: usize = 128;
/// The longest name and value together, in bytes.
pub(crate) const VARIABLE_MAX: usize = 8 * 1024;

/// Whether a client may set this variable. Names are those of a shell. What is known to decide how
/// programs are loaded or how shells and common interpreters start up is refused, since it could lead
/// out of a restricted login. The list cannot be complete: a program that a restricted login may run
/// can have variables of its own.
pub(crate) fn is_allowed(name: &str, value: &str) -> bool {
    let mut bytes = name.bytes();
    let named = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let dangerous = name.starts_with("LD_")
        || name.starts_with("BASH_FUNC_")
        || name.starts_with("SSH_")
        || [
            "BASH_ENV",
            "ENV",
            "SHELLOPTS",
            "BASHOPTS",
            "IFS",
            "PS4",
            "PROMPT_COMMAND",
            "GCONV_PATH",
            "LOCPATH",
            "GLIBC_TUNABLES",
            "ZDOTDIR",
            "XDG_CONFIG_HOME",
            "PERL5OPT",
            "PERL5LIB",
            "PYTHONSTARTUP",
            "PYTHONPATH",
            "RUBYOPT",
            "NODE_OPTIONS",
            "JAVA_TOOL_OPTIONS",
        ]
        .contains(&name);
    named && !dangerous && name.len() + value.len() <= VARIABLE_MAX && !value.contains('\0')
}

/// What a session is told about itself; `teleport status` reads it.
pub(crate) fn about(
    origin: &Origin,
    user: &str,
    cluster: &str,
    host: HostId,
    sid: &str,
) -> Vec<(String, String)> {
    let (peer, local) = (origin.peer, origin.local);
    let (peer_ip, local_ip) = (peer.ip().to_canonical(), local.ip().to_canonical());
    [
        ("SSH_CLIENT", format!("{peer_ip} {} {}", peer.port(), local.port())),
        ("SSH_CONNECTION", format!("{peer_ip} {} {local_ip} {}", peer.port(), local.port())),
        ("SSH_SESSION_ID", sid.to_owned()),
        ("SSH_TELEPORT_USER", user.to_owned()),
        ("SSH_TELEPORT_CLUSTER_NAME", cluster.to_owned()),
        ("SSH_TELEPORT_HOST_UUID", host.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_and_own_variables_pass() {
        for name in ["LANG", "LC_ALL", "MY_VAR", "_x", "GIT_AUTHOR_NAME"] {
            assert!(is_allowed(name, "v"), "{name}");
        }
    }

    #[test]
    fn what_changes_how_programs_start_is_refused() {
        for name in [
            "LD_PRELOAD",
            "BASH_ENV",
            "ENV",
            "IFS",
            "SSH_AUTH_SOCK",
            "GLIBC_TUNABLES",
            "ZDOTDIR",
            "XDG_CONFIG_HOME",
            "PERL5OPT",
            "PERL5LIB",
            "PYTHONSTARTUP",
            "PYTHONPATH",
            "RUBYOPT",
            "NODE_OPTIONS",
            "JAVA_TOOL_OPTIONS",
            "BASH_FUNC_ls%%",
            "1A",
            "",
            "A B",
            "A=B",
        ] {
            assert!(!is_allowed(name, "v"), "{name}");
        }
        assert!(!is_allowed("A", "x\0y"));
        assert!(!is_allowed("A", &"x".repeat(VARIABLE_MAX)));
    }
}
