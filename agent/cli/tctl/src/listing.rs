//! Records as a table for people: what says which one it is stands beside a name that is a UUID.
//!
//! Records of several sorts have kind, name and expiry in common, and no more is shown of them.

use domain::Timestamp;
use domain::lock::LockSpec;
use terminal::{Column, Format, PrintError, Printer, Table};

use crate::record::Record;

/// Prints the records as `tctl get` does.
///
/// # Errors
/// [`PrintError`].
pub(crate) fn print(printer: &mut Printer<'_>, format: Format, records: &[Record]) -> Result<(), PrintError> {
    match detailed(records) {
        Some(table) if format == Format::Text => printer.table(&table),
        _ => printer.list(format, records, plain),
    }
}

/// What tells a record from others of its sort, in the order of its columns.
enum Details {
    /// Target and message.
    Lock([String; 2]),
    /// Host name and address.
    Server([String; 2]),
}

impl Details {
    fn of(record: &Record) -> Option<Self> {
        Some(match record {
            Record::Lock(lock) => Self::Lock([target(&lock.spec), lock.spec.message.clone()]),
            Record::Node(node) => {
                Self::Server([node.spec.hostname.clone(), node.spec.public_address().to_owned()])
            }
            Record::Proxy(proxy) => {
                let spec = &proxy.spec;
                // One that serves no web port is reached by its other.
                let addresses =
                    if spec.public_addrs.is_empty() { &spec.ssh_public_addrs } else { &spec.public_addrs };
                Self::Server([spec.hostname.clone(), addresses.join(",")])
            }
            Record::AuthServer(server) => {
                Self::Server([server.spec.hostname.clone(), server.spec.addrs.join(",")])
            }
            Record::Role(_)
            | Record::User(_)
            | Record::Token(_)
            | Record::CertAuthority(_)
            | Record::Unknown(_) => return None,
        })
    }

    fn columns(&self) -> [Column; 2] {
        match self {
            Self::Lock(_) => [Column::new("Target"), Column::new("Message").may_be_cut()],
            Self::Server(_) => [Column::new("Host"), Column::new("Address")],
        }
    }

    fn cells(self) -> [String; 2] {
        match self {
            Self::Lock(cells) | Self::Server(cells) => cells,
        }
    }
}

/// The table of records that are all of one sort that has details; none for others.
fn detailed(records: &[Record]) -> Option<Table<5>> {
    let all: Vec<_> = records.iter().map(Details::of).collect::<Option<_>>()?;
    let first = all.first()?;
    let is_alike = |other: &Details| std::mem::discriminant(other) == std::mem::discriminant(first);
    if !all.iter().all(is_alike) {
        return None;
    }
    let [one, other] = first.columns();
    let mut table = Table::new([Column::new("Kind"), Column::new("Name"), one, other, EXPIRES]);
    for (record, details) in records.iter().zip(all) {
        let ([kind, name, expires], [one, other]) = (row(record), details.cells());
        table.row([kind, name, one, other, expires]);
    }
    Some(table)
}

fn plain(records: &[Record]) -> Table<3> {
    let mut table = Table::new([Column::new("Kind"), Column::new("Name"), EXPIRES]);
    for record in records {
        table.row(row(record));
    }
    table
}

const EXPIRES: Column = Column::new("Expires (UTC)");

fn row(record: &Record) -> [String; 3] {
    let kind = record.kind().map_or_else(|| "unknown".to_owned(), |kind| kind.to_string());
    let expires = record.metadata().and_then(|metadata| metadata.expires);
    [kind, record.name().to_owned(), expires_text(expires)]
}

fn expires_text(expires: Option<Timestamp>) -> String {
    expires.map_or_else(|| "never".to_owned(), |time| time.strftime("%d %b %y %H:%M UTC").to_string())
}

