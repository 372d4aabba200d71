//! The file that `teleport configure` prints: a `v3` configuration with comments, ready to start.
//!
//! What it prints is checked before it is returned, so an option that does not fit is an error here and
//! not on the next start.

use std::path::PathBuf;

use crate::error::ConfigError;
use crate::general::DATA_DIR;
use crate::report::Report;
use crate::role::{self, Roles};
use crate::source::check;

/// What the sample is to say. Absent options leave a commented line that shows how to write them; options
/// that would change nothing are errors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampleOptions {
    /// `--acme`: get a certificate by itself; the web port becomes 443.
    pub acme: bool,
    /// `--acme-email`.
    pub acme_email: Option<String>,
    /// `--cluster-name`.
    pub cluster_name: Option<String>,
    /// `--roles`: a comma-separated list. By default all, or `node` when there is a server to join.
    pub roles: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--token`: the secret or the absolute path of a file.
    pub token: Option<String>,
    /// `--ca-pin`, once per pin.
    pub ca_pin: Vec<String>,
    /// `--auth-server`: join through this auth server.
    pub auth_server: Option<String>,
    /// `--proxy`: join through this proxy.
    pub proxy: Option<String>,
    /// `--nodename`.
    pub nodename: Option<String>,
}

/// Writes the file.
///
/// # Errors
/// [`ConfigError::Invalid`] when an option has no place in a configuration that starts.
pub fn sample(options: &SampleOptions) -> Result<String, ConfigError> {
    let joins = options.auth_server.is_some() || options.proxy.is_some();
    let default = if joins { "node" } else { "auth,node,proxy" };
    let report = Report::new("sample");
    let roles = role::from_flag(options.roles.as_deref().unwrap_or(default), &report);
    refuse_unused(options, roles, &report);
    report.close()?;
    let mut text = String::from(
        "# A teleport.yaml of version v3. After a change, check it with:\n\
         #   teleport configure --test /etc/teleport.yaml\n\
         version: v3\n",
    );
    text.push_str(&general(options, roles.auth));
    text.push_str(&auth(options, roles.auth));
    text.push_str(&node(options, roles.node));
    text.push_str(&proxy(options, roles.proxy));
    check(&text, "sample")?;
    Ok(text)
}

/// An option that would change nothing is most likely a slip.
fn refuse_unused(options: &SampleOptions, roles: Roles, report: &Report) {
    let refuse = |given: bool, flag: &str, message: &str| {
        if given {
            report.problem(None, flag, message);
        }
    };
    let joins =
        "is of no use beside the auth role, which joins nothing; leave it out or choose other --roles";
    refuse(roles.auth && options.auth_server.is_some(), "--auth-server", joins);
    refuse(roles.auth && options.proxy.is_some(), "--proxy", joins);
    refuse(roles.auth && options.token.is_some(), "--token", joins);
    refuse(roles.auth && !options.ca_pin.is_empty(), "--ca-pin", joins);
    refuse(options.acme && !roles.proxy, "--acme", "is of no use without the proxy role");
    refuse(options.acme_email.is_some() && !options.acme, "--acme-email", "is of no use without --acme");
    let named = options.cluster_name.is_some() && !roles.auth && !roles.proxy;
    refuse(named, "--cluster-name", "is of no use without the auth or the proxy role");
}

fn general(options: &SampleOptions, is_cluster: bool) -> String {
    let mut text = String::from("\n# What holds for every service of this host.\nteleport:\n");
    let name = options.nodename.as_deref();
    text += &line(
        "The name of this host in the cluster; the machine's own name when absent.",
        "nodename",
        name,
        "web-1",
    );
    let data_dir = options.data_dir.as_ref().map_or(DATA_DIR.into(), |path| path.to_string_lossy());
    text += &line(
        "Keys and state. Only the user who runs teleport may read it.",
        "data_dir",
        Some(&data_dir),
        "",
    );
    if !is_cluster {
        text += &join(options);
    }
    text + "  # Where to log (stderr, stdout, syslog or a file), how much, and as text or json.\n  \
            log:\n    output: stderr\n    severity: INFO\n    format:\n      output: text\n  \
            # Health and metrics, over plain HTTP: keep it on this machine.\n  # diag_addr: 127.0.0.1:3000\n"
}

fn join(options: &SampleOptions) -> String {
    let (proxy, auth, token) =
        (options.proxy.as_deref(), options.auth_server.as_deref(), options.token.as_deref());
    let mut text = String::new();
    if proxy.is_some() || auth.is_none() {
        let comment = "Where to join: a proxy, of which one port is enough.";
        text += &line(comment, "proxy_server", proxy, "teleport.example.com:443");
    }
    if auth.is_some() || proxy.is_none() {
        text += &line("Where to join: an auth server.", "auth_server", auth, "auth.example.com:3025");
    }
    let comment = "The invitation, or the absolute path of its file. Needed on the first start only.";
    text += &line(comment, "auth_token", token, "/etc/teleport/token");
    let comment = "How to know the cluster: the line that `tctl status` prints on the auth server.";
    if options.ca_pin.is_empty() {
        return text + &line(comment, "ca_pin", None, "sha256:…");
    }
    text += &format!("  # {comment}\n  ca_pin:\n");
    for pin in &options.ca_pin {
        text += &format!("    - {}\n", written(pin));
    }
    text
}

/// A key of the `teleport` section with its comment; without a value, an example in a comment.
fn line(comment: &str, key: &str, value: Option<&str>, example: &str) -> String {
    match value {
        Some(value) => format!("  # {comment}\n  {key}: {}\n", written(value)),
        None => format!("  # {comment}\n  # {key}: {example}\n"),
    }
}

fn auth(options: &SampleOptions, runs: bool) -> String {
    let mut text =
        String::from("\n# The authority of the cluster: certificates, users, roles, join tokens.\n");
    if !runs {
        return text + "auth_service:\n  enabled: \"no\"\n";
    }
    text.push_str("auth_service:\n  enabled: \"yes\"\n  listen_addr: 0.0.0.0:3025\n");
    text.push_str("  # Part of every certificate: it cannot be changed after the first start.\n");
    text += &match &options.cluster_name {
        Some(name) => format!("  cluster_name: {}\n", written(name)),
        None => "  # cluster_name: example.com\n".to_owned(),
    };
    text.push_str(
        "  # Join tokens that never expire; better make short-lived ones with `tctl tokens add`.\n  \
         # tokens:\n  #   - \"node,proxy:/etc/teleport/token\"\n",
    );
    text
}

fn node(options: &SampleOptions, runs: bool) -> String {
    let text = String::from("\n# The SSH server of this host.\n");
    if !runs {
        return text + "ssh_service:\n  enabled: \"no\"\n";
    }
    let listen = match options.proxy {
        // Its link to the proxy is the way in.
        Some(_) => "  # Opens no port: it is reached through the proxy.\n",
        None => "  listen_addr: 0.0.0.0:3022\n",
    };
    format!(
        "{text}ssh_service:\n  enabled: \"yes\"\n{listen}  \
         # Roles choose hosts by their labels.\n  labels:\n    env: example\n  \
         # Labels computed now and then; no shell is involved.\n  commands:\n    \
         - name: kernel\n      command: [uname, -r]\n      period: 1h0m0s\n"
    )
}

fn proxy(options: &SampleOptions, runs: bool) -> String {
    let mut text = String::from("\n# The door of the cluster: clients and agents connect here.\n");
    if !runs {
        return text + "proxy_service:\n  enabled: \"no\"\n";
    }
    let (web, port) = if options.acme { (":443", 443) } else { ("0.0.0.0:3080", 3080) };
    text += &format!(
        "proxy_service:\n  enabled: \"yes\"\n  # HTTPS, and everything else that speaks TLS.\n  \
         web_listen_addr: {web}\n  # The name that clients use, as load balancers and certificates have it.\n"
    );
    // A cluster may be called what no client could look up.
    text += &match options.cluster_name.as_ref().filter(|name| name.contains('.')) {
        Some(name) => format!("  public_addr: {}\n", written(&format!("{name}:{port}"))),
        None => format!("  # public_addr: teleport.example.com:{port}\n"),
    };
    text.push_str(
        "  # For OpenSSH clients (`ssh -J`) and for agents that tunnel over a port of its own; without\n  \
         # these lines both ports stay shut.\n  listen_addr: 0.0.0.0:3023\n  tunnel_listen_addr: 0.0.0.0:3024\n",
    );
    if !options.acme {
        return text
            + "  # A certificate of a public authority; without one the proxy makes its own.\n  \
               # https_keypairs:\n  #   - key_file: /etc/teleport/key.pem\n  #     cert_file: /etc/teleport/cert.pem\n  \
               # How often these files are read again; never without this line.\n  # https_keypairs_reload_interval: 1h\n";
    }
    text.push_str("  # For a certificate from Let's Encrypt; this version does not ask for one and makes its own.\n  acme:\n    enabled: \"yes\"\n");
    if let Some(email) = &options.acme_email {
        text += &format!("    email: {}\n", written(email));
    }
    text
}

/// A text as a value: plain where every reader of YAML takes it for a text, else in quotes.
fn written(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let word = words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if starts && text.chars().all(plain) && !text.ends_with(':') && !word {
        return text.to_owned();
    }
    quoted(text)
}

/// A text in double quotes, with the escapes of YAML 1.2 (section 5.7), so that it reads back the same.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted += &format!("\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests;
