//! `host smartmodule describe`, and the page of the documentation that says the same of all modules that come with the
//! host.

use std::fmt::Write as _;
use std::path::PathBuf;

use host_smartmodule::{Inspection, Spec};
use serde::Serialize;
use serde_json::Value;

use crate::cli::TargetArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};
use crate::{cluster, display, modules, places};

/// The modules that come with the host, in the order of the page.
const MODULES: [&str; 14] = [
    "json-filter",
    "regex-filter",
    "sample",
    "dedup",
    "json-project",
    "json-types",
    "json-timestamp",
    "json-key",
    "json-mask",
    "text-to-json",
    "json-array-split",
    "ndjson-split",
    "csv-to-json",
    "json-aggregate",
];

/// What the page says before the modules.
const PAGE: &str = include_str!("page.md");

#[derive(Serialize)]
struct Description {
    name: String,
    kind: &'static str,
    /// The file; `null` for one of the cluster.
    file: Option<String>,
    bytes: usize,
    takes_params: bool,
    wants_look_back: bool,
    spec: Option<Spec>,
}

/// Prints what a module says of itself.
pub(crate) async fn describe(name: &str, format: Format, target: &TargetArgs) -> Outcome {
    let (wasm, path) = find(name, target).await?;
    let short = modules::short_name(name);
    let inspection = Inspection::read(&short, &wasm).map_err(Failure::config)?;
    let description = Description {
        name: short,
        kind: inspection.kind.name(),
        file: path.map(|path| path.display().to_string()),
        bytes: wasm.len(),
        takes_params: inspection.takes_params,
        wants_look_back: inspection.wants_look_back,
        spec: inspection.spec,
    };
    match format {
        Format::Json => format::json(&description),
        Format::Text => {
            print!("{}", text(&description));
            Ok(())
        }
    }
}

/// A module's bytes: from the path, or from the cluster that is named, or from the profile's if it isn't on the path.
async fn find(name: &str, target: &TargetArgs) -> Outcome<(Vec<u8>, Option<PathBuf>)> {
    let local = places::smartmodule(name)?;
    let is_file = local.as_deref().is_some_and(|path| path.as_os_str() == name);
    if let Some(path) = local.as_ref().filter(|_| is_file || !target.is_named()) {
        return Ok((modules::read(path)?, Some(path.clone())));
    }
    let connected = match cluster::connect(target).await {
        Ok(connected) => connected,
        Err(failure) if target.is_named() => return Err(failure),
        Err(failure) => {
            let missing = format!("there is no {name} on the SmartModule path, and no cluster to ask: {failure}");
            return Err(Failure::failed(missing).help("`host smartmodule list --local` shows what there is"));
        }
    };
    let fetched = connected.cluster.smartmodule(name).await;
    connected.close().await?;
    match (fetched, local) {
        (Ok(wasm), _) => Ok((wasm, None)),
        (Err(host_cluster::Error::SmartModuleNotFound { .. }), Some(path)) => Ok((modules::read(&path)?, Some(path))),
        (Err(error), _) => Err(cluster::refused(&error)),
    }
}

fn text(description: &Description) -> String {
    let Description { name, kind, file, bytes, takes_params, wants_look_back, spec } = description;
    let mut out = String::new();
    let version = spec.as_ref().map(|spec| format!(" {}", spec.version)).unwrap_or_default();
    let about = spec.as_ref().map(|spec| format!(": {}", spec.description)).unwrap_or_default();
    let _ = writeln!(out, "{name}{version}, {kind}{about}");
    let place = file.as_deref().unwrap_or("in the cluster");
    let _ = writeln!(out, "  {place}, {}", display::bytes(*bytes as u64));
    if *wants_look_back {
        let _ = writeln!(out, "  it can be shown past records, with `lookback` in its step");
    }
    let Some(spec) = spec else {
        let params =
            if *takes_params { "it takes parameters, but does not say which" } else { "it takes no parameters" };
        let _ = writeln!(out, "  {params}");
        return out;
    };
    let documentation = body(&spec.documentation);
    if !documentation.is_empty() {
        let _ = writeln!(out, "\n{documentation}");
    }
    let parameters = parameters(&spec.schema);
    if !parameters.is_empty() {
        let _ = writeln!(out, "\nParameters:");
        for Parameter { name, kind, default, about } in parameters {
            let default = default.map_or_else(
                || "must be given".to_owned(),
                |default| match default.as_str() {
                    "" => "not given".to_owned(),
                    text => format!("default: {text}"),
                },
            );
            let _ = writeln!(out, "  {name}: {kind}; {default}");
            let _ = writeln!(out, "      {about}");
        }
    }
    if !spec.example.is_empty() {
        let _ = writeln!(out, "\nExample:");
        for line in spec.example.lines() {
            let _ = writeln!(out, "{}", format!("  {line}").trim_end());
        }
    }
    out
}

/// A parameter for people.
struct Parameter {
    name: String,
    kind: String,
    /// `None` when it must be given, empty when it has none.
    default: Option<String>,
    about: String,
}

