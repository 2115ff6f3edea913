//! The service account's private key: read from what people paste, and used to sign what a token is asked
//! for with (RFC 7523: a JWT, RS256).
//!
//! The key never leaves this instance, and no error or debug output holds a part of it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use connector_sdk::{Error, Result};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::{CryptoRng, RngCore};
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use serde::Serialize;

/// Some tools leave out the padding of a key's base64.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A private key, ready to sign.
pub struct Key(SigningKey<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(****)")
    }
}

impl Key {
    /// Reads a key in PEM: PKCS#8 (`BEGIN PRIVATE KEY`, as Google gives it out) or PKCS#1 (`BEGIN RSA PRIVATE
    /// KEY`). Quotes around it, `\n` in place of line ends, and no line ends at all do no harm.
    ///
    /// # Errors
    /// Kind `auth`, saying what the text is instead and what to check.
    pub fn parse(text: &str) -> Result<Self> {
        let (label, der) = unarmour(text).map_err(|what| wrong(&what))?;
        let key = match label.as_str() {
            "PRIVATE KEY" => RsaPrivateKey::from_pkcs8_der(&der).ok(),
            "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(&der).ok(),
            _ => return Err(wrong(&format!("it is a `{label}`"))),
        };
        // The library's own words name fields of ASN.1; none of them helps to find the right file.
        let key = key.ok_or_else(|| wrong("it is not an RSA key, or a part of it is missing or altered"))?;
        Ok(Self(SigningKey::new(key)))
    }

    /// These claims, signed.
    ///
    /// # Errors
    /// Kind `internal` when there is no randomness, `auth` when the key is too small to sign with.
    pub fn sign<T: Serialize>(&self, claims: &T) -> Result<String> {
        let payload = serde_json::to_vec(claims)
            .map_err(|error| Error::internal(format!("the claims can't be written as JSON: {error}")))?;
        let mut token = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        // With random numbers the private key's part of the work is blinded: how long it takes tells nothing.
        let signature = self
            .0
            .try_sign_with_rng(&mut Random, token.as_bytes())
            .map_err(|_| wrong("nothing can be signed with it, it is probably too short"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        Ok(token)
    }
}

fn wrong(what: &str) -> Error {
    Error::auth(format!(
        "`sheet.google_private_key` can't be used: {what}; give the value of `private_key` in the service \
         account's key file, from `-----BEGIN PRIVATE KEY-----` to `-----END PRIVATE KEY-----`"
    ))
}

/// The label and the bytes of a PEM text.
fn unarmour(text: &str) -> Result<(String, Vec<u8>), String> {
    let text = text.trim().trim_matches(['"', '\'']).replace("\\n", "\n").replace("\\r", "\n");
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.starts_with('{') {
        return Err("it is JSON, probably the whole key file".to_owned());
    }
    let Some((_, rest)) = text.split_once("-----BEGIN ") else {
        return Err("it has no line `-----BEGIN PRIVATE KEY-----`".to_owned());
    };
    let Some((label, rest)) = rest.split_once("-----") else {
        return Err("its first line is cut off".to_owned());
    };
    let Some((body, _)) = rest.split_once("-----END ") else {
        return Err("its end is missing (a secret of several lines that lost all but the first?)".to_owned());
    };
    if label.contains("ENCRYPTED") || body.contains("ENCRYPTED") {
        return Err("it is encrypted".to_owned());
    }
    let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    match LENIENT.decode(packed) {
        Ok(der) => Ok((label.to_owned(), der)),
        Err(_) => Err("between its first and last line is not base64, a part is missing or altered".to_owned()),
    }
}

/// The system's random numbers, in the form that the signing asks for.
struct Random;

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a host always has random numbers: the interface has no failure");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Random {}

#[cfg(test)]
pub(crate) mod tests;
