//! What becomes of records that can't be used, in both directions: skipped, or kept as dead letters. Either
//! way each of them is counted and logged; what the policy `stop` means is up to the loops.

use std::sync::Arc;

use host_batch::Batch;
use tokio::sync::Mutex;

use crate::dead_letter::{DeadLetter, Payload, Position};
use crate::ends::Output;
use crate::source::now_ms;
use crate::{OnError, PipelineError, Progress};

/// How many refusals of one batch are logged one by one; the rest is summed up.
const LOGGED: usize = 10;

/// How much of a refused value an error message shows.
const SHOWN_BYTES: usize = 200;

/// The stage that an unusable record is put down to when the connector itself reported it.
pub(crate) const PROTOCOL: &str = "protocol";

/// One record that is given up, or an input of which there is no record at all.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) stage: String,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    pub(crate) position: Position,
    pub(crate) record: Option<Content>,
    /// What the connector was handed, where stages had changed the record before.
    pub(crate) shaped: Option<Content>,
}

/// Key and value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
}

impl Content {
    /// The record at `index`.
    pub(crate) fn of(batch: &Batch, index: usize) -> Self {
        Self { key: batch.key(index).map(<[u8]>::to_vec), value: batch.value(index).to_vec() }
    }
}

impl Lost {
    /// The beginning of the record's value, for messages.
    pub(crate) fn shown(&self) -> String {
        let value = self.record.as_ref().map_or(&[][..], |content| &content.value);
        String::from_utf8_lossy(&value[..value.len().min(SHOWN_BYTES)]).into_owned()
    }

    fn letter(&self, connector: &str) -> DeadLetter {
        let (record, shaped) = (self.record.as_ref(), self.shaped.as_ref());
        let key = |content: &Content| content.key.as_deref().map(Payload::new);
        DeadLetter {
            connector: connector.to_owned(),
            stage: self.stage.clone(),
            reason: self.reason.clone(),
            attempts: self.attempts,
            position: self.position.clone(),
            timestamp: now_ms(),
            key: record.and_then(key),
            value: record.map(|content| Payload::new(&content.value)),
            shaped_key: shaped.and_then(key),
            shaped_value: shaped.map(|content| Payload::new(&content.value)),
        }
    }
}

/// The error policy of one run; shared by its lanes.
pub(crate) struct Policy {
    pub(crate) on_error: OnError,
    connector: String,
    dead_letters: Option<Mutex<Box<dyn Output>>>,
    progress: Arc<Progress>,
}

impl Policy {
    pub(crate) fn new(
        on_error: OnError,
        connector: &str,
        dead_letters: Option<Box<dyn Output>>,
        progress: Arc<Progress>,
    ) -> Self {
        let dead_letters = dead_letters.filter(|_| on_error == OnError::DeadLetter).map(Mutex::new);
        Self { on_error, connector: connector.to_owned(), dead_letters, progress }
    }

    /// Skips these, or puts them onto the dead-letter topic; returns when they are acknowledged there.
    pub(crate) async fn give_up(&self, lost: &[Lost]) -> Result<(), PipelineError> {
        if lost.is_empty() {
            return Ok(());
        }
        self.log(lost);
        let Some(topic) = &self.dead_letters else {
            self.progress.skipped.add(lost.len() as u64);
            return Ok(());
        };
        let mut letters = Batch::default();
        for lost in lost {
            letters.push(None, &lost.letter(&self.connector).to_json(), None);
        }
        let mut topic = topic.lock().await;
        let sent = topic.send(&letters).await;
        sent.map_err(|fault| PipelineError::Output { topic: topic.name().to_owned(), fault })?;
        self.progress.dead_letters.add(lost.len() as u64);
        Ok(())
    }

    fn log(&self, lost: &[Lost]) {
        let policy = if self.dead_letters.is_some() { "dead-letter" } else { "skip" };
        for lost in &lost[..lost.len().min(LOGGED)] {
            let Position { partition, offset, .. } = &lost.position;
            tracing::warn!(stage = %lost.stage, reason = %lost.reason, partition, offset, policy, "record refused");
        }
        if lost.len() > LOGGED {
            tracing::warn!(more = lost.len() - LOGGED, policy, "records refused");
        }
    }
}
