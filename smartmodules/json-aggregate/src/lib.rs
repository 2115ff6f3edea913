//! `json-aggregate`: keeps running counts, sums, extremes and means by key. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

mod number;
mod state;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, eyre, smartmodule};
use smartmodule_kit::{Accumulate, Once, ParamError, Path, Refused, Value, aggregate, kind_of, params, spec, text_of};

use crate::number::Number;
use crate::state::{Function, State};

params! {
    /// The parameters.
    struct Settings {
        /// The fields that say which records are counted together: a list, or texts with commas between them. Unless
        /// given, those with the same key are.
        by: Option<Vec<Path>>,
        /// The fields with numbers: a list, or texts with commas between them. Unless given, records are only counted.
        fields: Option<Vec<Path>>,
        /// What is made of the numbers: a list of `sum`, `min`, `max`, `mean`, `first`, `last`.
        functions: Functions = "sum,min,max,mean",
        /// How many keys there may be.
        max_keys: u64 = "10000",
    }
}
spec!(Settings);

/// What is made of the numbers, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Functions(Vec<Function>);

impl Value for Functions {
    const SCHEMA: &'static str = concat!(
        r#""type":["array","string"],"items":{"type":"string","#,
        r#""enum":["sum","min","max","mean","first","last"]}"#
    );

    fn parse(text: &str) -> Result<Self, String> {
        Vec::<String>::parse(text)?.iter().map(|name| Function::parse(name)).collect::<Result<_, _>>().map(Self)
    }
}

static SETTINGS: Once<Settings> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    SETTINGS.set(Settings::read(&params)?.checked()?)
}

aggregate!(State);

impl Accumulate for State {
    fn load(bytes: &[u8]) -> fluvio_smartmodule::Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes).map_err(|error| eyre!("the accumulator is not one of this module's: {error}"))
    }

    fn add(&mut self, record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
        let settings = SETTINGS.get()?;
        let (key, value) = settings.add(self, record)?;
        Ok((key.map(RecordData::from), RecordData::from(value)))
    }

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Settings {
    fn checked(self) -> Result<Self, ParamError> {
        match (&self.by, &self.fields) {
            (Some(by), _) if by.is_empty() => Err(Self::error("parameter `by` names no field")),
            (_, Some(fields)) if !fields.is_empty() && self.functions.0.is_empty() => {
                Err(Self::error("parameter `functions` names none"))
            }
            _ => Ok(self),
        }
    }

    /// Adds a record; the key and the value of what comes out.
    fn add(&self, state: &mut State, record: &SmartModuleRecord) -> Result<(Option<String>, String), Refused> {
        let key = self.key(record)?;
        let fields = self.fields.as_deref().unwrap_or_default();
        let mut numbers = Vec::with_capacity(fields.len());
        for field in fields {
            numbers.push(match field.find(record.value().as_ref())? {
                None | Some("null") => None,
                Some(found) => Some(Number::read(found).ok_or_else(|| Refused::Kind {
                    field: field.to_string(),
                    found: kind_of(found),
                    expected: "a number that can be added",
                })?),
            });
        }
        // no key is not the same as an empty one
        let id = key.as_ref().map(|key| format!("={key}")).unwrap_or_default();
        let group = state.group(&id, self.max_keys).ok_or_else(|| {
            let problem = "so records of a new one are refused (parameter `max-keys`)";
            Refused::Other(format!("there are {} keys already, {problem}", self.max_keys))
        })?;
        group.add(&numbers);
        let value = group.json(key.as_deref(), fields, &self.functions.0);
        Ok((key, value))
    }

    /// What the record is counted by; `None` without a key.
    fn key(&self, record: &SmartModuleRecord) -> Result<Option<String>, Refused> {
        let Some(by) = &self.by else {
            let key = record.key().map(|key| String::from_utf8_lossy(key.as_ref()).into_owned());
            return Ok(key);
        };
        let mut parts = Vec::with_capacity(by.len());
        for field in by {
            let found = field.find(record.value().as_ref())?;
            parts.push(found.ok_or_else(|| Refused::Missing(field.to_string()))?);
        }
        Ok(Some(match &parts[..] {
            [one] => text_of(one).into_owned(),
            several => format!("[{}]", several.join(",")),
        }))
    }
}

#[cfg(test)]
mod tests;
