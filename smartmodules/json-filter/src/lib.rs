//! `json-filter`: keeps the JSON records of which a field has a value.
//!
//! ```yaml
//! transforms:
//!   - uses: json-filter
//!     with:
//!       field: user.age
//!       op: ge
//!       value: "18"
//! ```
//!
//! | parameter | meaning | default |
//! |-|-|-|
//! | `field` | which field: a dotted path or a JSON pointer | must be given |
//! | `op` | `eq`, `ne`, `gt`, `ge`, `lt`, `le`, `contains`, `starts-with`, `ends-with`, `matches`, `exists` | `eq` |
//! | `value` | what to compare with; for `exists`, `true` or `false` | must be given, but for `exists` (`true`) |
//! | `missing` | without the field: `drop` the record, `keep` it, or refuse it as an `error` | `drop`, for `ne` `keep` |
//!
//! The field's type says how to compare. A number is compared with `value` as a number, a string as text, `true`,
//! `false` and `null` as these words; an object or an array as JSON, whatever its order of keys and its spaces.
//! Where the types don't fit (`value: abc` against a number), nothing is equal, greater or less. `contains` asks
//! for a part of a string, an element of an array or a key of an object; `matches` takes a regular expression,
//! which may match anywhere in a string. A record that is not JSON is refused.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use std::cmp::Ordering;
use std::sync::OnceLock;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{SmartModuleRecord, eyre, smartmodule};
use regex_lite::Regex;
use serde_json::{Number, Value};
use smartmodule_kit::{InvalidJson, Param, ParamError, Params, Path};

const PARAMS: &[Param] = &[
    Param { name: "field", help: "which field, as a.b or /a/b" },
    Param {
        name: "op",
        help: "eq, ne, gt, ge, lt, le, contains, starts-with, ends-with, matches or exists; default: eq",
    },
    Param { name: "value", help: "what to compare with" },
    Param { name: "missing", help: "without that field: drop, keep or error; default: drop, for ne keep" },
];

static FILTER: OnceLock<JsonFilter> = OnceLock::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    let filter = JsonFilter::new(&Params::read("json-filter", PARAMS, &params)?)?;
    FILTER.set(filter).map_err(|_| eyre!("init is called once"))
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<bool> {
    let filter = FILTER.get().ok_or_else(|| eyre!("init was not called"))?;
    Ok(filter.keeps(record.value().as_ref())?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Exists,
}

const OPS: &[(&str, Op)] = &[
    ("eq", Op::Eq),
    ("ne", Op::Ne),
    ("gt", Op::Gt),
    ("ge", Op::Ge),
    ("lt", Op::Lt),
    ("le", Op::Le),
    ("contains", Op::Contains),
    ("starts-with", Op::StartsWith),
    ("ends-with", Op::EndsWith),
    ("matches", Op::Matches),
    ("exists", Op::Exists),
];

/// What happens to a record without the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Drop,
    Keep,
    Error,
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
    Matches(Regex),
    Compare(Op, Operand),
}

/// The parameter `value`, read once in every way it can be needed.
#[derive(Debug)]
struct Operand {
    text: String,
    number: Option<Number>,
    json: Option<Value>,
}

/// Why a record is refused.
#[derive(Debug)]
enum Refused {
    Json(InvalidJson),
    Missing(String),
}

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Missing(field) => write!(f, "there is no field `{field}`"),
        }
    }
}

impl From<InvalidJson> for Refused {
    fn from(error: InvalidJson) -> Self {
        Self::Json(error)
    }
}

impl JsonFilter {
    fn new(params: &Params) -> Result<Self, ParamError> {
        let field = Path::parse(params.required("field")?);
        let op = params.choice("op", OPS)?;
        let test = match op {
            Op::Exists => match params.get("value").map(str::trim) {
                None | Some("true") => Test::Exists(true),
                Some("false") => Test::Exists(false),
                Some(_) => return Err(params.error("`value` for `exists` can be true or false")),
            },
            Op::Matches => Test::Matches(
                Regex::new(params.required("value")?)
                    .map_err(|error| params.error(format!("`value` is not a regular expression ({error})")))?,
            ),
            _ => Test::Compare(op, Operand::new(params.required("value")?)),
        };
        let default = if op == Op::Ne { Missing::Keep } else { Missing::Drop };
        let missing = match params.get("missing") {
            None => default,
            Some(_) => params
                .choice("missing", &[("drop", Missing::Drop), ("keep", Missing::Keep), ("error", Missing::Error)])?,
        };
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
            Test::Matches(regex) => field.as_str().is_some_and(|text| regex.is_match(text)),
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
