//! TLS for everything that leaves the sandbox: one set of roots for HTTP and for sockets.
//!
//! The roots are the system's, plus the authorities of an extra file; a system without any (a bare
//! container) gets Mozilla's, as compiled in. The configuration is made at the first use, since reading the
//! system's store costs some milliseconds that a connector without TLS need not pay.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_tls::{TlsProvider, TlsStream, TlsTransport};

use crate::Error;

/// The way to a TLS configuration.
pub(crate) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    /// Reads the file with extra authorities, if there is one.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, Error> {
        let extra = match ca_file {
            Some(path) => read_authorities(path)?,
            None => Vec::new(),
        };
        Ok(Self { extra, config: OnceLock::new() })
    }

    /// The configuration, without ALPN.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| self.build()).clone()
    }

    fn build(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(native.certs);
        if added == 0 {
            tracing::warn!(errors = ?native.errors, "the system has no certificate authorities; using the built-in ones");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots.add_parsable_certificates(self.extra.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refused = |reason: String| Error::CertificateAuthority { path: PathBuf::from(path), reason };
    let text = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| refused(format!("not a PEM file: {error}")))?;
    if found.is_empty() {
        return Err(refused("no `BEGIN CERTIFICATE` in it".to_owned()));
    }
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|error| refused(error.to_string()))?;
    }
    Ok(found)
}

/// `wasi:tls` on the engine's configuration: the guest brings a stream that the socket rules let through,
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
