//! Why there is no answer, in the kinds a caller acts on.

use std::fmt;

use wasip2::http::types::ErrorCode;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The host does not let the plugin reach this address; the text is what it says.
    Denied(String),
    /// The request cannot be sent as it is written.
    Invalid(String),
    /// Nobody there: the request was surely not received, so it may be sent elsewhere.
    NotSent(String),
    /// It broke after the request may have been received.
    Lost(String),
    /// There was no answer, or not all of it, in time; the request may have been received.
    TimedOut,
    /// The answer is larger than this many bytes.
    TooLarge(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Invalid(text) | Self::NotSent(text) | Self::Lost(text) => {
                f.write_str(text)
            }
            Self::TimedOut => f.write_str("no answer in time"),
            Self::TooLarge(max) => write!(f, "the answer is larger than {max} bytes"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What the host said, as a kind. Unknown codes count as sent: the caller must not repeat what may
    /// have happened.
    pub(super) fn of(code: &ErrorCode) -> Self {
        let text = describe(code);
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::Denied(text),
            ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::DestinationIpUnroutable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => Self::NotSent(text),
            ErrorCode::HttpRequestMethodInvalid
            | ErrorCode::HttpRequestUriInvalid
            | ErrorCode::HttpRequestUriTooLong
            | ErrorCode::HttpRequestHeaderSectionSize(_)
            | ErrorCode::HttpRequestHeaderSize(_)
            | ErrorCode::HttpRequestBodySize(_) => Self::Invalid(text),
            ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionReadTimeout => Self::TimedOut,
            _ => Self::Lost(text),
        }
    }
}

/// A sentence for an operator.
fn describe(code: &ErrorCode) -> String {
    let fixed = match code {
        ErrorCode::HttpRequestDenied => {
            "the host does not let this plugin reach the address: grant it under `http`"
        }
        ErrorCode::DestinationIpProhibited => {
            "the address is private, local or of a metadata service, and not granted under `http`"
        }
        ErrorCode::DnsTimeout => "the name could not be looked up in time",
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => "the name is not known",
        ErrorCode::ConnectionRefused => "the connection was refused",
        ErrorCode::ConnectionTimeout => "no connection in time",
        ErrorCode::ConnectionTerminated => "the connection was closed",
        ErrorCode::ConnectionLimitReached => "too many connections at one time",
        ErrorCode::TlsCertificateError => "its certificate is not trusted",
        ErrorCode::TlsProtocolError => "it does not speak TLS as expected",
        ErrorCode::TlsAlertReceived(alert) => {
            let text = alert.alert_message.as_deref().unwrap_or("no reason given");
            return format!("it refused TLS: {text}");
        }
        ErrorCode::ConfigurationError => {
            "the host cannot send it: an authority, a certificate or the keys to sign with are missing or wrong; its log says which"
        }
        ErrorCode::InternalError(Some(text)) => return text.clone(),
        other => return format!("{other:?}"),
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_did_not_arrive_may_be_sent_again() {
        assert!(matches!(Error::of(&ErrorCode::ConnectionRefused), Error::NotSent(_)));
        assert!(matches!(Error::of(&ErrorCode::TlsCertificateError), Error::NotSent(_)));
        for unsure in [
            ErrorCode::ConnectionTerminated,
            ErrorCode::ConnectionWriteTimeout,
            ErrorCode::HttpResponseIncomplete,
            ErrorCode::InternalError(Some("why".to_owned())),
            ErrorCode::ConfigurationError,
        ] {
            assert!(matches!(Error::of(&unsure), Error::Lost(_)), "{unsure:?}");
        }
        assert_eq!(Error::of(&ErrorCode::InternalError(Some("why".to_owned()))).to_string(), "why");
        assert!(
            matches!(Error::of(&ErrorCode::HttpRequestDenied), Error::Denied(text) if text.contains("grant"))
        );
    }
}
