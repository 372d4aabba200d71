//! The certificates of the web port: the operator's, or a self-signed pair kept in the data folder.
//!
//! The operator's files are read again as often as `https_keypairs_reload_interval` says, and all are replaced or none.
//! The kept pair is looked at when the process starts and each day: one of our own making that comes to its end, or
//! is for other names than the proxy has by now, is made anew. One that an operator has put in its
//! place stays, whatever it says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use certs::x509::SelfSigned;
use config::Keypair;
use domain::Timestamp;
use net::tls::{PemPair, WebCertificates};
use port::clock::Clock;

use crate::data_dir::DataDir;
use crate::error::ProcessError;

/// The names of the first generation, which old configurations refer to.
const CERTIFICATE: &str = "webproxy_cert.pem";
const KEY: &str = "webproxy_key.pem";

/// How long before its end a self-signed certificate is made anew.
const AHEAD: Duration = Duration::from_secs(30 * 86_400);

/// How often a self-signed certificate is looked at.
const DAILY: Duration = Duration::from_secs(86_400);

/// Where the pairs to serve come from.
pub(crate) struct CertificateFiles {
    /// The operator's; a self-signed pair is served where there are none.
    pub(crate) pairs: Vec<Keypair>,
    /// How often they are read again; never when absent.
    pub(crate) reload: Option<Duration>,
    pub(crate) data: DataDir,
    /// What a self-signed pair is for.
    pub(crate) names: Vec<String>,
    /// Whether that is kept.
    pub(crate) keep: bool,
}

impl CertificateFiles {
    /// The pairs as they are now.
    ///
    /// # Errors
    /// [`ProcessError`] names the file that cannot be read or written.
    pub(crate) fn read(&self, now: Timestamp) -> Result<Vec<PemPair>, ProcessError> {
        if self.pairs.is_empty() {
            return Ok(vec![self_signed(&self.data, &self.names, now, self.keep)?]);
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|source| ProcessError::Keypair { path: path.to_owned(), source })
        };
        let pair = |pair: &Keypair| {
            let place = pair.cert_file.display().to_string();
            Ok(PemPair { place, chain: read(&pair.cert_file)?, key: read(&pair.key_file)?.into() })
        };
        self.pairs.iter().map(pair).collect()
    }

    /// Serves what is in the files, as often as they are to be read again. Never ends.
    pub(crate) async fn follow(self: Arc<Self>, served: Arc<WebCertificates>, clock: Arc<dyn Clock>) {
        let every = if self.pairs.is_empty() { self.keep.then_some(DAILY) } else { self.reload };
        let Some(every) = every else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            let (files, now) = (Arc::clone(&self), clock.now());
            // Disks may take their time.
            let Ok(read) = tokio::task::spawn_blocking(move || files.read(now)).await else { continue };
            match read.and_then(|pairs| Ok(served.replace(&pairs)?)) {
                Ok(true) => tracing::info!("the web port shows other certificates from now on"),
                Ok(false) => {}
                Err(error) => {
                    let reason = ssh::refuse::chain(&error);
                    tracing::warn!(%reason, "the certificates of the web port stay as they are: their files are not in order");
                }
            }
        }
    }
}

fn self_signed(
    data: &DataDir,
    names: &[String],
    now: Timestamp,
    keep: bool,
) -> Result<PemPair, ProcessError> {
    let place = data.path().join(CERTIFICATE).display().to_string();
    if let (Some(chain), Some(key)) = (data.read(CERTIFICATE)?, data.read(KEY)?) {
        let chain = String::from_utf8_lossy(&chain).into_owned();
        let Some(reason) = outdated(&chain, names, now) else {
            return Ok(PemPair { place, chain, key: domain::secret::Secret::new(key) });
        };
        tracing::info!(reason, "the self-signed certificate of the web port is made anew");
    }
    let (chain, key) = certs::x509::self_signed(names, now)?;
    if keep {
        // The key first: a certificate without its key would be served to nobody's use.
        data.write(KEY, key.as_bytes())?;
        data.write(CERTIFICATE, chain.as_bytes())?;
        tracing::warn!(
            "the web port uses a self-signed certificate; set proxy_service.https_keypairs for a real one"
        );
    }
    Ok(PemPair { place, chain, key: key.into() })
}

