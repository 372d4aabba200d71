//! Authorities on the wire: JSON records.

use domain::authority::{AuthoritySpec, CertAuthority};
use domain::resource::ResourceError;

/// Authorities as they travel.
pub fn authorities_to_wire(authorities: &[AuthoritySpec]) -> Vec<Vec<u8>> {
    let record = |spec: &AuthoritySpec| CertAuthority::new(spec.r#type.as_str(), spec.clone()).to_json();
    authorities.iter().map(record).collect()
}

/// Authorities as they arrive.
///
/// # Errors
/// [`ResourceError`] for a record that is none.
pub fn authorities_from_wire(records: &[Vec<u8>]) -> Result<Vec<AuthoritySpec>, ResourceError> {
    records.iter().map(|json| CertAuthority::from_json(json).map(|record| record.spec)).collect()
}
