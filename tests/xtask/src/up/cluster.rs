//! The two processes: auth with proxy, and a node behind it. What they are told, in which order they
//! start and stop.

use std::path::PathBuf;

use super::daemon::Daemon;
use super::line::Line;
use super::port::Ports;

use super::state::State;
use crate::failure::{During, Failure};
use crate::run::Runner;
use crate::say;

/// The name of the cluster.
pub(crate) const CLUSTER: &str = "demo";
/// The name of the node.
pub(crate) const NODE: &str = "node-1";

/// A cluster, as far as it is started.
pub(crate) struct Cluster<'a> {
    pub(crate) runner: &'a Runner<'a>,
    pub(crate) state: &'a State,
    pub(crate) ports: Ports,
    teleport: String,
    tctl: String,
    // The order in which these are dropped: the node says goodbye to an auth server that is there.
    node: Option<Daemon>,
    auth_and_proxy: Option<Daemon>,
}

impl<'a> Cluster<'a> {
    /// Nothing is started yet; what both processes are told is written.
    pub(crate) fn new(runner: &'a Runner<'a>, state: &'a State, release: bool) -> Result<Self, Failure> {
        let program = |name| runner.place.shown(&runner.place.program(name, release));
        let (teleport, tctl) = (program("teleport"), program("tctl"));
        let ports = Ports::choose()?;
        let cluster = Self { runner, state, ports, teleport, tctl, node: None, auth_and_proxy: None };
        cluster.write("cluster.yaml", &cluster.cluster_yaml())?;
        cluster.write("node.yaml", &cluster.node_yaml())?;
        Ok(cluster)
    }

    /// A file of the state, as commands that run in the repository write it.
    pub(crate) fn shown(&self, name: &str) -> String {
        self.runner.place.shown(&self.state.file(name))
    }

    /// A command of `tctl`, for this cluster.
    pub(crate) fn tctl<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Line {
        let config = ["-c".to_owned(), self.shown("cluster.yaml")];
        Line::new([self.tctl.clone()].into_iter().chain(config).chain(words.into_iter().map(str::to_owned)))
    }

    /// Starts auth and proxy, and waits until both are ready.
    pub(crate) fn start_auth_and_proxy(&mut self) -> Result<(), Failure> {
        let line =
            Line::new([self.teleport.clone(), "start".into(), "-c".into(), self.shown("cluster.yaml")]);
        let daemon = self.start("auth and proxy", &line, "cluster.log")?;
        let took = self.auth_and_proxy.insert(daemon).ready(self.runner, self.ports.cluster_health)?;
        say::line(format_args!("auth and proxy are ready after {}\n", say::span(took)));
        Ok(())
    }

    /// Starts the node, which joins through the proxy's web port, and waits until its tunnel is up.
    pub(crate) fn start_node(&mut self, token: &str, pin: &str, labels: &str) -> Result<(), Failure> {
        let words = [
            self.teleport.clone(),
            "start".into(),
            "-c".into(),
            self.shown("node.yaml"),
            "--roles=node".into(),
            format!("--token={token}"),
            format!("--ca-pin={pin}"),
            format!("--auth-server={}", self.ports.web),
            format!("--labels={labels}"),
        ];
        let daemon = self.start("the node", &Line::new(words), "node.log")?;
        let took = self.node.insert(daemon).ready(self.runner, self.ports.node_health)?;
        say::line(format_args!("the node is ready after {}\n", say::span(took)));
        Ok(())
    }

    fn start(&self, name: &'static str, line: &Line, log: &str) -> Result<Daemon, Failure> {
        say::line(format_args!("$ {line} > {} 2>&1 &", self.shown(log)));
        Daemon::start(self.runner, name, &line.command(self.runner.place), &self.state.file(log))
    }

    /// Looks whether both processes still run.
    ///
    /// # Errors
    /// When one has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.node.iter_mut().chain(&mut self.auth_and_proxy).try_for_each(Daemon::check)
    }

    /// Adds to a failure what the daemons said last.
    pub(crate) fn attach_logs(&self, failure: Failure) -> Failure {
        if failure.is_interrupted() {
            return failure;
        }
        let daemons = [(&self.auth_and_proxy, "cluster.log"), (&self.node, "node.log")];
        let started = daemons.into_iter().filter_map(|(daemon, log)| Some((daemon.as_ref()?, log)));
        let failure = started.fold(failure, |failure, (daemon, log)| {
            failure.attach(format!("the end of {}", self.shown(log)), &daemon.tail())
        });
        let folder = self.runner.place.shown(self.state.folder());
        if self.state.is_new { failure } else { failure.next(format!("or start anew: rm -r {folder}")) }
    }

    /// Stops the node, then auth and proxy.
    pub(crate) fn stop(mut self) {
        if self.node.is_none() && self.auth_and_proxy.is_none() {
            return;
        }
        say::step("stopping");
        drop(self.node.take());
        drop(self.auth_and_proxy.take());
    }

    fn cluster_yaml(&self) -> String {
        let Ports { ssh, tunnel, auth, web, cluster_health, .. } = &self.ports;
        let (data_dir, pid_file) = (self.path("cluster"), self.path("cluster.pid"));
        format!(
            "# Written by `cargo xtask up` on every start.\n\
             version: v3\n\
             teleport:\n  nodename: proxy-1\n  data_dir: {data_dir}\n  pid_file: {pid_file}\n  diag_addr: {cluster_health}\n\
             auth_service:\n  enabled: yes\n  cluster_name: {CLUSTER}\n  listen_addr: {auth}\n\
             proxy_service:\n  enabled: yes\n  listen_addr: {ssh}\n  tunnel_listen_addr: {tunnel}\n  web_listen_addr: {web}\n\
             ssh_service:\n  enabled: no\n"
        )
    }

    /// A file, so that one at the standard place on this machine has no say, and with which the node starts again by
    /// itself; how it joins is in the flags.
    fn node_yaml(&self) -> String {
        let (data_dir, pid_file, health) = (self.path("node"), self.path("node.pid"), self.ports.node_health);
        let web = self.ports.web;
        format!(
            "# Written by `cargo xtask up` on every start.\n\
             version: v3\n\
             teleport:\n  nodename: {NODE}\n  data_dir: {data_dir}\n  pid_file: {pid_file}\n  diag_addr: {health}\n  proxy_server: {web}\n\
             auth_service:\n  enabled: no\nproxy_service:\n  enabled: no\n"
        )
    }

    /// A path in YAML, in double quotes: JSON's are a subset of those (YAML 1.2, section 1.3).
    fn path(&self, name: &str) -> String {
        serde_json::Value::from(self.state.file(name).to_string_lossy()).to_string()
    }

    /// Writes a file of the state.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path: PathBuf = self.state.file(name);
        std::fs::write(path, text).during(format!("cannot write {}", self.shown(name)))
    }
}
