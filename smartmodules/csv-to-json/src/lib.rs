//! `csv-to-json`: makes one JSON object of each row of CSV. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use csv::{ByteRecord, ReaderBuilder, Trim};
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{Once, Pairs, ParamError, Refused, Type, Value, choices, params, spec, utf8};

params! {
    /// The parameters.
    struct Settings {
        /// The names of the columns: a list, or texts with commas between them. Unless given, the first row of each
        /// record has them.
        columns: Option<Vec<String>>,
        /// What stands between two columns: one character, or `tab`.
        delimiter: Byte = ",",
        /// What stands around a column that has delimiters or line ends in it: one character.
        quote: Byte = "\"",
        /// What becomes of a column's text: a map of columns to `string`, `integer`, `number`, `boolean` or `json`.
        /// Strings, unless given.
        types: Option<Pairs>,
        /// What becomes of an empty column: an empty `string`, `null`, or no field at all (`skip`). Of a type other
        /// than `string`, an empty column is `null` unless it is skipped.
        empty: Empty = "string",
        /// Whether spaces around a column go.
        trim: bool = "false",
    }
}
spec!(Settings);

choices! {
    /// What an empty column becomes.
    enum Empty {
        String = "string",
        Null = "null",
        Skip = "skip",
    }
}

/// One character of ASCII.
#[derive(Debug, Clone, Copy)]
struct Byte(u8);

impl Value for Byte {
    const SCHEMA: &'static str = r#""type":"string","minLength":1"#;

    fn parse(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            b"tab" | b"\\t" => Ok(Self(b'\t')),
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Self(*byte)),
            _ => Err(format!("is `{text}`, expected one character, or `tab`")),
        }
    }
}

static ROWS: Once<Rows> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    ROWS.set(Rows::new(Settings::read(&params)?)?)
}

#[smartmodule(array_map)]
fn array_map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<Vec<(Option<RecordData>, RecordData)>> {
    let rows = ROWS.get()?.apply(record.value().as_ref())?;
    Ok(rows.into_iter().map(|row| (record.key().cloned(), RecordData::from(row))).collect())
}

#[derive(Debug)]
struct Rows {
    columns: Option<Vec<Column>>,
    types: Vec<(String, Type)>,
    delimiter: u8,
    quote: u8,
    empty: Empty,
    trim: Trim,
}

#[derive(Debug, Clone)]
struct Column {
    /// Its name in JSON, with quotes and a colon.
    head: String,
    name: String,
    ty: Type,
}

