//! The show: real commands and what they print, each of which can be typed again as it stands.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::cluster::{CLUSTER, Cluster, NODE};
use super::line::Line;
use crate::debian;
use crate::failure::{During, Failure};
use crate::run::Output;
use crate::say;

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(30);
/// How long the labels may take to be there.
const LABELS: Duration = Duration::from_secs(60);
/// Who logs in.
const USER: &str = "alice";

impl Cluster<'_> {
    /// Starts everything and shows that it works.
    pub(crate) fn show(&mut self) -> Result<(), Failure> {
        self.start_auth_and_proxy()?;
        self.run(&self.tctl(["status"]))?;
        let token = self.run(&self.tctl(["tokens", "add", "--type=node", "--ttl=10m", "--format=text"]))?;
        let pin = self.pin()?;
        self.start_node(token.trim(), &pin, &self.labels())?;
        self.wait_for_labels()?;
        self.run(&self.tctl(["nodes", "ls"]))?;
        let login = self.login()?;
        self.make_user(&login)?;
        self.log_in(&login)
    }

    /// Runs a command, prints it and what it said, and returns its output.
    fn run(&self, line: &Line) -> Result<String, Failure> {
        say::line(format_args!("$ {line}"));
        let output = self.ask(line)?;
        // As a terminal would show it: notes, too.
        say::line(format_args!("{}{}", output.stdout, output.stderr));
        Ok(output.stdout)
    }

    /// Runs a command whose success matters, and prints nothing.
    fn ask(&self, line: &Line) -> Result<Output, Failure> {
        let output = self.runner.quietly(&mut line.command(self.runner.place), COMMAND)?;
        if output.status.success() {
            return Ok(output);
        }
        let said = format!("{}{}", output.stdout, output.stderr);
        Err(Failure::new(format!("`{line}` failed")).because(output.status).attach("what it printed", &said))
    }

    fn ask_json(&self, words: &[&str]) -> Result<Value, Failure> {
        let line = self.tctl(words.iter().copied().chain(["--format=json"]));
        let output = self.ask(&line)?;
        serde_json::from_str(&output.stdout).during(format!("cannot read what `{line}` printed"))
    }

    fn pin(&self) -> Result<String, Failure> {
        let status = self.ask_json(&["status"])?;
        let pin = status.pointer("/ca_pins/0").and_then(Value::as_str);
        pin.map(str::to_owned).ok_or_else(|| Failure::new("`tctl status --format=json` tells no pin"))
    }

    /// Labels of the node. Not every small system has a `uptime` that knows `-p`.
    fn labels(&self) -> String {
        let pretty = self.runner.succeeds(Command::new("uptime").arg("-p"));
        let uptime = if pretty { "uptime -p" } else { "cut -d. -f1 /proc/uptime" };
        format!(r#"env=demo,uptime=[1m:"{uptime}"],kernel=[1h:"uname -r"]"#)
    }

    /// Waits until the commands behind the labels have run and the cluster knows.
    fn wait_for_labels(&mut self) -> Result<(), Failure> {
        let mut last = Value::Null;
        let there = self.runner.interrupts.clone().wait_for(LABELS, || {
            self.check()?;
            last = self.ask_json(&["nodes", "ls"])?;
            Ok(has_labels(&last).then_some(()))
        })?;
        there.ok_or_else(|| {
            Failure::new(format!("the labels of {NODE} are not there after {LABELS:?}"))
                .attach("what tctl knows of the nodes", &format!("{last:#}"))
        })
    }

    /// A daemon that is not root can start sessions of its own user only, and root may be anybody.
    fn login(&self) -> Result<String, Failure> {
        Ok(self.ask(&Line::new(["id", "-un"].map(str::to_owned)))?.stdout.trim().to_owned())
    }

    fn make_user(&self, login: &str) -> Result<(), Failure> {
        let users = self.ask_json(&["users", "ls"])?;
        if has_user(&users) {
            self.run(&self.tctl(["users", "ls"]))?;
        } else {
            self.run(&self.tctl(["users", "add", USER, login]))?;
        }
        let (user, out) = (format!("--user={USER}"), format!("--out={}", self.shown(USER)));
        self.run(&self.tctl(["auth", "sign", &user, "--format=openssh", &out, "--overwrite"]))?;
        let export = self.tctl(["auth", "export", "--type=host"]);
        say::line(format_args!("$ {export} > {}", self.shown("known_hosts")));
        let authority = self.ask(&export)?.stdout;
        self.write("known_hosts", &authority)?;
        self.write("ssh_config", &ssh_config(self.state.folder()))?;
        self.run(&Line::new(["cat".to_owned(), self.shown("known_hosts"), self.shown("ssh_config")]))?;
        Ok(())
    }

    /// Logs in with stock `ssh`, and makes sure that it was this machine that answered.
    fn log_in(&self, login: &str) -> Result<(), Failure> {
        if !debian::found("ssh") {
            say::line(
                "There is no OpenSSH client here to log in with (on Debian: apt-get install openssh-client).",
            );
            self.run(&self.tctl(["get", &format!("user/{USER}")]))?;
            return Ok(());
        }
        let answer = self.run(&self.ssh(login).with("uname").with("-a"))?;
        let own = self.ask(&Line::new(["uname", "-a"].map(str::to_owned)))?.stdout;
        if answer == own {
            return Ok(());
        }
        Err(Failure::new("the login did not reach this machine").attach("uname -a here", &own))
    }

    fn ssh(&self, login: &str) -> Line {
        let jump = format!("{login}@{}", self.ports.ssh);
        let node = format!("{login}@{NODE}.{CLUSTER}");
        Line::new(["ssh".into(), "-F".into(), self.shown("ssh_config"), "-J".into(), jump, node])
    }

    /// What to type in another terminal.
    pub(crate) fn print_how_to_go_on(&self) -> Result<(), Failure> {
        let login = self.login()?;
        say::line(format_args!("In another terminal, in {}:", self.runner.place.root.display()));
        let web = self.ports.web;
        for line in [
            self.ssh(&login).to_string(),
            self.tctl(["nodes", "ls"]).to_string(),
            self.tctl(["nodes", "add"]).to_string(),
            self.tctl(["get", "roles"]).to_string(),
            format!("curl --insecure https://{web}/webapi/ping"),
            format!("curl http://{}/readyz", self.ports.node_health),
            format!("tail -f {} {}", self.shown("cluster.log"), self.shown("cluster/log/events.log")),
        ] {
            say::line(format_args!("  {line}"));
        }
        say::line("");
        for (what, address) in self.ports.rows() {
            say::line(format_args!("  {address:<16}  {what}"));
        }
        let folder = self.runner.place.shown(self.state.folder());
        say::line(format_args!("\nCtrl-C stops it. It starts again as it was; rm -r {folder} starts anew."));
        Ok(())
    }
}

