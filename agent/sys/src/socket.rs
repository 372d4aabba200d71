//! Messages with descriptors beside them over a pair of local sockets.
//!
//! `SOCK_SEQPACKET` keeps the borders of messages, so a message is a frame. Used between the daemon,
//! its helper and the helper's children.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The most descriptors one message carries.
pub(crate) const DESCRIPTORS_MAX: usize = 8;

/// Two connected ends; both block and close on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message.
pub(crate) fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    // Without a signal when the other side is gone: the error says it.
    rustix::io::retry_on_intr(|| {
        sendmsg(&socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Receives one message into `buffer`; none when the other side has closed. A message longer than
/// the buffer, or with more descriptors than fit, is an error.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    let cut = rustix::net::ReturnFlags::TRUNC | rustix::net::ReturnFlags::CTRUNC;
    if received.flags.intersects(cut) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut short"));
    }
    // No message of ours is empty.
    Ok((received.bytes > 0).then_some((received.bytes, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn a_message_keeps_its_borders_and_brings_its_descriptors() {
        let (one, other) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inside").unwrap();
        send(&one, b"first", &[file.as_fd()]).unwrap();
        send(&one, b"second", &[]).unwrap();
        let mut buffer = [0; 64];
        let (length, mut descriptors) = receive(&other, &mut buffer).unwrap().unwrap();
        assert_eq!((&buffer[..length], descriptors.len()), (&b"first"[..], 1));
        let mut received = File::from(descriptors.remove(0));
        received.rewind().unwrap();
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        assert_eq!(receive(&other, &mut buffer).unwrap().unwrap().0, 6);
        drop(one);
        assert!(receive(&other, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn a_message_too_long_for_the_buffer_is_not_half_read() {
        let (one, other) = pair().unwrap();
        send(&one, &[7; 100], &[]).unwrap();
        assert_eq!(receive(&other, &mut [0; 10]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn sending_to_nobody_is_an_error_and_no_signal() {
        let (one, other) = pair().unwrap();
        drop(other);
        assert_eq!(send(&one, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
