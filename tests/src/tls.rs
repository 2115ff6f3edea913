//! Certificates for a test: an authority, a server called `localhost`, a client.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// An authority and what it vouches for, all in PEM form.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate of `localhost`.
    pub server: String,
    /// Its key.
    pub server_key: String,
    /// The certificate of a client.
    pub client: String,
    /// Its key.
    pub client_key: String,
}

impl Certificates {
    /// New ones. The client goes by `client`.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new(client: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("an authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let authority_key = KeyPair::generate().expect("a key");
        let certificate = authority.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let issued = |names: Vec<String>, common: &str, purpose: ExtendedKeyUsagePurpose| {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(names).expect("names");
            params.distinguished_name.push(DnType::CommonName, common);
            params.extended_key_usages.push(purpose);
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            (certificate.pem(), key.serialize_pem())
        };
        let (server, server_key) =
            issued(vec!["localhost".to_owned()], "localhost", ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = issued(Vec::new(), client, ExtendedKeyUsagePurpose::ClientAuth);
        Self { authority: certificate.pem(), server, server_key, client, client_key }
    }
}