/// Whom a lock shuts out: `user=joe,login=root`. All of it must fit.
fn target(lock: &LockSpec) -> String {
    let target = &lock.target;
    let parts = [
        ("user", target.user.clone()),
        ("role", target.role.clone()),
        ("login", target.login.clone()),
        ("serial", target.serial.map(|serial| serial.to_string())),
        ("server_id", target.server_id.map(|id| id.to_string())),
        ("issued_before", lock.issued_before.map(|moment| format!("{moment:.0}"))),
    ];
    let set = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    set.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use domain::lock::{Lock, Target};
    use domain::node::{Node, NodeSpec};
    use domain::role::presets;
    use domain::server::{AuthServer, AuthServerSpec, Proxy, ProxySpec};
    use terminal::Screen;

    use super::*;

    const ID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";

    fn lock() -> Record {
        let target = Target { user: Some("joe".into()), login: Some("root".into()), ..Target::default() };
        let spec = LockSpec { target, message: "see the desk".into(), issued_before: None };
        Record::Lock(Lock::new(ID, spec))
    }

    fn servers() -> Vec<Record> {
        let node = NodeSpec {
            hostname: "web-1".into(),
            addr: String::new(),
            use_tunnel: true,
            labels: domain::label::Labels::default(),
            cmd_labels: domain::label::Labels::default(),
            cmd_label_errors: domain::label::Labels::default(),
            version: String::new(),
        };
        let proxy = ProxySpec {
            hostname: "edge-1".into(),
            public_addrs: vec!["p.example.com:443".into(), "q.example.com:443".into()],
            ..ProxySpec::default()
        };
        let auth = AuthServerSpec {
            hostname: "auth-1".into(),
            addrs: vec!["10.0.0.1:3025".into()],
            ..AuthServerSpec::default()
        };
        vec![
            Record::Node(Box::new(Node::new(ID, node))),
            Record::Proxy(Box::new(Proxy::new(ID, proxy))),
            Record::AuthServer(Box::new(AuthServer::new(ID, auth))),
        ]
    }

    /// What is printed, the columns parted by `|`.
    fn shown(records: &[Record]) -> Vec<String> {
        let mut out = Vec::new();
        print(&mut Printer::new(&mut out, Screen::pipe()), Format::Text, records).unwrap();
        let text = String::from_utf8(out).unwrap();
        let squeezed = |line: &str| {
            line.split("     ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|")
        };
        text.lines().filter(|line| !line.starts_with('-')).map(squeezed).collect()
    }

    #[test]
    fn a_lock_is_shown_with_target_and_message() {
        let expected = [
            "Kind|Name|Target|Message|Expires (UTC)".to_owned(),
            format!("lock|{ID}|user=joe,login=root|see the desk|never"),
        ];
        assert_eq!(shown(&[lock()]), expected);
    }

    #[test]
    fn a_lock_on_old_certificates_says_so() {
        let target = Target { serial: Some(7), ..Target::default() };
        let spec = LockSpec { target, message: String::new(), issued_before: Some(Timestamp::UNIX_EPOCH) };
        assert_eq!(super::target(&spec), "serial=7,issued_before=1970-01-01T00:00:00Z");
    }

    #[test]
    fn servers_are_shown_with_host_name_and_address() {
        let expected = [
            "Kind|Name|Host|Address|Expires (UTC)".to_owned(),
            format!("node|{ID}|web-1|⟵ Tunnel|never"),
            format!("proxy|{ID}|edge-1|p.example.com:443,q.example.com:443|never"),
            format!("auth_server|{ID}|auth-1|10.0.0.1:3025|never"),
        ];
        assert_eq!(shown(&servers()), expected);
    }

    #[test]
    fn records_of_several_sorts_show_what_they_have_in_common() {
        let role = Record::Role(Box::new(presets().into_iter().next().unwrap()));
        for records in [vec![], vec![role.clone()], vec![lock(), role], [vec![lock()], servers()].concat()] {
            let shown = shown(&records);
            assert_eq!(shown[0], "Kind|Name|Expires (UTC)");
            assert_eq!(shown.len(), records.len() + 1);
        }
    }
}
