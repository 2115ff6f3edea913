//! `json-project`: keeps, renames, drops and sets fields of JSON records.
//!
//! ```yaml
//! transforms:
//!   - uses: json-project
//!     with:
//!       fields: [id, user.name, user.mail]
//!       rename: {user.mail: mail}
//!       set: {source: http}
//! ```
//!
//! | parameter | meaning | default |
//! |-|-|-|
//! | `fields` | which fields to keep, in this order: a list, or texts with commas between them | all |
//! | `drop` | which of them to leave out | none |
//! | `rename` | a map, or `from=to` with commas between them; a renamed field is kept even if `fields` doesn't name it | none |
//! | `set` | a map of fields to give a value: JSON where the text is JSON (`1`, `true`), else a string | none |
//! | `missing` | a field of `fields` or `rename` that isn't there: `skip` it, make it `null`, or refuse the record as an `error` | `skip` |
//!
//! Fields are dotted paths or JSON pointers; `a.b` as a target makes the object `a` where there is none. Values keep
//! the text they came with, so numbers and escapes don't change. Paths into arrays can be read (`items.0.id`), not
//! written or dropped. The record's key stays. A record that is not a JSON object is refused.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

mod tree;

use std::sync::OnceLock;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, eyre, smartmodule};
use smartmodule_kit::{InvalidJson, Param, ParamError, Params, Path};

use crate::tree::{Blocked, Object};

const PARAMS: &[Param] = &[
    Param { name: "fields", help: "which fields to keep; default: all" },
    Param { name: "drop", help: "which fields to leave out" },
    Param { name: "rename", help: "from: to" },
    Param { name: "set", help: "field: value" },
    Param { name: "missing", help: "a field that isn't there: skip, null or error; default: skip" },
];

static PROJECT: OnceLock<Project> = OnceLock::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    let project = Project::new(&Params::read("json-project", PARAMS, &params)?)?;
    PROJECT.set(project).map_err(|_| eyre!("init is called once"))
}

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
    let project = PROJECT.get().ok_or_else(|| eyre!("init was not called"))?;
    let value = project.apply(record.value().as_ref())?;
    Ok((record.key().cloned(), value.into()))
}

/// What happens when a field isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Skip,
    Null,
    Error,
}

#[derive(Debug)]
struct Project {
    fields: Option<Vec<Path>>,
    drop: Vec<Path>,
    rename: Vec<(Path, Path)>,
    set: Vec<(Path, String)>,
    missing: Missing,
}

/// Why a record is refused.
#[derive(Debug)]
enum Refused {
    Json(InvalidJson),
    NotAnObject,
    Missing(String),
    Blocked { field: String, at: String },
}

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::NotAnObject => f.write_str("the record is JSON, but not an object"),
            Self::Missing(field) => write!(f, "there is no field `{field}`"),
            Self::Blocked { field, at } => write!(f, "`{field}` can't be written: `{at}` is not an object"),
        }
    }
}

impl From<InvalidJson> for Refused {
    fn from(error: InvalidJson) -> Self {
        Self::Json(error)
    }
}

impl Project {
    fn new(params: &Params) -> Result<Self, ParamError> {
        let path = |name: &str, text: &str| {
            if text.is_empty() {
                return Err(params.error(format!("parameter `{name}` names an empty field")));
            }
            Ok(Path::parse(text))
        };
        let paths = |name: &str| params.list(name)?.iter().map(|text| path(name, text)).collect::<Result<Vec<_>, _>>();
        let rename = params.pairs("rename")?;
        let rename = rename.iter().map(|(from, to)| Ok((path("rename", from)?, path("rename", to)?)));
        let set = params.texts("set")?;
        let set = set.iter().map(|(to, text)| Ok((path("set", to)?, text.clone())));
        Ok(Self {
            fields: params.get("fields").map(|_| paths("fields")).transpose()?,
            drop: paths("drop")?,
            rename: rename.collect::<Result<_, _>>()?,
            set: set.collect::<Result<_, _>>()?,
            missing: params
                .choice("missing", &[("skip", Missing::Skip), ("null", Missing::Null), ("error", Missing::Error)])?,
        })
    }

    fn apply(&self, record: &[u8]) -> Result<Vec<u8>, Refused> {
        if record.trim_ascii_start().first() != Some(&b'{') {
            // tells what is no JSON at all from JSON of another shape
            Path::parse("").find(record)?;
            return Err(Refused::NotAnObject);
        }
        let mut out = match &self.fields {
            None => Object::parse(record)?,
            Some(fields) => {
                let mut out = Object::default();
                for field in fields {
                    if let Some(value) = self.find(field, record)? {
                        put(&mut out, field, value)?;
                    }
                }
                out
            }
        };
        for field in &self.drop {
            out.remove(field.steps());
        }
        // all leave before the first arrives, so that two fields can change places
        for (from, _) in &self.rename {
            out.remove(from.steps());
        }
        for (from, to) in &self.rename {
            if let Some(value) = self.find(from, record)? {
                put(&mut out, to, value)?;
            }
        }
        for (to, text) in &self.set {
            put(&mut out, to, text)?;
        }
        Ok(out.to_json())
    }

    /// The text of a field, or what stands for it when it isn't there.
    fn find<'a>(&self, field: &Path, record: &'a [u8]) -> Result<Option<&'a str>, Refused> {
        match (field.find(record)?, self.missing) {
            (Some(found), _) => Ok(Some(found)),
            (None, Missing::Skip) => Ok(None),
            (None, Missing::Null) => Ok(Some("null")),
            (None, Missing::Error) => Err(Refused::Missing(field.to_string())),
        }
    }
}

fn put<'a>(out: &mut Object<'a>, to: &'a Path, text: &'a str) -> Result<(), Refused> {
    out.insert(to.steps(), text).map_err(|Blocked(at)| Refused::Blocked { field: to.to_string(), at })
}

#[cfg(test)]
mod tests;
