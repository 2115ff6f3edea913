//! `host reference`: pages of the documentation that are generated from the code, so that they can't fall behind.

use serde_json::Value;

use crate::cli::Reference;
use crate::failure::Outcome;
use crate::{component, configuration, places};

/// The connectors that come with the host, in the order of the page.
const CONNECTORS: [&str; 5] = ["http-sink", "http-source", "mqtt-sink", "mqtt-source", "test-source"];

/// Prints a page.
pub(crate) async fn reference(what: Reference) -> Outcome {
    match what {
        Reference::Configuration => print!("{}", host_config::reference_markdown()),
        Reference::Connectors => {
            println!("# Connectors\n\nGenerated from the connectors' own schemas by `just docs`; do not edit.");
            for name in CONNECTORS {
                let component = component::load(&places::connector(name, None)?).await?;
                let spec = configuration::spec(&component).await?;
                println!("\n## {}\n\n{}\n\nSection `{}`:\n", spec.name, spec.description, spec.section);
                println!("| key | type | default | |\n|-|-|-|-|");
                for row in rows("", &spec.schema, &spec.schema) {
                    println!("{row}");
                }
            }
        }
    }
    Ok(())
}

/// A row for each property, and for those in it: those that must be given first, then by name.
fn rows(within: &str, schema: &Value, root: &Value) -> Vec<String> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut found: Vec<(bool, &str, String, Vec<String>)> = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property.get("x-alias-of").is_some() {
            continue;
        }
        let needed = required.contains(&name.as_str());
        let default = match property.get("default") {
            _ if needed => "must be given".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let mut about = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        if property["x-network"] == true {
            about.push_str(" The sandbox allows its host.");
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        let aliases: Vec<String> = properties
            .filter(|(_, other)| other["x-alias-of"].as_str() == Some(name))
            .map(|(alias, _)| format!("`{alias}`"))
            .collect();
        if !aliases.is_empty() {
            about.push_str(&format!(" Also written {}.", aliases.join(", ")));
        }
        let about = about.replace('|', "\\|");
        let row = format!("| `{within}{name}` | {} | {default} | {about} |", type_of(property, root));
        let inner = inner(property).map(|inner| rows(&format!("{within}{name}."), inner, root));
        found.push((!needed, name, row, inner.unwrap_or_default()));
    }
    found.sort();
    found.into_iter().flat_map(|(.., row, inner)| std::iter::once(row).chain(inner)).collect()
}

/// What is described of the keys in a property, when it is a map, or may be one.
fn inner(property: &Value) -> Option<&Value> {
    let alternatives = property["anyOf"].as_array().into_iter().flatten();
    std::iter::once(property).chain(alternatives).find(|schema| schema["properties"].is_object())
}

/// What may stand there, in a few words.
fn type_of(property: &Value, schema: &Value) -> String {
    if let Some(name) = property["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        let definitions = schema.get("definitions").or_else(|| schema.get("$defs"));
        return definitions.map_or_else(|| name.to_owned(), |d| type_of(&d[name], schema));
    }
    if let Some(values) = property["enum"].as_array() {
        return values.iter().map(|v| format!("`{}`", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", ");
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        if let Some(alternatives) = property[part].as_array() {
            let mut types: Vec<String> = alternatives
                .iter()
                .map(|a| {
                    a.get("const")
                        .map_or_else(|| type_of(a, schema), |c| format!("`{}`", c.as_str().unwrap_or_default()))
                })
                .filter(|t| t != "null")
                .collect();
            types.dedup();
            return types.join(" or ");
        }
    }
    let named = |kind: &str| match kind {
        "object" => "map".to_owned(),
        "array" => format!("list of {}", type_of(&property["items"], schema)),
        kind => kind.to_owned(),
    };
    match &property["type"] {
        Value::String(one) => named(one),
        Value::Array(several) => {
            let kinds = several.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}
