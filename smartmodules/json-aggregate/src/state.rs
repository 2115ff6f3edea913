//! What is known of each key, and what is said of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smartmodule_kit::{Path, Type, choices};

use crate::number::{Number, Sum};

choices! {
    /// What can be made of numbers.
    pub(crate) enum Function {
        Sum = "sum",
        Min = "min",
        Max = "max",
        Mean = "mean",
        First = "first",
        Last = "last",
    }
}

/// The accumulator.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct State {
    groups: BTreeMap<String, Group>,
}

/// What is known of one key.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    count: u64,
    fields: Vec<Option<Field>>,
}

/// What is known of one field's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Field {
    count: u64,
    sum: Sum,
    min: Number,
    max: Number,
    first: Number,
    last: Number,
}

impl State {
    /// What is known of a key; `None` when it is new and there are too many.
    pub(crate) fn group(&mut self, key: &str, most: u64) -> Option<&mut Group> {
        if !self.groups.contains_key(key) {
            if self.groups.len() as u64 >= most {
                return None;
            }
            self.groups.insert(key.to_owned(), Group::default());
        }
        self.groups.get_mut(key)
    }
}

impl Group {
    /// Adds a record's numbers, one a field.
    pub(crate) fn add(&mut self, numbers: &[Option<Number>]) {
        self.count += 1;
        self.fields.resize(numbers.len(), None);
        for (field, number) in self.fields.iter_mut().zip(numbers) {
            let Some(number) = *number else { continue };
            match field {
                Some(field) => field.add(number),
                None => *field = Some(Field::new(number)),
            }
        }
    }

    /// What there is to say.
    pub(crate) fn json(&self, key: Option<&str>, fields: &[Path], functions: &[Function]) -> String {
        let text = |text: &str| Type::String.of_text(text).unwrap_or_default();
        let key = key.map_or_else(|| "null".to_owned(), text);
        let mut out = format!("{{\"key\":{key},\"count\":{}", self.count);
        if !fields.is_empty() {
            let known = fields.iter().zip(&self.fields).filter_map(|(path, field)| Some((path, field.as_ref()?)));
            let known = known.map(|(path, field)| format!("{}:{}", text(&path.to_string()), field.json(functions)));
            out.push_str(&format!(",\"fields\":{{{}}}", known.collect::<Vec<_>>().join(",")));
        }
        out.push('}');
        out
    }
}

impl Field {
    fn new(number: Number) -> Self {
        Self { count: 1, sum: Sum::new(number), min: number, max: number, first: number, last: number }
    }

    fn add(&mut self, number: Number) {
        self.count += 1;
        self.sum.add(number);
        if number.order(self.min).is_lt() {
            self.min = number;
        }
        if number.order(self.max).is_gt() {
            self.max = number;
        }
        self.last = number;
    }

    fn json(&self, functions: &[Function]) -> String {
        let value = |function: &Function| match function {
            Function::Sum => format!("\"sum\":{}", self.sum.value().json()),
            Function::Min => format!("\"min\":{}", self.min.json()),
            Function::Max => format!("\"max\":{}", self.max.json()),
            Function::Mean => {
                format!("\"mean\":{}", Number::Float(self.sum.value().float() / self.count as f64).json())
            }
            Function::First => format!("\"first\":{}", self.first.json()),
            Function::Last => format!("\"last\":{}", self.last.json()),
        };
        format!("{{{}}}", functions.iter().map(value).collect::<Vec<_>>().join(","))
    }
}
