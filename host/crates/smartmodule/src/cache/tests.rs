//! The cache gives back what it was given, and nothing that was tampered with.

use super::*;

const DIGEST: [u8; 32] = [7; 32];

fn open(directory: &Path) -> Option<Cache> {
    let engine = wasmtime::Engine::default();
    Cache::open(directory, &engine)
}

#[test]
fn what_was_stored_is_loaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(&directory.path().join("a/b")).expect("a cache");
    assert_eq!(cache.load(&DIGEST), None);
    cache.store(&DIGEST, b"native code");
    assert_eq!(cache.load(&DIGEST).as_deref(), Some(&b"native code"[..]));
    assert_eq!(cache.load(&[8; 32]), None);
    let left: Vec<_> = fs::read_dir(directory.path().join("a/b")).expect("entries").collect();
    assert_eq!(left.len(), 1, "no temporary file is left");
}

#[test]
fn every_damaged_byte_is_noticed() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(&directory.path().join("cache")).expect("a cache");
    cache.store(&DIGEST, b"native code");
    let path = cache.path(&DIGEST);
    let sound = fs::read(&path).expect("the file");
    for index in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[index] ^= 1;
        fs::write(&path, damaged).expect("written");
        assert_eq!(cache.load(&DIGEST), None, "byte {index}");
    }
    for length in 0..sound.len() {
        fs::write(&path, &sound[..length]).expect("written");
        assert_eq!(cache.load(&DIGEST), None, "{length} bytes");
    }
    cache.store(&DIGEST, b"native code");
    assert!(cache.load(&DIGEST).is_some(), "a damaged file is overwritten");
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cache");
    assert!(open(&path).is_some());
    assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("opened to all");
    assert!(open(&path).is_none());
}
