//! One user's SSH connection to the node: who they are, and what they ask for.
//!
//! russh calls one method per message. Each is answered at once; whatever may take time runs in a
//! task of its own, because a method that waits holds up every channel of the connection. Every
//! method through which a client could get something is written out here, none is left to a default.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use domain::audit::{Detail, Outcome};
use port::stream::Origin;
use russh::keys::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId};
use ssh::entrance::Entrance;
use ssh::refuse::prohibited;
use ssh::serve::Known;
use sys::session::{Signal, Terminal, WindowSize};
use tokio::sync::oneshot;

use crate::service::NodeService;
use crate::session::{Control, Wanted};

mod channel;
mod forward;
pub(crate) mod lockout;
pub(crate) mod signed_in;

use channel::{Slot, Waiting};
use forward::{Forwards, Target};
use lockout::Arrival;
use signed_in::SignedIn;

/// Channels of one connection at once. OpenSSH's server allows ten sessions; people who multiplex
/// whole fleets over one connection want more.
const CHANNELS_MAX: usize = 1024;

/// One user's connection.
pub(crate) struct Connection {
    service: Arc<NodeService>,
    known: Known,
    origin: Origin,
    entrance: Entrance,
    slots: HashMap<ChannelId, Slot>,
    forwards: Forwards,
    /// To be told when the user has signed in.
    arrival: Option<oneshot::Sender<Arrival>>,
}

impl Connection {
    pub(crate) fn new(
        service: Arc<NodeService>,
        known: Known,
        origin: Origin,
        arrival: oneshot::Sender<Arrival>,
    ) -> Self {
        let entrance =
            Entrance::new(Arc::clone(&service.door), origin.peer, origin.local, known.heard().clone());
        let forwards = Forwards::new(Arc::clone(&service), known.backlog().clone());
        let (slots, arrival) = (HashMap::new(), Some(arrival));
        Self { service, known, origin, entrance, slots, forwards, arrival }
    }

    /// Who is signed in.
    fn signed_in(&self) -> Result<SignedIn, String> {
        let user = self.entrance.user().ok_or("nobody is signed in")?;
        Ok(SignedIn::new(Arc::clone(&self.service), Arc::clone(user), self.entrance.login().to_owned()))
    }

    /// Writes down what was refused or done, without holding up the connection.
    fn note(&self, detail: Detail) {
        let (door, context) = (Arc::clone(&self.service.door), self.entrance.context());
        tokio::spawn(async move { door.note(context, detail).await });
    }

    async fn listen(&mut self, asked: Target, client: russh::server::Handle) -> Option<Target> {
        let who = self.signed_in();
        self.forwards.listen(asked, who, self.entrance.context(), client).await
    }

    fn running(&self, channel: ChannelId) -> Option<&tokio::sync::mpsc::Sender<Control>> {
        match self.slots.get(&channel) {
            Some(Slot::Running(control)) => Some(control),
            _ => None,
        }
    }

    fn waiting(&mut self, channel: ChannelId) -> Option<&mut Waiting> {
        match self.slots.get_mut(&channel) {
            Some(Slot::Waiting(waiting)) => Some(waiting),
            _ => None,
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.entrance.tried(user);
        // While the client proves itself, the helper that becomes its session can wake up.
        let launcher = self.service.deps.launcher.clone();
        tokio::spawn(async move { launcher.warm().await });
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, _password: &str) -> Result<Auth, Self::Error> {
        self.entrance.tried(user);
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.entrance.key_offered(user, offer))
    }

