//! `text-to-json`: makes a JSON object of text, by the named groups of a regular expression. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{
    Missing as Unmatched, Object, Once, Pairs, ParamError, Path, Pattern, Refused, Type, kind_of, params, spec,
    text_of, utf8,
};

params! {
    /// The parameters.
    struct Settings {
        /// What a text looks like: a regular expression with a named group, as in `(?<level>[A-Z]+)`, for each field
        /// of the object.
        regex: Pattern,
        /// What becomes of a group's text: a map of groups to `string`, `integer`, `number`, `boolean` or `json`.
        /// Strings, unless given.
        types: Option<Pairs>,
        /// Where the text is, when records are JSON already: a dotted path or a JSON pointer. The groups are then put
        /// beside the fields that the record has. Unless given, the text is the whole value.
        field: Option<Path>,
        /// What to do with a record that doesn't match, or has no text there: refuse it as an `error`, `drop` it, or
        /// `keep` it as it is.
        unmatched: Unmatched = "error",
    }
}
spec!(Settings);

static SHAPE: Once<Shape> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    SHAPE.set(Shape::new(Settings::read(&params)?)?)
}

#[smartmodule(filter_map)]
fn filter_map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<Option<(Option<RecordData>, RecordData)>> {
    let shaped = SHAPE.get()?.apply(record.value().as_ref())?;
    Ok(shaped.map(|value| (record.key().cloned(), RecordData::from(value))))
}

#[derive(Debug)]
struct Shape {
    regex: Pattern,
    /// Each group's place, name as a path of one step, and type.
    groups: Vec<(usize, [String; 1], Type)>,
    field: Option<Path>,
    unmatched: Unmatched,
}

