//! Turns a YAML node into the JSON that a schema asks for, and gathers what the host must know of it.
//!
//! YAML knows a scalar's type only by its looks, so the schema decides: `interval: 10` is the string "10" where
//! a string is wanted, `qos: "1"` the number 1 where a number is. Nothing else changes: what fits no type of the
//! schema is left for the validation to refuse. On the way, values that the schema marks with `x-network` and
//! `x-secret` are collected, and keys that it does not know are warned of.
//!
//! A key that the schema marks as another name (`x-alias-of`) is given its proper one first, so that nothing else,
//! not even `required`, has to know of other names.
//!
//! All alternatives of `anyOf`, `oneOf` and `allOf` count alike here: to allow one host more that the file
//! itself names, or to hide one value more, does no harm.

use crate::error::{At, Report, did_you_mean};
use crate::fields::unknown_key;
use crate::network::NetworkTarget;
use crate::yaml::{Data, Entry, Node, Scalar, number};
use serde_json::{Map, Value};

/// Where an annotation of an outer schema reaches.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    network: bool,
    secret: bool,
    public: bool,
}

/// The types that a place accepts.
#[derive(Debug, Clone, Copy, Default)]
struct Types {
    string: bool,
    integer: bool,
    number: bool,
    boolean: bool,
    null: bool,
    compound: bool,
}

/// One walk over a section.
pub(crate) struct Walk<'s, 'r> {
    root: &'s Value,
    report: &'r mut Report,
    /// What `x-network` fields name.
    pub network: Vec<NetworkTarget>,
    /// What `x-secret` fields hold.
    pub secrets: Vec<String>,
    /// What fields hold that say of themselves that they are no secrets.
    pub public: Vec<String>,
}

impl<'s, 'r> Walk<'s, 'r> {
    /// Begins at the root of `schema`.
    pub fn new(schema: &'s Value, report: &'r mut Report) -> Self {
        Self { root: schema, report, network: Vec::new(), secrets: Vec::new(), public: Vec::new() }
    }

    /// The JSON of a section called `path`.
    pub fn section(&mut self, node: &Node, path: &str) -> Value {
        let root = self.root;
        self.convert(node, &flatten(root, [root]), Marks::default(), path)
    }

