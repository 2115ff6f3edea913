//! Compiled modules on disk, so that only the first start compiles.
//!
//! One file a module, engine version and engine setting: `<sha256 of the wasm>-<sha256 of the engine's
//! compatibility hash>.cwasm`, holding a magic, the SHA-256 of the rest, and what Wasmtime serialised. Files are
//! written beside and renamed, so a reader sees a whole file or none.
//!
//! What is in such a file is native code, so only files that this user wrote are loaded: the directory is made
//! for the owner alone, and one that others can write to is left alone. Everything that goes wrong here costs a
//! compilation, never the module: it is logged and that is all.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use tracing::{debug, warn};

/// Tells our files, and this layout of them, from others.
const MAGIC: &[u8; 8] = b"hostsm\x00\x01";
const HEAD: usize = MAGIC.len() + 32;

/// A directory of compiled modules.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// what the engine's version and settings hash to
    engine: String,
}

impl Cache {
    /// Opens, and makes if need be, the directory; `None` when it can't be used.
    pub(crate) fn open(directory: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        match prepare(directory) {
            Ok(()) => {
                let mut hasher = Sha256Hasher(Sha256::new());
                engine.precompile_compatibility_hash().hash(&mut hasher);
                let engine = hex(&hasher.0.finalize()[..16]);
                Some(Self { directory: directory.to_owned(), engine })
            }
            Err(error) => {
                warn!(directory = %directory.display(), %error, "compiled SmartModules are not cached");
                None
            }
        }
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.directory.join(format!("{}-{}.cwasm", hex(digest), self.engine))
    }

    /// The serialised module of the wasm with this digest, if a sound one is there.
    pub(crate) fn load(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    debug!(path = %path.display(), %error, "can't read a compiled SmartModule");
                }
                return None;
            }
        };
        if bytes.len() < HEAD || bytes[..8] != *MAGIC || bytes[8..HEAD] != Sha256::digest(&bytes[HEAD..])[..] {
            warn!(path = %path.display(), "a damaged compiled SmartModule is ignored and made anew");
            return None;
        }
        bytes.drain(..HEAD);
        Some(bytes)
    }

    /// Keeps a serialised module.
    pub(crate) fn store(&self, digest: &[u8; 32], serialised: &[u8]) {
        let path = self.path(digest);
        if let Err(error) = write(&path, serialised) {
            debug!(path = %path.display(), %error, "can't keep a compiled SmartModule");
        }
    }
}

fn write(path: &Path, serialised: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{unique}.tmp", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(serialised))?;
        file.write_all(serialised)?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // best effort: a left-over is only dead weight
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(unix)]
fn prepare(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    if !directory.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let metadata = fs::metadata(directory)?;
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may write to the directory: chmod 700 it"));
    }
    // A file of our own tells who we are: whoever owns the directory could swap its files.
    let probe = directory.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, [])?;
    let owner = fs::metadata(&probe).map(|file| file.uid());
    fs::remove_file(&probe)?;
    if owner? != metadata.uid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the directory belongs to somebody else"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn prepare(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // writing to a String can't fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Lets a `Hash` value run through SHA-256: `DefaultHasher` may change with the compiler.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

#[cfg(test)]
mod tests;
