//! The certificates of the web port: the operator's, or a self-signed pair kept in the data folder.

use config::ProxySettings;
use domain::Timestamp;
use net::tls::PemPair;

use crate::data_dir::DataDir;
use crate::error::ProcessError;

/// The names of the first generation, which old configurations refer to.
const CERTIFICATE: &str = "webproxy_cert.pem";
const KEY: &str = "webproxy_key.pem";

/// The pairs to serve. `names` are what a self-signed one is for; `keep` whether it is kept.
pub(crate) fn load(
    proxy: &ProxySettings,
    data: &DataDir,
    names: &[String],
    now: Timestamp,
    keep: bool,
) -> Result<Vec<PemPair>, ProcessError> {
    if proxy.keypairs.is_empty() {
        return Ok(vec![self_signed(data, names, now, keep)?]);
    }
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).map_err(|source| ProcessError::File { path: path.to_owned(), source })
    };
    let pair = |pair: &config::Keypair| {
        Ok(PemPair { chain: read(&pair.cert_file)?, key: read(&pair.key_file)?.into() })
    };
    proxy.keypairs.iter().map(pair).collect()
}

fn self_signed(
    data: &DataDir,
    names: &[String],
    now: Timestamp,
    keep: bool,
) -> Result<PemPair, ProcessError> {
    if let (Some(chain), Some(key)) = (data.read(CERTIFICATE)?, data.read(KEY)?) {
        return Ok(PemPair {
            chain: String::from_utf8_lossy(&chain).into_owned(),
            key: domain::secret::Secret::new(key),
        });
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
    Ok(PemPair { chain, key: key.into() })
}
