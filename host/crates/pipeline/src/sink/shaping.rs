//! The first part of a lane: reads its partitions, and puts what it read through their stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::pending::Piece;
use crate::ends::{Applied, Fetched, Input};
use crate::shape::{STATE_EVERY, Shaped, Shaper};
use crate::{PipelineError, Progress};

pub(super) struct Shaping {
    pub(super) input: Box<dyn Input>,
    pub(super) shapers: BTreeMap<u32, Shaper>,
    pub(super) progress: Arc<Progress>,
    pub(super) halt: CancellationToken,
    pub(super) to_writer: mpsc::Sender<Piece>,
}

impl Shaping {
    /// Reads until the end, a stop, or until nobody takes what was read.
    pub(super) async fn run(mut self) -> Result<(), PipelineError> {
        // Where each partition stands whose stages' state was not handed on behind its last records.
        let mut owed: BTreeMap<u32, i64> = BTreeMap::new();
        loop {
            let next = tokio::select! {
                () = self.halt.cancelled() => break,
                () = self.to_writer.closed() => return Ok(()),
                next = self.input.next() => Some(next),
                () = tokio::time::sleep(STATE_EVERY), if !owed.is_empty() => None,
            };
            let Some(next) = next else {
                if !self.settle(&mut owed).await {
                    return Ok(());
                }
                continue;
            };
            let next = next.map_err(|fault| PipelineError::Input { topic: self.input.topic().to_owned(), fault })?;
            let Some(fetched) = next else { break };
            let (partition, next_offset) = (fetched.partition, fetched.next_offset);
            let piece = self.shape(fetched).await?;
            if piece.state.is_none() {
                owed.insert(partition, next_offset);
            } else {
                owed.remove(&partition);
            }
            if self.to_writer.send(piece).await.is_err() {
                return Ok(());
            }
        }
        self.settle(&mut owed).await;
        Ok(())
    }

    async fn shape(&mut self, fetched: Fetched) -> Result<Piece, PipelineError> {
        let Fetched { partition, first_offset, next_offset, batch } = fetched;
        self.progress.read_records.add(batch.len() as u64);
        self.progress.read_bytes.add(batch.byte_len() as u64);
        let no_partition = PipelineError::Defect { part: "partition" };
        let mut shaper = self.shapers.remove(&partition).ok_or(no_partition)?;
        shaper.refresh();
        if shaper.is_empty() {
            self.shapers.insert(partition, shaper);
            let Shaped { applied, state } = Shaper::pass(batch, &self.progress);
            return Ok(Piece { partition, first_offset, next_offset, applied, original: None, state });
        }
        let progress = Arc::clone(&self.progress);
        // Stages compute, and must not hold up the other lanes.
        let computed = tokio::task::spawn_blocking(move || {
            let shaped = shaper.shape(&batch, first_offset, &progress);
            (shaper, batch, shaped)
        });
        let (shaper, original, shaped) = computed.await.map_err(|_| PipelineError::Defect { part: "stages" })?;
        self.shapers.insert(partition, shaper);
        let Shaped { applied, state } = shaped?;
        Ok(Piece { partition, first_offset, next_offset, applied, original: Some(Arc::new(original)), state })
    }

    /// Hands on the state that is owed; false when nobody takes it.
    async fn settle(&mut self, owed: &mut BTreeMap<u32, i64>) -> bool {
        while let Some((partition, next_offset)) = owed.pop_first() {
            let Some(shaper) = self.shapers.get_mut(&partition) else { continue };
            let piece = Piece {
                partition,
                first_offset: next_offset,
                next_offset,
                applied: Applied::default(),
                original: None,
                state: Some(shaper.export()),
            };
            if self.to_writer.send(piece).await.is_err() {
                return false;
            }
        }
        true
    }
}
