//! Profiles, and TLS as they say it: a server with a certificate of a test authority, which asks for ours.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use fluvio_protocol::Encoder;
use fluvio_protocol::link::versions::ApiVersionsResponse;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::connection::Connection;

const PROFILES: &str = r#"
version = "2.0"
current_profile = "near"

[profile.near]
cluster = "near"
[cluster.near]
endpoint = "127.0.0.1:9003"
use_spu_local_address = true

[profile.far]
cluster = "far"
[cluster.far]
endpoint = "far.example:9003"
[cluster.far.tls]
tls_policy = "verified"
tls_source = "inline"
[cluster.far.tls.certs]
domain = "far.example"
key = "no key"
cert = "no certificate"
ca_cert = "no authority"
"#;

fn profiles() -> (tempfile::TempDir, ConfigFile) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("config");
    std::fs::write(&path, PROFILES).expect("writes");
    let file = ConfigFile::load(Some(path.display().to_string())).expect("loads");
    (folder, file)
}

#[test]
fn a_profile_is_found_by_its_name_or_as_the_current_one() {
    let (_folder, file) = profiles();
    let near = Settings::new(profile(&file, None).expect("the current one")).expect("plain");
    assert_eq!((near.controller.address.as_str(), near.use_local_addresses), ("127.0.0.1:9003", true));
    assert!(near.controller.tls.is_none());
    assert_eq!(near.storage_unit("spu-1", "10.0.0.1:9005".into()).address, "10.0.0.1:9005");
    assert_eq!(profile(&file, Some("far")).expect("by name").endpoint, "far.example:9003");
    let error = profile(&file, Some("fra")).expect_err("no such profile");
    assert!(error.to_string().contains("\"fra\"") && !error.is_retryable(), "{error}");
}

#[test]
fn tls_settings_that_make_no_sense_are_refused() {
    let (_folder, file) = profiles();
    let refused = Settings::new(profile(&file, Some("far")).expect("by name"));
    assert!(matches!(refused, Err(Error::Tls { .. })));
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// A certificate for some names, and its key.
    fn issue(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }
}

/// A server that only tells its versions, to who has a certificate of the authority; returns its address and
/// the names by which it was asked for.
async fn serve(authority: &Authority) -> (String, tokio::sync::mpsc::UnboundedReceiver<Option<String>>) {
    use_ring();
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("an authority");
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier");
    let (certificate, key) = authority.issue(&["cluster.test", "spu-1.cluster.test"]);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    let (sender, names) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            sender.send(stream.get_ref().1.server_name().map(str::to_owned)).expect("somebody listens");
            let length = stream.read_u32().await.expect("a length") as usize;
            let mut request = vec![0; length];
            stream.read_exact(&mut request).await.expect("a request");
            let correlation = Bytes::from(request).slice(4..8).get_i32();
            let mut answer = Vec::new();
            answer.put_i32(correlation);
            ApiVersionsResponse::default().encode(&mut answer, 2).expect("encodes");
            stream.write_u32(answer.len() as u32).await.expect("writes");
            stream.write_all(&answer).await.expect("writes");
            stream.flush().await.expect("flushes");
        }
    });
    (address, names)
}

fn settings(address: &str, trusted: &Authority, own: &Authority) -> Settings {
    let (certificate, key) = own.issue(&["client.test"]);
    let certs = fluvio::config::TlsCerts {
        domain: "cluster.test".into(),
        key: key.serialize_pem(),
        cert: certificate.pem(),
        ca_cert: trusted.0.pem(),
    };
    Settings::new(FluvioClusterConfig::new(address).with_tls(certs)).expect("good settings")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_connection_shows_certificates_both_ways_and_names_the_storage_unit() {
    let authority = Authority::new();
    let (address, mut names) = serve(&authority).await;
    let settings = settings(&address, &authority, &authority);
    Connection::open(&settings.controller).await.expect("connects");
    assert_eq!(names.recv().await.flatten().as_deref(), Some("cluster.test"));
    Connection::open(&settings.storage_unit("spu-1", address.clone())).await.expect("connects");
    assert_eq!(names.recv().await.flatten().as_deref(), Some("spu-1.cluster.test"));
    // Not a name of its certificate.
    assert!(Connection::open(&settings.storage_unit("spu-2", address)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_or_a_client_of_another_authority_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (address, _names) = serve(&authority).await;
    for (trusted, own) in [(&stranger, &authority), (&authority, &stranger)] {
        let settings = settings(&address, trusted, own);
        assert!(Connection::open(&settings.controller).await.is_err());
    }
}
