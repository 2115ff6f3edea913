//! Whether a file is a component, and whether the component speaks the contract.

use std::fmt;

use crate::Error;

/// The contract's package, and the version that this host speaks.
const PACKAGE: &str = "fluvio:connector";
const VERSION: &str = "0.1.0";

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It reads from the outside.
    Source,
    /// It delivers to the outside.
    Sink,
    /// It changes records on their way.
    Transform,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Source, Self::Sink, Self::Transform];

    /// The name of its interface in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Transform => "transform",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Refuses what is no component by its first bytes, and says what it is instead.
pub(crate) fn check_header(name: &str, bytes: &[u8]) -> Result<(), Error> {
    let found = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "this is a core WebAssembly module. Build it for wasm32-wasip2, whose modules are components; \
             a SmartModule is no connector either, it goes under `transforms`"
        }
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => {
            "it is a component in a binary format that this host does not know; build it with current tools"
        }
        [0, b'a', b's', b'm', ..] => "it is WebAssembly, but neither a module nor a component that can be told",
        [] => "the file is empty",
        [b'(', ..] => "it looks like WebAssembly text; turn it into a binary component first",
        [0x7f, b'E', b'L', b'F', ..] => "it is a native program",
        [0x1f, 0x8b, ..] => "it is compressed (gzip); unpack it first",
        [b'<', ..] => "it looks like a web page, perhaps a download that failed",
        _ => "it does not start like WebAssembly",
    };
    Err(Error::NotAComponent { name: name.to_owned(), found: found.to_owned() })
}

/// Which of the contract's interfaces a component exports.
pub(crate) fn kind(name: &str, exports: &[String]) -> Result<Kind, Error> {
    let mut kinds = Vec::new();
    let mut others = Vec::new();
    for export in exports {
        let Some((kind, version)) = contract_export(export) else { continue };
        if compatible(version) {
            kinds.push(kind);
        } else {
            others.push(export.as_str());
        }
    }
    let reason = match (&kinds[..], &others[..]) {
        ([kind], _) => return Ok(*kind),
        ([first, second, ..], _) => {
            format!("it exports both {PACKAGE}/{first} and {PACKAGE}/{second}; a connector is one of them")
        }
        ([], []) => format!(
            "it exports none of {PACKAGE}/source, sink and transform, version {VERSION}; what it exports: {}",
            listed(exports)
        ),
        ([], others) => format!(
            "it exports {}, and this host speaks {PACKAGE}@{VERSION}; rebuild it against that version, \
             or use a host that speaks its own",
            others.join(", ")
        ),
    };
    Err(Error::Contract { name: name.to_owned(), reason })
}

/// The kind and version that an export's name stands for.
fn contract_export(export: &str) -> Option<(Kind, &str)> {
    let interface = export.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    let (interface, version) = interface.split_once('@').unwrap_or((interface, ""));
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == interface)?;
    Some((kind, version))
}

/// Before 1.0 the minor version makes the contract.
fn compatible(version: &str) -> bool {
    let patch = version.strip_prefix("0.1.").unwrap_or_default();
    !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names if names.len() > 8 => format!("{}, and {} more", names[..8].join(", "), names.len() - 8),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
