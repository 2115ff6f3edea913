//! A transform that passes records on, but for values that say otherwise: `drop` is filtered out, `refuse`
//! refused, `twice` comes out twice; `lie` makes the sources fall, `loop` never returns. With
//! `{"leak": BYTES}` it keeps so much of its memory at each call.

use std::cell::RefCell;

use serde::Deserialize;

mod contract {
    //! The contract, from the guest's side.
    #![expect(unsafe_code, reason = "generated")]
    wit_bindgen::generate!({ path: "../../../wit", world: "transform-connector", generate_all });
    use super::EchoTransform;
    export!(EchoTransform);
}

use contract::exports::fluvio::connector::transform::{
    About, Applied, Batch, Error, Guest, GuestStage, Refusal, Stage,
};
use contract::fluvio::connector::types::ErrorKind;

struct EchoTransform;

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    leak: usize,
}

struct Open {
    config: Config,
    leaked: RefCell<Vec<Vec<u8>>>,
}

impl Guest for EchoTransform {
    type Stage = Open;

    fn spec() -> About {
        About {
            name: "echo-transform".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Passes records on".into(),
            section: "echo".into(),
            schema: r#"{"type": "object"}"#.into(),
        }
    }
}

impl GuestStage for Open {
    fn open(config: String) -> Result<Stage, Error> {
        let config = serde_json::from_str(&config).map_err(|e| Error {
            kind: ErrorKind::Config,
            message: e.to_string(),
            retry_after_ms: None,
        })?;
        Ok(Stage::new(Self { config, leaked: RefCell::default() }))
    }

    fn apply(&self, batch: Batch) -> Result<Applied, Error> {
        self.leaked.borrow_mut().push(vec![1; self.config.leak]);
        let mut out = Batch { values: vec![], value_ends: vec![], keys: vec![], key_ends: vec![], timestamps: vec![] };
        let (mut sources, mut refusals) = (vec![], vec![]);
        let mut start = 0;
        for (index, &end) in batch.value_ends.iter().enumerate() {
            let value = &batch.values[start..end as usize];
            start = end as usize;
            let times = match value {
                b"drop" => 0,
                b"refuse" => {
                    refusals.push(Refusal { index: index as u32, reason: "it says so".into() });
                    0
                }
                b"twice" => 2,
                b"lie" => {
                    sources.push(u32::MAX);
                    1
                }
                b"loop" => loop {
                    std::hint::black_box(0);
                },
                _ => 1,
            };
            for _ in 0..times {
                out.values.extend_from_slice(value);
                out.value_ends.push(out.values.len() as u32);
                sources.push(index as u32);
            }
        }
        Ok(Applied { batch: out, sources, refusals })
    }
}
