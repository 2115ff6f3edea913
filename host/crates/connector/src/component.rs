//! A loaded component, and the questions one can ask it without opening anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use wasmtime::component::InstancePre;

use crate::bindings::{dataset_in, sink, source, spec_in, steps_in, transform};
use crate::engine::Shared;
use crate::error::GuestError;
use crate::instance::Instance;
use crate::outlet::{OutletOptions, OwnOutlet};
use crate::state::State;
use crate::{Error, Kind, Sandbox, TransformStage, contract};

/// What a connector says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name, as in `http-source`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in one sentence.
    pub description: String,
    /// The key of its own section in a configuration file.
    pub section: String,
    /// JSON Schema (draft-07) of that section: an object.
    pub schema: serde_json::Value,
}

/// One step of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// What was tried.
    pub name: String,
    /// What stood in the way, if something did.
    pub problem: Option<GuestError>,
}

/// Something that a source can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The name that the configuration uses for it.
    pub name: String,
    /// What it holds; may be empty.
    pub description: String,
    /// JSON Schema of one record's value, as text, when it is known.
    pub schema: Option<String>,
}

/// A compiled component that speaks the contract. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    pub(crate) parts: Arc<Parts>,
}

/// The one copy of everything.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) interface: Interface,
    pub(crate) name: String,
    digest: String,
    size: u64,
    from_cache: bool,
    imports: Vec<String>,
    exports: Vec<String>,
    spec: OnceCell<Spec>,
}

/// Where the functions of the component's interface are.
pub(crate) enum Interface {
    Source(source::GuestIndices),
    Sink(sink::GuestIndices),
    Transform(transform::GuestIndices),
}

impl Component {
    pub(crate) fn new(
        shared: Arc<Shared>,
        name: &str,
        compiled: &wasmtime::component::Component,
        digest: String,
        size: u64,
        from_cache: bool,
    ) -> Result<Self, Error> {
        let outline = compiled.component_type();
        let imports: Vec<String> = outline.imports(&shared.engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = outline.exports(&shared.engine).map(|(name, _)| name.to_owned()).collect();
        let kind = contract::kind(name, &exports)?;
        let unfit = |error: wasmtime::Error| Error::Contract { name: name.to_owned(), reason: format!("{error:#}") };
        let pre = shared.linker.instantiate_pre(compiled).map_err(|error| Error::Contract {
            name: name.to_owned(),
            reason: format!("it needs what this host does not offer: {error:#}"),
        })?;
        let interface = match kind {
            Kind::Source => Interface::Source(source::GuestIndices::new(&pre).map_err(unfit)?),
            Kind::Sink => Interface::Sink(sink::GuestIndices::new(&pre).map_err(unfit)?),
            Kind::Transform => Interface::Transform(transform::GuestIndices::new(&pre).map_err(unfit)?),
        };
        let name = name.to_owned();
        let spec = OnceCell::new();
        let parts = Parts { shared, pre, interface, name, digest, size, from_cache, imports, exports, spec };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// Ways out with a connector's own settings, for [`Sandbox::outlet`].
    ///
    /// # Errors
    /// [`Error::Tls`] when they can't work: no certificate in the text, a key that does not fit.
    pub fn own_outlet(&self, options: &OutletOptions) -> Result<OwnOutlet, Error> {
        self.parts.shared.outlet.with(options)
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.parts.interface {
            Interface::Source(_) => Kind::Source,
            Interface::Sink(_) => Kind::Sink,
            Interface::Transform(_) => Kind::Transform,
        }
    }

    /// The name it was loaded by: its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// What it imports, as in `wasi:http/outgoing-handler@0.2.4`.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.parts.imports
    }

    /// What it exports.
    #[must_use]
    pub fn exports(&self) -> &[String] {
        &self.parts.exports
    }

    /// SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.parts.digest
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.parts.size
    }

    /// Whether it was found compiled.
    #[must_use]
    pub fn from_cache(&self) -> bool {
        self.parts.from_cache
    }

    /// What it says of itself. It is asked once, in an instance that reaches nothing.
    ///
    /// # Errors
    /// [`Error::Contract`] when the answer can't be used, or the interface's functions have other types than
    /// the contract's; those of a call.
    pub async fn spec(&self) -> Result<Spec, Error> {
        self.parts.spec.get_or_try_init(|| self.ask_spec()).await.cloned()
    }

