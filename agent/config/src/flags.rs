//! The flags of `teleport start`. A flag that is given wins over the file.

use std::net::IpAddr;
use std::path::PathBuf;

use domain::label::{LABELS_MAX, Labels, spec};
use domain::secret::Secret;

use crate::address::{self, HostPort};
use crate::auth;
use crate::join::{Advertise, ServerKind, Servers};
use crate::log::{LogOutput, Severity};
use crate::node::{NodeSettings, RAISED};
use crate::report::Report;
use crate::secret_source::{CaPinSource, SecretSource};
use crate::settings::Draft;
use crate::shown::shown;

/// What was given on the command line, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-d`, `--debug`: everything to standard error.
    pub debug: bool,
    /// `--insecure`: any certificate of a proxy is taken.
    pub insecure: bool,
    /// `--insecure-no-tls`: the web port speaks plain HTTP.
    pub insecure_no_tls: bool,
    /// `-r`, `--roles`: a comma-separated list.
    pub roles: Option<String>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--advertise-ip`: `host` or `host:port`.
    pub advertise_ip: Option<String>,
    /// `-l`, `--listen-ip`: the address every service listens on.
    pub listen_ip: Option<String>,
    /// `--auth-server`, once per server; each may hold several, separated by commas.
    pub auth_server: Vec<String>,
    /// `--token`: the secret or the absolute path of a file.
    pub token: Option<Secret>,
    /// `--nodename`.
    pub nodename: Option<String>,
    /// `-c`, `--config`.
    pub config: Option<PathBuf>,
    /// `--labels`: `k=v,k2=[1m:"command"]`.
    pub labels: Option<String>,
    /// `--permit-user-env`.
    pub permit_user_env: bool,
    /// `--ca-pin`, once per pin.
    pub ca_pin: Vec<String>,
    /// `--diag-addr`: `ip:port`.
    pub diag_addr: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--plugin-dir`.
    pub plugin_dir: Option<PathBuf>,
}

/// Puts the flags over what the file says. Roles and joining are decided afterwards.
pub(crate) fn apply(flags: &Flags, draft: &mut Draft, report: &Report) {
    let general = &mut draft.general;
    if flags.debug {
        general.log.severity = general.log.severity.min(Severity::Debug);
        general.log.output = LogOutput::Stderr;
    }
    general.pid_file = flags.pid_file.clone().or(general.pid_file.take());
    general.plugins.directory = flags.plugin_dir.clone().or(general.plugins.directory.take());
    if let Some(text) = &flags.diag_addr {
        general.diag_addr = taken(report, "--diag-addr", address::listen_with_port(text));
    }
    if let Some(text) = &flags.advertise_ip {
        general.advertise = taken(report, "--advertise-ip", Advertise::parse(text));
        if general.advertise.as_ref().is_some_and(Advertise::is_local) {
            report.warning(None, "--advertise-ip", "is reachable from this machine only");
        }
    }
    apply_join(flags, draft, report);
    apply_listen_ip(flags, draft, report);
    let node = &mut draft.node.settings;
    node.permit_user_env |= flags.permit_user_env;
    if let Some(spec) = flags.labels.as_ref().and_then(|text| taken(report, "--labels", spec::parse(text))) {
        apply_labels(spec, node, report);
    }
}

fn taken<T, E: std::fmt::Display>(report: &Report, flag: &str, result: Result<T, E>) -> Option<T> {
    result.map_err(|error| report.problem(None, flag, error)).ok()
}

fn apply_join(flags: &Flags, draft: &mut Draft, report: &Report) {
    let join = &mut draft.general.join;
    if let Some(token) = &flags.token {
        match token.reveal_str().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => join.token = Some(SecretSource::new("--token", text)),
            None => {
                report.problem(None, "--token", "is empty; write the token or the absolute path of its file")
            }
        }
    }
    if !flags.ca_pin.is_empty() {
        let pins = flags.ca_pin.iter().flat_map(|text| text.split(','));
        let pins = pins.filter_map(|pin| taken(report, "--ca-pin", CaPinSource::new("--ca-pin", pin)));
        join.ca_pins = pins.collect();
    }
    if !flags.auth_server.is_empty() {
        let servers = flags.auth_server.iter().flat_map(|text| text.split(','));
        let servers =
            servers.filter_map(|text| taken(report, "--auth-server", HostPort::parse(text, auth::PORT)));
        let (key, kind) = ("--auth-server", ServerKind::Unknown);
        join.servers = Some(Servers { key, at: None, kind, addresses: servers.collect() });
    }
}

/// Every service moves to the address; ports stay, and what is not opened stays shut.
fn apply_listen_ip(flags: &Flags, draft: &mut Draft, report: &Report) {
    let Some(text) = &flags.listen_ip else { return };
    let Ok(ip) = text.trim().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else {
        report.problem(None, "--listen-ip", format!("{} is not an IP address", shown(text)));
        return;
    };
    let proxy = &mut draft.proxy.settings;
    let fixed = [&mut draft.auth.settings.listen, &mut draft.node.settings.listen, &mut proxy.web_listen];
    let maybe = [&mut proxy.ssh_listen, &mut proxy.tunnel_listen];
    for address in fixed.into_iter().chain(maybe.into_iter().flatten()) {
        address.set_ip(ip);
    }
}

/// A label of the flag takes the place of the file's label of that name, whatever its kind.
fn apply_labels(spec: spec::LabelSpec, node: &mut NodeSettings, report: &Report) {
    for name in &spec.raised {
        report.warning(None, "--labels", format!("the period of label {name:?} {RAISED}"));
    }
    let named =
        |name: &str| spec.fixed.value(name).is_some() || spec.dynamic.iter().any(|label| label.name == name);
    // Too many in the file alone are told as the file's.
    let were = node.labels.0.len() + node.dynamic_labels.len();
    let kept = node.labels.iter().filter(|(key, _)| !named(key));
    node.labels = kept.chain(spec.fixed.iter()).collect::<Labels>();
    node.dynamic_labels.retain(|label| !named(&label.name));
    node.dynamic_labels.extend(spec.dynamic);
    let are = node.labels.0.len() + node.dynamic_labels.len();
    if were <= LABELS_MAX && are > LABELS_MAX {
        let message =
            format!("with those of the file, the node has {are} labels, more than {LABELS_MAX}; remove some");
        report.problem(None, "--labels", message);
    }
}
