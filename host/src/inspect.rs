//! `host inspect`: what a component is made of, and what the sandbox would let it do.

use serde::Serialize;

use crate::cli::{ConnectorArgs, InspectArgs};
use crate::failure::Outcome;
use crate::format::{self, Format};
use crate::logging::Redaction;
use crate::{component, configuration, display, places};

#[derive(Serialize)]
struct Inspection {
    file: String,
    kind: &'static str,
    name: String,
    version: String,
    description: String,
    section: String,
    bytes: u64,
    sha256: String,
    cached: bool,
    imports: Vec<String>,
    exports: Vec<String>,
    sandbox: Allowed,
}

/// What the sandbox allows, with the configuration if one was given.
#[derive(Serialize)]
struct Allowed {
    memory_bytes: u64,
    call_timeout_ms: u64,
    hosts: Vec<String>,
    /// The fields of the configuration that hosts are taken from.
    host_fields: Vec<String>,
    file_system: bool,
    environment: bool,
}

/// Prints what is known of a component.
pub(crate) async fn inspect(arguments: InspectArgs, redaction: Redaction) -> Outcome {
    let path = places::connector(&arguments.component, None)?;
    let component = component::load(&path).await?;
    let spec = configuration::spec(&component).await?;
    let mut sandbox = host_connector::Sandbox::default();
    if arguments.config.is_some() {
        let connector = ConnectorArgs { config: arguments.config, secrets: arguments.secrets, ..Default::default() };
        let mut config = configuration::read(&connector, false)?;
        let section = configuration::section(&mut config, &spec, &redaction)?;
        configuration::warn(&config.warnings);
        sandbox = configuration::sandbox(&config, &section, &component)?;
    }
    let mut host_fields = Vec::new();
    network_fields(&spec.schema, &spec.section, &mut host_fields);
    host_fields.sort_unstable();
    host_fields.dedup();
    let inspection = Inspection {
        file: path.display().to_string(),
        kind: component.kind().as_str(),
        name: spec.name,
        version: spec.version,
        description: spec.description,
        section: spec.section,
        bytes: component.size(),
        sha256: component.digest().to_owned(),
        cached: component.from_cache(),
        imports: component.imports().to_vec(),
        exports: component.exports().to_vec(),
        sandbox: Allowed {
            memory_bytes: sandbox.memory,
            call_timeout_ms: u64::try_from(sandbox.call_timeout.as_millis()).unwrap_or(u64::MAX),
            hosts: sandbox.network.iter().map(ToString::to_string).collect(),
            host_fields,
            file_system: false,
            environment: false,
        },
    };
    match arguments.format {
        Format::Json => format::json(&inspection),
        Format::Text => {
            print(&inspection);
            Ok(())
        }
    }
}

/// The paths of the fields that are marked with `x-network`.
fn network_fields(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    if schema.get("x-network") == Some(&serde_json::Value::Bool(true)) {
        found.push(path.to_owned());
    }
    for (name, field) in schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
        if field.get("x-alias-of").is_some() {
            continue;
        }
        network_fields(field, &format!("{path}.{name}"), found);
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        for alternative in schema.get(part).and_then(|p| p.as_array()).into_iter().flatten() {
            network_fields(alternative, path, found);
        }
    }
    if let Some(items) = schema.get("items") {
        network_fields(items, &format!("{path}[]"), found);
    }
}

fn print(inspection: &Inspection) {
    let Inspection {
        file, kind, name, version, description, section, bytes, sha256, imports, exports, sandbox, ..
    } = inspection;
    println!("{name} {version}, a {kind}: {description}");
    println!("  file       {file}, {}", display::bytes(*bytes));
    println!("  sha256     {sha256}");
    println!("  section    {section}");
    let list = |title: &str, items: &[String]| {
        for (i, item) in items.iter().enumerate() {
            println!("  {:<10} {item}", if i == 0 { title } else { "" });
        }
    };
    list("exports", exports);
    list("imports", imports);
    println!(
        "  sandbox    {} MiB of memory, {} s a call, no files, no environment",
        sandbox.memory_bytes >> 20,
        sandbox.call_timeout_ms as f64 / 1000.0
    );
    if sandbox.hosts.is_empty() {
        let fields = sandbox.host_fields.join(", ");
        println!(
            "  network    {}",
            if fields.is_empty() { "none".to_owned() } else { format!("the hosts named in {fields}") }
        );
    } else {
        list("network", &sandbox.hosts);
    }
}
