//! Sending a request, and once more where that is no other request.
//!
//! A connection that is kept may be closed by its server at the very moment at which it is used again: whoever asked
//! would be told of a failure that is none. What changes something is never sent twice.

use std::io;

use reqwest::{Client, Request, Response};

use super::failure::find;
use super::resolve::LookupError;

/// The answer to a request. A safe one (RFC 9110, 9.2.1) is sent once more if its connection is cut before the head of
/// the answer is there.
///
/// # Errors
/// The client's, of the first time it was sent; of the second where the host refused to send it.
pub(super) async fn execute(client: &Client, request: Request) -> reqwest::Result<Response> {
    let again = if request.method().is_safe() { request.try_clone() } else { None };
    match (client.execute(request).await, again) {
        // If that fails as well, the first failure is the one to tell: the request may have been received.
        (Err(error), Some(again)) if was_cut(&error) => {
            tracing::debug!(
                host = again.url().host_str(),
                "a request is sent once more, its connection was closed"
            );
            let is_refused = |second: &reqwest::Error| {
                matches!(find::<LookupError>(second), Some(LookupError::Refused(_)))
            };
            client.execute(again).await.map_err(|second| if is_refused(&second) { second } else { error })
        }
        (answer, _) => answer,
    }
}

/// Whether the other side has closed a connection that was there, without a word about why.
fn was_cut(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() || find::<rustls::Error>(error).is_some() {
        return false;
    }
    let closed =
        find::<hyper::Error>(error).is_some_and(|error| error.is_incomplete_message() || error.is_canceled());
    let kind = find::<io::Error>(error).map(io::Error::kind);
    closed
        || matches!(
            kind,
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
        )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Method;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers the first request of each connection, and closes at the second; or at the first, if it `cuts`.
    async fn serve(mut stream: TcpStream, heads: Arc<AtomicUsize>, cuts: bool) {
        for number in 0.. {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            heads.fetch_add(1, Ordering::Relaxed);
            if cuts || number > 0 {
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    }

    /// Sends two requests, one after the other; whether the second was answered, and how many heads were read.
    async fn second(method: Method, cuts: bool) -> (bool, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let heads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&heads);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&counted), cuts));
            }
        });
        let tls = super::super::tls::unused().unwrap();
        let client = Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap();
        let request = || Request::new(method.clone(), url.parse().unwrap());
        if !cuts {
            // Read to its end, so that the connection is kept.
            execute(&client, request()).await.unwrap().bytes().await.unwrap();
        }
        let answer = execute(&client, request()).await;
        serving.abort();
        (answer.is_ok(), heads.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_question_on_a_connection_that_is_closed_meanwhile_is_asked_once_more() {
        for method in [Method::GET, Method::OPTIONS] {
            assert_eq!(second(method.clone(), false).await, (true, 3), "{method}");
        }
    }

    #[tokio::test]
    async fn what_changes_something_is_sent_once() {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(second(method.clone(), false).await, (false, 2), "{method}");
        }
    }

    #[tokio::test]
    async fn whoever_never_answers_is_asked_twice() {
        assert_eq!(second(Method::GET, true).await, (false, 2));
    }
}
