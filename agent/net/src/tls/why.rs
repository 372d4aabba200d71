//! What a failed handshake means to whoever started it, with the next step.

use std::io::ErrorKind;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Where those are that do.
const PORTS: &str =
    "a proxy is to be named with its web port, usually 3080, an auth server with its own, usually 3025";

/// What a TLS error means to a client that looks for `wanted`, such as "a proxy of this cluster". `is_member`:
/// the client has an identity, and so a cluster of its own.
pub fn why(error: &std::io::Error, wanted: &str, is_member: bool) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        // A bad signature: an authority of the same name with another key.
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            let advice = match is_member {
                true => {
                    ": it is of another cluster than this host's identity; to join that one, use an empty data_dir"
                }
                false => "; check --ca-pin against `tctl status`",
            };
            format!("its certificate was not signed by the expected authority{advice}")
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("it is not {wanted}"),
        Some(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "its certificate has expired; check the clocks of both hosts".to_owned(),
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            format!("it speaks TLS, but is not {wanted}")
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            format!("it does not speak TLS, so it is not {wanted}; {PORTS}")
        }
        None if error.kind() == ErrorKind::UnexpectedEof => {
            format!("it hung up in the handshake; if it does so again, it is not {wanted}: {PORTS}")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: Error, is_member: bool) -> String {
        why(&std::io::Error::other(error), "a proxy of this cluster", is_member)
    }

    #[test]
    fn another_cluster_is_told_by_who_asks() {
        for error in [CertificateError::UnknownIssuer, CertificateError::BadSignature] {
            assert!(of(Error::InvalidCertificate(error.clone()), true).ends_with("use an empty data_dir"));
            assert!(of(Error::InvalidCertificate(error), false).ends_with("against `tctl status`"));
        }
    }

    #[test]
    fn what_speaks_no_tls_is_told_with_the_ports_that_do() {
        let ssh = of(Error::InvalidMessage(InvalidMessage::InvalidContentType), true);
        assert!(
            ssh.starts_with("it does not speak TLS, so it is not a proxy") && ssh.ends_with(PORTS),
            "{ssh}"
        );
        let silent = why(&ErrorKind::UnexpectedEof.into(), "a proxy of this cluster", false);
        assert!(silent.starts_with("it hung up") && silent.ends_with(PORTS), "{silent}");
    }

    #[test]
    fn another_role_is_told_by_what_was_wanted_and_the_rest_in_its_own_words() {
        let error = Error::InvalidCertificate(CertificateError::NotValidForName);
        assert_eq!(of(error, true), "it is not a proxy of this cluster");
        let error = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(of(error, true), "it speaks TLS, but is not a proxy of this cluster");
        assert!(of(Error::InvalidCertificate(CertificateError::Expired), true).contains("check the clocks"));
        assert_eq!(of(Error::DecryptError, true), Error::DecryptError.to_string());
        assert_eq!(why(&std::io::Error::other("reset"), "a proxy", true), "reset");
    }
}
