//! The handshake that the host does for a guest's socket.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsAcceptor;
use wasmtime_wasi_tls::TlsProvider;

use super::{GuestTls, Tls};

/// A server on the other end of the pipe, its certificate issued to `localhost` by itself.
fn server(pipe: DuplexStream) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(pipe).await?;
        let mut word = [0; 5];
        stream.read_exact(&mut word).await?;
        stream.write_all(&word.map(|byte| byte.to_ascii_uppercase())).await?;
        stream.shutdown().await
    });
    made.cert.pem()
}

/// What the guest hears when it trusts the server's certificate, or does not.
async fn talk(name: &str, trusted: bool) -> Result<String, String> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let pem = server(theirs);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, pem.as_bytes()).expect("it is written");
    let tls = Tls::new(trusted.then(|| file.path())).expect("roots");
    let connecting = GuestTls(Arc::new(tls)).connect(name.to_owned(), Box::new(ours));
    let mut stream = connecting.await.map_err(|error| error.to_string())?;
    stream.write_all(b"hello").await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    Ok(answer)
}

#[tokio::test]
async fn a_guest_gets_the_hosts_roots() {
    assert_eq!(talk("localhost", true).await.as_deref(), Ok("HELLO"));
    let error = talk("localhost", false).await.expect_err("nobody vouches for it");
    assert!(error.contains("UnknownIssuer"), "{error}");
    let error = talk("other.example", true).await.expect_err("it is another's certificate");
    assert!(error.contains("not valid for name"), "{error}");
    assert!(talk("not a name", true).await.is_err());
}