    fn convert(&mut self, node: &Node, schemas: &[&'s Map<String, Value>], outer: Marks, path: &str) -> Value {
        let marks = Marks {
            network: outer.network || marked(schemas, "x-network"),
            secret: outer.secret || marked(schemas, "x-secret"),
            public: schemas.iter().any(|schema| schema.get("x-secret") == Some(&Value::Bool(false))),
        };
        let accepted = types(schemas);
        match &node.data {
            _ if node.written.is_some() && accepted.string && !accepted.compound => {
                let value = Value::from(node.written.as_deref());
                self.note(&value, marks, &node.at, path);
                value
            }
            Data::Scalar(scalar) => {
                let value = coerce(scalar, accepted);
                self.note(&value, marks, &node.at, path);
                value
            }
            Data::List(items) => {
                let convert = |(index, item): (usize, &Node)| {
                    let schemas = item_schemas(self.root, schemas, index);
                    self.convert(item, &schemas, marks, &format!("{path}[{index}]"))
                };
                Value::Array(items.iter().enumerate().map(convert).collect())
            }
            Data::Map(entries) => self.convert_map(entries, schemas, marks, path),
        }
    }

    fn convert_map(
        &mut self,
        entries: &[Entry],
        schemas: &[&'s Map<String, Value>],
        marks: Marks,
        path: &str,
    ) -> Value {
        let mut object = Map::new();
        let foreign = self.foreign(entries, schemas, path);
        for entry in entries.iter().filter(|entry| !foreign.contains(&entry.key.as_str())) {
            let below = property_schemas(self.root, schemas, &entry.key);
            let path = format!("{path}.{}", entry.key);
            // A key without a value is not set, where nothing is not itself a value.
            let accepted = types(&below);
            if entry.value.is_null() && accepted.any() && !accepted.null {
                continue;
            }
            object.insert(entry.key.clone(), self.convert(&entry.value, &below, marks, &path));
        }
        self.note_defaults(&object, schemas, path);
        Value::Object(object)
    }

    /// Remembers what a scalar says of the network and of secrets.
    fn note(&mut self, value: &Value, marks: Marks, at: &At, path: &str) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        if marks.network && !text.is_empty() {
            match NetworkTarget::parse(&text) {
                Ok(targets) => {
                    let new = targets.into_iter().filter(|target| !self.network.contains(target));
                    let new: Vec<_> = new.collect();
                    self.network.extend(new);
                }
                Err(problem) => {
                    let message = format!("`{path}` is `{text}`, expected a URL, `host:port` or a host");
                    self.report.error_help(at, message, problem);
                }
            }
        }
        if marks.secret {
            self.secrets.push(text);
        } else if marks.public {
            self.public.push(text);
        }
    }

    /// A host that the connector falls back to is one that it will talk to.
    fn note_defaults(&mut self, object: &Map<String, Value>, schemas: &[&'s Map<String, Value>], path: &str) {
        for (name, schema) in properties(schemas).filter(|(name, _)| !object.contains_key(*name)) {
            let below = flatten(self.root, [schema]);
            let marks = Marks { network: marked(&below, "x-network"), ..Marks::default() };
            for default in below.iter().filter_map(|schema| schema.get("default")) {
                let defaults = default.as_array().map_or(std::slice::from_ref(default), Vec::as_slice);
                for default in defaults {
                    self.note(default, marks, &At::whole("the connector's schema"), &format!("{path}.{name}"));
                }
            }
        }
    }

    /// Warns of keys that no alternative knows. Returns those that the schema forbids: Fluvio's own tools ignore
    /// such keys, so a file that has one must still run, and the connector never sees it.
    fn foreign<'e>(&mut self, entries: &'e [Entry], schemas: &[&'s Map<String, Value>], path: &str) -> Vec<&'e str> {
        let others = |schema: &&Map<String, Value>| {
            let more = schema.get("additionalProperties");
            schema.contains_key("patternProperties") || more.is_some_and(|more| *more != Value::Bool(false))
        };
        let known: Vec<&str> = properties(schemas).map(|(name, _)| name).collect();
        if known.is_empty() || schemas.iter().any(others) {
            return Vec::new();
        }
        let forbids = |schema: &&Map<String, Value>| schema.contains_key("additionalProperties");
        let forbidden = schemas.iter().any(forbids);
        let mut foreign = Vec::new();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help = did_you_mean(&entry.key, known.iter().copied());
            // What the command line sets is no old file's: a slip there is one.
            if forbidden && entry.at.source.starts_with("--set ") {
                self.report.error_help(&entry.at, unknown_key(&entry.key, path), help);
            } else {
                self.report.warn(&entry.at, unknown_key(&entry.key, path), Some(help));
            }
            if forbidden {
                foreign.push(entry.key.as_str());
            }
        }
        foreign
    }
}

/// Gives every key that is another name for one its proper name; both at once are an error.
pub(crate) fn settle_aliases(root: &Value, node: &mut Node, report: &mut Report) {
    settle(root, node, &flatten(root, [root]), report);
}

fn settle(root: &Value, node: &mut Node, schemas: &[&Map<String, Value>], report: &mut Report) {
    match &mut node.data {
        Data::Scalar(_) => {}
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                settle(root, item, &item_schemas(root, schemas, index), report);
            }
        }
        Data::Map(entries) => {
            for index in 0..entries.len() {
                let below = property_schemas(root, schemas, &entries[index].key);
                let proper = below.iter().find_map(|schema| schema.get("x-alias-of")?.as_str());
                if let Some(proper) = proper {
                    let twin = entries.iter().find(|other| other.key == proper && !other.value.is_null());
                    match twin {
                        Some(_) => {
                            let message = format!("`{proper}` and `{}` are the same key", entries[index].key);
                            report.error_help(&entries[index].at, message, "remove one of them");
                        }
                        None => entries[index].key = proper.to_owned(),
                    }
                }
                settle(root, &mut entries[index].value, &below, report);
            }
        }
    }
}

fn property_schemas<'s>(
    root: &'s Value,
    schemas: &[&'s Map<String, Value>],
    name: &str,
) -> Vec<&'s Map<String, Value>> {
    let of = |schema: &&'s Map<String, Value>| {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let others = patterns.into_iter().flat_map(Map::values).chain(schema.get("additionalProperties"));
        property.map_or_else(|| others.collect(), |property| vec![property])
    };
    flatten(root, schemas.iter().flat_map(of))
}

