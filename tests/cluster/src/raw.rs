//! An SSH client that says whatever it is told to: before keys are agreed, and after.
//!
//! It speaks one set of algorithms (curve25519, AES-256-GCM, strict key exchange) and checks nothing
//! of the server, since it is there to test what servers do with messages no honest client sends.

use std::io;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::{Message, Reading};

/// Message numbers of RFC 4250 that tests name.
pub mod message {
    #![allow(missing_docs, reason = "the names are the standard's")]
    pub const DISCONNECT: u8 = 1;
    pub const IGNORE: u8 = 2;
    pub const UNIMPLEMENTED: u8 = 3;
    pub const DEBUG: u8 = 4;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const SERVICE_ACCEPT: u8 = 6;
    pub const EXT_INFO: u8 = 7;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const KEX_ECDH_INIT: u8 = 30;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const USERAUTH_INFO_REQUEST: u8 = 60;
    pub const USERAUTH_INFO_RESPONSE: u8 = 61;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const REQUEST_SUCCESS: u8 = 81;
    pub const REQUEST_FAILURE: u8 = 82;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub const CHANNEL_EOF: u8 = 96;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
    pub const CHANNEL_SUCCESS: u8 = 99;
    pub const CHANNEL_FAILURE: u8 = 100;
}

const GREETING: &str = "SSH-2.0-Raw";
/// The tag of AES-GCM, in bytes.
const TAG: usize = 16;
/// Longer than anything here takes, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What carries the protocol.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// One direction's cipher. The counter of its nonces is that of RFC 5647.
struct Cipher {
    key: LessSafeKey,
    fixed: [u8; 4],
    counter: u64,
}

impl Cipher {
    fn new(key: &[u8], nonce: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
        let fixed = nonce[..4].try_into().unwrap();
        Self { key, fixed, counter: u64::from_be_bytes(nonce[4..12].try_into().unwrap()) }
    }

    fn nonce(&mut self) -> Nonce {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.fixed);
        bytes[4..].copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key(bytes)
    }
}

/// A connection.
pub struct Raw {
    stream: Box<dyn Carrier>,
    server_greeting: String,
    session_id: Vec<u8>,
    sealing: Option<Cipher>,
    opening: Option<Cipher>,
}

impl Raw {
    /// Connects and exchanges greetings.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn connect(address: std::net::SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }

    /// A connection on which nothing is said.
    pub fn silent(stream: Box<dyn Carrier>) -> Self {
        Self { stream, server_greeting: String::new(), session_id: Vec::new(), sealing: None, opening: None }
    }

