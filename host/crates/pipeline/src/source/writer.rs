//! Sends what the stages made, deals with what they refused, and makes the cursor durable after that.

use std::sync::Arc;

use host_batch::Batch;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Durable, OnError, Settings, Work, now_ms};
use crate::dead_letter::Position;
use crate::ends::{Applied, Checkpoint, Output, Refusal, Saved};
use crate::policy::{Content, Lost, PROTOCOL, Policy};
use crate::{Fault, FaultKind, PipelineError, Progress};

/// The last part of the loop.
pub(super) struct Writer {
    pub(super) output: Box<dyn Output>,
    pub(super) policy: Policy,
    pub(super) checkpoint: Box<dyn Checkpoint>,
    pub(super) settings: Settings,
    pub(super) progress: Arc<Progress>,
    pub(super) shaped: mpsc::Receiver<Work>,
    pub(super) durable: watch::Sender<Durable>,
    /// The source gives nothing more until this is durable.
    pub(super) hurry: Arc<Notify>,
}

/// Several batches joined into one delivery.
#[derive(Default)]
struct Delivery {
    batch: Batch,
    lost: Vec<Lost>,
    sequence: u64,
    /// The newest place in it that can be kept, and the number of the chunk that ends there.
    place: Option<(u64, Saved)>,
    /// The policy is to stop: what comes behind is not to be delivered.
    stopped_by: Option<Lost>,
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

    /// Joins what is waiting, or comes within the linger time, up to the batch size; a source that holds back
    /// until this is durable ends the time. The first batch is not copied, so the common case of one batch at a
    /// time costs nothing.
    async fn merge(&mut self, first: Work) -> Delivery {
        let mut delivery = Delivery::default();
        self.add(&mut delivery, first);
        let deadline = Instant::now() + self.settings.linger;
        while delivery.stopped_by.is_none() && delivery.batch.byte_len() < self.settings.max_bytes as usize {
            let next = match self.shaped.try_recv() {
                Ok(next) => next,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
                Err(mpsc::error::TryRecvError::Empty) if self.settings.linger.is_zero() => break,
                Err(mpsc::error::TryRecvError::Empty) => tokio::select! {
                    biased;
                    next = self.shaped.recv() => match next {
                        Some(next) => next,
                        None => break,
                    },
                    () = self.hurry.notified() => break,
                    () = sleep_until(deadline) => break,
                },
            };
            self.add(&mut delivery, next);
        }
        delivery
    }

    fn add(&self, delivery: &mut Delivery, work: Work) {
        let Work { sequence, applied: Applied { batch, sources, refusals }, cursor, unusable, state } = work;
        let mut lost: Vec<(u32, Lost)> = refusals.into_iter().map(|r| (r.index, self.lost(r))).collect();
        lost.extend(unusable.map(|reason| (0, self.unusable(reason))));
        if self.settings.on_error == OnError::Stop && !lost.is_empty() {
            let (index, refused) = lost.swap_remove(0);
            let before = sources.partition_point(|&source| source < index);
            delivery.batch.append(&batch.slice(0..before));
            delivery.stopped_by = Some(refused);
            return;
        }
        if delivery.batch.is_empty() {
            delivery.batch = batch;
        } else {
            delivery.batch.append(&batch);
        }
        delivery.lost.extend(lost.into_iter().map(|(_, lost)| lost));
        delivery.sequence = sequence;
        if let Some(stages) = state.filter(|_| !cursor.is_empty()) {
            delivery.place = Some((sequence, Saved { cursor, stages }));
        }
    }

    fn lost(&self, refusal: Refusal) -> Lost {
        let Refusal { index, stage, reason, key, value } = refusal;
        let (position, record) = (self.position(Some(index)), Some(Content { key, value }));
        Lost { stage, reason, attempts: 1, position, record, shaped: None }
    }

    fn unusable(&self, reason: String) -> Lost {
        let (stage, position) = (PROTOCOL.to_owned(), self.position(None));
        Lost { stage, reason, attempts: 1, position, record: None, shaped: None }
    }

    fn position(&self, index: Option<u32>) -> Position {
        Position { topic: self.output.name().to_owned(), partition: None, offset: None, index }
    }

    async fn deliver(&mut self, delivery: Delivery) -> Result<(), PipelineError> {
        let Delivery { mut batch, lost, sequence, place, stopped_by } = delivery;
        if !batch.is_empty() {
            batch.stamp(now_ms());
            let sent = self.output.send(&batch).await;
            sent.map_err(|fault| PipelineError::Output { topic: self.output.name().to_owned(), fault })?;
            self.progress.sent_records.add(batch.len() as u64);
            self.progress.sent_bytes.add(batch.byte_len() as u64);
        }
        self.policy.give_up(&lost).await?;
        if let Some((_, saved)) = &place {
            self.checkpoint.save(saved).await?;
        }
        self.durable.send_modify(|durable| {
            durable.sequence = durable.sequence.max(sequence);
            if let Some((kept, saved)) = place {
                durable.kept = kept;
                durable.cursor = saved.cursor;
            }
        });
        let Some(lost) = stopped_by else { return Ok(()) };
        let value = lost.shown();
        Err(match lost.position.index {
            None => PipelineError::Connector(Fault::new(FaultKind::Data, lost.reason)),
            Some(index) => {
                let place = format!("{index} of a batch");
                PipelineError::Refused { stage: lost.stage, place, reason: lost.reason, value }
            }
        })
    }
}
