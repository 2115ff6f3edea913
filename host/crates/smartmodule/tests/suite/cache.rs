//! Compiled once, loaded ever after; never trusted blindly.

use std::fs;
use std::path::PathBuf;

use host_smartmodule::{Chain, Engine, EngineOptions, Stage};

use crate::support::{run, texts, wasm};

fn engine(directory: &std::path::Path) -> Engine {
    Engine::new(EngineOptions { cache_dir: Some(directory.to_owned()) }).expect("an engine")
}

fn works(engine: &Engine, from_cache: bool) {
    let module = engine.compile("fixture-map", &wasm("fixture-map")).expect("a SmartModule");
    assert_eq!(module.is_from_cache(), from_cache);
    let mut chain = Chain::new(vec![Stage::new(module)]).expect("a chain");
    assert_eq!(texts(&run(&mut chain, &["x"]).batch), ["X"]);
}

fn only_file(directory: &std::path::Path) -> PathBuf {
    let mut files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let file = files.next().expect("a file");
    assert_eq!(files.next(), None);
    file
}

#[test]
fn a_second_start_does_not_compile() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("modules");
    works(&engine(&path), false);
    works(&engine(&path), true);
    works(&engine(&path), true);
}

#[test]
fn a_damaged_file_is_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("modules");
    works(&engine(&path), false);
    let file = only_file(&path);
    let sound = fs::read(&file).expect("the file");
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 0x10;
    for wrong in [&damaged[..], &sound[..sound.len() - 1], b"", b"something else"] {
        fs::write(&file, wrong).expect("written");
        works(&engine(&path), false);
        assert_eq!(fs::read(&file).expect("the file").len(), sound.len(), "made anew");
        works(&engine(&path), true);
    }
}

#[test]
fn code_of_another_engine_is_refused() {
    use sha2::{Digest, Sha256};
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("modules");
    works(&engine(&path), false);
    // the right name and checksum, but compiled without epochs
    let other = wasmtime::Engine::default();
    let foreign = other.precompile_module(&wasm("fixture-map")).expect("compiled");
    let file = [&b"hostsm\x00\x01"[..], &Sha256::digest(&foreign), &foreign].concat();
    fs::write(only_file(&path), file).expect("written");
    works(&engine(&path), false);
    works(&engine(&path), true);
}

#[test]
fn without_a_directory_everything_still_works() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a file");
    fs::write(&file, b"").expect("written");
    works(&engine(&file.join("below")), false);
}
