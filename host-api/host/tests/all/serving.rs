//! Real servers on loopback: what plugins send their requests to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// What a server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
    at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    pub(crate) heads: Mutex<Vec<String>>,
}

/// A server that stops with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// HTTP.
    pub(crate) async fn plain() -> Self {
        Self::start(None).await
    }

    /// HTTPS.
    pub(crate) async fn tls(config: rustls::ServerConfig) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let counted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.connections.fetch_add(1, SeqCst);
                let (tls, seen) = (tls.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            // A client that does not trust this server goes away.
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, seen).await;
                            }
                        }
                        None => serve(stream, seen).await,
                    }
                });
            }
        });
        Self { port, seen, task }
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, seen: Arc<Seen>) {
    let service = service_fn(move |request| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, seen).await) }
    });
    // A connection that is cut off is what some tests are about.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn text(text: impl Into<Bytes>) -> Response<Sent> {
    Response::new(Full::new(text.into()).boxed_unsync())
}

fn pieces(piece: Bytes, every: Duration, seen: Arc<Seen>) -> Response<Sent> {
    let body = stream::unfold((), move |()| {
        let (piece, seen) = (piece.clone(), Arc::clone(&seen));
        async move {
            tokio::time::sleep(every).await;
            seen.bytes.fetch_add(piece.len(), SeqCst);
            Some((Ok(Frame::data(piece)), ()))
        }
    });
    Response::new(BodyExt::boxed_unsync(StreamBody::new(body)))
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Response<Sent> {
    seen.requests.fetch_add(1, SeqCst);
    let head = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
    seen.heads.lock().push(head.clone());
    let path = request.uri().path().to_owned();
    let (what, rest) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let number = || rest.parse::<usize>().unwrap();
    match what {
        "hello" => text("hello"),
        "head" => text(head),
        "version" => text(format!("{:?}", request.version())),
        "echo" => text(request.into_body().collect().await.unwrap().to_bytes()),
        "large" => text(vec![b'x'; number()]),
        "endless" => pieces(Bytes::from(vec![b'x'; number()]), Duration::ZERO, seen),
        "drip" => pieces(Bytes::from_static(b"tick"), Duration::from_millis(10), seen),
        "hang" => std::future::pending().await,
        "stall" => {
            let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b"first"))) });
            let body = futures::StreamExt::chain(first, stream::pending());
            Response::new(BodyExt::boxed_unsync(StreamBody::new(body)))
        }
        "together" => {
            let now = seen.at_once.fetch_add(1, SeqCst) + 1;
            seen.most_at_once.fetch_max(now, SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen.at_once.fetch_sub(1, SeqCst);
            text("x")
        }
        "to" => {
            let location = request.uri().query().unwrap();
            Response::builder().status(302).header("location", location).body(Sent::default()).unwrap()
        }
        "headers" => {
            let value = "x".repeat(1000);
            let headers = (0..number() / 1000)
                .fold(Response::builder(), |builder, n| builder.header(format!("x-{n}"), &value));
            headers.body(Sent::default()).unwrap()
        }
        "close" => {
            let mut answer = text("closed");
            answer.headers_mut().insert("connection", "close".parse().unwrap());
            answer
        }
        _ => Response::builder().status(404).body(Sent::default()).unwrap(),
    }
}

/// An authority for tests.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name and its key, in PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// A server of this name; with `clients`, it wants a certificate of theirs.
    pub(crate) fn server(&self, name: &str, clients: Option<&Self>, alpn: &[&str]) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
                builder.with_client_cert_verifier(
                    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .unwrap(),
                )
            }
        };
        let (certificate, key) = self.issue(name);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// A proxy: tunnels for `CONNECT`, and an answer of its own for the rest. It resolves every name to
/// loopback.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(relay(stream, Arc::clone(&kept)));
            }
        });
        Self { port, heads, task }
    }
}

async fn relay(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    heads.lock().push(head.clone());
    let mut words = head.split(' ');
    if words.next() == Some("CONNECT") {
        let port: u16 = words.next().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let mut server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    } else {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\nby a proxy!";
        let _ = stream.write_all(answer).await;
    }
}
