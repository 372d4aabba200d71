//! A label plugin that tries for a connection of its own, as the command says, with what its language has for
//! that. Its value is what the operating system, as it sees it, has to say.

use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use teleport_plugin_sdk::label_provider::{Failure, LabelProvider, Request};

struct Socket;

impl LabelProvider for Socket {
    fn evaluate(request: Request) -> Result<String, Failure> {
        let mut words = request.command.iter().map(String::as_str);
        let (way, address) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let tried = match way {
            "connect" => TcpStream::connect(address).map(drop),
            "listen" => TcpListener::bind(address).map(drop),
            "datagram" => UdpSocket::bind(address).map(drop),
            "look-up" => address.to_socket_addrs().map(drop),
            _ => return Err(Failure::Invalid("no way that is known".to_owned())),
        };
        match tried {
            Ok(()) => Err(Failure::Unavailable(format!("{way} worked"))),
            Err(error) => Ok(format!("{:?}", error.kind())),
        }
    }
}

teleport_plugin_sdk::export_label_provider!(Socket);
