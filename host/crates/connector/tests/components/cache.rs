//! Loading: what is refused, what is compiled, and what is found again.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use host_connector::{Engine, EngineOptions, Error, Sandbox};

use crate::guest::{engine, path, sandbox};

fn cached(dir: &std::path::Path) -> Engine {
    Engine::new(EngineOptions { cache_dir: Some(dir.to_owned()), ca_file: None }).expect("an engine")
}

fn only_file(dir: &std::path::Path) -> PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[tokio::test]
async fn a_component_is_compiled_once() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("a/b");
    let guest = path("echo-transform");
    let first = cached(&dir).load(&guest).await.expect("it loads");
    assert!(!first.from_cache());
    assert_eq!(dir.metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
    let second = cached(&dir).load(&guest).await.expect("it loads");
    assert!(second.from_cache());
    assert_eq!(first.digest(), second.digest());
    assert_eq!(second.spec().await.expect("it works").name, "echo-transform");
    let none = Engine::new(EngineOptions::default()).expect("an engine").load(&guest).await.expect("it loads");
    assert!(!none.from_cache());
}

#[tokio::test]
async fn a_damaged_image_is_compiled_again() {
    let home = tempfile::tempdir().expect("a directory");
    let guest = path("echo-transform");
    cached(home.path()).load(&guest).await.expect("it loads");
    let image = only_file(home.path());
    let whole = std::fs::read(&image).expect("the image");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..20], b"", b"text"] {
        std::fs::write(&image, damaged).expect("it is written");
        let again = cached(home.path()).load(&guest).await.expect("it loads");
        assert!(!again.from_cache());
        assert!(std::fs::read(only_file(home.path())).expect("the image") == whole, "it is written anew");
    }
    assert!(cached(home.path()).load(&guest).await.expect("it loads").from_cache());
}

#[tokio::test]
async fn a_cache_that_cannot_be_is_no_reason_to_fail() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("file");
    std::fs::write(&file, "x").expect("it is written");
    let component = cached(&file).load(&path("echo-transform")).await.expect("it loads");
    assert!(!component.from_cache());
}

#[tokio::test]
async fn other_files_are_refused_with_reasons() {
    let load = async |name: &str, bytes: Vec<u8>| engine().load_bytes(name, bytes).await.expect_err("it is refused");
    let wat = |text: &str| wat::parse_str(text).expect("a text");

    let error = load("m.wasm", wat("(module)")).await;
    assert!(matches!(error, Error::NotAComponent { .. }) && error.to_string().contains("wasm32-wasip2"), "{error}");
    assert!(matches!(load("t.wasm", b"hello".to_vec()).await, Error::NotAComponent { .. }));
    let mut broken = wat("(component)");
    broken.extend_from_slice(b"\xff\xff\xff");
    assert!(matches!(load("b.wasm", broken).await, Error::Compile { .. }));
    let error = load("c.wasm", wat("(component)")).await;
    assert!(matches!(error, Error::Contract { .. }) && error.to_string().contains("nothing"), "{error}");
    let other = r#"(component (instance $i) (export "fluvio:connector/source@0.3.0" (instance $i)))"#;
    let error = load("v.wasm", wat(other)).await.to_string();
    assert!(error.contains("source@0.3.0") && error.contains("fluvio:connector@0.1.0"), "{error}");
    let empty = r#"(component (instance $i) (export "fluvio:connector/source@0.1.0" (instance $i)))"#;
    let error = load("e.wasm", wat(empty)).await;
    assert!(matches!(error, Error::Contract { .. }), "{error:?}");
    let foreign = r#"(component
        (import "acme:files/open@1.0.0" (instance (export "open" (func))))
        (instance $i) (export "fluvio:connector/source@0.1.0" (instance $i)))"#;
    let error = load("f.wasm", wat(foreign)).await.to_string();
    assert!(error.contains("acme:files/open@1.0.0"), "{error}");
    let missing = engine().load("no-such-file.wasm".as_ref()).await.expect_err("it is not there");
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("no-such-file.wasm"));
}

#[tokio::test]
async fn extra_authorities_must_be_some() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("ca.pem");
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).expect("it is written");
        let error =
            Engine::new(EngineOptions { cache_dir: None, ca_file: Some(file.clone()) }).expect_err("none in it");
        assert!(matches!(error, Error::CertificateAuthority { .. }), "{text:?}: {error:?}");
    }
    assert!(format!("{:?}", Sandbox { redact: vec!["hidden".into()], ..sandbox(&[]) }).contains("memory"));
}
