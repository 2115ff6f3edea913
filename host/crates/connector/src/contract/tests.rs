//! What is a component, and which one speaks the contract.

use super::{Kind, check_header, kind};
use crate::{Error, ErrorKind};

fn exports(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn reason(names: &[&str]) -> String {
    match kind("x.wasm", &exports(names)) {
        Err(error @ Error::Contract { .. }) => {
            assert_eq!(error.kind(), ErrorKind::Config);
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_of_three_interfaces_makes_a_connector() {
    let found = |name| kind("x", &exports(&["wasi:cli/run@0.2.0", name, "init"])).expect("a connector");
    assert_eq!(found("fluvio:connector/source@0.1.0"), Kind::Source);
    assert_eq!(found("fluvio:connector/sink@0.1.0"), Kind::Sink);
    assert_eq!(found("fluvio:connector/transform@0.1.17"), Kind::Transform);
}

#[test]
fn none_names_what_there_is() {
    let text = reason(&["wasi:cli/run@0.2.0", "acme:x/y"]);
    assert!(text.contains("exports none of fluvio:connector/source, sink and transform, version 0.1.0"), "{text}");
    assert!(text.contains("wasi:cli/run@0.2.0, acme:x/y"), "{text}");
    assert!(reason(&[]).contains("what it exports: nothing"));
}

#[test]
fn another_version_names_both() {
    for other in ["fluvio:connector/source@0.2.0", "fluvio:connector/sink@1.0.0", "fluvio:connector/source@0.1.0-rc1"] {
        let text = reason(&[other]);
        assert!(text.contains(other) && text.contains("fluvio:connector@0.1.0"), "{text}");
    }
    assert!(reason(&["fluvio:connector/source"]).contains("speaks fluvio:connector@0.1.0"));
}

#[test]
fn two_interfaces_are_one_too_many() {
    let text = reason(&["fluvio:connector/source@0.1.0", "fluvio:connector/sink@0.1.0"]);
    assert!(text.contains("both fluvio:connector/source and fluvio:connector/sink"), "{text}");
}

#[test]
fn other_files_are_told_apart() {
    let cases: [(&[u8], &str); 8] = [
        (b"\0asm\x01\0\0\0", "core WebAssembly module"),
        (b"\0asm\x0d\0\x01\0", ""),
        (b"\0asm\x0e\0\x01\0", "format that this host does not know"),
        (b"\0asm", "neither a module nor a component"),
        (b"", "empty"),
        (b"(component)", "text"),
        (b"\x7fELF\x02\x01", "native program"),
        (b"<!doctype html>", "web page"),
    ];
    for (bytes, expected) in cases {
        match check_header("x.wasm", bytes) {
            Ok(()) => assert_eq!(expected, "", "{bytes:?}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!expected.is_empty() && text.contains(expected), "{text}");
                assert!(text.starts_with("x.wasm is not a component"), "{text}");
            }
        }
    }
}
