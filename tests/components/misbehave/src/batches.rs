//! Batches that lie, and errors of every kind.

use crate::contract::exports::fluvio::connector::source::{Batch, Error};
use crate::contract::fluvio::connector::types::ErrorKind;
use crate::{Config, empty, error, texts};

pub fn act(action: &str, config: &Config) -> Result<Batch, Error> {
    let base = || texts(&["one".into(), "two".into()]);
    Ok(match action {
        "end" => base(),
        "ends-beyond" => Batch { value_ends: vec![3, 4000], ..base() },
        "ends-fall" => Batch { value_ends: vec![5, 3, 6], ..base() },
        "values-left-over" => Batch { value_ends: vec![3], ..base() },
        "timestamps-missing" => Batch { timestamps: vec![1], ..base() },
        "keys-beyond" => Batch { keys: vec![1], key_ends: vec![1, 9], ..base() },
        "too-many" => texts(&vec![String::from("x"); config.amount as usize]),
        "huge" => texts(&["x".repeat(config.amount as usize)]),
        "columns" => Batch {
            keys: b"k".to_vec(),
            key_ends: vec![1, u32::MAX],
            timestamps: vec![-1, 1_700_000_000_000],
            ..base()
        },
        "fail-config" => return Err(error(ErrorKind::Config, &*config.text)),
        "fail-auth" => return Err(error(ErrorKind::Auth, &*config.text)),
        "fail-unreachable" => return Err(error(ErrorKind::Unreachable, &*config.text)),
        "fail-data" => return Err(error(ErrorKind::Data, &*config.text)),
        "fail-internal" => return Err(error(ErrorKind::Internal, &*config.text)),
        "fail-throttled" => {
            let retry_after_ms = Some(config.amount as u32);
            return Err(Error { retry_after_ms, ..error(ErrorKind::Throttled, &*config.text) });
        }
        "limit" | "cursor" => empty(),
        other => return Err(error(ErrorKind::Config, format!("nobody knows how to {other}"))),
    })
}
