//! `teleport status`: which session this is. Everything it knows is in the environment, where the node
//! put it.

use std::io::Write;

use terminal::{Failure, Printer, Screen};

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    let mut printer = Printer::new(out, Screen::pipe());
    for line in lines(&|name| std::env::var_os(name).and_then(|value| value.into_string().ok()))? {
        printer.line(line)?;
    }
    Ok(())
}

/// What the variables of a session say. The web proxy and the name of the host are left out where the
/// node did not tell them: an auth server it joined directly leads to no page.
fn lines(variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, Failure> {
    let told = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(session) = told("SSH_SESSION_ID") else {
        return Err(Failure::new("this is not inside a Teleport SSH session")
            .hint("connect to a node first: ssh -J PROXY:3023 LOGIN@NODE"));
    };
    let shown = |name: &str| told(name).unwrap_or_else(|| "unknown".to_owned());
    let (user, login, client) = (shown("SSH_TELEPORT_USER"), shown("USER"), shown("SSH_CLIENT"));
    let host = told("SSH_TELEPORT_HOSTNAME").map(|name| format!(" ({name})")).unwrap_or_default();
    let web = told("SSH_SESSION_WEBPROXY_ADDR").map(|address| format!("Web URL     : https://{address}"));
    let mut lines = vec![
        format!("User ID     : {user}, logged in as {login} from {client}"),
        format!("Cluster Name: {}", shown("SSH_TELEPORT_CLUSTER_NAME")),
        format!("Host UUID   : {}{host}", shown("SSH_TELEPORT_HOST_UUID")),
        format!("Session ID  : {session}"),
    ];
    lines.extend(web);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: [(&str, &str); 6] = [
        ("SSH_SESSION_ID", "sid-1"),
        ("SSH_TELEPORT_USER", "joe"),
        ("USER", "root"),
        ("SSH_CLIENT", "10.0.0.9 52356 3022"),
        ("SSH_TELEPORT_CLUSTER_NAME", "main"),
        ("SSH_TELEPORT_HOST_UUID", "d52527f9"),
    ];

    fn text(variables: &[(&str, &str)]) -> String {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        lines(&|name| find(name).map(|(_, value)| (*value).to_owned())).unwrap().join("\n")
    }

    #[test]
    fn a_session_tells_user_cluster_host_and_itself() {
        let without = "User ID     : joe, logged in as root from 10.0.0.9 52356 3022\n\
                       Cluster Name: main\nHost UUID   : d52527f9\nSession ID  : sid-1";
        assert_eq!(text(&SESSION), without);
        let empty = [&SESSION[..], &[("SSH_SESSION_WEBPROXY_ADDR", ""), ("SSH_TELEPORT_HOSTNAME", "")]];
        assert_eq!(text(&empty.concat()), without);
    }

    #[test]
    fn the_web_proxy_and_the_hosts_name_are_shown_where_they_are_known() {
        let more =
            [("SSH_SESSION_WEBPROXY_ADDR", "proxy.example.com:3080"), ("SSH_TELEPORT_HOSTNAME", "web-1")];
        let text = text(&[&SESSION[..], &more].concat());
        assert!(
            text.ends_with("\nSession ID  : sid-1\nWeb URL     : https://proxy.example.com:3080"),
            "{text}"
        );
        assert!(text.contains("Host UUID   : d52527f9 (web-1)\n"), "{text}");
    }

    #[test]
    fn outside_a_session_it_says_how_to_get_into_one() {
        let failure = lines(&|_| None).unwrap_err();
        assert_eq!(failure.code(), 1);
        assert!(failure.render().contains("ssh -J"), "{}", failure.render());
    }
}
