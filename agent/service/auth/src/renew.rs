//! A host replaces its certificates before they run out.

use api::auth as wire;
use domain::access::api::Caller;

use crate::error::AuthError;
use crate::host::Proof;
use crate::issue::HostWish;
use crate::service::AuthService;

impl AuthService {
    /// New certificates for the calling host, in the same role.
    pub(crate) async fn renew(
        &self,
        caller: &Caller,
        request: wire::RenewRequest,
    ) -> Result<wire::HostCertificates, AuthError> {
        let identity = caller.host()?.clone();
        let wish = HostWish {
            node_name: &request.node_name,
            ssh_public_key: &request.ssh_public_key,
            tls_public_key: &request.tls_public_key,
            addresses: &request.addresses,
            asked_by: String::new(),
        };
        let host = (identity.host_id, identity.role);
        let certificates = self.issue_host(identity, &wish).await?;
        self.hold_host(host, &wish, Proof::Own).await?;
        Ok(certificates)
    }
}
