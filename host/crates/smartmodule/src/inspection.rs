//! What can be told of a SmartModule from its bytes: no compiling, no running.
//!
//! Its kind is an export. Beyond that a module may say of itself what it does and which parameters it takes, as JSON
//! in a custom section called [`SECTION`]; engines that don't know the section pass over it. The bytes may come from
//! anywhere: what can't be read is an error, and nothing is believed without being checked.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmparser::{ExternalKind, Parser, Payload};

use crate::error::Error;
use crate::module::Kind;

/// The name of the custom section with a module's [`Spec`].
const SECTION: &str = "smartmodule-spec";

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// What it does, in one line.
    #[serde(default)]
    pub description: String,
    /// What it does, in Markdown; begins with a title.
    #[serde(default)]
    pub documentation: String,
    /// A connector's configuration file that uses it.
    #[serde(default)]
    pub example: String,
    /// The JSON Schema of its parameters: an object, draft-07 unless it says otherwise. Parameters reach a module as
    /// texts, so where the schema wants a number, a text that is one is meant.
    #[serde(default)]
    pub schema: Value,
}

/// What can be told of a module without running it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inspection {
    /// What it does with records.
    pub kind: Kind,
    /// Whether it takes parameters: it exports `init`.
    pub takes_params: bool,
    /// Whether it wants to be shown past records: it exports `look_back`.
    pub wants_look_back: bool,
    /// What it says of itself, if it says anything.
    pub spec: Option<Spec>,
}

impl Inspection {
    /// Reads a module; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::NotAModule`], [`Error::Component`] and [`Error::NoTransform`] for what is no SmartModule, and
    /// [`Error::Spec`] for a module whose section can't be read.
    pub fn read(name: &str, wasm: &[u8]) -> Result<Self, Error> {
        let broken = |error: wasmparser::BinaryReaderError| Error::NotAModule {
            module: name.to_owned(),
            reason: error.to_string(),
        };
        if wasm.get(..8) == Some(b"\0asm\x0d\0\x01\0") {
            return Err(Error::Component { module: name.to_owned() });
        }
        let mut functions = Vec::new();
        let mut section: Option<&[u8]> = None;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(broken)? {
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.map_err(broken)?;
                        if export.kind == ExternalKind::Func {
                            functions.push(export.name);
                        }
                    }
                }
                Payload::CustomSection(custom) if custom.name() == SECTION => section = Some(custom.data()),
                _ => {}
            }
        }
        let kind = Kind::PROBED.into_iter().find(|kind| functions.contains(&kind.name())).ok_or_else(|| {
            let exports = if functions.is_empty() { "nothing".to_owned() } else { functions.join(", ") };
            Error::NoTransform { module: name.to_owned(), exports }
        })?;
        let spec = section.map(serde_json::from_slice).transpose();
        Ok(Self {
            kind,
            takes_params: functions.contains(&"init"),
            wants_look_back: functions.contains(&"look_back"),
            spec: spec.map_err(|error| Error::Spec { module: name.to_owned(), reason: error.to_string() })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with this in its section, written by hand: a type, a function, the export, the section, the code.
    fn module(export: &str, section: Option<&str>) -> Vec<u8> {
        let part = |id: u8, content: &[u8]| {
            let mut part = vec![id];
            let mut length = content.len();
            while length >= 0x80 {
                part.push(length as u8 | 0x80);
                length >>= 7;
            }
            part.push(length as u8);
            part.extend_from_slice(content);
            part
        };
        let mut out = b"\0asm\x01\0\0\0".to_vec();
        out.extend(part(1, b"\x01\x60\0\0"));
        out.extend(part(3, b"\x01\0"));
        out.extend(part(7, &[b"\x01", &[export.len() as u8], export.as_bytes(), b"\0\0"].concat()));
        out.extend(part(10, b"\x01\x02\0\x0b"));
        if let Some(section) = section {
            out.extend(part(0, &[&[SECTION.len() as u8], SECTION.as_bytes(), section.as_bytes()].concat()));
        }
        out
    }

    #[test]
    fn the_kind_is_an_export() {
        let read = Inspection::read("m", &module("array_map", None)).expect("a SmartModule");
        assert_eq!((read.kind, read.takes_params, read.spec), (Kind::ArrayMap, false, None));
        let other = Inspection::read("m", &module("run", None)).expect_err("no SmartModule").to_string();
        assert!(other.contains("it exports run"), "{other}");
    }

    #[test]
    fn a_section_is_read_as_far_as_it_goes() {
        let read = Inspection::read("m", &module("map", Some(r#"{"name": "m", "later": 1}"#))).expect("a spec");
        let spec = read.spec.expect("a spec");
        assert_eq!((spec.name.as_str(), spec.description.as_str(), &spec.schema), ("m", "", &Value::Null));
        let error = Inspection::read("m", &module("map", Some("{"))).expect_err("broken").to_string();
        assert!(error.starts_with("what `m` says of itself can't be read"), "{error}");
    }

    #[test]
    fn whatever_the_bytes_nothing_panics() {
        let whole = module("filter", Some(r#"{"name": "m"}"#));
        for length in 0..whole.len() {
            let _ = Inspection::read("m", &whole[..length]);
        }
        for index in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bent = whole.clone();
                bent[index] ^= flip;
                let _ = Inspection::read("m", &bent);
            }
        }
        assert!(matches!(Inspection::read("m", b"hello"), Err(Error::NotAModule { .. })));
        assert!(matches!(Inspection::read("m", b"\0asm\x0d\0\x01\0"), Err(Error::Component { .. })));
    }
}