    /// Exchanges greetings over a stream that is there.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn over(stream: impl Carrier + 'static) -> io::Result<Self> {
        let mut raw = Self::silent(Box::new(stream));
        raw.write(format!("{GREETING}\r\n").as_bytes()).await?;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(raw.stream.read_u8().await?);
        }
        raw.server_greeting = String::from_utf8_lossy(&line).trim_end().to_owned();
        Ok(raw)
    }

    /// The server's greeting.
    pub fn greeting(&self) -> &str {
        &self.server_greeting
    }

    /// What signatures of users are over, besides the request.
    pub fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends a message in a packet of its own (RFC 4253 section 6), sealed once keys are agreed.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn send(&mut self, payload: impl AsRef<[u8]>) -> io::Result<()> {
        let packet = self.packet(payload.as_ref());
        self.write(&packet).await
    }

    /// The packet of a message. Each is to be written, in this order: the cipher counts them.
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let Some(cipher) = &mut self.sealing else { return framed(payload, 8, 4) };
        let mut packet = framed(payload, 16, 0);
        let nonce = cipher.nonce();
        let (length, body) = packet.split_at_mut(4);
        let tag = cipher.key.seal_in_place_separate_tag(nonce, Aad::from(length), body).unwrap();
        packet.extend_from_slice(tag.as_ref());
        packet
    }

    /// The next message.
    ///
    /// # Errors
    /// An unexpected end when the server has closed the connection.
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server says nothing");
        tokio::time::timeout(PATIENCE, self.receive_packet()).await.map_err(late)?
    }

    async fn receive_packet(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        let count = u32::from_be_bytes(length) as usize;
        let tag = if self.opening.is_some() { TAG } else { 0 };
        let mut body = vec![0; count + tag];
        self.stream.read_exact(&mut body).await?;
        if let Some(cipher) = &mut self.opening {
            let nonce = cipher.nonce();
            let broken = |_| io::Error::new(io::ErrorKind::InvalidData, "the packet's tag is wrong");
            cipher.key.open_in_place(nonce, Aad::from(length), &mut body).map_err(broken)?;
        }
        let padding = usize::from(body[0]);
        Ok(body[1..count - padding].to_vec())
    }

    /// The next message of one of these numbers; others are skipped.
    ///
    /// # Errors
    /// Those of [`Raw::receive`].
    pub async fn receive_one_of(&mut self, numbers: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let payload = self.receive().await?;
            if payload.first().is_some_and(|number| numbers.contains(number)) {
                return Ok(payload);
            }
        }
    }

    /// Reads until the server ends the connection; what it said meanwhile.
    ///
    /// # Errors
    /// When it does not end it in good time.
    pub async fn until_closed(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut said = Vec::new();
        loop {
            match self.receive().await {
                Ok(payload) => said.push(payload),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(_) => return Ok(said),
            }
        }
    }

    /// Agrees on keys.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn exchange_keys(&mut self) -> io::Result<()> {
        let ours = kexinit();
        self.send(&ours).await?;
        let theirs = self.receive_one_of(&[message::KEXINIT]).await?;
        self.agree(&ours, &theirs).await
    }

    /// The part of [`Raw::exchange_keys`] after both sides have said what they can.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn agree(&mut self, ours: &[u8], theirs: &[u8]) -> io::Result<()> {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let public = private.compute_public_key().unwrap();
        self.send(Message::new(message::KEX_ECDH_INIT).text(&public)).await?;
        let reply = self.receive().await?;
        let mut reply = Reading::message(&reply);
        let (host_key, their_public) = (reply.bytes(), reply.bytes());
        let peer = UnparsedPublicKey::new(&X25519, their_public);
        let failed = io::Error::other("the server's key is no key");
        let shared = agree_ephemeral(private, peer, failed, |secret| Ok(secret.to_vec()))?;
        let shared = Message::part().integer(&shared).into_bytes();
        let exchange = Message::part()
            .text(GREETING)
            .text(&self.server_greeting)
            .text(ours)
            .text(theirs)
            .text(host_key)
            .text(&public)
            .text(their_public)
            .raw(&shared);
        let hash = digest(&SHA256, exchange.as_ref()).as_ref().to_vec();
        if self.session_id.is_empty() {
            self.session_id.clone_from(&hash);
        }
        self.send([message::NEWKEYS]).await?;
        let derive = |letter: u8| {
            let input = [&shared[..], &hash, &[letter], &self.session_id].concat();
            digest(&SHA256, &input).as_ref().to_vec()
        };
        let sealing = Cipher::new(&derive(b'C'), &derive(b'A'));
        let opening = Cipher::new(&derive(b'D'), &derive(b'B'));
        self.sealing = Some(sealing);
        self.receive_one_of(&[message::NEWKEYS]).await?;
        self.opening = Some(opening);
        Ok(())
    }

    /// Asks for the service that signs users in.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn ask_for_sign_in(&mut self) -> io::Result<()> {
        self.send(Message::new(message::SERVICE_REQUEST).text("ssh-userauth")).await?;
        self.receive_one_of(&[message::SERVICE_ACCEPT]).await.map(drop)
    }

    /// Connects, agrees on keys and asks for the service that signs users in.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn stranger(address: std::net::SocketAddr) -> io::Result<Self> {
        let mut raw = Self::connect(address).await?;
        raw.exchange_keys().await?;
        raw.ask_for_sign_in().await?;
        Ok(raw)
    }
}

/// A packet: length, padding length, payload, padding. `counted` is how much of the length field
/// counts for the alignment to `block`.
fn framed(payload: &[u8], block: usize, counted: usize) -> Vec<u8> {
    let bare = counted + 1 + payload.len();
    let padding = match block - bare % block {
        short if short < 4 => short + block,
        enough => enough,
    };
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let padding_length = u8::try_from(padding).unwrap();
    [&length.to_be_bytes()[..], &[padding_length], payload, &vec![0; padding]].concat()
}

/// What this client can do, strict key exchange included (OpenSSH `PROTOCOL` section 1.10).
pub fn kexinit() -> Vec<u8> {
    kexinit_of("curve25519-sha256,kex-strict-c-v00@openssh.com")
}

/// The same with other key exchanges.
pub fn kexinit_of(exchanges: &str) -> Vec<u8> {
    let none = "";
    Message::new(message::KEXINIT)
        .raw([7; 16])
        .text(exchanges)
        .text("ssh-ed25519-cert-v01@openssh.com,ssh-ed25519")
        .text("aes256-gcm@openssh.com")
        .text("aes256-gcm@openssh.com")
        .text("hmac-sha2-256")
        .text("hmac-sha2-256")
        .text("none")
        .text("none")
        .text(none)
        .text(none)
        .flag(false)
        .number(0)
        .into_bytes()
}
