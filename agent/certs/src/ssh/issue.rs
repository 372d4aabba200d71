//! Making SSH certificates.

use std::time::Duration;

use domain::Timestamp;
use domain::certificate::{
    BACKDATE, HOST_ROLE_EXTENSION, IDENTITY_EXTENSION, PRINCIPALS_MAX, check_principal,
};
use domain::identity::{HostIdentity, UserIdentity};
use port::random::Random;
use ssh_key::certificate::{Builder, CertType, Certificate};
use ssh_key::{PrivateKey, PublicKey};

use crate::error::{CertError, boxed};

/// What a user certificate says.
#[derive(Debug, Clone)]
pub struct UserSpec {
    /// Whom it stands for; its logins become the principals.
    pub identity: UserIdentity,
    /// How long it lives.
    pub ttl: Duration,
    /// Whether terminals, agents and ports may be asked for: `permit-pty` and so on.
    pub permits: Vec<&'static str>,
    /// Addresses it may be used from; anywhere when absent.
    pub source_address: Option<String>,
}

/// What a host certificate says.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// Which host, as what.
    pub identity: HostIdentity,
    /// Names it answers to.
    pub principals: Vec<String>,
    /// How long it lives.
    pub ttl: Duration,
}

/// Makes a user certificate.
///
/// # Errors
/// [`CertError::Field`] for a login that cannot be a principal or no login at all,
/// [`CertError::Sign`].
pub fn issue_user(
    authority: &PrivateKey,
    key: &PublicKey,
    spec: &UserSpec,
    now: Timestamp,
    random: &dyn Random,
) -> Result<Certificate, CertError> {
    let mut builder = start(key, CertType::User, &spec.identity.logins, (now, spec.ttl), random)?;
    let json =
        serde_json::to_string(&spec.identity).map_err(|error| CertError::Sign("user", boxed(error)))?;
    let fill = |builder: &mut Builder| -> ssh_key::Result<()> {
        builder.key_id(spec.identity.user.as_str())?;
        builder.extension(IDENTITY_EXTENSION, json)?;
        for permit in &spec.permits {
            builder.extension(*permit, "")?;
        }
        if let Some(addresses) = &spec.source_address {
            builder.critical_option("source-address", addresses.as_str())?;
        }
        Ok(())
    };
    fill(&mut builder).map_err(|error| CertError::Sign("user", boxed(error)))?;
    builder.sign(authority).map_err(|error| CertError::Sign("user", boxed(error)))
}

/// Makes a host certificate.
///
/// # Errors
/// [`CertError::Field`] for a name that cannot be a principal or no name at all,
/// [`CertError::Sign`].
pub fn issue_host(
    authority: &PrivateKey,
    key: &PublicKey,
    spec: &HostSpec,
    now: Timestamp,
    random: &dyn Random,
) -> Result<Certificate, CertError> {
    let mut builder = start(key, CertType::Host, &spec.principals, (now, spec.ttl), random)?;
    let fill = |builder: &mut Builder| -> ssh_key::Result<()> {
        builder.key_id(spec.identity.host_id.to_string())?;
        builder.extension(HOST_ROLE_EXTENSION, spec.identity.role.as_str())?;
        Ok(())
    };
    fill(&mut builder).map_err(|error| CertError::Sign("host", boxed(error)))?;
    builder.sign(authority).map_err(|error| CertError::Sign("host", boxed(error)))
}

/// What user and host certificates share: validity, serial, principals. Every principal is checked
/// here, at the last moment before signing, whoever asked.
fn start(
    key: &PublicKey,
    cert_type: CertType,
    principals: &[String],
    (now, ttl): (Timestamp, Duration),
    random: &dyn Random,
) -> Result<Builder, CertError> {
    if principals.is_empty() {
        return Err(CertError::Field("it would allow no login or name at all".to_owned()));
    }
    if principals.len() > PRINCIPALS_MAX {
        return Err(CertError::Field(format!("more than {PRINCIPALS_MAX} logins or names")));
    }
    let second = |time: Timestamp| u64::try_from(time.as_second()).unwrap_or(0);
    let from = second(now).saturating_sub(BACKDATE.as_secs());
    let until = second(now).saturating_add(ttl.as_secs());
    let mut nonce = vec![0; 32];
    random.fill(&mut nonce);
    let failed = |error| CertError::Sign("SSH", boxed(error));
    let mut builder = Builder::new(nonce, key, from, until).map_err(failed)?;
    builder.serial(random.serial()).and_then(|b| b.cert_type(cert_type)).map_err(failed)?;
    for principal in principals {
        check_principal(principal).map_err(|error| CertError::Field(error.to_string()))?;
        builder.valid_principal(principal.as_str()).map_err(failed)?;
    }
    Ok(builder)
}
