//! Why a request has no answer: a code for the guest, and a sentence for the operator.

use std::error::Error as StdError;
use std::io;

use domain::printable;
use wasmtime_wasi_http::Error;

use super::resolve::LookupError;

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the guest is told.
    pub(super) code: Error,
    /// What the operator is told.
    pub(super) text: String,
    /// Whether a rule of the operator's stood in its way.
    pub(super) denied: bool,
}

impl Failure {
    /// The operator has not allowed it.
    pub(super) fn denied(code: Error, text: String) -> Self {
        Self { code, text, denied: true }
    }

    /// It did not work.
    pub(super) fn of(code: Error, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), denied: false }
    }
}

/// The first error of this type among an error and its causes.
pub(super) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an I/O error was made from is not its source, that one's source is.
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = within.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// What a guest is told of an error of the client.
pub(super) fn code(error: &reqwest::Error) -> Error {
    if let Some(lookup) = find::<LookupError>(error) {
        return lookup.code();
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return match tls {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Error::TlsCertificateError
            }
            rustls::Error::AlertReceived(alert)
                if error.is_connect() || is_about_certificate(&format!("{alert:?}")) =>
            {
                Error::TlsAlertReceived {
                    alert_id: Some(u8::from(*alert)),
                    alert_message: Some(format!("{alert:?}")),
                }
            }
            _ if error.is_connect() => Error::TlsProtocolError,
            // In the middle of what was sent: a guest must not take it for never sent, and send it again.
            _ => Error::ConnectionTerminated,
        };
    }
    if let Some(hyper) = find::<hyper::Error>(error) {
        if hyper.is_parse_too_large() {
            return Error::HttpResponseHeaderSectionSize(None);
        }
        if hyper.is_parse() {
            return Error::HttpProtocolError;
        }
        if hyper.is_incomplete_message() {
            return Error::HttpResponseIncomplete;
        }
        // Before it was sent: a server that does not take the certificate shown to it closes like that.
        if hyper.is_canceled() {
            return Error::ConnectionTerminated;
        }
    }
    // What is told of connecting says that nothing was sent, and may be sent again. The same at another time
    // (a connection that is kept may find at any time that the other side is gone) says nothing of the kind.
    let connecting = error.is_connect();
    if error.is_timeout() {
        return if connecting { Error::ConnectionTimeout } else { Error::ConnectionReadTimeout };
    }
    let io = find::<io::Error>(error);
    if let Some(alert) = io.and_then(alert) {
        return alert;
    }
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) if connecting => Error::ConnectionRefused,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) if connecting => {
            Error::DestinationIpUnroutable
        }
        Some(io::ErrorKind::TimedOut) if connecting => Error::ConnectionTimeout,
        Some(io::ErrorKind::TimedOut) => Error::ConnectionReadTimeout,
        Some(_) => Error::ConnectionTerminated,
        None if error.is_body() || error.is_decode() => Error::HttpResponseIncomplete,
        None if connecting => Error::DestinationUnavailable,
        None => Error::HttpProtocolError,
    }
}

/// What begins the sentence about an alert of the other side in TLS.
const ALERTED: &str = "received fatal alert: ";

/// The other side's word on this side's certificate, where HTTP/2 has kept nothing of it but the sentence: in
/// TLS 1.3 a client's certificate is judged only after the handshake, and before anything is listened to.
fn alert(error: &io::Error) -> Option<Error> {
    let text = error.to_string();
    let alert = text.split_once(ALERTED)?.1;
    is_about_certificate(alert)
        .then(|| Error::TlsAlertReceived { alert_id: None, alert_message: Some(alert.to_owned()) })
}

/// Whether an alert (RFC 8446, 6.2) is about the certificate that was shown. Others may come at any time.
fn is_about_certificate(alert: &str) -> bool {
    alert.contains("Certificate") || ["UnknownCA", "AccessDenied"].contains(&alert)
}

/// The causes of an error of the client, in one line and without the URL, which may hold secrets.
pub(super) fn words(error: &reqwest::Error) -> String {
    // The client's own word is that it could not send the request.
    let text = error.source().map_or_else(|| "it could not be made".to_owned(), crate::error::chain);
    printable::escape(printable::clip(&text, 512)).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    fn builder() -> reqwest::ClientBuilder {
        let tls = super::super::tls::unused().unwrap();
        reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls)
    }

    #[tokio::test]
    async fn silence_after_a_request_was_read_is_no_word_on_connecting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = builder().read_timeout(Duration::from_millis(200));
        let client = client.build().unwrap();
        let silent = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 1024]).await.unwrap();
            assert!(read > 0);
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            answer = client.get(url).send() => answer.unwrap_err(),
            () = silent => unreachable!(),
        };
        assert!(error.is_timeout());
        assert!(matches!(code(&error), Error::ConnectionReadTimeout), "{:?}", code(&error));
    }

    #[tokio::test]
    async fn nobody_there_is_a_word_on_connecting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = builder().build().unwrap();
        let error = client.get(url).send().await.unwrap_err();
        assert!(matches!(code(&error), Error::ConnectionRefused), "{:?}", code(&error));
    }

    #[test]
    fn a_refused_certificate_is_known_by_what_is_left_of_the_alert() {
        use rustls::AlertDescription as Alert;
        let told = |alert: Alert| {
            let received = rustls::Error::AlertReceived(alert).to_string();
            match super::alert(&io::Error::new(io::ErrorKind::InvalidData, received)) {
                Some(Error::TlsAlertReceived { alert_message, .. }) => alert_message,
                _ => None,
            }
        };
        assert_eq!(told(Alert::BadCertificate).as_deref(), Some("BadCertificate"));
        assert_eq!(told(Alert::CertificateRequired).as_deref(), Some("CertificateRequired"));
        assert_eq!(told(Alert::UnknownCA).as_deref(), Some("UnknownCA"));
        // These may come after a request was heard.
        assert_eq!([told(Alert::BadRecordMac), told(Alert::InternalError)], [None, None]);
        assert!(alert(&io::Error::other("closed")).is_none());
    }
}