impl Shape {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { regex, types, field, unmatched } = settings;
        let names = regex.capture_names().enumerate();
        let named: Vec<_> = names.filter_map(|(index, name)| Some((index, name?.to_owned()))).collect();
        if named.is_empty() {
            let problem = "parameter `regex` has no named group: write the parts that become fields as `(?<name>…)`";
            return Err(Settings::error(problem));
        }
        let types = match types.map(Pairs::map::<Type>) {
            Some(Ok(types)) => types,
            Some(Err(problem)) => return Err(Settings::error(format!("parameter `types`: {problem}"))),
            None => Vec::new(),
        };
        if let Some((name, _)) = types.iter().find(|(name, _)| named.iter().all(|(_, group)| group != name)) {
            let groups: Vec<_> = named.iter().map(|(_, group)| format!("`{group}`")).collect();
            let problem = format!("parameter `types`: there is no group `{name}`, only {}", groups.join(", "));
            return Err(Settings::error(problem));
        }
        let groups = named.into_iter().map(|(index, name)| {
            let ty = types.iter().find(|(of, _)| *of == name).map_or(Type::String, |(_, ty)| *ty);
            (index, [name], ty)
        });
        Ok(Self { groups: groups.collect(), regex, field, unmatched })
    }

    fn apply(&self, record: &[u8]) -> Result<Option<Vec<u8>>, Refused> {
        let (text, mut out) = match &self.field {
            None => (utf8(record)?.into(), Object::default()),
            Some(field) => match field.find(record)? {
                Some(found) if found.starts_with('"') => (text_of(found), Object::read(record)?),
                found => {
                    return self.other(record, || match found {
                        Some(found) => {
                            let (field, found) = (field.to_string(), kind_of(found));
                            Refused::Kind { field, found, expected: "a string" }
                        }
                        None => Refused::Missing(field.to_string()),
                    });
                }
            },
        };
        let Some(captures) = self.regex.captures(text.as_bytes()) else {
            return self.other(record, || Refused::Other("the text does not match `regex`".to_owned()));
        };
        let mut values = Vec::with_capacity(self.groups.len());
        for (index, name, ty) in &self.groups {
            // A group that took no part in the match makes no field.
            let Some(found) = captures.get(*index) else { continue };
            let found = utf8(found.as_bytes())?;
            let value = ty.of_text(found).ok_or_else(|| {
                Refused::Other(format!("group `{}` is `{found}`, which is not {}", name[0], ty.name()))
            })?;
            values.push((name, value));
        }
        for (name, value) in &values {
            out.insert(name.as_slice(), value).map_err(|blocked| Refused::blocked(&name[0], blocked))?;
        }
        Ok(Some(out.to_json()))
    }

    /// What becomes of a record that doesn't match.
    fn other(&self, record: &[u8], reason: impl FnOnce() -> Refused) -> Result<Option<Vec<u8>>, Refused> {
        match self.unmatched {
            Unmatched::Error => Err(reason()),
            Unmatched::Drop => Ok(None),
            Unmatched::Keep => Ok(Some(record.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r"^(?<level>[A-Z]+) (?<code>\d+)(?: took (?<ms>\S+) ms)?";

    fn shape(params: &[(&str, &str)]) -> Result<Shape, String> {
        Settings::new(params.iter().copied()).and_then(Shape::new).map_err(|error| error.to_string())
    }

    fn apply(params: &[(&str, &str)], record: &str) -> Result<Option<String>, String> {
        let out = shape(params).expect("valid").apply(record.as_bytes()).map_err(|error| error.to_string())?;
        Ok(out.map(|out| String::from_utf8(out).expect("UTF-8")))
    }

    #[test]
    fn groups_become_fields_in_their_order() {
        let types = ("types", "code=integer,ms=number");
        let json = apply(&[("regex", LINE), types], "WARN 007 took 1.50 ms");
        assert_eq!(json, Ok(Some(r#"{"level":"WARN","code":7,"ms":1.50}"#.to_owned())));
        let json = apply(&[("regex", LINE)], "INFO 1");
        assert_eq!(json, Ok(Some(r#"{"level":"INFO","code":"1"}"#.to_owned())));
    }

    #[test]
    fn a_field_of_a_record_can_be_taken_apart() {
        let params = [("regex", LINE), ("field", "log.line")];
        let json = apply(&params, r#"{"log": {"line": "WARN 2"}, "code": 9}"#);
        assert_eq!(json, Ok(Some(r#"{"log":{"line": "WARN 2"},"code":"2","level":"WARN"}"#.to_owned())));
        assert_eq!(apply(&params, r#"{"log": {}}"#), Err("there is no field `log.line`".to_owned()));
        let number = apply(&params, r#"{"log": {"line": 1}}"#);
        assert_eq!(number, Err("`log.line` is a number, not a string".to_owned()));
        assert!(apply(&params, "WARN 2").expect_err("no JSON").contains("not JSON"));
        assert!(apply(&[("regex", LINE), ("field", "0")], r#"["WARN 2"]"#).is_err());
    }

    #[test]
    fn what_does_not_match_does_what_was_asked() {
        let unmatched = |word| apply(&[("regex", LINE), ("unmatched", word)], "nothing");
        assert_eq!(unmatched("error"), Err("the text does not match `regex`".to_owned()));
        assert_eq!(unmatched("drop"), Ok(None));
        assert_eq!(unmatched("keep"), Ok(Some("nothing".to_owned())));
    }

    #[test]
    fn a_text_of_another_type_is_refused() {
        let error = apply(&[("regex", LINE), ("types", "ms=number")], "WARN 1 took no ms").expect_err("no number");
        assert_eq!(error, "group `ms` is `no`, which is not a number");
    }

    #[test]
    fn expressions_without_groups_are_no_use() {
        assert!(shape(&[("regex", "a(b)")]).expect_err("no names").contains("has no named group"));
        let error = shape(&[("regex", LINE), ("types", "size=number")]).expect_err("no such group");
        assert!(error.contains("there is no group `size`, only `level`, `code`, `ms`"), "{error}");
        assert!(shape(&[("regex", LINE), ("types", "code=int")]).expect_err("no type").contains("expected `string`"));
    }
}
