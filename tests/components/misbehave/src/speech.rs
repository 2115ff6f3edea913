//! Talking: logs, standard streams, numbers; and a look around for what should not be there.

use crate::Config;
use crate::contract::fluvio::connector::metrics;
use crate::contract::wasi::logging::logging::{Level, log};

pub fn act(config: &Config) -> Vec<String> {
    match config.action.as_str() {
        "log" => log(Level::Warn, "talk", &config.text.repeat(config.amount.max(1) as usize)),
        "print" => {
            println!("{}", config.text);
            eprint!("{}", "e".repeat(config.amount as usize));
        }
        "flood" => {
            for number in 0..config.amount {
                log(Level::Info, "", &format!("message {number}"));
            }
        }
        "metrics" => {
            for number in 0..config.amount {
                metrics::counter(&format!("made_up_{number}"), 1);
            }
            metrics::counter("polls_total", 2);
            metrics::gauge("polls_total", 1.5);
            metrics::gauge("Bad Name", 1.0);
            metrics::gauge("depth", 2.5);
            metrics::histogram("seconds", 0.25);
        }
        _ => {
            let files = match std::fs::read_dir("/") {
                Ok(files) => format!("{} files", files.count()),
                Err(error) => format!("no files: {error}"),
            };
            let mut line = String::new();
            let input = std::io::stdin().read_line(&mut line).map_err(|e| e.to_string());
            return vec![
                files,
                format!("{} variables", std::env::vars().count()),
                format!("{} arguments", std::env::args().count()),
                format!("{input:?} read"),
            ];
        }
    }
    vec![]
}
