//! `json-filter`: keeps the JSON records of which a field has a value. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use std::cmp::Ordering;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{SmartModuleRecord, smartmodule};
use serde_json::{Number, Value};
use smartmodule_kit::{InvalidJson, Missing, Once, ParamError, Path, Pattern, Refused, choices, params, spec};

params! {
    /// The parameters.
    struct Settings {
        /// Which field: a dotted path or a JSON pointer.
        field: Path,
        /// What is asked of it.
        op: Op = "eq",
        /// What to compare with; must be given, but for `exists`, which takes `true` (the default) or `false`.
        value: Option<String>,
        /// What to do with a record that has no such field: `drop` it, `keep` it, or refuse it as an `error`. Unless
        /// given, such records are kept for `ne` and dropped for all others.
        missing: Option<Missing>,
    }
}
spec!(Settings);

choices! {
    /// What is asked of a field.
    enum Op {
        Eq = "eq",
        Ne = "ne",
        Gt = "gt",
        Ge = "ge",
        Lt = "lt",
        Le = "le",
        Contains = "contains",
        StartsWith = "starts-with",
        EndsWith = "ends-with",
        Matches = "matches",
        Exists = "exists",
    }
}

static FILTER: Once<JsonFilter> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    FILTER.set(JsonFilter::new(Settings::read(&params)?)?)
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<bool> {
    Ok(FILTER.get()?.keeps(record.value().as_ref())?)
}

#[derive(Debug)]
struct JsonFilter {
    field: Path,
    missing: Missing,
    test: Test,
}

/// What is asked of a field that is there.
#[derive(Debug)]
enum Test {
    /// Its being there is the answer.
    Exists(bool),
    Matches(Pattern),
    Compare(Op, Operand),
}

/// The parameter `value`, read once in every way it can be needed.
#[derive(Debug)]
struct Operand {
    text: String,
    number: Option<Number>,
    json: Option<Value>,
}

impl JsonFilter {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { field, op, value, missing } = settings;
        let needed = |value: Option<String>| {
            value.ok_or_else(|| Settings::error("parameter `value` is missing (What to compare with)"))
        };
        let test = match op {
            Op::Exists => match value.as_deref().map(str::trim) {
                None | Some("true") => Test::Exists(true),
                Some("false") => Test::Exists(false),
                Some(_) => return Err(Settings::error("parameter `value` for `exists` can be `true` or `false`")),
            },
            Op::Matches => {
                let pattern = <Pattern as smartmodule_kit::Value>::parse(&needed(value)?);
                Test::Matches(pattern.map_err(|problem| Settings::error(format!("parameter `value` {problem}")))?)
            }
            _ => Test::Compare(op, Operand::new(&needed(value)?)),
        };
        let missing = missing.unwrap_or(if op == Op::Ne { Missing::Keep } else { Missing::Drop });
        Ok(Self { field, missing, test })
    }

    fn keeps(&self, record: &[u8]) -> Result<bool, Refused> {
        let found = self.field.find(record)?;
        let Some(text) = found else {
            return match (&self.test, self.missing) {
                (Test::Exists(wanted), _) => Ok(!wanted),
                (_, Missing::Drop) => Ok(false),
                (_, Missing::Keep) => Ok(true),
                (_, Missing::Error) => Err(Refused::Missing(self.field.to_string())),
            };
        };
        if let Test::Exists(wanted) = self.test {
            return Ok(wanted);
        }
        let field: Value = serde_json::from_str(text).map_err(InvalidJson::from)?;
        Ok(match &self.test {
            Test::Exists(wanted) => *wanted,
            Test::Matches(regex) => field.as_str().is_some_and(|text| regex.is_match(text.as_bytes())),
            Test::Compare(op, operand) => operand.compare(*op, &field),
        })
    }
}

impl Operand {
    fn new(text: &str) -> Self {
        let json: Option<Value> = serde_json::from_str(text).ok();
        let number = match &json {
            Some(Value::Number(number)) => Some(number.clone()),
            _ => None,
        };
        Self { text: text.to_owned(), number, json }
    }

    fn compare(&self, op: Op, field: &Value) -> bool {
        let order = || self.order(field);
        match op {
            Op::Eq => self.equals(field),
            Op::Ne => !self.equals(field),
            Op::Gt => order() == Some(Ordering::Greater),
            Op::Ge => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            Op::Lt => order() == Some(Ordering::Less),
            Op::Le => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Op::Contains => match field {
                Value::String(text) => text.contains(&self.text),
                Value::Array(elements) => elements.iter().any(|element| self.equals(element)),
                Value::Object(fields) => fields.contains_key(&self.text),
                _ => false,
            },
            Op::StartsWith => field.as_str().is_some_and(|text| text.starts_with(&self.text)),
            Op::EndsWith => field.as_str().is_some_and(|text| text.ends_with(&self.text)),
            Op::Matches | Op::Exists => false,
        }
    }

    fn equals(&self, field: &Value) -> bool {
        match field {
            Value::String(text) => *text == self.text,
            Value::Number(_) => self.order(field) == Some(Ordering::Equal),
            Value::Bool(flag) => self.text.trim() == if *flag { "true" } else { "false" },
            Value::Null => self.text.trim() == "null",
            Value::Array(_) | Value::Object(_) => self.json.as_ref() == Some(field),
        }
    }

    /// How the field stands to the value; `None` where that makes no sense.
    fn order(&self, field: &Value) -> Option<Ordering> {
        match field {
            Value::String(text) => Some(text.as_str().cmp(&self.text)),
            Value::Number(number) => order(number, self.number.as_ref()?),
            _ => None,
        }
    }
}

/// Whole numbers are compared exactly, others as floating point.
fn order(one: &Number, other: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

#[cfg(test)]
mod tests;
