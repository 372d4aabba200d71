//! The subsystem `proxy:host:port`, for `ProxyCommand ssh -p 3023 %r@proxy -s proxy:%h:%p`.

use std::collections::HashMap;

use domain::route::Target;
use russh::server::Msg;
use russh::{Channel, ChannelId};

use super::Errand;

/// Session channels that wait to be told what they are for.
pub(super) const WAITING_MAX: usize = 64;

/// Session channels that were opened and not yet used.
#[derive(Default)]
pub(super) struct Waiting(HashMap<ChannelId, Channel<Msg>>);

impl Waiting {
    /// Keeps a channel until it is used; false when there are too many.
    pub(super) fn add(&mut self, channel: Channel<Msg>) -> bool {
        if self.0.len() >= WAITING_MAX {
            return false;
        }
        self.0.insert(channel.id(), channel);
        true
    }

    pub(super) fn take(&mut self, channel: ChannelId) -> Option<Channel<Msg>> {
        self.0.remove(&channel)
    }
}

/// Connects the channel to the node it names, or says why not.
pub(super) async fn run(errand: Errand, target: Target, channel: Channel<Msg>) {
    match errand.connect(&target).await {
        Ok(node) => errand.carry(channel, node).await,
        Err(error) => say_no(channel, error).await,
    }
}

/// The same from inside the connection's own loop, which must not wait for itself.
pub(super) fn say_no_later(channel: Channel<Msg>, reason: impl std::fmt::Display) {
    let reason = reason.to_string();
    tokio::spawn(say_no(channel, reason));
}

/// One line on standard error, exit status 1, and the end. A client that is gone needs none of it.
async fn say_no(channel: Channel<Msg>, reason: impl std::fmt::Display) {
    let line: String = reason.to_string().chars().filter(|c| !c.is_control()).collect();
    let _ = channel.extended_data_bytes(1, format!("{line}\r\n").into_bytes()).await;
    let _ = channel.exit_status(1).await;
    let _ = channel.eof().await;
    let _ = channel.close().await;
}
