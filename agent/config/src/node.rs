//! `ssh_service`: the SSH server of one host.

use std::net::SocketAddr;

use domain::label::{DEFAULT_PROVIDER, DynamicLabel, LABELS_MAX, Labels, MIN_PERIOD, check_key, check_value};

use crate::address::{self, HostPort};
use crate::field::Field;
use crate::report::Position;
use crate::section::Section;
use crate::unserved;

/// The port of the node service.
pub(crate) const PORT: u16 = 3022;

/// What is said of a label whose period is shorter than any may be.
pub(crate) const RAISED: &str = "is raised to 1s, the shortest there is";

/// What the node service does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Where it is reached directly.
    pub listen: SocketAddr,
    /// Whether it listens there even when it is reached by its tunnel.
    pub force_listen: bool,
    /// Names of this host that go into its certificate.
    pub public_addrs: Vec<HostPort>,
    /// Labels that do not change while it runs.
    pub labels: Labels,
    /// Labels computed now and then.
    pub dynamic_labels: Vec<DynamicLabel>,
    /// Whether `~/.tsh/environment` is read at the start of a session.
    pub permit_user_env: bool,
    /// Whether connections may be forwarded.
    pub port_forwarding: bool,
    /// Whether files may be copied.
    pub file_copy: bool,
    /// Whether operating-system users may be made for users who have none.
    pub create_host_users: bool,
}

/// Reads `ssh_service`.
pub(crate) fn read(ssh: &mut Section<'_>) -> NodeSettings {
    let listen = address::everywhere(PORT);
    for feature in ["x11", "enhanced_recording", "pam"] {
        unserved::feature(ssh, feature);
    }
    let labels = ssh.within("labels", labels);
    let dynamic_labels = ssh.field("commands").map(|field| commands(&field, &labels)).unwrap_or_default();
    if labels.0.len() + dynamic_labels.len() > LABELS_MAX {
        ssh.problem("labels", format!("more than {LABELS_MAX} labels, commands counted; remove some"));
    }
    NodeSettings {
        listen: ssh.listen("listen_addr", listen).unwrap_or(listen),
        force_listen: ssh.flag("force_listen").unwrap_or(false),
        public_addrs: address::public(ssh, "public_addr", PORT),
        labels,
        dynamic_labels,
        permit_user_env: ssh.flag("permit_user_env").unwrap_or(false),
        port_forwarding: ssh.flag("port_forwarding").unwrap_or(true),
        file_copy: ssh.flag("ssh_file_copy").unwrap_or(true),
        create_host_users: !ssh.flag("disable_create_host_user").unwrap_or(false),
    }
}

fn labels(section: &mut Section<'_>) -> Labels {
    let report = section.report();
    let mut labels = Labels::default();
    for (key, at, field) in section.pairs() {
        if let Err(error) = check_key(key) {
            report.problem(Some(at), field.key(), error);
        }
        // A key without a value is a label with an empty value.
        let value = if field.is_null() { Some("") } else { field.any_text() };
        let Some(value) = value else { continue };
        if let Err(error) = check_value(value) {
            field.problem(error);
        }
        labels.0.insert(key.to_owned(), value.to_owned());
    }
    labels
}

fn commands(field: &Field<'_>, fixed: &Labels) -> Vec<DynamicLabel> {
    let mut commands: Vec<DynamicLabel> = Vec::new();
    for item in field.list().unwrap_or_default() {
        let Some(Some(label)) = item.within(|section| command(section, item.at())) else { continue };
        let taken =
            fixed.value(&label.name).is_some() || commands.iter().any(|other| other.name == label.name);
        if taken {
            item.problem(format!("label {:?} is defined twice; rename or remove one of them", label.name));
        }
        commands.push(label);
    }
    commands
}

/// One entry of `commands`. `None` when a part is missing or wrong; the problem is noted.
fn command(section: &mut Section<'_>, at: Position) -> Option<DynamicLabel> {
    let plugin = section.field("plugin").and_then(|field| crate::plugin::name(&field));
    let plugin = plugin.map_or_else(|| DEFAULT_PROVIDER.to_owned(), |name| name.as_str().to_owned());
    let name = section.field("name");
    let argv = section.field("command");
    let period = section.field("period");
    let required = [("name", name.is_some()), ("period", period.is_some())];
    // A plugin other than the one that runs commands may need to be told nothing.
    let command = [("command", argv.is_some() || plugin != DEFAULT_PROVIDER)];
    for (key, _) in required.into_iter().chain(command).filter(|(_, there)| !there) {
        section.report().problem(Some(at), &section.path_of(key), "is missing; add it to this entry");
    }
    let name = name.and_then(|field| {
        let text = field.text()?;
        field.checked(check_key(text))?;
        Some(text.to_owned())
    });
    let period = period.and_then(|field| {
        let period = field.duration()?;
        if period < MIN_PERIOD {
            field.warning(RAISED);
        }
        Some(period.max(MIN_PERIOD))
    });
    let command = argv.map_or(Some(Vec::new()), |field| crate::plugin::argv(&field));
    Some(DynamicLabel { name: name?, command: command?, period: period?, plugin })
}
