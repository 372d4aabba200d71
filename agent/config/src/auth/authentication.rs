//! `auth_service.authentication`: how users prove who they are.
//!
//! The values are read and kept; the connectors themselves are records of the cluster.

use std::time::Duration;

use crate::field::Field;
use crate::section::Section;
use crate::unserved;

/// How users prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Who vouches for users unless they ask for someone else.
    pub connector: Connector,
    /// The connector's name, when there are several of one kind.
    pub connector_name: Option<String>,
    /// Whether users of the cluster's own database may sign in.
    pub local_auth: bool,
    /// What a local user may prove themselves with beside the password; none when empty.
    pub second_factors: Vec<SecondFactor>,
    /// Whether one of them is required.
    pub second_factor_required: bool,
    /// The domain that WebAuthn keys are bound to. It must never change.
    pub rp_id: Option<String>,
    /// The older form of the same.
    pub u2f: Option<U2f>,
    /// Whether signing in without a password is allowed.
    pub passwordless: Option<bool>,
    /// Whether a sign-in may be approved from another device.
    pub headless: Option<bool>,
    /// How long a user's certificate lives unless a role says less: 1 minute to 30 hours.
    pub default_session_ttl: Duration,
}

/// Who vouches for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connector {
    /// The cluster's own database.
    Local,
    /// GitHub.
    Github,
    /// An OpenID Connect provider.
    Oidc,
    /// A SAML identity provider.
    Saml,
}

/// A second proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactor {
    /// A six-digit code.
    Otp,
    /// A hardware key or a platform authenticator.
    Webauthn,
    /// The identity provider's own.
    Sso,
}

/// The older form of hardware keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct U2f {
    /// What keys are bound to. It must never change.
    pub app_id: String,
    /// Every proxy, when there are several.
    pub facets: Vec<String>,
}

const CONNECTORS: &[(&str, Connector)] = &[
    ("local", Connector::Local),
    ("github", Connector::Github),
    ("oidc", Connector::Oidc),
    ("saml", Connector::Saml),
];

const OTP: &[SecondFactor] = &[SecondFactor::Otp];
const KEY: &[SecondFactor] = &[SecondFactor::Webauthn];
const BOTH: &[SecondFactor] = &[SecondFactor::Webauthn, SecondFactor::Otp];

/// The word of `second_factor`: what it allows, and whether one of it is required.
const SECOND_FACTOR: &[(&str, (&[SecondFactor], bool))] = &[
    ("otp", (OTP, true)),
    ("webauthn", (KEY, true)),
    ("u2f", (KEY, true)),
    ("on", (BOTH, true)),
    ("optional", (BOTH, false)),
    ("off", (&[], false)),
];

const SECOND_FACTORS: &[(&str, SecondFactor)] =
    &[("otp", SecondFactor::Otp), ("webauthn", SecondFactor::Webauthn), ("sso", SecondFactor::Sso)];

const LOCKING: &[(&str, bool)] = &[("best_effort", false), ("strict", true)];

/// Keys that say how users sign in.
const SIGN_IN: &[&str] =
    &["type", "connector_name", "second_factors", "webauthn", "passwordless", "headless"];

/// Shortest and longest life of a user certificate.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 3600);

/// Reads `authentication`.
pub(super) fn read(section: &mut Section<'_>) -> Authentication {
    let connector = section.field("type").and_then(|field| field.choice(CONNECTORS));
    let (second_factors, second_factor_required) = second_factors(section);
    let u2f = section.field("u2f").and_then(|field| field.within(u2f));
    if section.text("second_factor") == Some("u2f") && u2f.is_none() {
        section.problem("second_factor", "u2f needs the section `u2f` with its `app_id` beside it");
    }
    refuse_stricter(section);
    if let Some(key) = SIGN_IN.iter().find(|key| section.key_at(key).is_some()) {
        let message =
            "has no effect in this version: nobody signs in; users get certificates from `tctl auth sign`";
        section.report().warning(section.key_at(key), &section.path_of(key), message);
    }
    Authentication {
        connector: connector.unwrap_or(Connector::Local),
        connector_name: section.text("connector_name").map(str::to_owned),
        local_auth: section.flag("local_auth").unwrap_or(true),
        second_factors,
        second_factor_required,
        rp_id: section.within("webauthn", |webauthn| webauthn.text("rp_id").map(str::to_owned)),
        u2f,
        passwordless: section.flag("passwordless"),
        headless: section.flag("headless"),
        default_session_ttl: section
            .field("default_session_ttl")
            .and_then(|field| session_ttl(&field))
            .unwrap_or(domain::certificate::USER_TTL),
    }
}

/// What would keep more people out than this version does.
fn refuse_stricter(section: &mut Section<'_>) {
    let mfa = section.field("require_session_mfa").filter(|field| field.flag() == Some(true));
    let locking = section.field("locking_mode").filter(|field| field.choice(LOCKING) == Some(true));
    mfa.iter().chain(&locking).for_each(unserved::not_enforced);
}

fn second_factors(section: &mut Section<'_>) -> (Vec<SecondFactor>, bool) {
    let word = section.field("second_factor");
    let list = section.field("second_factors");
    if word.is_some() && list.is_some() {
        section.problem("second_factors", "is the newer form of second_factor; keep one of them");
    }
    if let Some(list) = list {
        let items = list.list().unwrap_or_default();
        let factors: Vec<_> = items.iter().filter_map(|item| item.choice(SECOND_FACTORS)).collect();
        return (factors, true);
    }
    let (factors, required) = word.and_then(|field| field.choice(SECOND_FACTOR)).unwrap_or((OTP, true));
    (factors.to_vec(), required)
}

fn u2f(section: &mut Section<'_>) -> U2f {
    let app_id = section.text("app_id").unwrap_or_default().to_owned();
    let facets = section.field("facets").and_then(|field| field.list()).unwrap_or_default();
    let facets = facets.iter().filter_map(|item| item.text()).map(str::to_owned).collect();
    U2f { app_id, facets }
}

fn session_ttl(field: &Field<'_>) -> Option<Duration> {
    let ttl = field.duration()?;
    if TTL.contains(&ttl) {
        return Some(ttl);
    }
    field.problem("must be from 1m to 30h");
    None
}
