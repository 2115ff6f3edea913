//! `host check`: is this configuration one that would run?

use host_config::ConnectorConfig;
use serde::Serialize;

use crate::cli::CheckArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};
use crate::logging::Redaction;
use crate::{component, configuration, places, stages};

#[derive(Serialize)]
struct Report {
    connector: String,
    component: String,
    version: String,
    section: String,
    allowed_hosts: Vec<String>,
    stages: Vec<Stage>,
    warnings: Vec<String>,
    steps: Vec<Step>,
}

/// A stage that records would pass through.
#[derive(Serialize)]
struct Stage {
    uses: String,
    /// Its kind and name; `null` for one that only the cluster can have, which is looked for when a run starts.
    checked: Option<String>,
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
    let stages = check_stages(&config).await?;
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
        stages,
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

/// Starts each stage once, with the parameters that it is given.
async fn check_stages(config: &ConnectorConfig) -> Outcome<Vec<Stage>> {
    let mut checked = Vec::with_capacity(config.transforms.len());
    for step in &config.transforms {
        checked.push(Stage { uses: step.uses.clone(), checked: stages::check(step, config).await? });
    }
    Ok(checked)
}

fn print(report: &Report) {
    for warning in &report.warnings {
        println!("{warning}");
    }
    println!("configuration of {} is good for {} {}", report.connector, report.component, report.version);
    let hosts = report.allowed_hosts.join(", ");
    println!("the connector may talk to {}", if hosts.is_empty() { "nobody" } else { &hosts });
    for stage in &report.stages {
        match &stage.checked {
            Some(checked) => println!("ok      stage {checked}"),
            None => {
                println!("later   stage {}: not on this machine, the cluster is asked for it at the start", stage.uses);
            }
        }
    }
    for step in &report.steps {
        match &step.problem {
            None => println!("ok      {}", step.name),
            Some(problem) => println!("failed  {}: {problem}", step.name),
        }
    }
}
