//! `wasi:http/outgoing-handler`: requests to the places the operator granted, and to no others.
//!
//! The order is the point: scheme, host and port are held against the grants; the name is resolved once,
//! and of its addresses those that the grants do not cover are dropped; the connection goes to one of
//! the rest, for every connection anew. No redirect is followed: the plugin may send another request,
//! which is looked at like the first. Cookies, automatic decompression and caching there are none.
//!
//! Through a proxy of the operator's, the proxy resolves the name and its own rules hold; a target that is
//! an address is looked at all the same. A stand-in for a secret becomes the secret in the headers of
//! requests to the secret's own hosts, and nowhere else. TLS ends here: keys of client certificates are
//! never within the plugin's reach.
//!
//! Requests to a place that wants them signed are signed here ([`sign`]), with keys no plugin sees.
//!
//! [`outgoing`] decides, [`exchange`] sends, once more if need be ([`resend`]), [`client`] connects.

use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, OnceLock};

use wasmtime::component::Linker;
use wasmtime_wasi_http::p2::bindings::http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::log::Sink;
use super::secrets::StandIns;
use crate::call::{CallState, Provisions};

mod body;
mod client;
mod credential;
mod exchange;
mod failure;
mod handler;
mod outgoing;
mod proxy;
mod resend;
mod resolve;
mod sign;
mod stage;
mod tls;
mod turn;

pub(crate) use client::Sender;
pub use credential::{AwsKeys, AwsKeysError};
pub use proxy::{ProxyAddress, ProxyError, ProxySettings};
pub use resolve::{Lookup, Resolver};
pub use sign::SignSettings;
pub use tls::{CertificatePair, PlaceSettings, ServerAuthority, TlsError};

use body::Spent;
use outgoing::Outgoing;

/// The package a component imports.
pub(crate) const PACKAGE: &str = "wasi:http";

/// The interfaces of it that are linked. Answering requests is not among them.
pub(crate) const INTERFACES: [&str; 2] = ["types", "outgoing-handler"];

/// The most that names and values of the headers of one message take, in bytes.
const HEADERS_MAX: usize = 64 * 1024;

/// Why a plugin cannot send requests as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Certificates or keys do not fit.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A proxy nobody can use.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// What was refused in a call: the first thing, for the operator.
#[derive(Clone, Default)]
struct Denied(Arc<OnceLock<String>>);

impl Denied {
    /// Begins the next call. Requests of the last one that are still on their way keep the old one.
    fn renew(&mut self) {
        // Nearly always, and cheaper than to have it alone. Others are made of this one only, and what they
        // had set before they went is seen after the fence.
        if Arc::strong_count(&self.0) == 1 {
            fence(Ordering::Acquire);
            if self.0.get().is_none() {
                return;
            }
        }
        match Arc::get_mut(&mut self.0) {
            Some(denied) => drop(denied.take()),
            None => *self = Self::default(),
        }
    }

    fn set(&self, text: String) {
        // The first refusal explains those that follow from it.
        let _ = self.0.set(text);
    }
}

/// One instance's requests.
pub(crate) struct Http {
    context: WasiHttpCtx,
    outgoing: Outgoing,
}

impl Http {
    /// For an instance with these stand-ins.
    pub(crate) fn new(provisions: &Arc<Provisions>, stand_ins: StandIns, log: &Arc<Sink>) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(HEADERS_MAX);
        Self { context, outgoing: Outgoing::new(Arc::clone(provisions), stand_ins, Arc::clone(log)) }
    }

    /// Begins the next call of an instance that is kept: what the call may send is counted anew. An answer
    /// that is still being read goes on, and counts for the call that reads it.
    pub(crate) fn renew(&mut self) {
        self.outgoing.renew();
    }

    /// What was refused in this call, if anything was.
    pub(crate) fn denied(&self) -> Option<&str> {
        self.outgoing.denied()
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http.outgoing,
            table: self.wasi.table_mut(),
            ctx: &mut self.http.context,
        }
    }
}

/// Links the interfaces above, for a plugin that may send requests.
///
/// # Errors
/// wasmtime's, for an interface defined twice.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let options = http::types::LinkOptions::default();
    http::types::add_to_linker::<_, WasiHttp>(linker, &options, WasiHttpView::http)?;
    handler::link(linker)
}
