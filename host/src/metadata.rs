//! `host metadata`: what a connector says of itself, as JSON.

use serde::Serialize;

use crate::cli::ComponentArgs;
use crate::failure::Outcome;
use crate::{component, configuration, format, places};

/// The form that Fluvio's connector catalogue asks connectors for, and the section's name.
#[derive(Serialize)]
struct Metadata {
    name: String,
    direction: &'static str,
    schema: serde_json::Value,
    version: String,
    description: String,
    section: String,
}

/// Prints a component's metadata.
pub(crate) async fn metadata(arguments: ComponentArgs) -> Outcome {
    let component = component::load(&places::connector(&arguments.component, None)?).await?;
    let spec = configuration::spec(&component).await?;
    format::json(&Metadata {
        name: spec.name,
        direction: match component.kind() {
            host_connector::Kind::Source => "Source",
            host_connector::Kind::Sink => "Sink",
            host_connector::Kind::Transform => "Transform",
        },
        schema: spec.schema,
        version: spec.version,
        description: spec.description,
        section: spec.section,
    })
}
