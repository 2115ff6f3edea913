//! How the state of stages is written down: JSON, with bytes in base64. It is kept with a cursor, and read by the
//! same program only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use host_batch::Batch;
use host_smartmodule::{StageState, Window};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Kept {
    module: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    accumulator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    window: Vec<Seen>,
}

/// One record of a look-back window: its offset, time, key and value.
#[derive(Serialize, Deserialize)]
struct Seen(i64, Option<i64>, Option<String>, String);

/// Writes down what the stages keep; nothing at all when none of them keeps anything.
pub(super) fn encode(stages: impl Iterator<Item = (String, StageState)>) -> Vec<u8> {
    let kept: Vec<Kept> = stages
        .map(|(module, StageState { accumulator, window })| Kept {
            module,
            accumulator: BASE64.encode(accumulator),
            window: (window.records.iter().zip(&window.offsets))
                .map(|(record, &offset)| {
                    let key = record.key.map(|key| BASE64.encode(key));
                    Seen(offset, record.timestamp, key, BASE64.encode(record.value))
                })
                .collect(),
        })
        .collect();
    if kept.iter().all(|kept| kept.accumulator.is_empty() && kept.window.is_empty()) {
        return Vec::new();
    }
    serde_json::to_vec(&kept).expect("strings and numbers always make JSON")
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<(String, StageState)>, String> {
    let kept: Vec<Kept> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let bytes = |text: &str| BASE64.decode(text).map_err(|e| e.to_string());
    let mut stages = Vec::with_capacity(kept.len());
    for Kept { module, accumulator, window } in kept {
        let mut seen = Window { records: Batch::default(), offsets: Vec::with_capacity(window.len()) };
        for Seen(offset, timestamp, key, value) in window {
            let key = key.as_deref().map(bytes).transpose()?;
            seen.records.push(key.as_deref(), &bytes(&value)?, timestamp);
            seen.offsets.push(offset);
        }
        stages.push((module, StageState { accumulator: bytes(&accumulator)?, window: seen }));
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_reads_back_as_it_was() {
        let mut window = Window::default();
        window.records.push(Some(b"k"), b"\xff\x00", Some(7));
        window.records.push(None, b"", None);
        window.offsets = vec![3, 9];
        let stages = vec![
            ("sum".to_owned(), StageState { accumulator: b"12".to_vec(), window: Window::default() }),
            ("dedup".to_owned(), StageState { accumulator: Vec::new(), window }),
        ];
        assert_eq!(decode(&encode(stages.clone().into_iter())), Ok(stages));
        assert!(encode(std::iter::once(("map".to_owned(), StageState::default()))).is_empty());
        assert!(decode(b"{").is_err());
    }
}
