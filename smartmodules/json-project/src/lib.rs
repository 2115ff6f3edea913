//! `json-project`: keeps, renames, drops and sets fields of JSON records. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{Object, Once, Pairs, ParamError, Path, Refused, choices, json_of, params, spec};

params! {
    /// The parameters.
    struct Settings {
        /// Which fields to keep, in this order: a list, or texts with commas between them. All, unless given.
        fields: Option<Vec<Path>>,
        /// Which of them to leave out.
        drop: Option<Vec<Path>>,
        /// A map, or `from=to` with commas between them. A renamed field is kept even if `fields` doesn't name it.
        rename: Option<Pairs>,
        /// A map of fields to give a value: JSON where the text is JSON (`1`, `true`), else a string.
        set: Option<Pairs>,
        /// What to do about a field of `fields` or `rename` that isn't there: `skip` it, make it `null`, or refuse
        /// the record as an `error`.
        missing: Absent = "skip",
    }
}
spec!(Settings);

choices! {
    /// What happens when a field isn't there.
    enum Absent {
        Skip = "skip",
        Null = "null",
        Error = "error",
    }
}

static PROJECT: Once<Project> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    PROJECT.set(Project::new(Settings::read(&params)?)?)
}

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
    let value = PROJECT.get()?.apply(record.value().as_ref())?;
    Ok((record.key().cloned(), value.into()))
}

#[derive(Debug)]
struct Project {
    fields: Option<Vec<Path>>,
    drop: Vec<Path>,
    rename: Vec<(Path, Path)>,
    set: Vec<(Path, String)>,
    missing: Absent,
}

impl Project {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let wrong = |name: &str, problem: String| Settings::error(format!("parameter `{name}` {problem}"));
        let rename = match settings.rename {
            Some(pairs) => pairs.fields::<Path>().map_err(|problem| wrong("rename", problem))?,
            None => Vec::new(),
        };
        if rename.iter().any(|(_, to)| to.steps().is_empty()) {
            return Err(wrong("rename", "names an empty field".to_owned()));
        }
        let set = settings.set.map(|pairs| pairs.0).unwrap_or_default();
        if set.iter().any(|(to, _)| to.is_empty()) {
            return Err(wrong("set", "names an empty field".to_owned()));
        }
        Ok(Self {
            fields: settings.fields,
            drop: settings.drop.unwrap_or_default(),
            rename,
            set: set.iter().map(|(to, value)| (Path::parse(to), json_of(value))).collect(),
            missing: settings.missing,
        })
    }

    fn apply(&self, record: &[u8]) -> Result<Vec<u8>, Refused> {
        let whole = Object::read(record)?;
        let mut out = match &self.fields {
            None => whole,
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
            (None, Absent::Skip) => Ok(None),
            (None, Absent::Null) => Ok(Some("null")),
            (None, Absent::Error) => Err(Refused::Missing(field.to_string())),
        }
    }
}

fn put<'a>(out: &mut Object<'a>, to: &'a Path, text: &'a str) -> Result<(), Refused> {
    out.insert(to.steps(), text).map_err(|blocked| Refused::blocked(to, blocked))
}

#[cfg(test)]
mod tests;