    async fn ask_spec(&self) -> Result<Spec, Error> {
        const CALL: &str = "spec";
        let (mut instance, exports) = Instance::new(&self.parts, &Sandbox::default()).await?;
        let spec = match &self.parts.interface {
            Interface::Source(indices) => {
                let guest = self.fits(indices.load(&mut instance.store, &exports))?;
                let call = instance.begin(CALL, Duration::ZERO, 0)?;
                let asked = tokio::time::timeout_at(call.until, guest.call_spec(&mut instance.store)).await;
                instance.end(call, asked)?
            }
            Interface::Sink(indices) => {
                let guest = self.fits(indices.load(&mut instance.store, &exports))?;
                let call = instance.begin(CALL, Duration::ZERO, 0)?;
                let asked = tokio::time::timeout_at(call.until, guest.call_spec(&mut instance.store)).await;
                instance.end(call, asked)?
            }
            Interface::Transform(indices) => {
                let guest = self.fits(indices.load(&mut instance.store, &exports))?;
                let call = instance.begin(CALL, Duration::ZERO, 0)?;
                let asked = tokio::time::timeout_at(call.until, guest.call_spec(&mut instance.store)).await;
                instance.end(call, asked)?
            }
        };
        spec_in(spec).map_err(|reason| Error::Contract { name: self.parts.name.clone(), reason })
    }

    /// Tries what a start would need, step by step, with the connector's own section as JSON. A transform
    /// has no check of its own: it is opened.
    ///
    /// # Errors
    /// Only when the check itself could not be made; a step that failed is no error.
    pub async fn check(&self, config: &str, sandbox: &Sandbox) -> Result<Vec<CheckStep>, Error> {
        const CALL: &str = "check";
        let result = match &self.parts.interface {
            Interface::Source(indices) => {
                let (mut instance, exports) = Instance::new(&self.parts, sandbox).await?;
                let guest = self.fits(indices.load(&mut instance.store, &exports))?;
                let call = instance.begin(CALL, Duration::ZERO, 0)?;
                let asked = guest.call_check(&mut instance.store, config);
                let asked = tokio::time::timeout_at(call.until, asked).await;
                (instance.end_result(call, asked)?, instance)
            }
            Interface::Sink(indices) => {
                let (mut instance, exports) = Instance::new(&self.parts, sandbox).await?;
                let guest = self.fits(indices.load(&mut instance.store, &exports))?;
                let call = instance.begin(CALL, Duration::ZERO, 0)?;
                let asked = guest.call_check(&mut instance.store, config);
                let asked = tokio::time::timeout_at(call.until, asked).await;
                (instance.end_result(call, asked)?, instance)
            }
            Interface::Transform(_) => {
                let problem = match TransformStage::open(self, sandbox, config).await {
                    Ok(stage) => {
                        stage.close().await;
                        None
                    }
                    Err(Error::Guest(problem)) => Some(problem),
                    Err(error) => return Err(error),
                };
                return Ok(vec![CheckStep { name: "the transform opens".to_owned(), problem }]);
            }
        };
        let (result, instance) = result;
        Ok(steps_in(result, &instance.store.data().log))
    }

    /// What a source can read with this configuration. Sinks and transforms have nothing to offer.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for all but sources; those of a call.
    pub async fn discover(&self, config: &str, sandbox: &Sandbox) -> Result<Vec<Dataset>, Error> {
        let Interface::Source(indices) = &self.parts.interface else {
            return Err(self.wrong_kind(Kind::Source));
        };
        let (mut instance, exports) = Instance::new(&self.parts, sandbox).await?;
        let guest = self.fits(indices.load(&mut instance.store, &exports))?;
        let call = instance.begin("discover", Duration::ZERO, 0)?;
        let asked = guest.call_discover(&mut instance.store, config);
        let asked = tokio::time::timeout_at(call.until, asked).await;
        let found = instance.end_result(call, asked)?;
        Ok(found.into_iter().map(dataset_in).collect())
    }

    /// The functions of an instance; an error when their types are not the contract's.
    pub(crate) fn fits<T>(&self, loaded: wasmtime::Result<T>) -> Result<T, Error> {
        loaded.map_err(|error| Error::Contract { name: self.parts.name.clone(), reason: format!("{error:#}") })
    }

    pub(crate) fn wrong_kind(&self, wanted: Kind) -> Error {
        Error::WrongKind { name: self.parts.name.clone(), is: self.kind(), wanted }
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.parts.name)
            .field("kind", &self.kind())
            .field("digest", &self.parts.digest)
            .finish_non_exhaustive()
    }
}
