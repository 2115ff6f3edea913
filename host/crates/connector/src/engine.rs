//! What all components of a process share: the compiler, the linked host functions, the HTTP client, and
//! the clock that keeps guests from running for ever.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use wasmtime::component::Linker;
use wasmtime::{Config, EngineWeak};

use crate::cache::Cache;
use crate::outlet::{Outlet, Proxy};
use crate::state::{self, State};
use crate::tls::Tls;
use crate::{Component, Error, contract};

/// How often a running guest is looked at. Guests give the thread back this often, and deadlines are kept
/// to within it; a hundred wake-ups a second cost a tenth of a per cent of one core.
const TICK: Duration = Duration::from_millis(10);

/// How an [`Engine`] is set up.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Where compiled components are kept; made when missing, for its owner only. None: every start
    /// compiles, which takes 0.1 s for a small Rust guest and 16 s for a Python one.
    pub cache_dir: Option<PathBuf>,
    /// A PEM file with certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Compiles components. Cheap to clone; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// The one copy of everything.
pub(crate) struct Shared {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) outlet: Arc<Outlet>,
    cache: Option<Cache>,
}

impl Engine {
    /// Sets up an engine. A process needs one, and gets the most out of its connection pool with one.
    ///
    /// # Errors
    /// [`Error::CertificateAuthority`] or [`Error::Io`] for the extra authorities; [`Error::Setup`] when the
    /// machine can't run compiled code or no thread can be started. A cache that can't be used is only
    /// warned of.
    pub fn new(options: EngineOptions) -> Result<Self, Error> {
        // This crate's own TLS names its provider. A crate below does not, and panics in a process where
        // another one has switched on a second provider; a default that is set already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = Tls::new(options.ca_file.as_deref())?;
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = wasmtime::Engine::new(&config).map_err(|error| Error::setup(format!("{error:#}")))?;
        let linker = state::linker(&engine).map_err(|error| Error::setup(format!("{error:#}")))?;
        let cache = options.cache_dir.and_then(|dir| Cache::open(dir, &engine));
        let ticking = engine.weak();
        std::thread::Builder::new()
            .name("host-epochs".to_owned())
            .spawn(move || tick(&ticking))
            .map_err(Error::setup)?;
        Ok(Self {
            shared: Arc::new(Shared { engine, linker, outlet: Arc::new(Outlet::new(tls, Proxy::Environment)), cache }),
        })
    }

    /// Loads a component from a file, compiling it if that was not done before.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`load_bytes`](Self::load_bytes).
    pub async fn load(&self, path: &Path) -> Result<Component, Error> {
        let bytes = tokio::fs::read(path).await.map_err(|source| Error::Io { path: path.into(), source })?;
        self.load_bytes(&path.display().to_string(), bytes).await
    }

    /// Loads a component from its bytes; `name` is for messages.
    ///
    /// # Errors
    /// [`Error::NotAComponent`], [`Error::Compile`], [`Error::Contract`].
    pub async fn load_bytes(&self, name: &str, bytes: Vec<u8>) -> Result<Component, Error> {
        contract::check_header(name, &bytes)?;
        let size = bytes.len() as u64;
        let (shared, file) = (self.shared.clone(), name.to_owned());
        let compiling = tokio::task::spawn_blocking(move || shared.compile(&file, &bytes));
        let (compiled, digest, from_cache) = compiling.await.map_err(Error::setup)??;
        Component::new(self.shared.clone(), name, &compiled, digest, size, from_cache)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.shared.cache).finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes the component from the cache, or compiles it and puts it there.
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<(wasmtime::component::Component, String, bool), Error> {
        let digest = hex(&Sha256::digest(bytes));
        if let Some(found) = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, &digest)) {
            return Ok((found, digest, true));
        }
        tracing::info!(component = name, bytes = bytes.len(), "compiling component");
        let started = Instant::now();
        let compiled = wasmtime::component::Component::from_binary(&self.engine, bytes)
            .map_err(|error| Error::Compile { name: name.to_owned(), reason: format!("{error:#}") })?;
        tracing::info!(component = name, took = ?started.elapsed(), "compiled component");
        if let Some(cache) = &self.cache {
            cache.put(&compiled, &digest);
        }
        Ok((compiled, digest, false))
    }
}

/// Moves time on for as long as the engine lives.
fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        std::thread::sleep(TICK);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