/// A schema's parameters: those that must be given first, then in the order of their names.
fn parameters(schema: &Value) -> Vec<Parameter> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut found: Vec<Parameter> = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property.get("x-alias-of").is_some() {
            continue;
        }
        let default = match &property["default"] {
            _ if required.contains(&name.as_str()) => None,
            Value::Null => Some(String::new()),
            Value::String(text) if text.is_empty() => Some("\"\"".to_owned()),
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let about = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        found.push(Parameter { name: name.clone(), kind: kind_of(property), default, about });
    }
    found.sort_by(|a, b| (a.default.is_some(), &a.name).cmp(&(b.default.is_some(), &b.name)));
    found
}

/// What may stand there, in a few words.
fn kind_of(property: &Value) -> String {
    if let Some(words) = property["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    }
    let types: Vec<&str> = match &property["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.first() {
        Some(&"array") => match &property["items"] {
            Value::Null => "list".to_owned(),
            items => format!("list ({})", kind_of(items)),
        },
        Some(&"object") => "map".to_owned(),
        Some(&"string") if property["x-secret"] == true => "secret".to_owned(),
        Some(&"string") => property["format"].as_str().unwrap_or("text").replace('-', " "),
        Some(&"integer") => "whole number".to_owned(),
        Some(&"boolean") => "true or false".to_owned(),
        Some(other) => (*other).to_owned(),
        None => "anything".to_owned(),
    }
}

/// The documentation without its title.
fn body(documentation: &str) -> &str {
    let trimmed = documentation.trim();
    if trimmed.starts_with("# ") { trimmed.split_once('\n').map_or("", |(_, rest)| rest).trim() } else { trimmed }
}

/// The page on the modules that come with the host.
pub(crate) fn page() -> Outcome<String> {
    let mut out = PAGE.to_owned();
    let mut specs = Vec::new();
    for name in MODULES {
        let missing =
            || Failure::failed(format!("there is no {name} on the SmartModule path: build it with `just guests`"));
        let path = places::smartmodule(name)?.ok_or_else(missing)?;
        let inspection = Inspection::read(name, &modules::read(&path)?).map_err(Failure::failed)?;
        let silent = || Failure::failed(format!("{name} says nothing of itself"));
        specs.push((inspection.kind, inspection.spec.ok_or_else(silent)?));
    }
    out.push_str("\n| module | kind | |\n|-|-|-|\n");
    for (kind, spec) in &specs {
        let _ = writeln!(out, "| [`{name}`](#{name}) | `{kind}` | {} |", spec.description, name = spec.name);
    }
    for (_, spec) in &specs {
        let _ = writeln!(out, "\n## {}\n\n{}\n\n{}\n", spec.name, spec.description, body(&spec.documentation));
        let parameters = parameters(&spec.schema);
        if !parameters.is_empty() {
            out.push_str("| parameter | | default | |\n|-|-|-|-|\n");
        }
        for Parameter { name, kind, default, about } in parameters {
            let default = match default.as_deref() {
                None => "must be given".to_owned(),
                Some("") => String::new(),
                Some(text) => format!("`{}`", text.replace('|', "\\|")),
            };
            let _ = writeln!(out, "| `{name}` | {kind} | {default} | {} |", about.replace('|', "\\|"));
        }
        let _ = writeln!(out, "\n```yaml\n{}\n```", spec.example.trim_end());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_on_the_page() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../smartmodules");
        let entries =
            std::fs::read_dir(folder).expect("the modules' sources").map(|entry| entry.expect("an entry").path());
        let mut names: Vec<String> = entries
            .filter(|path| path.join("example.yaml").is_file())
            .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        let mut listed = MODULES.map(str::to_owned);
        listed.sort();
        assert_eq!(names, listed);
    }

    #[test]
    fn parameters_are_shown_in_words() {
        let schema = serde_json::json!({
            "required": ["field"],
            "properties": {
                "by": {"type": ["array", "string"], "items": {"type": "string", "format": "field"}},
                "field": {"type": "string", "format": "field"},
                "key": {"type": "string", "x-secret": true},
                "keep-last": {"type": "integer", "default": 0},
                "keep_last": {"type": "integer", "x-alias-of": "keep-last"},
                "op": {"type": "string", "enum": ["eq", "ne"], "default": "eq"},
            },
        });
        let shown = parameters(&schema).into_iter().map(|it| (it.name, it.kind, it.default));
        let expected = [
            ("field", "field", None),
            ("by", "list (field)", Some("")),
            ("keep-last", "whole number", Some("0")),
            ("key", "secret", Some("")),
            ("op", "eq, ne", Some("eq")),
        ];
        let own = |(name, kind, default): (&str, &str, Option<&str>)| {
            (name.to_owned(), kind.to_owned(), default.map(str::to_owned))
        };
        assert_eq!(shown.collect::<Vec<_>>(), expected.map(own));
    }

    #[test]
    fn a_title_is_taken_off() {
        assert_eq!(body("# x\n\nText.\n"), "Text.");
        assert_eq!(body("Text."), "Text.");
        assert_eq!(body("# x"), "");
    }
}
