use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Asked for something that it does not tell the size of, and that does not end.
const ENDLESS: &str = "endless";

/// Status, further headers and body, by a request's head and the registry's own address.
type Answer = fn(&str, &str) -> (u16, String, String);

/// A registry that answers a request's head with status, further headers and body, and counts what it sends.
struct Registry {
    address: String,
    sent: Arc<AtomicU64>,
}

impl Registry {
    async fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sent = Arc::new(AtomicU64::new(0));
        let (own, count) = (address.clone(), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (own, count) = (own.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                    let (status, headers, body) = answer(&head, &own);
                    send(stream, status, &headers, &body, &count).await;
                });
            }
        });
        Self { address, sent }
    }

    async fn begin(&self, auth: RegistryAuth) -> Result<Vec<u8>, String> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let place = Place::parse(&format!("oci://{}/acme/x:1", self.address), false).unwrap();
        let fetch = Fetch::begin(&place, &Credentials(auth)).await.map_err(|error| error.to_string())?;
        fetch.get("manifests/1", "*/*", 1000).await.map_err(|refused| match refused {
            Refused::TooLarge => "too large".to_owned(),
            Refused::Other(error) => error.to_string(),
        })
    }
}

async fn send(mut stream: TcpStream, status: u16, headers: &str, body: &str, count: &AtomicU64) {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    if body != ENDLESS {
        let _ = stream.write_all(body.as_bytes()).await;
        return;
    }
    while stream.write_all(&[b' '; 4096]).await.is_ok() {
        count.fetch_add(4096, Ordering::SeqCst);
    }
}

fn good(body: &str) -> (u16, String, String) {
    (200, String::new(), body.to_owned())
}

/// Lets in who shows a token, which it gives to joe alone.
fn with_token(head: &str, own: &str) -> (u16, String, String) {
    // joe:s3cret
    let joe = "authorization: basic am9lonmzy3jlda==";
    match head.split(' ').nth(1).unwrap_or_default() {
        path if path.starts_with("/token?") => {
            let asked = path.contains("scope=repository%3aacme%2fx%3apull") && path.contains("service=here");
            if asked && head.contains(joe) {
                good("{\"token\":\"t0ken\"}")
            } else {
                (401, String::new(), String::new())
            }
        }
        "/v2/acme/x/manifests/1" if head.contains("authorization: bearer t0ken") => good("whole"),
        _ => {
            let header =
                format!("www-authenticate: Bearer realm=\"http://{own}/token\",service=\"here\"\r\n");
            (401, header, String::new())
        }
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_a_token_is_shown_one() {
    let registry = Registry::new(with_token).await;
    let joe = RegistryAuth::Basic("joe".to_owned(), "s3cret".to_owned());
    assert_eq!(registry.begin(joe).await, Ok(b"whole".to_vec()));
    let refused = registry.begin(RegistryAuth::Anonymous).await.unwrap_err();
    assert!(refused.contains("pulling oci://"), "{refused}");
}

#[tokio::test]
async fn a_name_and_a_password_are_shown_to_who_asks_for_them() {
    fn answer(head: &str, _: &str) -> (u16, String, String) {
        if head.contains("authorization: basic am9lonmzy3jlda==") {
            return good("whole");
        }
        (401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), String::new())
    }
    let registry = Registry::new(answer).await;
    let joe = RegistryAuth::Basic("joe".to_owned(), "s3cret".to_owned());
    assert_eq!(registry.begin(joe).await, Ok(b"whole".to_vec()));
    let refused = registry.begin(RegistryAuth::Anonymous).await.unwrap_err();
    assert!(refused.contains("Not authorized"), "{refused}");
}

/// What is on its way when nobody reads any more: buffers of both ends.
const ON_ITS_WAY: u64 = 32 << 20;

#[tokio::test]
async fn nothing_without_end_is_read_to_its_end() {
    fn manifest(head: &str, _: &str) -> (u16, String, String) {
        if head.contains("/manifests/") { good(ENDLESS) } else { good("") }
    }
    fn token(head: &str, own: &str) -> (u16, String, String) {
        if head.contains("/token") {
            return good(ENDLESS);
        }
        (401, format!("www-authenticate: Bearer realm=\"http://{own}/token\"\r\n"), String::new())
    }
    fn error(head: &str, _: &str) -> (u16, String, String) {
        if head.contains("/manifests/") { (500, String::new(), ENDLESS.to_owned()) } else { good("") }
    }
    let cases: [(Answer, &str); 3] =
        [(manifest, "too large"), (token, "the token of oci://"), (error, "code: 500")];
    for (answer, expected) in cases {
        let registry = Registry::new(answer).await;
        let refused = registry.begin(RegistryAuth::Anonymous).await.unwrap_err();
        assert!(refused.contains(expected), "{refused} should say {expected}");
        assert!(registry.sent.load(Ordering::SeqCst) < ON_ITS_WAY);
    }
}

#[tokio::test]
async fn a_registry_with_tls_leads_nobody_to_a_place_without() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let registry = Registry::new(|_, _| good("")).await;
    let url = format!("http://{}/token", registry.address);
    assert!(client("http").unwrap().get(&url).send().await.is_ok(), "where that was asked for");
    let refused = client("https").unwrap().get(&url).send().await.unwrap_err();
    assert!(refused.is_builder(), "{refused:?}");
}