/// Why a certificate of our own making is of no more use. What cannot be read is not ours to replace;
/// the web port says what is wrong with it.
fn outdated(chain: &str, names: &[String], now: Timestamp) -> Option<&'static str> {
    let own = SelfSigned::read(chain).ok().flatten()?;
    let left = Duration::try_from(own.expires.duration_since(now)).unwrap_or_default();
    if left.is_zero() {
        Some("it has expired")
    } else if left < AHEAD {
        Some("it expires within thirty days")
    } else if !own.is_for(names) {
        Some("the names of the proxy have changed")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    struct Bed {
        _folder: tempfile::TempDir,
        data: DataDir,
    }

    impl Bed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = DataDir::open(&folder.path().join("data")).unwrap();
            Self { _folder: folder, data }
        }

        /// The certificate that is served after so many days to a proxy of this name.
        fn served(&self, days: u32, name: &str) -> String {
            let now = Timestamp::from_second(1_800_000_000).unwrap().checked_add(DAY * days).unwrap();
            self_signed(&self.data, &[name.to_owned()], now, true).unwrap().chain
        }

        fn kept(&self, file: &str) -> Vec<u8> {
            self.data.read(file).unwrap().unwrap()
        }
    }

    #[test]
    fn it_is_kept_until_thirty_days_before_its_end_and_then_made_anew() {
        let bed = Bed::new();
        let first = bed.served(0, "a.example.com");
        let key = bed.kept(KEY);
        assert_eq!(bed.served(794, "a.example.com"), first);
        let second = bed.served(796, "a.example.com");
        assert!(second != first && bed.kept(KEY) != key, "with a key of its own");
        assert_eq!(bed.kept(CERTIFICATE), second.as_bytes());
        assert_eq!(bed.served(796 + 794, "a.example.com"), second, "it lives as long as the first");
        assert_ne!(bed.served(5000, "a.example.com"), second, "long expired");
    }

    #[test]
    fn other_names_need_another_certificate() {
        let bed = Bed::new();
        let first = bed.served(0, "a.example.com");
        let second = bed.served(1, "b.example.com");
        assert_ne!(first, second);
        assert_eq!(bed.served(2, "b.example.com"), second);
    }

    #[test]
    fn what_an_operator_has_put_there_stays() {
        use certs::x509::Authority;
        use domain::authority::AuthorityType;

        let bed = Bed::new();
        bed.served(0, "a.example.com");
        let foreign = Authority::generate(AuthorityType::Host, "x", Timestamp::UNIX_EPOCH).unwrap();
        for text in [foreign.certificate_pem().as_str(), "not even a certificate"] {
            bed.data.write(CERTIFICATE, text.as_bytes()).unwrap();
            let key = bed.kept(KEY);
            assert_eq!(bed.served(5000, "b.example.com"), text);
            assert_eq!(bed.kept(KEY), key);
        }
    }

    #[test]
    fn the_reason_is_told() {
        let (chain, _) = certs::x509::self_signed(&["a".to_owned()], Timestamp::UNIX_EPOCH).unwrap();
        let after =
            |days: u32, name: &str| outdated(&chain, &[name.to_owned()], Timestamp::UNIX_EPOCH + DAY * days);
        assert_eq!(after(0, "a"), None);
        assert_eq!(after(0, "b"), Some("the names of the proxy have changed"));
        assert_eq!(after(800, "b"), Some("it expires within thirty days"));
        assert_eq!(after(826, "a"), Some("it has expired"));
    }
}
