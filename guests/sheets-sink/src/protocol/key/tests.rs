use std::sync::LazyLock;

use connector_sdk::ErrorKind;
use rsa::RsaPublicKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::EncodePrivateKey;
use rsa::signature::Verifier;
use serde_json::json;

use super::*;

/// A key made for these tests; short, so that making it takes no time.
pub(crate) static TEST_KEY: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut Random, 1024).expect("a key"));

/// PEM, as `openssl` writes it.
fn armour(label: &str, der: &[u8]) -> String {
    let packed = LENIENT.encode(der);
    let lines: Vec<&str> = packed.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(crate) fn pem() -> String {
    armour("PRIVATE KEY", TEST_KEY.to_pkcs8_der().expect("DER").as_bytes())
}

/// The claims of a token, once its signature is verified.
pub(crate) fn verified(token: &str) -> serde_json::Value {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts: {token}") };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64 without padding");
    assert_eq!(decode(header), br#"{"alg":"RS256","typ":"JWT"}"#);
    let signature = Signature::try_from(decode(signature).as_slice()).expect("a signature");
    let signed = format!("{header}.{payload}");
    VerifyingKey::<Sha256>::new(RsaPublicKey::from(&*TEST_KEY))
        .verify(signed.as_bytes(), &signature)
        .expect("the signature fits");
    serde_json::from_slice(&decode(payload)).expect("JSON")
}

#[test]
fn a_key_is_read_however_it_was_pasted() {
    let pkcs8 = pem();
    let pkcs1 = armour("RSA PRIVATE KEY", TEST_KEY.to_pkcs1_der().expect("DER").as_bytes()).replace('\n', "\r\n");
    let forms = [
        pkcs8.clone(),
        pkcs1.clone(),
        pkcs1.replace("\r\n", "\\r\\n"),
        format!("\"{}\"", pkcs8.replace('\n', "\\n")),
        pkcs8.replace('\n', ""),
        pkcs8.replace('\n', " "),
        format!("  {}\n\n", pkcs8.replace('=', "")),
    ];
    for form in forms {
        let token = Key::parse(&form).unwrap_or_else(|error| panic!("{error}: {form}")).sign(&json!({"n": 1}));
        assert_eq!(verified(&token.expect("signed")), json!({"n": 1}));
    }
}

#[test]
fn what_is_no_key_is_told_without_showing_it() {
    let good = pem();
    let body = &good[30..90];
    // The same armour around what says of itself that it is an elliptic key.
    let elliptic = [
        &[0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01][..],
        &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        &[0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20],
        &[7; 32],
    ];
    let elliptic = armour("PRIVATE KEY", &elliptic.concat());
    for (text, words) in [
        (String::new(), "it is empty"),
        (json!({"private_key": good}).to_string(), "the whole key file"),
        (body.to_owned(), "no line `-----BEGIN"),
        (good.replace("-----END PRIVATE KEY-----", ""), "its end is missing"),
        (good.replacen(body, "", 1), "not an RSA key, or a part of it is missing"),
        (good.replacen(&body[..8], "!!!!!!!!", 1), "is not base64"),
        (good.replace("PRIVATE", "PUBLIC"), "it is a `PUBLIC KEY`"),
        (good.replace("PRIVATE", "ENCRYPTED PRIVATE"), "it is encrypted"),
        (elliptic, "not an RSA key"),
        ("-----BEGIN".to_owned(), "no line"),
        ("-----BEGIN PRIVATE".to_owned(), "cut off"),
    ] {
        let error = Key::parse(&text).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.message().contains(words), "{words}: {error}");
        assert!(error.message().contains("`private_key`"), "says what to do: {error}");
        assert!(!error.message().contains(&body[..16]), "a part of the key is in: {error}");
    }
    assert_eq!(format!("{:?}", Key::parse(&good).expect("good")), "Key(****)");
}
