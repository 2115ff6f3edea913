//! The engine: how SmartModules are compiled, once for all chains of the process.
//!
//! It owns the Wasmtime engine, the cache of compiled code and the epoch clock behind every deadline.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::{Config, OptLevel};

use crate::cache::Cache;
use crate::error::Error;
use crate::module::Module;
use crate::ticker;

/// How an [`Engine`] works.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Where compiled code is kept between runs; `None` compiles every time. A directory that doesn't exist is
    /// made, for its owner alone; one that others can write to is not used.
    pub cache_dir: Option<PathBuf>,
}

/// Compiles SmartModules. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    wasmtime: wasmtime::Engine,
    cache: Option<Cache>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("cache", &self.shared.cache).finish_non_exhaustive()
    }
}

impl Engine {
    /// Sets up the compiler and starts the epoch clock.
    ///
    /// # Errors
    /// [`Error::Engine`] when this machine can't run compiled WebAssembly or can't start a thread.
    pub fn new(options: EngineOptions) -> Result<Self, Error> {
        let failed = |reason: String| Error::Engine { reason };
        let mut config = Config::new();
        config.cranelift_opt_level(OptLevel::Speed).epoch_interruption(true);
        let wasmtime = wasmtime::Engine::new(&config).map_err(|error| failed(format!("{error:#}")))?;
        ticker::start(&wasmtime).map_err(|error| failed(error.to_string()))?;
        let cache = options.cache_dir.and_then(|directory| Cache::open(&directory, &wasmtime));
        Ok(Self { shared: Arc::new(Shared { wasmtime, cache }) })
    }

    /// Compiles a module (binary, or WebAssembly text), or takes it from the cache, and checks that it is a
    /// SmartModule. `name` is what errors and logs call it.
    ///
    /// # Errors
    /// The variants that name what is wrong with the file: [`Error::NotAModule`], [`Error::Component`],
    /// [`Error::Import`], [`Error::NoTransform`], [`Error::Export`].
    pub fn compile(&self, name: &str, wasm: &[u8]) -> Result<Module, Error> {
        if wasm.get(..8) == Some(b"\0asm\x0d\0\x01\0") {
            return Err(Error::Component { module: name.to_owned() });
        }
        // Anything that is not binary would be taken for text, and be quoted at length as such.
        if !wasm.starts_with(b"\0asm") && !wasm.trim_ascii_start().starts_with(b"(") && !wasm.starts_with(b";;") {
            let reason = "it begins neither as a binary module nor as WebAssembly text".to_owned();
            return Err(Error::NotAModule { module: name.to_owned(), reason });
        }
        let digest: [u8; 32] = Sha256::digest(wasm).into();
        if let Some(compiled) = self.cached(&digest) {
            return Module::new(name, digest, true, &compiled);
        }
        let compiled = wasmtime::Module::new(&self.shared.wasmtime, wasm)
            .map_err(|error| Error::NotAModule { module: name.to_owned(), reason: format!("{error:#}") })?;
        let module = Module::new(name, digest, false, &compiled)?;
        if let Some(cache) = &self.shared.cache {
            match compiled.serialize() {
                Ok(serialised) => cache.store(&digest, &serialised),
                Err(error) => tracing::debug!(module = name, %error, "can't serialise a compiled SmartModule"),
            }
        }
        Ok(module)
    }

    #[expect(unsafe_code, reason = "compiled code is the one thing that can't be checked when it is loaded")]
    fn cached(&self, digest: &[u8; 32]) -> Option<wasmtime::Module> {
        let serialised = self.shared.cache.as_ref()?.load(digest)?;
        // SAFETY: `deserialize` needs bytes that `serialize` made. These come from a file in a directory that
        // only this user can write to (checked when the cache was opened), which this code wrote under a name
        // made of the module's digest and of the engine's compatibility hash, and whose checksum, written in
        // front of the bytes, has just been verified. Wasmtime itself refuses another version or other settings.
        match unsafe { wasmtime::Module::deserialize(&self.shared.wasmtime, &serialised) } {
            Ok(module) => Some(module),
            Err(error) => {
                tracing::warn!(%error, "a compiled SmartModule from the cache is refused and made anew");
                None
            }
        }
    }
}
