//! How a session's end is told (RFC 4254 section 6.10).

use russh::ChannelWriteHalf;
use russh::Sig;
use russh::server::{Handle, Msg};
use sys::session::ExitStatus;

/// The exit status of a session that could not start; ssh itself uses it for errors of its own.
pub(super) const CANNOT_START: u32 = 255;

/// Exit status or signal, then the end of data, then of the channel. A client that is gone needs
/// none of it.
pub(super) async fn send_end(client: &Handle, write: &ChannelWriteHalf<Msg>, status: &ExitStatus) {
    match status {
        ExitStatus::Code(code) => {
            let _ = write.exit_status(*code).await;
        }
        ExitStatus::Signal { name, core_dumped, .. } => {
            let (name, nothing) = (signal(name), String::new);
            let _ = client.exit_signal_request(write.id(), name, *core_dumped, nothing(), nothing()).await;
        }
    }
    let _ = write.eof().await;
    let _ = write.close().await;
}

fn signal(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}
