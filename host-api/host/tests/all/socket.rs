//! Sockets, which plugins may import, for some languages cannot do otherwise, and may not have.

use std::net::{TcpListener, UdpSocket};

use crate::bed::{Bed, LONG, guest, label, manifest};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_a_socket_is_refused_and_nobody_outside_hears_of_it() {
    let mut bed = Bed::new();
    bed.install("socket", &guest("socket"), &manifest("socket"));
    bed.pin("socket");
    let host = bed.host();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let there = listener.local_addr().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (way, address) in [
        ("connect", there.to_string()),
        ("connect", format!("[::ffff:127.0.0.1]:{}", there.port())),
        ("connect", format!("localhost:{}", there.port())),
        ("listen", "127.0.0.1:0".to_owned()),
        ("datagram", taken.to_string()),
        ("look-up", "localhost:1".to_owned()),
    ] {
        let label = label("socket", &format!("{way} {address}"));
        let report = tokio::time::timeout(LONG, host.call(&label)).await.unwrap().unwrap();
        assert_eq!(report.result.unwrap(), "PermissionDenied", "{way} {address}");
    }
    let heard = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
}
