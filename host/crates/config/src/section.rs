//! The connector's own section, checked against the JSON Schema that the connector brings.
//!
//! The schema library says what is wrong by a path into JSON; here that becomes a line and column of the file
//! and a sentence. A schema that is itself broken is the connector's fault, and says so.

use crate::error::{At, Report, did_you_mean, join, nearest};
use crate::fields::unknown_key;
use crate::network::NetworkTarget;
use crate::schema::{flatten, properties};
use crate::yaml::{Data, Node};
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::LocationSegment;
use jsonschema::{Draft, ValidationError};
use serde_json::Value;
use std::fmt;

/// The connector's own section, ready to be handed over.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Section {
    /// The section as JSON, secrets filled in, scalars of the types that the schema asks for.
    pub json: Value,
    /// The hosts that its `x-network` fields name.
    pub network: Vec<NetworkTarget>,
    /// Everything in it that must not be shown: inserted secrets, and the values of `x-secret` fields.
    pub secrets: Vec<String>,
}

/// Without the values: they hold secrets.
impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.json.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        f.debug_struct("Section").field("keys", &keys).field("network", &self.network).finish_non_exhaustive()
    }
}

/// What is validated, and where it came from.
pub(crate) struct Checked<'a> {
    /// Who brought the schema, as in `connector`.
    pub whose: &'a str,
    /// The name that messages use.
    pub name: &'a str,
    pub node: &'a Node,
    /// Where to point to when something is missing in the section: its key, or the file.
    pub at: &'a At,
    /// Whether the file has the section at all.
    pub present: bool,
    pub json: &'a Value,
    pub schema: &'a Value,
}

