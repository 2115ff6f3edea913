//! What can go wrong, one variant per thing a caller can do about it.
//!
//! [`Error::is_configuration`] tells what a human has to mend (a wrong file, a missing parameter) from what a
//! fresh instance may survive. A record that a module refuses is no error: see [`crate::Refusal`].

use std::fmt;
use std::time::Duration;

/// Which function of a module was being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// The start function, while the module was instantiated.
    Start,
    /// `alloc`, to make room for the input.
    Alloc,
    /// `init`, with the parameters.
    Init,
    /// `look_back`, with the records of the past.
    LookBack,
    /// The transform itself.
    Transform,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "the start function",
            Self::Alloc => "alloc",
            Self::Init => "init",
            Self::LookBack => "look_back",
            Self::Transform => "the transform",
        })
    }
}

/// Why a SmartModule can't be loaded, or a batch can't be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine can't be set up on this machine.
    #[error("can't set up the SmartModule engine: {reason}")]
    Engine {
        /// Wasmtime's reason.
        reason: String,
    },
    /// The bytes are not a WebAssembly module.
    #[error("`{module}` is not a WebAssembly module: {reason}")]
    NotAModule {
        /// The module's name.
        module: String,
        /// Where it breaks.
        reason: String,
    },
    /// The bytes are a component.
    #[error(
        "`{module}` is a WebAssembly component, not a SmartModule: build it for wasm32-unknown-unknown, or use \
         it as a connector or a transform component"
    )]
    Component {
        /// The module's name.
        module: String,
    },
    /// The module wants a function that SmartModules are not given.
    #[error(
        "`{module}` imports `{import}`, which SmartModules are not given: only copy_records and WASI preview 1 are"
    )]
    Import {
        /// The module's name.
        module: String,
        /// The import, as `module.name`.
        import: String,
    },
    /// None of the five transforms is exported.
    #[error(
        "`{module}` is not a SmartModule: it exports none of filter, map, filter_map, array_map and aggregate (it \
         exports {exports})"
    )]
    NoTransform {
        /// The module's name.
        module: String,
        /// What it exports instead.
        exports: String,
    },
    /// An export is missing or of another type.
    #[error("`{module}` {problem}: is it built with a fluvio-smartmodule this host knows (0.7 to 0.50)?")]
    Export {
        /// The module's name.
        module: String,
        /// Which export, and what is wrong with it.
        problem: String,
    },
    /// The section in which the module describes itself can't be read.
    #[error("what `{module}` says of itself can't be read: {reason}")]
    Spec {
        /// The module's name.
        module: String,
        /// Where it breaks.
        reason: String,
    },
    /// A parameter is too long for the ABI.
    #[error("parameter `{param}` for `{module}` has {length} bytes; the SmartModule ABI takes at most 32,767")]
    Param {
        /// The module's name.
        module: String,
        /// The parameter's name.
        param: String,
        /// The length of name or value.
        length: usize,
    },
    /// `init` refused the parameters.
    #[error("`{module}` refuses its parameters: {hint}")]
    Init {
        /// The module's name.
        module: String,
        /// The module's own words.
        hint: String,
    },
    /// `look_back` refused a record of the past.
    #[error("`{module}` can't look back at the record at offset {offset}: {hint}")]
    LookBack {
        /// The module's name.
        module: String,
        /// The record's offset.
        offset: i64,
        /// The module's own words.
        hint: String,
    },
    /// The module broke the ABI: a wild pointer, an output that can't be read, a failure code.
    #[error("`{module}` broke the SmartModule ABI in {call}: {problem}")]
    Guest {
        /// The module's name.
        module: String,
        /// Which function was called.
        call: Call,
        /// What it did.
        problem: String,
    },
    /// The module trapped: a panic, a stack overflow, an access out of bounds.
    #[error("`{module}` trapped in {call}: {reason}")]
    Trap {
        /// The module's name.
        module: String,
        /// Which function was called.
        call: Call,
        /// The trap and where it happened.
        reason: String,
    },
    /// The call took too long and was ended.
    #[error("`{module}` did not return from {call} within {after:?}")]
    Deadline {
        /// The module's name.
        module: String,
        /// Which function was called.
        call: Call,
        /// The time it had.
        after: Duration,
    },
    /// The module asked for more memory than it may have.
    #[error(
        "`{module}` needs {wanted} bytes of memory in {call}, and may have {limit}: raise the sandbox's memory limit"
    )]
    Memory {
        /// The module's name.
        module: String,
        /// Which function was called.
        call: Call,
        /// What it asked for, in bytes.
        wanted: u64,
        /// What it may have, in bytes.
        limit: u64,
    },
    /// There is no such stage in the chain.
    #[error("the chain has {stages} stages, there is no stage {stage}")]
    NoStage {
        /// The index asked for.
        stage: usize,
        /// How many there are.
        stages: usize,
    },
    /// The outputs don't fit in one batch.
    #[error("the stages made {bytes} bytes of one batch, more than the 4 GiB a batch can hold: use smaller batches")]
    TooLarge {
        /// Bytes of keys and values.
        bytes: usize,
    },
}

impl Error {
    /// Whether the same input will fail the same way until somebody changes the module, its parameters or its
    /// limits. The others are traps, deadlines and breaches of the ABI at run time: the chain has already put
    /// fresh instances in place, and the batch may be applied again.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Engine { .. }
            | Self::NotAModule { .. }
            | Self::Component { .. }
            | Self::Import { .. }
            | Self::NoTransform { .. }
            | Self::Export { .. }
            | Self::Spec { .. }
            | Self::Param { .. }
            | Self::Init { .. }
            | Self::LookBack { .. }
            | Self::NoStage { .. } => true,
            Self::Guest { call, .. }
            | Self::Trap { call, .. }
            | Self::Deadline { call, .. }
            | Self::Memory { call, .. } => matches!(call, Call::Start | Call::Init),
            Self::TooLarge { .. } => false,
        }
    }
}
