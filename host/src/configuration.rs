//! From the arguments to one checked configuration: the file, the secrets, what the command line sets.

use std::path::Path;

use host_config::{
    ConnectorConfig, Diagnostic, Direction, Document, HostSettings, Options, Secrets, Section, TlsSettings,
};
use host_connector::{Authority, Component, OutletOptions, OwnOutlet, Proxy, Sandbox, Spec, TlsOptions};

use crate::cli::ConnectorArgs;
use crate::failure::{Failure, Outcome};
use crate::logging::Redaction;

/// Reads the configuration file, or makes one from the arguments alone.
pub(crate) fn read(arguments: &ConnectorArgs, needs_topic: bool) -> Outcome<ConnectorConfig> {
    let secrets = match &arguments.secrets {
        Some(path) => Secrets::from_file(path).map_err(Failure::config)?,
        None => Secrets::environment(),
    };
    let options = Options {
        secrets,
        strict: arguments.strict,
        overrides: arguments.sets.clone(),
        topic: arguments.topic.clone(),
    };
    let mut config = match &arguments.config {
        Some(path) => Document::open(path).and_then(|document| document.load(&options)).map_err(Failure::config)?,
        None => without_file(arguments, &options, needs_topic)?,
    };
    if let Some(name) = &arguments.name {
        config.meta.name.clone_from(name);
    }
    Ok(config)
}

fn without_file(arguments: &ConnectorArgs, options: &Options, needs_topic: bool) -> Outcome<ConnectorConfig> {
    let Some(connector) = &arguments.connector else {
        return Err(Failure::config("neither a configuration file nor a connector is named")
            .help("give --config FILE, or --connector PATH|NAME with --topic and --set"));
    };
    let topic = match &arguments.topic {
        Some(topic) => topic.as_str(),
        None if needs_topic => {
            return Err(Failure::config("no topic is named")
                .help("name it with --topic, or in a configuration file under `meta.topic`"));
        }
        None => "",
    };
    let kind = Path::new(connector).file_stem().and_then(|stem| stem.to_str()).unwrap_or(connector);
    ConnectorConfig::without_file(kind, kind, topic, options).map_err(Failure::config)
}

/// The connector that the arguments name, or else the configuration's `type`.
pub(crate) fn connector_reference<'a>(arguments: &'a ConnectorArgs, config: &'a ConnectorConfig) -> &'a str {
    arguments.connector.as_deref().unwrap_or(&config.meta.kind)
}

/// Which way the configuration wants records to go, if it says so.
pub(crate) fn direction(config: &ConnectorConfig) -> Option<&'static str> {
    config.meta.direction.map(|direction| match direction {
        Direction::Source => "source",
        Direction::Sink => "sink",
    })
}

/// The connector's own section, checked against its schema; from here on its secrets are kept out of the logs.
pub(crate) fn section(config: &mut ConnectorConfig, spec: &Spec, redaction: &Redaction) -> Outcome<Section> {
    let section = config.section(&spec.section, &spec.schema).map_err(Failure::config)?;
    if let Ok(mut redactor) = redaction.write() {
        *redactor = config.redactor();
    }
    Ok(section)
}

/// Shows warnings, one line each.
pub(crate) fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// What the configuration allows the component.
pub(crate) fn sandbox(config: &ConnectorConfig, section: &Section, component: &Component) -> Outcome<Sandbox> {
    let allowed = section.network.iter().chain(&config.host.sandbox.allow);
    Ok(Sandbox {
        memory: config.host.sandbox.memory,
        call_timeout: config.host.sandbox.call_timeout,
        network: allowed.map(|target| Authority::new(&target.host, target.port)).collect(),
        redact: section.secrets.clone(),
        outlet: own_outlet(&config.host, component)?,
        ..Sandbox::default()
    })
}

/// The connector's own authorities, client certificate and proxy, if it has any.
fn own_outlet(settings: &HostSettings, component: &Component) -> Outcome<Option<OwnOutlet>> {
    let HostSettings { tls, sandbox, .. } = settings;
    let proxy = match &sandbox.proxy {
        host_config::Proxy::Environment => Proxy::Environment,
        host_config::Proxy::Direct => Proxy::Direct,
        host_config::Proxy::At(url) => Proxy::At(url.clone()),
    };
    if *tls == TlsSettings::default() && proxy == Proxy::Environment {
        return Ok(None);
    }
    let tls = TlsOptions {
        authorities: pem("ca", tls.ca.as_deref())?,
        certificate: pem("certificate", tls.certificate.as_deref())?,
        key: pem("key", tls.key.as_deref())?,
    };
    let refused = |error| Failure::config(error).help("see `host.tls` in the configuration");
    component.own_outlet(&OutletOptions { tls, proxy }).map(Some).map_err(refused)
}

/// The text itself, or that of the file it names.
fn pem(key: &str, value: Option<&str>) -> Outcome<Option<Vec<u8>>> {
    match value {
        None => Ok(None),
        Some(text) if text.contains("-----BEGIN") => Ok(Some(text.as_bytes().to_vec())),
        Some(path) => {
            let read = std::fs::read(path);
            read.map(Some).map_err(|error| Failure::config(format!("can't read `host.tls.{key}`, {path}: {error}")))
        }
    }
}

/// The component's own description.
pub(crate) async fn spec(component: &Component) -> Outcome<Spec> {
    component.spec().await.map_err(Failure::config)
}
