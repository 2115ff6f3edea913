//! `host` runs Fluvio connectors as sandboxed WebAssembly components.
//!
//! This crate is the command line: it parses arguments, wires the rooms below it together and words what went
//! wrong. One file a command; what they share stands in [`cluster`], [`places`], [`logging`] and [`failure`].

mod catalog;
mod check;
mod cli;
mod cluster;
mod component;
mod configuration;
mod consume;
mod dead_letter;
mod display;
mod ends;
mod failure;
mod format;
mod inspect;
mod logging;
mod metadata;
mod modules;
mod places;
mod produce;
mod reference;
mod run;
mod serve_broker;
mod smartmodule;
mod stages;
mod topic;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use cli::{Cli, Command};
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let done = start(cli, &matches);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = display::write_above(format!("{failure}\n").as_bytes());
            failure.exit_code()
        }
    }
}

fn start(cli: Cli, matches: &clap::ArgMatches) -> Outcome {
    // One TLS implementation for all libraries in the process; a second call is only told that it is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let quiet = !matches!(cli.command, Command::Run(_) | Command::Broker(_));
    let redaction = logging::start(cli.rust_log.as_deref(), cli.log_format, quiet);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format!("can't start: {e}")))?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Run(arguments) => {
                let order = matches.subcommand_matches("run").map(cli::stage_order).unwrap_or_default();
                run::run(arguments, order, redaction).await
            }
            Command::Check(arguments) => check::check(arguments, redaction).await,
            Command::Metadata(arguments) => metadata::metadata(arguments).await,
            Command::Catalog(arguments) => catalog::catalog(arguments).await,
            Command::Inspect(arguments) => inspect::inspect(arguments, redaction).await,
            Command::Broker(arguments) => serve_broker::serve(arguments).await,
            Command::Topic(arguments) => topic::topic(arguments).await,
            Command::Produce(arguments) => produce::produce(arguments).await,
            Command::Consume(arguments) => consume::consume(arguments).await,
            Command::DeadLetter(arguments) => dead_letter::dead_letter(arguments).await,
            Command::Smartmodule(arguments) => smartmodule::smartmodule(arguments).await,
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "host", &mut std::io::stdout());
                Ok(())
            }
            Command::Reference { what } => reference::reference(what).await,
        }
    });
    // A guest in mid-call must not keep the process: what it was doing is not acknowledged and comes again.
    runtime.shutdown_background();
    done
}
