//! Signatures: HMAC-SHA256 over what is sent.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::{Error, Result};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::{Encoding, Signature};

/// Signs bodies.
#[derive(Debug, Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
    /// The header that carries the signature.
    pub header: String,
    prefix: String,
    encoding: Encoding,
    /// The header that carries the time, when that is signed too.
    pub timestamp_header: Option<String>,
}

impl Signer {
    /// A signer by this configuration.
    ///
    /// # Errors
    /// Kind `config` when there is no secret.
    pub fn new(config: &Signature) -> Result<Self> {
        let secret = config.secret.reveal();
        if secret.is_empty() {
            return Err(Error::config("`http.signature.secret` is empty"));
        }
        let mac = Hmac::new_from_slice(secret.as_bytes())
            .map_err(|error| Error::config(format!("`http.signature.secret`: {error}")))?;
        Ok(Self {
            mac,
            header: config.header.clone(),
            prefix: config.prefix.clone(),
            encoding: config.encoding,
            timestamp_header: config.timestamp_header.clone(),
        })
    }

    /// The signature of a body, sent at `time` (as its header writes it) when that is signed too.
    #[must_use]
    pub fn sign(&self, body: &[u8], time: Option<&str>) -> Vec<u8> {
        let mut mac = self.mac.clone();
        if let Some(time) = time {
            mac.update(time.as_bytes());
            mac.update(b".");
        }
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        let mut out = self.prefix.clone().into_bytes();
        match self.encoding {
            Encoding::Base64 => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Encoding::Hex => {
                for byte in bytes {
                    // Writing to memory does not fail.
                    let _ = write!(out, "{byte:02x}");
                }
            }
        }
        out
    }
}