fn item_schemas<'s>(root: &'s Value, schemas: &[&'s Map<String, Value>], index: usize) -> Vec<&'s Map<String, Value>> {
    let of = |schema: &&'s Map<String, Value>| {
        let tuple = schema.get("prefixItems").or_else(|| schema.get("items")).and_then(Value::as_array);
        match tuple {
            Some(tuple) if index < tuple.len() => tuple.get(index),
            Some(_) => schema.get("additionalItems").or_else(|| schema.get("items")),
            None => schema.get("items"),
        }
    };
    flatten(root, schemas.iter().filter_map(of))
}

/// Every schema that has a say in the same place: through references and combinations, each once.
pub(crate) fn flatten<'s>(root: &'s Value, from: impl IntoIterator<Item = &'s Value>) -> Vec<&'s Map<String, Value>> {
    let mut found: Vec<&Map<String, Value>> = Vec::new();
    let mut open: Vec<&Value> = from.into_iter().collect();
    open.reverse();
    while let Some(schema) = open.pop() {
        let Some(schema) = schema.as_object() else { continue };
        if found.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        found.push(schema);
        let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        open.extend(pointer.and_then(|pointer| root.pointer(pointer)));
        open.extend(["then", "else"].iter().filter_map(|key| schema.get(*key)));
        for key in ["oneOf", "anyOf", "allOf"] {
            open.extend(schema.get(key).and_then(Value::as_array).into_iter().flatten().rev());
        }
    }
    found
}

/// The properties that schemas of one place name.
pub(crate) fn properties<'s>(schemas: &[&'s Map<String, Value>]) -> impl Iterator<Item = (&'s str, &'s Value)> {
    let of = |schema: &&'s Map<String, Value>| schema.get("properties").and_then(Value::as_object);
    let all: Vec<_> = schemas.iter().filter_map(of).flatten().map(|(name, schema)| (name.as_str(), schema)).collect();
    all.into_iter()
}

fn marked(schemas: &[&Map<String, Value>], mark: &str) -> bool {
    schemas.iter().any(|schema| schema.get(mark) == Some(&Value::Bool(true)))
}

impl Types {
    fn any(self) -> bool {
        self.string || self.integer || self.number || self.boolean || self.null || self.compound
    }

    fn add(&mut self, name: &str) {
        match name {
            "string" => self.string = true,
            "integer" => self.integer = true,
            "number" => self.number = true,
            "boolean" => self.boolean = true,
            "null" => self.null = true,
            _ => self.compound = true,
        }
    }

    fn add_of(&mut self, value: &Value) {
        self.add(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) | Value::Object(_) => "object",
        });
    }
}

/// What a place accepts, as far as its schemas say.
fn types(schemas: &[&Map<String, Value>]) -> Types {
    let mut types = Types::default();
    for schema in schemas {
        match (schema.get("type"), schema.get("enum"), schema.get("const")) {
            (Some(Value::String(name)), ..) => types.add(name),
            (Some(Value::Array(names)), ..) => names.iter().filter_map(Value::as_str).for_each(|name| types.add(name)),
            (_, Some(Value::Array(values)), _) => values.iter().for_each(|value| types.add_of(value)),
            (.., Some(value)) => types.add_of(value),
            _ => {}
        }
    }
    types
}

/// The value of a scalar where the schema accepts these types.
fn coerce(scalar: &Scalar, types: Types) -> Value {
    let natural = scalar.json();
    match &natural {
        _ if !types.any() => natural,
        Value::Bool(_) if !types.boolean && types.string => Value::String(scalar.text.clone()),
        Value::Number(_) if !types.number && !types.integer && types.string => Value::String(scalar.text.clone()),
        Value::Number(number) if types.integer && !types.number => whole(number).map_or(natural, Value::Number),
        Value::String(text) if !types.string => {
            let text = text.trim();
            let number = number(text).filter(|_| types.integer || types.number);
            let boolean = Scalar::plain(text).as_bool().filter(|_| types.boolean);
            match (number, boolean) {
                (Some(number), _) if types.number => Value::Number(number),
                (Some(number), _) => Value::Number(whole(&number).unwrap_or(number)),
                (None, Some(boolean)) => Value::Bool(boolean),
                (None, None) => natural,
            }
        }
        _ => natural,
    }
}

/// `10` for `10.0`, which a schema takes for an integer and most parsers of typed JSON do not.
fn whole(number: &serde_json::Number) -> Option<serde_json::Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT)?;
    Some((float as i64).into())
}