/// How `ssh` and the jump it makes know whom to trust and who they are: by certificates alone.
fn ssh_config(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string().replace('%', "%%");
    format!(
        "Host *\n\
         \x20   StrictHostKeyChecking yes\n\
         \x20   UserKnownHostsFile \"{known_hosts}\"\n\
         \x20   GlobalKnownHostsFile /dev/null\n\
         \x20   IdentityFile \"{key}\"\n\
         \x20   CertificateFile \"{key}-cert.pub\"\n\
         \x20   IdentitiesOnly yes\n\
         \x20   IdentityAgent none\n\
         \x20   ConnectTimeout 15\n",
        known_hosts = path("known_hosts"),
        key = path(USER)
    )
}

/// Whether the node is there with a value for each dynamic label.
fn has_labels(nodes: &Value) -> bool {
    let of_ours = |node: &&Value| node.pointer("/spec/hostname").and_then(Value::as_str) == Some(NODE);
    let node = nodes.as_array().and_then(|nodes| nodes.iter().find(of_ours));
    let filled = |name: &str| {
        let value = node.and_then(|node| node.pointer(&format!("/spec/cmd_labels/{name}")));
        value.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    filled("uptime") && filled("kernel")
}

fn has_user(users: &Value) -> bool {
    let named = |user: &Value| user.pointer("/metadata/name").and_then(Value::as_str) == Some(USER);
    users.as_array().is_some_and(|users| users.iter().any(named))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_labels_are_there_when_each_command_has_a_value() {
        let nodes = |name: &str, labels: Value| json!([{"spec": {"hostname": name, "cmd_labels": labels}}]);
        assert!(has_labels(&nodes(NODE, json!({"uptime": "up 2 hours", "kernel": "6.1"}))));
        assert!(!has_labels(&nodes(NODE, json!({"uptime": "", "kernel": "6.1"}))));
        assert!(!has_labels(&nodes(NODE, json!({"kernel": "6.1"}))));
        assert!(!has_labels(&nodes("another", json!({"uptime": "up", "kernel": "6.1"}))));
        assert!(!has_labels(&json!([])));
    }

    #[test]
    fn the_user_is_known_by_name() {
        assert!(has_user(&json!([{"metadata": {"name": "bob"}}, {"metadata": {"name": USER}}])));
        assert!(!has_user(&json!([{"metadata": {"name": "bob"}}])));
    }

    #[test]
    fn ssh_takes_the_paths_as_they_are() {
        let config = ssh_config(Path::new("/a b/100%"));
        assert!(config.contains("    IdentityFile \"/a b/100%%/alice\"\n"), "{config}");
    }
}
