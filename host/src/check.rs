//! `host check`: is this configuration one that would run?

use serde::Serialize;

use crate::cli::CheckArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};
use crate::logging::Redaction;
use crate::{component, configuration, places};

#[derive(Serialize)]
struct Report {
    connector: String,
    component: String,
    version: String,
    section: String,
    allowed_hosts: Vec<String>,
    warnings: Vec<String>,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    name: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Checks the file against the connector's schema, and lets the connector try what a start would need.
pub(crate) async fn check(arguments: Box<CheckArgs>, redaction: Redaction) -> Outcome {
    let mut config = configuration::read(&arguments.connector, false)?;
    let reference = configuration::connector_reference(&arguments.connector, &config);
    let path = places::connector(reference, configuration::direction(&config))?;
    let component = component::load(&path).await?;
    let spec = configuration::spec(&component).await?;
    let section = configuration::section(&mut config, &spec, &redaction)?;
    let sandbox = configuration::sandbox(&config, &section, &component)?;
    let mut steps = Vec::new();
    if !arguments.offline {
        let tried = component.check(&section.json.to_string(), &sandbox).await.map_err(Failure::failed)?;
        steps.extend(tried.into_iter().map(|step| Step {
            name: step.name,
            ok: step.problem.is_none(),
            kind: step.problem.as_ref().map(|problem| problem.kind.as_str()),
            problem: step.problem.map(|problem| problem.message),
        }));
    }
    let failed = steps.iter().filter(|step| !step.ok).count();
    let report = Report {
        connector: config.meta.name.clone(),
        component: spec.name,
        version: spec.version,
        section: spec.section,
        allowed_hosts: sandbox.network.iter().map(ToString::to_string).collect(),
        warnings: config.warnings.iter().map(ToString::to_string).collect(),
        steps,
    };
    match arguments.format {
        Format::Json => format::json(&report)?,
        Format::Text => print(&report),
    }
    if failed > 0 {
        return Err(Failure::failed(format!("{failed} of {} steps failed", report.steps.len())));
    }
    Ok(())
}

fn print(report: &Report) {
    for warning in &report.warnings {
        println!("{warning}");
    }
    println!("configuration of {} is good for {} {}", report.connector, report.component, report.version);
    let hosts = report.allowed_hosts.join(", ");
    println!("the connector may talk to {}", if hosts.is_empty() { "nobody" } else { &hosts });
    for step in &report.steps {
        match &step.problem {
            None => println!("ok      {}", step.name),
            Some(problem) => println!("failed  {}: {problem}", step.name),
        }
    }
}
