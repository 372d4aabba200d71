//! TLS to one place: whom it is believed by, and the client certificate that is shown. The plugin sees
//! neither.
//!
//! The provider is aws-lc-rs, as everywhere in this program. A grant names the place's authority or none: that
//! nobody vouches for a server is for the daemon's own settings to say ([`ServerAuthority::Anyone`]).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use domain::plugin::Destination;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use zeroize::Zeroizing;

use self::anyone::Anyone;
use super::sign::SignSettings;
use crate::capability::disk::Nearness;
use crate::place::{self, Owner, PlaceError};

mod anyone;

/// The largest file of certificates, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// What the operator says of one place that requests go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSettings {
    /// The place. Where several cover a target, the first counts.
    pub destination: Destination,
    /// Who must vouch for it.
    pub authority: ServerAuthority,
    /// The client certificate to show there.
    pub certificate: Option<CertificatePair>,
    /// How requests to it are signed, where they are.
    pub sign: Option<SignSettings>,
}

/// Who must vouch for a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerAuthority {
    /// Those this machine trusts.
    #[default]
    Machine,
    /// Those in a file in PEM, and nobody else.
    File(PathBuf),
    /// Nobody: whoever answers at the address is told everything. The operator asked for it.
    Anyone,
}

impl ServerAuthority {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Machine | Self::Anyone => None,
        }
    }
}

/// A certificate and its key, both in PEM. Files that only the daemon's user and root may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePair {
    /// The chain, the client's own certificate first.
    pub cert_file: PathBuf,
    /// The key, which not everybody may read.
    pub key_file: PathBuf,
}

/// Why TLS to a place cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that others may write, or everybody read where it is a key, or that cannot be opened.
    #[error("a file for requests to {destination} cannot be used")]
    Place {
        /// The place.
        destination: String,
        /// The reason.
        #[source]
        source: PlaceError,
    },
    /// A file that is not there, or holds something else.
    #[error("{path}, for requests to {destination}, {reason}", path = path.display())]
    File {
        /// The place.
        destination: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key that do not belong together, or authorities nobody can use.
    #[error("certificates for {destination} do not work")]
    Config {
        /// The place.
        destination: String,
        /// The reason.
        #[source]
        source: rustls::Error,
    },
    /// No authorities on this machine.
    #[error(
        "this machine trusts no authorities; install the package ca-certificates, or write a ca_file beside the url of the grant"
    )]
    NoAuthorities,
}

/// How the files of a place look, to notice when they change.
pub(super) type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

/// Whom one plugin's requests trust.
pub(super) struct Trust {
    places: Vec<PlaceSettings>,
    /// What this machine trusts, read when it is first needed.
    machine: OnceLock<Arc<RootCertStore>>,
    /// Whether the files of all places can be looked at in place.
    near: Nearness,
}

impl Trust {
    /// With what the operator says of some places. Their files are read, so that what is wrong with them
    /// is said now.
    ///
    /// # Errors
    /// [`TlsError`] for the first file that cannot be used.
    pub(super) fn new(places: Vec<PlaceSettings>) -> Result<Self, TlsError> {
        let trust = Self { places, machine: OnceLock::new(), near: Nearness::default() };
        for place in trust.places.iter().filter(|place| place.is_special()) {
            trust.config(Some(place))?;
        }
        trust.near.find(trust.places.iter().flat_map(PlaceSettings::files));
        Ok(trust)
    }

    /// Whether [`PlaceSettings::stamp`] waits for no disk.
    pub(super) fn is_near(&self) -> bool {
        self.near.is_near()
    }

    /// What the operator says of a target.
    pub(super) fn place(&self, target: &domain::plugin::destination::Target) -> Option<&PlaceSettings> {
        self.places.iter().find(|place| place.destination.covers(target))
    }

