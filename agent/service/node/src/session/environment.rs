//! Variables of a session: what the client may set, and what we tell about the connection.

use port::stream::Origin;

use crate::settings::Settings;

/// The most variables of one session.
pub(crate) const VARIABLES_MAX: usize = 128;
/// The longest name and value together, in bytes.
pub(crate) const VARIABLE_MAX: usize = 8 * 1024;

/// Beginnings of names a client may not set: what the dynamic linker reads, functions that bash takes
/// over, and what a session is told about itself.
const REFUSED_PREFIXES: [&str; 3] = ["LD_", "BASH_FUNC_", "SSH_"];

/// Names a client may not set: each is known to decide how programs are loaded or how shells and common
/// interpreters start up, and so could lead out of a login that may run a few programs only (a forced
/// command, a restricted shell). The list cannot be complete: a program that such a login may run can
/// have variables of its own.
const REFUSED: [&str; 19] = [
    // Shells: files they read, options, how words are split, what runs at each prompt or traced line.
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "XDG_CONFIG_HOME",
    // The C library: modules it loads, and how it works.
    "GCONV_PATH",
    "LOCPATH",
    "GLIBC_TUNABLES",
    // Interpreters: code they load and options they take.
    "PERL5OPT",
    "PERL5LIB",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "RUBYOPT",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
];

/// Whether a client may set this variable: it has the name of a shell's variable, is not too long, and
/// is none of those refused.
pub(crate) fn is_allowed(name: &str, value: &str) -> bool {
    let mut bytes = name.bytes();
    let named = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let dangerous = REFUSED.contains(&name) || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    named && !dangerous && name.len() + value.len() <= VARIABLE_MAX && !value.contains('\0')
}

/// What a session is told about itself; `teleport status` reads it.
pub(crate) fn about(
    origin: &Origin,
    user: &str,
    cluster: &str,
    node: &Settings,
    sid: &str,
) -> Vec<(String, String)> {
    let (peer, local) = (origin.peer, origin.local);
    let (peer_ip, local_ip) = (peer.ip().to_canonical(), local.ip().to_canonical());
    let told = [
        ("SSH_CLIENT", format!("{peer_ip} {} {}", peer.port(), local.port())),
        ("SSH_CONNECTION", format!("{peer_ip} {} {local_ip} {}", peer.port(), local.port())),
        ("SSH_SESSION_ID", sid.to_owned()),
        ("SSH_SESSION_WEBPROXY_ADDR", node.web_proxy.clone()),
        ("SSH_TELEPORT_USER", user.to_owned()),
        ("SSH_TELEPORT_CLUSTER_NAME", cluster.to_owned()),
        ("SSH_TELEPORT_HOST_UUID", node.host_id.to_string()),
        ("SSH_TELEPORT_HOSTNAME", node.hostname.clone()),
    ];
    let known = told.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_and_own_variables_pass() {
        // Some are near to a refused one.
        for name in ["LANG", "LC_ALL", "MY_VAR", "_x", "GIT_AUTHOR_NAME", "LD", "ENVIRONMENT", "MY_IFS"] {
            assert!(is_allowed(name, "v"), "{name}");
        }
    }

    #[test]
    fn what_changes_how_programs_start_is_refused() {
        for name in ["LD_PRELOAD", "LD_", "BASH_FUNC_ls", "SSH_AUTH_SOCK", "BASH_ENV", "PYTHONPATH"] {
            assert!(!is_allowed(name, "v"), "{name}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for name in ["1A", "", "A B", "A=B", "BASH_FUNC_ls%%"] {
            assert!(!is_allowed(name, "v"), "{name}");
        }
        assert!(!is_allowed("A", "x\0y"));
        assert!(!is_allowed("A", &"x".repeat(VARIABLE_MAX)));
        assert!(is_allowed("A", &"x".repeat(VARIABLE_MAX - 1)));
    }
}