impl Checked<'_> {
    /// Reports everything in which the section breaks its schema.
    pub fn validate(&self, report: &mut Report) {
        let mut options = jsonschema::options();
        if self.schema.get("$schema").is_none() {
            options = options.with_draft(Draft::Draft7);
        }
        match options.build(self.schema) {
            Ok(validator) => validator.iter_errors(self.json).for_each(|error| self.report(&error, report)),
            Err(error) => report.error_help(
                &At::whole(&format!("the {}'s schema", self.whose)),
                format!("the schema of `{}` can't be used: {error}", self.name),
                format!("this is a fault of the {}: tell its author", self.whose),
            ),
        }
    }

    fn report(&self, error: &ValidationError<'_>, report: &mut Report) {
        let place = self.place(error);
        let (at, path) = (place.at, place.path.as_str());
        let value = place.node.map_or_else(|| "empty".to_owned(), Node::shown);
        let wrong = |expected: String| format!("`{path}` is {value}, expected {expected}");
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known: Vec<&str> = properties(&place.schemas).map(|(name, _)| name).collect();
                for key in unexpected {
                    let at = place.node.and_then(|node| node.entry(key)).map_or(at, |entry| &entry.at);
                    match known.is_empty() {
                        true => report.error(at, unknown_key(key, path)),
                        false => {
                            report.error_help(at, unknown_key(key, path), did_you_mean(key, known.iter().copied()));
                        }
                    }
                }
            }
            Kind::Required { property } => self.report_missing(property.as_str().unwrap_or_default(), &place, report),
            Kind::Type { kind } => report.error(at, wrong(type_names(kind))),
            Kind::Enum { options } => {
                let words: Vec<String> = options.as_array().into_iter().flatten().map(word).collect();
                let near = place
                    .node
                    .and_then(Node::as_scalar)
                    .and_then(|scalar| nearest(&scalar.text, words.iter().map(String::as_str)));
                let message = wrong(join(words.iter().map(|word| format!("`{word}`")).collect(), "or"));
                match near {
                    Some(near) => report.error_help(at, message, format!("did you mean `{near}`?")),
                    None => report.error(at, message),
                }
            }
            Kind::Constant { expected_value } => report.error(at, wrong(format!("`{}`", word(expected_value)))),
            Kind::Minimum { limit } => report.error(at, wrong(format!("at least {limit}"))),
            Kind::Maximum { limit } => report.error(at, wrong(format!("at most {limit}"))),
            Kind::ExclusiveMinimum { limit } => report.error(at, wrong(format!("more than {limit}"))),
            Kind::ExclusiveMaximum { limit } => report.error(at, wrong(format!("less than {limit}"))),
            Kind::MultipleOf { multiple_of } => report.error(at, wrong(format!("a multiple of {multiple_of}"))),
            Kind::MinLength { limit: 1 } => report.error(at, wrong("a value".to_owned())),
            Kind::MinLength { limit } => report.error(at, wrong(format!("at least {limit} characters"))),
            Kind::MaxLength { limit } => report.error(at, wrong(format!("at most {limit} characters"))),
            Kind::Pattern { pattern } => report.error(at, wrong(format!("a text that matches `{pattern}`"))),
            Kind::Format { format } => report.error(at, wrong(format!("a text of the form `{format}`"))),
            Kind::MinItems { limit } => {
                report.error(at, format!("`{path}` has too few items, expected at least {limit}"));
            }
            Kind::MaxItems { limit } => {
                report.error(at, format!("`{path}` has too many items, expected at most {limit}"));
            }
            Kind::UniqueItems => report.error(at, format!("`{path}` has the same item twice")),
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => self.report_closest(context, &place, report),
            Kind::OneOfMultipleValid { .. } => {
                report.error(at, format!("`{path}` fits several of the forms that exclude each other"));
            }
            _ => report.error(at, format!("`{path}`: {error}")),
        }
    }

    fn report_missing(&self, key: &str, place: &Place<'_>, report: &mut Report) {
        let message = match self.present {
            true => format!("missing key `{key}` in `{}`", place.path),
            false => format!("missing key `{key}`: there is no section `{}`", place.path),
        };
        let about = properties(&place.schemas)
            .filter(|(name, _)| *name == key)
            .flat_map(|(_, schema)| flatten(self.schema, [schema]))
            .find_map(|schema| schema.get("description")?.as_str());
        match about {
            Some(about) => report.error_help(place.at, message, format!("`{key}`: {}", about.replace('\n', " "))),
            None => report.error(place.at, message),
        }
    }

    /// Of several alternatives, none of which fits: all types together when it is the type that is wrong,
    /// otherwise what is wrong with the alternative that fits best.
    fn report_closest(&self, context: &[Vec<ValidationError<'static>>], place: &Place<'_>, report: &mut Report) {
        let own = |error: &&ValidationError<'_>| segments(error).len() <= place.depth;
        let mut expected: Vec<String> = Vec::new();
        let mut closest: Option<&Vec<ValidationError<'static>>> = None;
        for errors in context {
            let forms = errors.iter().filter(own).find_map(|error| match error.kind() {
                Kind::Type { kind } => Some(vec![type_names(kind)]),
                Kind::Constant { expected_value } => Some(vec![format!("`{}`", word(expected_value))]),
                Kind::Enum { options } => {
                    Some(options.as_array().into_iter().flatten().map(|value| format!("`{}`", word(value))).collect())
                }
                _ => None,
            });
            match forms {
                Some(forms) => expected.extend(forms),
                None => {
                    let depth = |errors: &[ValidationError<'_>]| errors.iter().map(|e| segments(e).len()).max();
                    if closest.is_none_or(|best| depth(errors) > depth(best)) {
                        closest = Some(errors);
                    }
                }
            }
        }
        // Nothing is what leaving out the key says, and nobody has to be told of that.
        expected.retain(|form| form != "nothing");
        let mut seen = std::collections::HashSet::new();
        expected.retain(|form| seen.insert(form.clone()));
        match closest {
            Some(errors) => errors.iter().for_each(|error| self.report(error, report)),
            None => {
                let value = place.node.map_or_else(|| "empty".to_owned(), Node::shown);
                report.error(place.at, format!("`{}` is {value}, expected {}", place.path, join(expected, "or")));
            }
        }
    }

    /// Where in the file the value stands that an error is about.
    fn place(&self, error: &ValidationError<'_>) -> Place<'_> {
        let segments = segments(error);
        let mut place = Place {
            at: self.at,
            node: self.present.then_some(self.node),
            path: self.name.to_owned(),
            depth: segments.len(),
            schemas: flatten(self.schema, [self.schema]),
        };
        for (index, segment) in segments.iter().enumerate() {
            place.schemas = flatten(self.schema, place.schemas.iter().flat_map(|schema| below(schema, segment)));
            let next = match (place.node.map(|node| &node.data), segment) {
                (Some(Data::Map(entries)), Step::Key(key)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| (&entry.at, &entry.value))
                }
                // A key of digits looks like an index in a path.
                (Some(Data::Map(entries)), Step::Item(index)) => {
                    let key = index.to_string();
                    entries.iter().find(|entry| entry.key == key).map(|entry| (&entry.at, &entry.value))
                }
                (Some(Data::List(items)), Step::Item(index)) => items.get(*index).map(|item| (&item.at, item)),
                _ => None,
            };
            match segment {
                Step::Key(key) => place.path = format!("{}.{key}", place.path),
                Step::Item(index) => place.path = format!("{}[{index}]", place.path),
            }
            if let Some((at, node)) = next {
                // What is missing in a map is told at its key; what is wrong with a value at the value.
                let compound = node.as_scalar().is_none() || node.is_null();
                place.at = if compound || index + 1 < segments.len() { at } else { &node.at };
            }
            place.node = next.map(|(_, node)| node);
        }
        place
    }
}

/// Where an error is.
struct Place<'a> {
    at: &'a At,
    node: Option<&'a Node>,
    path: String,
    depth: usize,
    schemas: Vec<&'a serde_json::Map<String, Value>>,
}

/// One step of the way to a value.
enum Step {
    Key(String),
    Item(usize),
}

fn segments(error: &ValidationError<'_>) -> Vec<Step> {
    let step = |segment: LocationSegment<'_>| match segment {
        LocationSegment::Property(name) => Step::Key(name.into_owned()),
        LocationSegment::Index(index) => Step::Item(index),
    };
    error.instance_path().iter().map(step).collect()
}

fn below<'s>(schema: &&'s serde_json::Map<String, Value>, step: &Step) -> Option<&'s Value> {
    match step {
        Step::Key(key) => schema
            .get("properties")
            .and_then(|properties| properties.get(key))
            .or_else(|| schema.get("additionalProperties")),
        Step::Item(index) => schema.get("items").map(|items| items.get(index).unwrap_or(items)),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn type_names(kind: &TypeKind) -> String {
    let name = |name: &str| {
        match name {
            "string" => "a string",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "`true` or `false`",
            "null" => "nothing",
            "array" => "a list",
            _ => "a map",
        }
        .to_owned()
    };
    match kind {
        TypeKind::Single(kind) => name(kind.as_str()),
        TypeKind::Multiple(kinds) => join(
            kinds.iter().map(|kind| kind.as_str().to_owned()).filter(|k| k != "null").map(|k| name(&k)).collect(),
            "or",
        ),
    }
}
