//! The ways out of a sandbox: sockets and HTTP, on one TLS configuration, and the proxy that HTTP goes through.
//!
//! An engine has one, which its components share; a connector whose configuration asks for more (authorities, a
//! client certificate, a proxy) gets one of its own. Keys and passwords in it never enter the sandbox.

use std::sync::Arc;

use crate::Error;
use crate::http::Client;
use crate::tls::{Tls, TlsOptions};

/// How HTTP requests leave this machine. Guests neither choose it nor see it; sockets know no proxy.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Straight to their hosts.
    Direct,
    /// All of them through the proxy at this URL, which may hold a user and a password.
    At(String),
}

/// Without the address: it may hold a password.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            Self::At(_) => "At(..)",
        })
    }
}

/// What a connector wants of its ways out.
#[derive(Clone, Default)]
pub struct OutletOptions {
    /// Authorities and a client certificate; the engine's authorities where there are none.
    pub tls: TlsOptions,
    /// How HTTP requests leave this machine.
    pub proxy: Proxy,
}

/// A connector's own ways out, for everything that it does. Cheap to clone; made by
/// [`Component::own_outlet`](crate::Component::own_outlet).
#[derive(Clone)]
pub struct OwnOutlet(pub(crate) Arc<Outlet>);

impl std::fmt::Debug for OwnOutlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnOutlet")
    }
}

/// The ways out.
pub(crate) struct Outlet {
    pub(crate) tls: Arc<Tls>,
    pub(crate) client: Arc<Client>,
}

impl Outlet {
    pub(crate) fn new(tls: Tls, proxy: Proxy) -> Self {
        let tls = Arc::new(tls);
        Self { client: Arc::new(Client::new(tls.clone(), proxy)), tls }
    }

    /// The same as this one, with a connector's own settings.
    pub(crate) fn with(&self, options: &OutletOptions) -> Result<OwnOutlet, Error> {
        Ok(OwnOutlet(Arc::new(Self::new(self.tls.with(&options.tls)?, options.proxy.clone()))))
    }
}
