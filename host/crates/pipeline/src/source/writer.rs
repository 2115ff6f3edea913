//! Sends what the stages made, deals with what they refused, and makes the cursor durable after that.

use std::sync::Arc;

use host_batch::Batch;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::{Durable, OnError, Settings, Shaped, now_ms};
use crate::dead_letter::{DeadLetter, Payload, Position};
use crate::ends::{Checkpoint, Output, Refusal};
use crate::{Fault, FaultKind, PipelineError, Progress};

/// How much of a refused value an error message shows.
const SHOWN_BYTES: usize = 200;

/// The stage that an unusable input is put down to when the connector itself reported it.
const PROTOCOL: &str = "protocol";

/// The last part of the loop.
pub(super) struct Writer {
    pub(super) output: Box<dyn Output>,
    pub(super) dead_letters: Option<Box<dyn Output>>,
    pub(super) checkpoint: Box<dyn Checkpoint>,
    pub(super) settings: Settings,
    pub(super) progress: Arc<Progress>,
    pub(super) shaped: mpsc::Receiver<Shaped>,
    pub(super) durable: watch::Sender<Durable>,
}

/// Several batches joined into one delivery.
#[derive(Default)]
struct Delivery {
    batch: Batch,
    refusals: Vec<Refusal>,
    cursor: Vec<u8>,
    sequence: u64,
    /// The policy is to stop: what comes behind is not to be delivered.
    stopped_by: Option<Refusal>,
}

impl Writer {
    /// Writes until the queue in front ends.
    pub(super) async fn run(mut self) -> Result<(), PipelineError> {
        while let Some(first) = self.shaped.recv().await {
            let delivery = self.merge(first).await;
            self.deliver(delivery).await?;
        }
        Ok(())
    }

    /// Joins what is waiting, or comes within the linger time, up to the batch size. The first batch is not
    /// copied, so the common case of one batch at a time costs nothing.
    async fn merge(&mut self, first: Shaped) -> Delivery {
        let mut delivery = Delivery::default();
        self.add(&mut delivery, first);
        let deadline = Instant::now() + self.settings.linger;
        while delivery.stopped_by.is_none() && delivery.batch.byte_len() < self.settings.max_bytes as usize {
            let next = match self.shaped.try_recv() {
                Ok(next) => next,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
                Err(mpsc::error::TryRecvError::Empty) if self.settings.linger.is_zero() => break,
                Err(mpsc::error::TryRecvError::Empty) => match timeout_at(deadline, self.shaped.recv()).await {
                    Ok(Some(next)) => next,
                    Ok(None) | Err(_) => break,
                },
            };
            self.add(&mut delivery, next);
        }
        delivery
    }

    fn add(&self, delivery: &mut Delivery, shaped: Shaped) {
        let Shaped { sequence, mut applied, cursor, unusable } = shaped;
        if let Some(reason) = unusable {
            let stage = PROTOCOL.to_owned();
            applied.refusals.push(Refusal { index: 0, stage, reason, key: None, value: Vec::new() });
        }
        if self.settings.on_error == OnError::Stop && !applied.refusals.is_empty() {
            let refusal = applied.refusals.swap_remove(0);
            let before = applied.sources.partition_point(|&source| source < refusal.index);
            delivery.batch.append(&applied.batch.slice(0..before));
            delivery.stopped_by = Some(refusal);
            return;
        }
        if delivery.batch.is_empty() {
            delivery.batch = applied.batch;
        } else {
            delivery.batch.append(&applied.batch);
        }
        delivery.refusals.append(&mut applied.refusals);
        delivery.sequence = sequence;
        if !cursor.is_empty() {
            delivery.cursor = cursor;
        }
    }

    async fn deliver(&mut self, delivery: Delivery) -> Result<(), PipelineError> {
        let Delivery { mut batch, refusals, cursor, sequence, stopped_by } = delivery;
        if !batch.is_empty() {
            batch.stamp(now_ms());
            send(self.output.as_mut(), &batch).await?;
            self.progress.sent_records.add(batch.len() as u64);
            self.progress.sent_bytes.add(batch.byte_len() as u64);
        }
        if !refusals.is_empty() {
            self.give_up(&refusals).await?;
        }
        if !cursor.is_empty() {
            self.checkpoint.save(&cursor).await?;
        }
        self.durable.send_modify(|durable| {
            durable.sequence = sequence;
            if !cursor.is_empty() {
                durable.cursor = cursor;
            }
        });
        if let Some(Refusal { stage, index, reason, value, .. }) = stopped_by {
            let shown = &value[..value.len().min(SHOWN_BYTES)];
            let value = String::from_utf8_lossy(shown).into_owned();
            return Err(if stage == PROTOCOL {
                PipelineError::Source(Fault::new(FaultKind::Data, reason))
            } else {
                PipelineError::Refused { stage, index, reason, value }
            });
        }
        Ok(())
    }

    /// Skips refused records, or puts them onto the dead-letter topic.
    async fn give_up(&mut self, refusals: &[Refusal]) -> Result<(), PipelineError> {
        for refusal in refusals {
            tracing::warn!(
                stage = %refusal.stage,
                reason = %refusal.reason,
                policy = if self.settings.on_error == OnError::DeadLetter { "dead-letter" } else { "skip" },
                "record refused"
            );
        }
        let Some(topic) = self.dead_letters.as_mut().filter(|_| self.settings.on_error == OnError::DeadLetter) else {
            self.progress.skipped.add(refusals.len() as u64);
            return Ok(());
        };
        let mut letters = Batch::default();
        for Refusal { index, stage, reason, key, value } in refusals {
            let lone = stage == PROTOCOL && key.is_none() && value.is_empty();
            let letter = DeadLetter {
                connector: self.settings.connector.clone(),
                stage: stage.clone(),
                reason: reason.clone(),
                attempts: 1,
                position: Position {
                    topic: self.output.name().to_owned(),
                    partition: None,
                    offset: None,
                    index: (!lone).then_some(*index),
                },
                timestamp: now_ms(),
                key: key.as_deref().map(Payload::new),
                value: (!lone).then(|| Payload::new(value)),
            };
            letters.push(None, &letter.to_json(), None);
        }
        send(topic.as_mut(), &letters).await?;
        self.progress.dead_letters.add(refusals.len() as u64);
        Ok(())
    }
}

async fn send(output: &mut dyn Output, batch: &Batch) -> Result<(), PipelineError> {
    let sent = output.send(batch).await;
    sent.map_err(|fault| PipelineError::Output { topic: output.name().to_owned(), fault })
}