impl Rows {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { columns, delimiter: Byte(delimiter), quote: Byte(quote), types, empty, trim } = settings;
        if delimiter == quote {
            return Err(Settings::error("parameters `delimiter` and `quote` are the same character"));
        }
        let types = match types.map(Pairs::map::<Type>) {
            Some(Ok(types)) => types,
            Some(Err(problem)) => return Err(Settings::error(format!("parameter `types`: {problem}"))),
            None => Vec::new(),
        };
        let mut rows =
            Self { columns: None, types, delimiter, quote, empty, trim: if trim { Trim::All } else { Trim::None } };
        if let Some(names) = columns {
            let columns = rows.columns(names.into_iter()).map_err(|problem| Settings::error(problem.to_string()))?;
            rows.columns = Some(columns);
        }
        Ok(rows)
    }

    /// The columns of these names.
    fn columns(&self, names: impl Iterator<Item = String>) -> Result<Vec<Column>, Refused> {
        let mut columns: Vec<Column> = Vec::new();
        for name in names {
            if columns.iter().any(|other| other.name == name) {
                return Err(Refused::Other(format!("there are two columns `{name}`")));
            }
            let ty = self.types.iter().find(|(of, _)| *of == name).map_or(Type::String, |(_, ty)| *ty);
            let head = Type::String.of_text(&name).unwrap_or_default() + ":";
            columns.push(Column { head, name, ty });
        }
        let unknown = self.types.iter().find(|(name, _)| columns.iter().all(|column| column.name != *name));
        match unknown {
            Some((name, _)) => {
                let names: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
                let problem = format!("`types` names `{name}`, and there are the columns {}", names.join(", "));
                Err(Refused::Other(problem))
            }
            None => Ok(columns),
        }
    }

    fn apply(&self, record: &[u8]) -> Result<Vec<String>, Refused> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .quote(self.quote)
            .trim(self.trim)
            .from_reader(record);
        let mut row = ByteRecord::new();
        let mut next = |row: &mut ByteRecord| {
            reader.read_byte_record(row).map_err(|error| Refused::Other(format!("the record is not CSV: {error}")))
        };
        let from_first;
        let columns = match &self.columns {
            Some(columns) => columns,
            None if next(&mut row)? => {
                let names = row.iter().map(utf8).collect::<Result<Vec<_>, _>>()?;
                from_first = self.columns(names.into_iter().map(str::to_owned))?;
                &from_first
            }
            None => return Ok(Vec::new()),
        };
        let mut objects = Vec::new();
        while next(&mut row)? {
            objects.push(self.object(columns, &row)?);
        }
        Ok(objects)
    }

    fn object(&self, columns: &[Column], row: &ByteRecord) -> Result<String, Refused> {
        let line = row.position().map_or(0, csv::Position::line);
        if row.len() != columns.len() {
            let problem = format!("line {line} has {} columns, and there should be {}", row.len(), columns.len());
            return Err(Refused::Other(problem));
        }
        let mut out = String::from("{");
        for (column, field) in columns.iter().zip(row) {
            let text = utf8(field)?;
            let value = match (text.is_empty(), self.empty) {
                (true, Empty::Skip) => continue,
                (true, Empty::String) if column.ty == Type::String => "\"\"".to_owned(),
                (true, _) => "null".to_owned(),
                (false, _) => column.ty.of_text(text).ok_or_else(|| {
                    let Column { name, ty, .. } = column;
                    Refused::Other(format!("line {line}: column `{name}` is `{text}`, which is not {}", ty.name()))
                })?,
            };
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&column.head);
            out.push_str(&value);
        }
        out.push('}');
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(params: &[(&str, &str)]) -> Result<Rows, String> {
        Settings::new(params.iter().copied()).and_then(Rows::new).map_err(|error| error.to_string())
    }

    fn apply(params: &[(&str, &str)], record: &str) -> Result<Vec<String>, String> {
        rows(params).expect("valid").apply(record.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_row_names_the_columns() {
        let record = "\u{feff}id,\"na\"\"me\"\r\n1,\"a,\nb\"\r\n\r\n2, c \r\n";
        let expected = [r#"{"id":"1","na\"me":"a,\nb"}"#, r#"{"id":"2","na\"me":" c "}"#];
        assert_eq!(apply(&[], record).expect("CSV"), expected);
        assert_eq!(apply(&[], "").expect("nothing"), [""; 0]);
        assert_eq!(apply(&[], "id,name\n").expect("no rows"), [""; 0]);
    }

    #[test]
    fn columns_delimiter_and_quote_can_be_given() {
        let params = [("columns", "id, name"), ("delimiter", "tab"), ("quote", "'"), ("trim", "true")];
        let expected = [r#"{"id":"1","name":"a\tb"}"#, r#"{"id":"2","name":"\""}"#];
        assert_eq!(apply(&params, "1\t'a\tb'\n 2 \t\"").expect("CSV"), expected);
    }

    #[test]
    fn columns_get_types() {
        let params = [("types", "id=integer,ok=boolean,x=number")];
        let record = "id,ok,x,s\n01,yes,1.50,\n,,,\n";
        let expected = [r#"{"id":1,"ok":true,"x":1.50,"s":""}"#, r#"{"id":null,"ok":null,"x":null,"s":""}"#];
        assert_eq!(apply(&params, record).expect("CSV"), expected);
        let error = apply(&params, "id,ok,x\n1,maybe,2").expect_err("no boolean");
        assert_eq!(error, "line 2: column `ok` is `maybe`, which is not a boolean");
        assert!(apply(&params, "id,ok\n").expect_err("no x").contains("`types` names `x`"));
    }

    #[test]
    fn empty_columns_do_what_was_asked() {
        let empty = |word| apply(&[("empty", word)], "a,b,c\n,1,\n").expect("CSV");
        assert_eq!(empty("string"), [r#"{"a":"","b":"1","c":""}"#]);
        assert_eq!(empty("null"), [r#"{"a":null,"b":"1","c":null}"#]);
        assert_eq!(empty("skip"), [r#"{"b":"1"}"#]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = apply(&[], "a,b\n1,2\n1,2,3\n").expect_err("a column too many");
        assert_eq!(error, "line 3 has 3 columns, and there should be 2");
        assert!(apply(&[], "a,a\n").expect_err("twice").contains("two columns `a`"));
        let bytes = rows(&[]).expect("valid").apply(b"a\n\xff\n").expect_err("no text").to_string();
        assert!(bytes.contains("not UTF-8"), "{bytes}");
        assert!(rows(&[("delimiter", "ab")]).expect_err("two").contains("expected one character"));
        assert!(rows(&[("delimiter", "'"), ("quote", "'")]).is_err());
        assert!(rows(&[("columns", "a"), ("types", "b=integer")]).expect_err("no b").contains("`types` names `b`"));
    }
}
