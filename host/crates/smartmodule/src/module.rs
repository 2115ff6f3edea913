//! A compiled SmartModule: its exports checked and its imports linked, ready to be instantiated by any number of
//! chains.

use std::fmt;
use std::sync::Arc;

use wasmtime::{Caller, ExternType, FuncType, InstancePre, Linker, ValType};

use crate::cache::hex;
use crate::error::Error;
use crate::instance::State;
use crate::wasi;

/// What a SmartModule does with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Keeps or drops each record.
    Filter,
    /// Makes one record of each.
    Map,
    /// Makes one record of each, or none.
    FilterMap,
    /// Makes any number of records of each.
    ArrayMap,
    /// Makes of each record the running value of an accumulator.
    Aggregate,
}

impl Kind {
    /// The kinds in the order in which the published engine looks for them: the first export found wins.
    pub(crate) const PROBED: [Self; 5] = [Self::Filter, Self::Map, Self::FilterMap, Self::ArrayMap, Self::Aggregate];

    /// The name of the export, which is also the kind's name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Map => "map",
            Self::FilterMap => "filter_map",
            Self::ArrayMap => "array_map",
            Self::Aggregate => "aggregate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A compiled SmartModule. Cheap to clone.
#[derive(Clone)]
pub struct Module {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    kind: Kind,
    digest: [u8; 32],
    from_cache: bool,
    look_back: bool,
    init: bool,
    dealloc: bool,
    pre: InstancePre<State>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({} {:?})", self.shared.kind, self.shared.name)
    }
}

impl Module {
    pub(crate) fn new(
        name: &str,
        digest: [u8; 32],
        from_cache: bool,
        compiled: &wasmtime::Module,
    ) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Export { module: name.to_owned(), problem };
        let function = |export: &str| match compiled.get_export(export) {
            Some(ExternType::Func(function)) => Some(function),
            _ => None,
        };
        let kind = Kind::PROBED.into_iter().find(|kind| function(kind.name()).is_some()).ok_or_else(|| {
            let exports: Vec<_> = compiled.exports().map(|export| export.name().to_owned()).take(12).collect();
            let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            Error::NoTransform { module: name.to_owned(), exports }
        })?;
        if !matches!(compiled.get_export("memory"), Some(ExternType::Memory(memory)) if !memory.is_64()) {
            return Err(wrong("exports no 32-bit memory named `memory`".to_owned()));
        }
        for export in [kind.name(), "init", "look_back"] {
            if function(export).is_some_and(|function| !takes_and_gives(&function, 3, 1)) {
                return Err(wrong(format!("exports `{export}` of another type than (i32, i32, i32) -> i32")));
            }
        }
        if !function("alloc").is_some_and(|function| takes_and_gives(&function, 1, 1)) {
            return Err(wrong("exports no `alloc` of type (i32) -> i32".to_owned()));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                kind,
                digest,
                from_cache,
                look_back: function("look_back").is_some(),
                init: function("init").is_some(),
                dealloc: function("dealloc").is_some_and(|function| takes_and_gives(&function, 2, 0)),
                pre: link(name, compiled)?,
            }),
        })
    }

    /// What errors and logs call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What it does with records.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.shared.kind
    }

    /// Whether it wants to be shown past records: it exports `look_back`.
    #[must_use]
    pub fn wants_look_back(&self) -> bool {
        self.shared.look_back
    }

    /// Whether it takes parameters: it exports `init`.
    #[must_use]
    pub fn takes_params(&self) -> bool {
        self.shared.init
    }

    /// The SHA-256 of the wasm, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&self.shared.digest)
    }

    /// Whether it was taken from the cache instead of being compiled.
    #[must_use]
    pub fn is_from_cache(&self) -> bool {
        self.shared.from_cache
    }

    /// Whether it exports a `dealloc` of the usual type.
    pub(crate) fn has_dealloc(&self) -> bool {
        self.shared.dealloc
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.shared.pre
    }
}

fn takes_and_gives(function: &FuncType, params: usize, results: usize) -> bool {
    let i32s = |mut types: Box<dyn ExactSizeIterator<Item = ValType> + '_>, count| {
        types.len() == count && types.all(|ty| matches!(ty, ValType::I32))
    };
    i32s(Box::new(function.params()), params) && i32s(Box::new(function.results()), results)
}

/// Gives the module the two things it may import: `copy_records`, under whatever module name, and WASI.
fn link(name: &str, compiled: &wasmtime::Module) -> Result<InstancePre<State>, Error> {
    let mut linker = Linker::new(compiled.engine());
    // a module may import the same function twice
    linker.allow_shadowing(true);
    let mut returns = false;
    for import in compiled.imports() {
        let unknown =
            || Error::Import { module: name.to_owned(), import: format!("{}.{}", import.module(), import.name()) };
        let ExternType::Func(function) = import.ty() else { return Err(unknown()) };
        let linked = if import.name() == "copy_records" && takes_and_gives(&function, 2, 0) {
            returns = true;
            linker
                .func_wrap(
                    import.module(),
                    import.name(),
                    |mut caller: Caller<'_, State>, pointer: i32, length: i32| {
                        caller.data_mut().set_output(pointer, length);
                    },
                )
                .map(drop)
        } else if wasi::is_wasi(import.module()) {
            wasi::link(&mut linker, import.module(), import.name(), function).ok_or_else(unknown)?
        } else {
            return Err(unknown());
        };
        linked.map_err(|_| unknown())?;
    }
    if !returns {
        let problem = "imports no `copy_records` of type (i32, i32), so it can't return records".to_owned();
        return Err(Error::Export { module: name.to_owned(), problem });
    }
    linker
        .instantiate_pre(compiled)
        .map_err(|error| Error::Export { module: name.to_owned(), problem: format!("can't be linked ({error:#})") })
}