    /// A client's side of TLS there.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn config(&self, place: Option<&PlaceSettings>) -> Result<ClientConfig, TlsError> {
        let destination = || place.map(|place| place.destination.to_string()).unwrap_or_default();
        let failed = |source| TlsError::Config { destination: destination(), source };
        let builder = builder().map_err(failed)?;
        let builder = match place.map(|place| &place.authority) {
            Some(ServerAuthority::File(path)) => {
                builder.with_root_certificates(authorities(&destination(), path)?)
            }
            Some(ServerAuthority::Anyone) => {
                let anyone = Anyone(Arc::clone(builder.crypto_provider()));
                builder.dangerous().with_custom_certificate_verifier(Arc::new(anyone))
            }
            Some(ServerAuthority::Machine) | None => builder.with_root_certificates(self.machine()?),
        };
        let mut config = match place.and_then(|place| place.certificate.as_ref()) {
            Some(pair) => {
                let chain = certificates(&destination(), &pair.cert_file)?;
                let key = key(&destination(), &pair.key_file)?;
                builder.with_client_auth_cert(chain, key).map_err(failed)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Whether [`Trust::config`] needs no file for this place.
    pub(super) fn reads_nothing(&self, place: Option<&PlaceSettings>) -> bool {
        match place {
            Some(PlaceSettings { certificate: Some(_), .. }) => false,
            Some(PlaceSettings { authority: ServerAuthority::File(_), .. }) => false,
            Some(PlaceSettings { authority: ServerAuthority::Anyone, .. }) => true,
            Some(_) | None => self.machine.get().is_some(),
        }
    }

    fn machine(&self) -> Result<Arc<RootCertStore>, TlsError> {
        if let Some(roots) = self.machine.get() {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(TlsError::NoAuthorities);
        }
        Ok(Arc::clone(self.machine.get_or_init(|| Arc::new(roots))))
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// TLS for a client that goes without: it trusts nobody.
///
/// # Errors
/// [`TlsError::Config`] never in practice: the provider has the usual versions.
pub(super) fn unused() -> Result<ClientConfig, TlsError> {
    let builder = builder().map_err(|source| TlsError::Config { destination: String::new(), source })?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

impl PlaceSettings {
    fn is_special(&self) -> bool {
        self.authority != ServerAuthority::Machine || self.certificate.is_some()
    }

    /// Its files.
    fn files(&self) -> impl Iterator<Item = &Path> {
        let pair = self.certificate.iter().flat_map(|pair| [pair.cert_file.as_path(), &pair.key_file]);
        self.authority.file().into_iter().chain(pair)
    }

    /// Whether there are any.
    pub(super) fn has_files(&self) -> bool {
        self.files().next().is_some()
    }

    /// How they look now.
    pub(super) fn stamp(&self) -> Stamp {
        self.files().map(look).collect()
    }
}

fn look(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, std::os::unix::fs::MetadataExt::ino(&found), found.len()))
}

fn authorities(destination: &str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(destination, path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Config { destination: destination.to_owned(), source })?;
    }
    Ok(roots)
}

fn certificates(destination: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(destination, path, place::open(path, Owner::ThisOrRoot, true))?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(destination, path, "holds no certificates in PEM")),
    }
}

fn key(destination: &str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(destination, path, place::open_secret(path))?;
    // The reason could repeat what is in the file.
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| wrong(destination, path, "holds no private key in PEM"))
}

fn read(
    destination: &str,
    path: &Path,
    opened: Result<Option<File>, PlaceError>,
) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let place = |source| TlsError::Place { destination: destination.to_owned(), source };
    let file = opened.map_err(place)?.ok_or_else(|| wrong(destination, path, "is not there"))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(destination, path, &format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(wrong(destination, path, "holds more than 1 MiB"));
    }
    Ok(bytes)
}

fn wrong(destination: &str, path: &Path, reason: &str) -> TlsError {
    TlsError::File { destination: destination.to_owned(), path: path.to_owned(), reason: reason.to_owned() }
}
