//! Compiled components on disk.
//!
//! One file a component: `<sha256 of the component>-<hash of the compiler's version and settings>.cwasm`,
//! holding 32 bytes of SHA-256 over the rest, then the compiled image. A file is written beside its place
//! and renamed, so a reader sees all of it or nothing; one that does not match its checksum is ignored and
//! written anew. The images are machine code that will be run, so the directory belongs to its owner alone.
//!
//! The cache is a help, never a condition: whatever fails here is logged, and the component compiled.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const EXTENSION: &str = "cwasm";

/// Images that are kept; those used longest ago go first. A Python guest's takes 32 MB, a Rust guest's 1.
const IMAGES: usize = 64;

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    compiler: u64,
}

impl Cache {
    pub(crate) fn open(dir: PathBuf, engine: &Engine) -> Option<Self> {
        // The hash is the same in every process of one build of the host, and that is all it has to be: a
        // build with another one finds nothing and compiles.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        match private_dir(&dir) {
            Ok(()) => Some(Self { dir, compiler: hasher.finish() }),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "no cache for compiled components: every start compiles");
                None
            }
        }
    }

    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let file = fs::read(&path).ok()?;
        let found = file.split_first_chunk::<32>().filter(|(sum, image)| Sha256::digest(image)[..] == sum[..]);
        let Some((_, image)) = found else {
            tracing::warn!(path = %path.display(), "a compiled component in the cache is damaged: compiling it again");
            return None;
        };
        match deserialize(engine, image) {
            Ok(component) => {
                touch(&path);
                Some(component)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "a compiled component in the cache can't be used: compiling it again");
                None
            }
        }
    }

    pub(crate) fn put(&self, component: &Component, digest: &str) {
        if let Err(error) = self.try_put(component, digest) {
            tracing::warn!(dir = %self.dir.display(), error = %format!("{error:#}"), "can't keep the compiled component: the next start compiles again");
        }
    }

    fn try_put(&self, component: &Component, digest: &str) -> wasmtime::Result<()> {
        let image = component.serialize()?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        file.write_all(&Sha256::digest(&image))?;
        file.write_all(&image)?;
        file.as_file().sync_all()?;
        file.persist(self.path(digest))?;
        self.prune();
        Ok(())
    }

    /// Removes the images that were used longest ago. Failures matter to nobody: the next one tries again.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let mut images: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .collect();
        images.sort();
        for (_, path) in images.iter().take(images.len().saturating_sub(IMAGES)) {
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{:016x}.{EXTENSION}", self.compiler))
    }
}

#[expect(unsafe_code, reason = "loading compiled code is the point of the cache")]
fn deserialize(engine: &Engine, image: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the image must be what `Component::serialize` made. It is: its checksum matches, the checksum
    // was written with it by `try_put`, and only this user can write to the directory (`private_dir` sees
    // to that). That it fits this compiler's version and settings is checked by Wasmtime.
    unsafe { Component::deserialize(engine, image) }
}

/// Makes the directory for this user alone; refuses one that belongs to somebody else.
fn private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let metadata = fs::metadata(dir)?;
        // A file made here belongs to this user, and so must the directory.
        if tempfile::tempfile_in(dir)?.metadata()?.uid() != metadata.uid() {
            return Err(std::io::Error::other("the directory belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Notes that an image was used.
fn touch(path: &Path) {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}