    async fn auth_publickey(&mut self, user: &str, _key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.entrance.tried(user);
        Ok(Auth::reject())
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        let service = &self.service;
        Ok(self.entrance.certificate(user, certificate, |known| service.permit(known, user).map(|_| ())))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.entrance.explain(user))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        self.known.mark();
        if let (Ok(who), Some(arrival)) = (self.signed_in(), self.arrival.take()) {
            let (context, client) = (self.entrance.context(), session.handle());
            // Nobody waits for it any more when the connection is being ended.
            let _ = arrival.send(Arrival { who, context, client });
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.slots.len() >= CHANNELS_MAX {
            reply.reject(prohibited(format!("more than {CHANNELS_MAX} sessions over one connection"))).await;
            return Ok(());
        }
        self.slots.insert(channel.id(), Slot::Waiting(Waiting::new(channel)));
        reply.accept().await;
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.known.backlog().window()
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        col_width: u32,
        row_height: u32,
        pix_width: u32,
        pix_height: u32,
        modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let size = window_size(col_width, row_height, pix_width, pix_height);
        let modes = modes.iter().map(|(mode, value)| (*mode as u8, *value)).collect();
        let permitted = self.signed_in().is_ok_and(|who| who.certificate_permits("permit-pty"));
        match self.waiting(channel) {
            Some(waiting) if permitted => {
                waiting.terminal = Some(Terminal { term: term.to_owned(), size, modes });
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        col_width: u32,
        row_height: u32,
        pix_width: u32,
        pix_height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let size = window_size(col_width, row_height, pix_width, pix_height);
        if let Some(control) = self.running(channel) {
            // A client that resizes faster than its terminal follows loses a step on the way.
            let _ = control.try_send(Control::Resize(size));
        } else if let Some(terminal) = self.waiting(channel).and_then(|waiting| waiting.terminal.as_mut()) {
            terminal.size = size;
        }
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: russh::Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let known = Signal::from_name(&channel::signal_name(&signal));
        if let (Some(control), Some(signal)) = (self.running(channel), known) {
            let _ = control.try_send(Control::Signal(signal));
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let set = self.waiting(channel).is_some_and(|waiting| waiting.set_variable(name, value));
        if set { session.channel_success(channel) } else { session.channel_failure(channel) }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.start(channel, Wanted::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // In whatever encoding the user's shell reads.
        self.start(channel, Wanted::Command(OsString::from_vec(data.to_vec())), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name == "sftp" {
            return self.start(channel, Wanted::Sftp, session);
        }
        let outcome = Outcome::failed("there is no such subsystem");
        self.note(Detail::Subsystem { name: name.to_owned(), outcome });
        session.channel_failure(channel)
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let allowed = self.signed_in().and_then(|who| who.agent_permit().map(|_| who));
        match (self.waiting(channel), allowed) {
            (Some(waiting), Ok(who)) => {
                waiting.agent = Some(who);
                Ok(true)
            }
            (_, Err(reason)) => {
                self.note(Detail::AgentForward { outcome: Outcome::failed(reason) });
                Ok(false)
            }
            (None, Ok(_)) => Ok(false),
        }
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        // A session that still runs is hung up when its control goes.
        self.slots.remove(&channel);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let target = Target::Tcp(host_to_connect.to_owned(), port_to_connect);
        let permit = self.signed_in().and_then(|who| who.forwarding_permit());
        self.forwards.connect(target, permit, self.entrance.context(), (channel, reply)).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let target = Target::Unix(socket_path.into());
        let permit = self.signed_in().and_then(|who| who.forwarding_permit());
        self.forwards.connect(target, permit, self.entrance.context(), (channel, reply)).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let asked = Target::Tcp(address.to_owned(), *port);
        match self.listen(asked, session.handle()).await {
            Some(Target::Tcp(_, bound)) => {
                *port = bound;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forwards.cancel(&Target::Tcp(address.to_owned(), port)))
    }

    async fn streamlocal_forward(
        &mut self,
        socket_path: &str,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.listen(Target::Unix(socket_path.into()), session.handle()).await.is_some())
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        socket_path: &str,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forwards.cancel(&Target::Unix(socket_path.into())))
    }
}

/// A window's size; what does not fit the system's type is as large as that can say.
fn window_size(cols: u32, rows: u32, xpixel: u32, ypixel: u32) -> WindowSize {
    let fit = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    WindowSize { cols: fit(cols), rows: fit(rows), xpixel: fit(xpixel), ypixel: fit(ypixel) }
}
