//! SmartModules kept in the cluster.

use std::io;

use fluvio_sc_schema::objects::Metadata;
use fluvio_sc_schema::smartmodule::{SmartModuleSpec, SmartModuleWasm};

use crate::admin::Kind;
use crate::{Cluster, Error, ErrorCode};

/// What WebAssembly starts with.
const WASM_MAGIC: &[u8] = b"\0asm";

/// A SmartModule in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SmartModuleInfo {
    /// Its name there, by which it is used.
    pub name: String,
    /// `group/name@version` of the package it came from, if it came from one.
    pub package: Option<String>,
    /// How many bytes the cluster keeps, compressed; `None` where the cluster doesn't tell.
    pub size: Option<u64>,
}

impl Cluster {
    /// Stores a SmartModule, replacing one of the same name.
    ///
    /// # Errors
    /// When the cluster can't be reached or refuses it.
    pub async fn create_smartmodule(&self, name: &str, wasm: &[u8]) -> Result<(), Error> {
        let damaged = |source| Error::SmartModuleDamaged { name: name.to_owned(), source };
        let wasm = SmartModuleWasm::from_raw_wasm_bytes(wasm).map_err(damaged)?;
        let spec = SmartModuleSpec { wasm, ..SmartModuleSpec::default() };
        self.create(format!("create SmartModule {name:?}"), name, spec).await
    }

    /// All SmartModules, by name.
    ///
    /// # Errors
    /// When the cluster can't be reached.
    pub async fn smartmodules(&self) -> Result<Vec<SmartModuleInfo>, Error> {
        let listed: Vec<Metadata<SmartModuleSpec>> = self.list(None, Kind::Summary).await?;
        let mut found: Vec<_> = listed.into_iter().map(SmartModuleInfo::from).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The WebAssembly of a SmartModule, by its name or by its package's `group/name@version`.
    ///
    /// # Errors
    /// When there is none of that name, it is damaged, or the cluster can't be reached.
    pub async fn smartmodule(&self, name: &str) -> Result<Vec<u8>, Error> {
        // The filter works on the stored name; a package may be stored under another.
        let filter = (!name.contains(['/', '@'])).then_some(name);
        let listed: Vec<Metadata<SmartModuleSpec>> = self.list(filter, Kind::Whole).await?;
        let found = listed.into_iter().find(|module| module.name == name || module.spec.fqdn(&module.name) == name);
        let wasm = found.ok_or_else(|| Error::SmartModuleNotFound { name: name.to_owned() })?.spec.wasm;
        unpack(&wasm).map_err(|source| Error::SmartModuleDamaged { name: name.to_owned(), source })
    }

    /// Deletes a SmartModule.
    ///
    /// # Errors
    /// When there is none of that name, the cluster can't be reached, or refuses it.
    pub async fn delete_smartmodule(&self, name: &str) -> Result<(), Error> {
        match self.delete::<SmartModuleSpec>(format!("delete SmartModule {name:?}"), name).await {
            Err(Error::Server { code: ErrorCode::SmartModuleNotFound { .. }, .. }) => {
                Err(Error::SmartModuleNotFound { name: name.to_owned() })
            }
            other => other,
        }
    }
}

/// Clusters keep modules compressed; old ones and other tools may have stored them as they are.
fn unpack(wasm: &SmartModuleWasm) -> io::Result<Vec<u8>> {
    let bytes: &[u8] = wasm.payload.as_ref();
    if bytes.starts_with(WASM_MAGIC) {
        return Ok(bytes.to_vec());
    }
    wasm.as_raw_wasm()
}

impl From<Metadata<SmartModuleSpec>> for SmartModuleInfo {
    fn from(module: Metadata<SmartModuleSpec>) -> Self {
        let spec = &module.spec;
        Self {
            package: spec.meta.as_ref().map(|meta| meta.package.fqdn()),
            size: spec.summary.as_ref().map(|summary| u64::from(summary.wasm_length)),
            name: module.name,
        }
    }
}
