//! The kinds of events, with their names, codes and own fields.

use serde::Serialize;

use super::file::{CopyProtocol, FileAccess, FileAction, FileOperation};
use super::plugin::{PluginChange, PluginFacts};
use super::record::RecordFacts;
use crate::Timestamp;
use crate::resource::Kind;

/// Whether something worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether it worked.
    pub success: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Outcome {
    /// It worked.
    pub fn ok() -> Self {
        Self { success: true, error: None }
    }

    /// It did not.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self { success: false, error: Some(error.to_string()) }
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CertKind {
    /// A user.
    User,
    /// A host.
    Host,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "snake_case")]
pub enum Detail {
    /// Someone tried to get in over SSH and was refused.
    AuthFailure {
        /// Always failed.
        #[serde(flatten)]
        outcome: Outcome,
        /// How many others were refused since the last such event of this service, and not written
        /// down one by one.
        #[serde(skip_serializing_if = "is_zero")]
        left_out: u64,
    },
    /// A user may not do what they asked for, though their certificate is good.
    SessionRejected {
        /// Why.
        reason: String,
    },
    /// A session began.
    SessionStart {
        /// Terminal size, `width:height`.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<String>,
        /// Whether it has a terminal.
        interactive: bool,
        /// The command line it is for; none where it is a shell or copies files over SFTP. Here, because what tells
        /// of the command's end is never written where the daemon dies meanwhile.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        initial_command: Vec<String>,
    },
    /// A session ended.
    SessionEnd {
        /// Whether it had a terminal.
        interactive: bool,
        /// Everyone who took part.
        participants: Vec<String>,
        /// When it began.
        session_start: Timestamp,
        /// When it ended.
        session_stop: Timestamp,
        /// Whether the kernel told what its programs did; here it never does.
        enhanced_recording: bool,
        /// Why nobody saw it end, where that is so; `session_stop` is then when that was found out.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A connection was cut, for whoever made it is shut out now.
    ClientDisconnect {
        /// Why.
        reason: String,
    },
    /// The terminal changed size.
    Resize {
        /// `width:height`.
        size: String,
    },
    /// A command ended.
    Exec {
        /// The command line.
        command: String,
        /// Exit status; none when it was killed or never started.
        #[serde(rename = "exitCode", serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
        exit_code: Option<u32>,
        /// Why it did not end well.
        #[serde(rename = "exitError", skip_serializing_if = "Option::is_none")]
        exit_error: Option<String>,
    },
    /// A file was copied with scp.
    Scp {
        /// Which file.
        path: String,
        /// Its size, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        len: Option<u64>,
        /// Which way.
        action: FileAction,
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Copying files was asked for where it is not allowed.
    CopyDisallowed {
        /// How it was to be done.
        #[serde(skip)]
        protocol: CopyProtocol,
        /// Which file, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Which way, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<FileAction>,
        /// Always failed.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Something was done over SFTP.
    Sftp {
        /// What.
        action: FileOperation,
        /// To which path.
        path: String,
        /// The new path of a rename or link.
        #[serde(skip_serializing_if = "Option::is_none")]
        target_path: Option<String>,
        /// What a file was opened for.
        #[serde(skip_serializing_if = "Option::is_none")]
        access: Option<FileAccess>,
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A port or socket was forwarded, or that was refused.
    PortForward {
        /// The address reached for or listened on.
        addr: String,
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A client's agent was forwarded, or that was refused.
    AgentForward {
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A subsystem was asked for that is not there or not allowed.
    Subsystem {
        /// Its name.
        name: String,
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A host joined, or was refused.
    InstanceJoin {
        /// The host.
        host_id: String,
        /// The name it gave.
        node_name: String,
        /// What it joined as.
        role: String,
        /// How it proved itself.
        method: &'static str,
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A certificate was made.
    CertCreate {
        /// For a user or a host.
        cert_type: CertKind,
        /// User name or host id.
        subject: String,
        /// Serial number.
        serial: u64,
        /// Logins or names it allows.
        principals: Vec<String>,
        /// The roles of a user.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
        /// When it runs out.
        expires: Timestamp,
    },
    /// A record was made.
    RecordCreate {
        /// Its kind.
        #[serde(skip)]
        kind: Kind,
        /// Its name; for a join token, only its beginning.
        name: String,
        /// What it says.
        #[serde(flatten)]
        facts: RecordFacts,
    },
    /// A record was replaced.
    RecordUpdate {
        /// Its kind.
        #[serde(skip)]
        kind: Kind,
        /// Its name.
        name: String,
        /// What it says now.
        #[serde(flatten)]
        facts: RecordFacts,
    },
    /// A record was removed.
    RecordDelete {
        /// Its kind.
        #[serde(skip)]
        kind: Kind,
        /// Its name.
        name: String,
        /// What it said.
        #[serde(flatten)]
        facts: RecordFacts,
    },
    /// A plugin was loaded, replaced, refused, or called no more for a while.
    Plugin {
        /// What happened.
        #[serde(skip)]
        change: PluginChange,
        /// Which plugin, which bytes, and why.
        #[serde(flatten)]
        facts: PluginFacts,
    },
}

#[allow(clippy::ref_option, reason = "serde hands the field over by reference")]
fn as_text<S: serde::Serializer>(code: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&code.map(|code| code.to_string()).unwrap_or_default())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Detail {
    /// Whether a stranger decides how often this happens. Such events must never take the room of those
    /// without which a user's session may not begin.
    pub fn is_strangers(&self) -> bool {
        matches!(self, Self::AuthFailure { .. })
    }

    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AuthFailure { .. } => "auth",
            Self::SessionRejected { .. } => "session.rejected",
            Self::SessionStart { .. } => "session.start",
            Self::SessionEnd { .. } => "session.end",
            Self::ClientDisconnect { .. } => "client.disconnect",
            Self::Resize { .. } => "resize",
            Self::Exec { .. } => "exec",
            Self::Scp { .. } | Self::CopyDisallowed { protocol: CopyProtocol::Scp, .. } => "scp",
            Self::Sftp { .. } | Self::CopyDisallowed { protocol: CopyProtocol::Sftp, .. } => "sftp",
            Self::PortForward { .. } => "port",
            Self::AgentForward { .. } => "agent-forward",
            Self::Subsystem { .. } => "subsystem",
            Self::InstanceJoin { .. } => "instance.join",
            Self::CertCreate { .. } => "cert.create",
            Self::RecordCreate { kind, .. } => record_names(*kind).0,
            Self::RecordUpdate { kind, .. } => record_names(*kind).2,
            Self::RecordDelete { kind, .. } => record_names(*kind).4,
            Self::Plugin { change, .. } => change.name(),
        }
    }

    /// The event's code: letters for the family, a number, and I, W or E.
    pub fn code(&self) -> &'static str {
        let pick = |outcome: &Outcome, good, bad| if outcome.success { good } else { bad };
        match self {
            Self::AuthFailure { .. } => "T3007W",
            Self::SessionRejected { .. } => "T1006W",
            Self::SessionStart { .. } => "T2000I",
            Self::SessionEnd { .. } => "T2004I",
            Self::ClientDisconnect { .. } => "T3006I",
            Self::Resize { .. } => "T2002I",
            Self::Exec { exit_code: Some(0), .. } => "T3002I",
            Self::Exec { .. } => "T3002E",
            Self::Scp { action: FileAction::Download, outcome, .. } => pick(outcome, "T3004I", "T3004E"),
            Self::Scp { action: FileAction::Upload, outcome, .. } => pick(outcome, "T3005I", "T3005E"),
            Self::CopyDisallowed { .. } => "T3010E",
            Self::Sftp { action, outcome, .. } => action.code(outcome.success),
            Self::PortForward { outcome, .. } => pick(outcome, "T3003I", "T3003E"),
            Self::AgentForward { outcome } => pick(outcome, "T3013I", "T3013W"),
            Self::Subsystem { outcome, .. } => pick(outcome, "T3001I", "T3001E"),
            Self::InstanceJoin { outcome, .. } => pick(outcome, "TJ002I", "TJ002E"),
            Self::CertCreate { .. } => "TC000I",
            Self::RecordCreate { kind, .. } => record_names(*kind).1,
            Self::RecordUpdate { kind, .. } => record_names(*kind).3,
            Self::RecordDelete { kind, .. } => record_names(*kind).5,
            Self::Plugin { change, .. } => change.code(),
        }
    }
}

/// Name and code of a record's creation, update and removal.
fn record_names(
    kind: Kind,
) -> (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str) {
    match kind {
        Kind::User => ("user.create", "T1002I", "user.update", "T1003I", "user.delete", "T1004I"),
        Kind::Role => ("role.created", "T9000I", "role.updated", "T9002I", "role.deleted", "T9001I"),
        Kind::Token => {
            ("join_token.create", "TJT00I", "join_token.update", "TJT01I", "join_token.delete", "TJT02I")
        }
        Kind::Lock => ("lock.created", "TLK00I", "lock.updated", "TLK02I", "lock.deleted", "TLK01I"),
        Kind::Node => ("node.created", "TN000I", "node.updated", "TN001I", "node.deleted", "TN002I"),
        Kind::CertAuthority => (
            "cert_authority.created",
            "TCA00I",
            "cert_authority.updated",
            "TCA01I",
            "cert_authority.deleted",
            "TCA02I",
        ),
        Kind::Proxy => ("proxy.created", "TPX00I", "proxy.updated", "TPX01I", "proxy.deleted", "TPX02I"),
        Kind::AuthServer => (
            "auth_server.created",
            "TAS00I",
            "auth_server.updated",
            "TAS01I",
            "auth_server.deleted",
            "TAS02I",
        ),
    }
}
