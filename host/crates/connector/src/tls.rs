//! TLS for everything that leaves the sandbox: one set of roots for HTTP and for sockets.
//!
//! The roots are the system's, plus the authorities of an extra file; a system without any (a bare
//! container) gets Mozilla's, as compiled in. The configuration is made at the first use, since reading the
//! system's store costs some milliseconds that a connector without TLS need not pay.
//!
//! A connector may have authorities and a client certificate of its own ([`TlsOptions`]). They stay out here: the
//! guest sees the plain side of its connections, and never a key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_tls::{TlsProvider, TlsStream, TlsTransport};

use crate::Error;

/// A connector's own TLS settings, each the text of a PEM file.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// The authorities to trust, in place of the system's and the engine's.
    pub authorities: Option<Vec<u8>>,
    /// The client certificate, with the chain that leads to its authority.
    pub certificate: Option<Vec<u8>>,
    /// The client certificate's private key.
    pub key: Option<Vec<u8>>,
}

/// The way to a TLS configuration.
pub(crate) struct Tls {
    /// Trusted in place of the system's authorities.
    only: Option<Vec<CertificateDer<'static>>>,
    /// Trusted beside the system's authorities.
    extra: Vec<CertificateDer<'static>>,
    /// Certificate chain and key, for servers that ask for them.
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    /// Reads the file with extra authorities, if there is one.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, Error> {
        let extra = match ca_file {
            Some(path) => read_authorities(path)?,
            None => Vec::new(),
        };
        Ok(Self { only: None, extra, identity: None, config: OnceLock::new() })
    }

    /// The same with a connector's own settings.
    pub(crate) fn with(&self, own: &TlsOptions) -> Result<Self, Error> {
        let refused = |what: &str, reason: String| Error::Tls { what: what.to_owned(), reason };
        let only = own.authorities.as_deref().map(authorities_in).transpose();
        let only = only.map_err(|reason| refused("certificate authorities", reason))?;
        let identity = match (&own.certificate, &own.key) {
            (None, None) => None,
            (Some(_), None) => return Err(refused("client certificate", "it has no key beside it".to_owned())),
            (None, Some(_)) => return Err(refused("key", "it has no client certificate beside it".to_owned())),
            (Some(certificate), Some(key)) => {
                let chain = certificates_in(certificate).map_err(|reason| refused("client certificate", reason))?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| refused("key", format!("no private key in PEM form in it: {error}")))?;
                Some((chain, key))
            }
        };
        let tls = Self { only, extra: self.extra.clone(), identity, config: OnceLock::new() };
        // What can't work is to show before anything connects: a key that does not fit, above all.
        if tls.identity.is_some() {
            tls.config().map_err(|reason| refused("client certificate and key", reason))?;
        }
        Ok(tls)
    }

    /// The configuration, without ALPN.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| self.build()).clone()
    }

    fn build(&self) -> Result<Arc<ClientConfig>, String> {
        let roots = self.roots();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                config.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|error| error.to_string())?
            }
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        if let Some(only) = &self.only {
            roots.add_parsable_certificates(only.iter().cloned());
            return roots;
        }
        let native = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(native.certs);
        if added == 0 {
            tracing::warn!(errors = ?native.errors, "the system has no certificate authorities; using the built-in ones");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots.add_parsable_certificates(self.extra.iter().cloned());
        roots
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    authorities_in(&text).map_err(|reason| Error::CertificateAuthority { path: PathBuf::from(path), reason })
}

/// Certificates that can vouch for others.
fn authorities_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = certificates_in(pem)?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    Ok(found)
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("not a PEM file: {error}"))?;
    if found.is_empty() { Err("no `BEGIN CERTIFICATE` in it".to_owned()) } else { Ok(found) }
}

/// `wasi:tls` on the host's configuration: the guest brings a stream that the socket rules let through,
/// and the host does the handshake.
pub(crate) struct GuestTls(pub(crate) Arc<Tls>);

struct Stream(tokio_rustls::client::TlsStream<Box<dyn TlsTransport>>);

type Connecting = std::pin::Pin<Box<dyn Future<Output = Result<Box<dyn TlsStream>, wasmtime_wasi_tls::Error>> + Send>>;

impl TlsProvider for GuestTls {
    fn connect(&self, server_name: String, transport: Box<dyn TlsTransport>) -> Connecting {
        let config = self.0.config();
        Box::pin(async move {
            let config = config.map_err(wasmtime_wasi_tls::Error::msg)?;
            let name = ServerName::try_from(server_name).map_err(wasmtime_wasi_tls::Error::msg)?;
            let stream = TlsConnector::from(config).connect(name, transport).await;
            let stream = stream.map_err(wasmtime_wasi_tls::Error::msg)?;
            Ok(Box::new(Stream(stream)) as Box<dyn TlsStream>)
        })
    }
}

impl TlsStream for Stream {}

mod forward {
    //! [`Stream`] reads and writes as what it wraps; the wrapper exists because both the trait and the
    //! type are foreign.

    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Stream;

    impl AsyncRead for Stream {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Stream {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
}

#[cfg(test)]
mod tests;
