//! Channels of a hand-made client that is signed in (RFC 4254).

use std::io;
use std::net::SocketAddr;

use crate::cluster::Credentials;
use crate::forge::{Shown, Verdict};
use crate::raw::{Raw, message};
use crate::wire::{Message, Reading};

/// How a request for a channel was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The server's number of it.
    Channel(u32),
    /// The reason's number and its text.
    Refused(u32, String),
}

impl Opened {
    /// The server's number of the channel.
    ///
    /// # Panics
    /// When there is none.
    pub fn number(self) -> u32 {
        match self {
            Self::Channel(number) => number,
            Self::Refused(..) => unreachable!("the channel was refused: {self:?}"),
        }
    }
}

/// What a session said until it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether the request was granted; none when nothing was said about it.
    pub granted: Option<bool>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status.
    pub status: Option<u32>,
}

/// The window and packet size of a modest client.
const WINDOW: u32 = 1 << 20;
const PACKET: u32 = 1 << 15;

impl Raw {
    /// A client that is signed in.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn signed_in(door: SocketAddr, credentials: &Credentials, login: &str) -> Self {
        let mut raw = Self::stranger(door).await.unwrap();
        let verdict = raw.sign_in(login, &Shown::honest(credentials)).await.unwrap();
        assert_eq!(verdict, Verdict::Accepted);
        raw
    }

    /// Asks for a channel of this kind, with what the kind needs besides.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open(&mut self, kind: &str, more: Message) -> io::Result<Opened> {
        self.open_with(kind, (WINDOW, PACKET), more).await
    }

    /// The same with a window and packet size of one's own.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open_with(
        &mut self,
        kind: &str,
        (window, packet): (u32, u32),
        more: Message,
    ) -> io::Result<Opened> {
        let ask = Message::new(message::CHANNEL_OPEN).text(kind).number(0).number(window).number(packet);
        self.send(ask.raw(more)).await?;
        let answers = [message::CHANNEL_OPEN_CONFIRMATION, message::CHANNEL_OPEN_FAILURE];
        let payload = self.receive_one_of(&answers).await?;
        let mut reading = Reading::message(&payload);
        let _ours = reading.number();
        let number = reading.number();
        Ok(if payload[0] == message::CHANNEL_OPEN_CONFIRMATION {
            Opened::Channel(number)
        } else {
            Opened::Refused(number, reading.text())
        })
    }

    /// Asks for a connection to `host:port`.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open_direct(&mut self, host: &str, port: u32) -> io::Result<Opened> {
        let more = Message::part().text(host).number(port).text("127.0.0.1").number(1);
        self.open("direct-tcpip", more).await
    }

    /// Asks for a session.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open_session(&mut self) -> io::Result<u32> {
        Ok(self.open("session", Message::part()).await?.number())
    }

    /// Sends a request of a channel that wants an answer.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn request(&mut self, channel: u32, kind: &str, more: Message) -> io::Result<()> {
        let request = Message::new(message::CHANNEL_REQUEST).number(channel).text(kind).flag(true);
        self.send(request.raw(more)).await
    }

    /// Whether a request of a channel is granted.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn is_granted(&mut self, channel: u32, kind: &str, more: Message) -> io::Result<bool> {
        self.request(channel, kind, more).await?;
        let payload = self.receive_one_of(&[message::CHANNEL_SUCCESS, message::CHANNEL_FAILURE]).await?;
        Ok(payload[0] == message::CHANNEL_SUCCESS)
    }

    /// Whether a request of the connection is granted.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn is_global_granted(&mut self, kind: &str, more: Message) -> io::Result<bool> {
        self.send(Message::new(message::GLOBAL_REQUEST).text(kind).flag(true).raw(more)).await?;
        let payload = self.receive_one_of(&[message::REQUEST_SUCCESS, message::REQUEST_FAILURE]).await?;
        Ok(payload[0] == message::REQUEST_SUCCESS)
    }

    /// Sends a request and listens to the one channel there is until it ends, or the request is refused.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn converse(&mut self, channel: u32, kind: &str, more: Message) -> io::Result<Said> {
        self.request(channel, kind, more).await?;
        let mut said = Said::default();
        loop {
            let payload = self.receive().await?;
            let mut reading = Reading::message(&payload);
            match payload[0] {
                message::CHANNEL_SUCCESS => said.granted = Some(true),
                message::CHANNEL_FAILURE => said.granted = Some(false),
                message::CHANNEL_DATA => {
                    reading.number();
                    said.stdout += &reading.text();
                }
                message::CHANNEL_EXTENDED_DATA => {
                    let (_channel, _type) = (reading.number(), reading.number());
                    said.stderr += &reading.text();
                }
                message::CHANNEL_REQUEST => {
                    reading.number();
                    if reading.text() == "exit-status" {
                        reading.byte();
                        said.status = Some(reading.number());
                    }
                }
                message::CHANNEL_CLOSE => return Ok(said),
                _ => {}
            }
        }
    }

    /// A command on a node, to its end.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn exec(&mut self, command: &str) -> io::Result<Said> {
        let channel = self.open_session().await?;
        self.converse(channel, "exec", Message::part().text(command)).await
    }
}
