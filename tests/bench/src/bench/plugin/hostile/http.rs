//! Guests that flood with requests, and a server that floods a guest.

use domain::plugin::{Destination, Grant};
use ssh::refuse::chain;
use terminal::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::Memory;
use crate::bench::plugin::bed::{Bed, Guests, label, manifest};
use crate::measure::Scale;
use crate::table::Report;

/// What is asked of the server, what is said of it then, and what the host may hold of it, in MiB.
const DEEDS: [(&str, &str, f64); 4] = [
    ("small times:100000", "sent more than 8 HTTP requests in one call", 1.0),
    ("small parallel:20", "sent more than 8 HTTP requests in one call", 1.0),
    ("small parallel:1000", "more handles than 256", 1.0),
    ("endless size", "more than 1MiB over HTTP in one call", 2.0),
];

/// Of an answer that never ends.
static PIECE: [u8; 16 << 10] = [0; 16 << 10];

pub(super) async fn run(guests: &Guests, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let server = Server::start().await?;
    let mut bed = Bed::new()?;
    let needs = "[[needs]]\ncapability = \"http\"\nreason = \"floods\"\n";
    let plugin = bed.install("fetch", &guests.fetch, &(manifest("fetch", "label-provider") + needs))?;
    plugin.grants.push(Grant::http(Destination::parse(&server.url)?, true));
    plugin.limits.insert("cpu".to_owned(), "1s".to_owned());
    let host = bed.host()?;
    for (deed, says, budget) in DEEDS {
        let flood = label("fetch", &format!("GET {}/{deed}", server.url));
        let once = async || match host.call(&flood).await?.result {
            Err(error) if chain(&error).contains(says) => Ok(()),
            other => Err(Failure::new(format!("the flood {deed} did not end as it should: {other:?}"))),
        };
        once().await?;
        let memory = Memory::now()?;
        for _ in 0..scale.rounds(40) {
            once().await?;
        }
        memory.tell(&format!("hostile guest, requests {deed}"), budget, report);
    }
    Ok(())
}

/// A server that answers with little, or never ends; it stops with this. It is in the process that is measured, and
/// holds little.
struct Server {
    url: String,
    task: AbortHandle,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = async move {
            // Ended with this.
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection));
                while connections.try_join_next().is_some() {}
            }
        };
        Ok(Self { url, task: tokio::spawn(serving).abort_handle() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whoever breaks off has served its purpose.
async fn serve(mut connection: TcpStream) -> std::io::Result<()> {
    let mut asked = Vec::new();
    loop {
        if connection.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
        if !asked.ends_with(b"\r\n\r\n") {
            continue;
        }
        if asked.starts_with(b"GET /small") {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
            asked.clear();
            continue;
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await?;
        loop {
            connection.write_all(&PIECE).await?;
        }
    }
}
