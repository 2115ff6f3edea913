//! Reads the source, waits out what may pass, makes a new reading when one failed, and passes on what became
//! durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Chunk, Durable, Settings, Stopped};
use crate::ends::{Limit, OpenSource, Read, Source};
use crate::{Backoff, Fault, FaultKind, PipelineError, Progress};

/// How long a read may wait for records while nothing is on its way. Bounds how late a stop is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(500);

/// How long a read may wait while records are on their way. Short, for their acknowledgement is passed on
/// between two reads, and a source that holds back until then (MQTT's receive maximum) waits for it.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// How often a source is served while the queue behind it is full, so that its connection stays alive.
const SERVE_EVERY: Duration = Duration::from_secs(1);

/// The first part of the loop.
pub(super) struct Reader {
    pub(super) opener: Box<dyn OpenSource>,
    pub(super) settings: Settings,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
    pub(super) to_stages: mpsc::Sender<Chunk>,
    pub(super) durable: watch::Receiver<Durable>,
    /// The number of the last chunk that had a cursor.
    pub(super) last_place: u64,
    /// The cursor that the present reading was last told of, or began behind.
    pub(super) committed: Vec<u8>,
    /// Tells the writer that it waits for more in vain.
    pub(super) hurry: Arc<Notify>,
}

/// What one reading of the source came to.
enum Ended {
    Source,
    Asked,
    /// The queue closed: a later part failed, and has the reason.
    Closed,
    /// A new reading is needed.
    Broken(Fault),
}

impl Reader {
    /// Reads until the end, a stop or a failure, through as many readings as it takes.
    pub(super) async fn run(mut self, mut cursor: Option<Vec<u8>>) -> Result<Stopped, PipelineError> {
        let mut sequence = 0;
        let mut backoff = Backoff::new(self.settings.retry);
        loop {
            let opened = self.opener.open(cursor.as_deref()).await;
            let fault = match opened {
                Ok(mut source) => match self.read_all(source.as_mut(), &mut sequence, &mut backoff).await? {
                    Ended::Source => return self.finish(source, sequence, Stopped::End).await,
                    Ended::Asked => return self.finish(source, sequence, Stopped::Asked).await,
                    Ended::Closed => return Ok(Stopped::Asked),
                    Ended::Broken(fault) => fault,
                },
                Err(fault) => fault,
            };
            if fault.kind == FaultKind::Internal {
                tracing::warn!(error = %fault, "connector failed, made anew");
                self.progress.restarts.add(1);
            }
            if !self.pause(&mut backoff, fault).await? {
                return Ok(Stopped::Asked);
            }
            // What the old reading returned must be durable before a new one starts behind it.
            if !self.drained(sequence).await {
                return Ok(Stopped::Asked);
            }
            let durable = self.durable.borrow().cursor.clone();
            cursor = Some(durable).filter(|cursor| !cursor.is_empty());
        }
    }

    /// Reads one reading until it ends or breaks.
    async fn read_all(
        &mut self,
        source: &mut dyn Source,
        sequence: &mut u64,
        backoff: &mut Backoff,
    ) -> Result<Ended, PipelineError> {
        self.committed = self.durable.borrow().cursor.clone();
        loop {
            if self.stop.is_cancelled() {
                return Ok(Ended::Asked);
            }
            if self.durable.has_changed().is_err() {
                // The writer failed: a source without records would never find the queue closed.
                return Ok(Ended::Closed);
            }
            if let Err(fault) = self.pass_on_durable(source).await {
                return Ok(Ended::Broken(fault));
            }
            if !self.to_stages.is_closed() && self.to_stages.capacity() == 0 {
                match timeout(SERVE_EVERY, self.to_stages.reserve()).await {
                    Ok(_) => {}
                    Err(_) => {
                        if let Err(fault) = source.read(Limit::SERVE).await
                            && fault.kind == FaultKind::Internal
                        {
                            return Ok(Ended::Broken(fault));
                        }
                        continue;
                    }
                }
            }
            if let Some(wait) = self.settings.rate_limit.as_ref().map(|limit| limit.wait()).filter(|w| !w.is_zero()) {
                if wait > SERVE_EVERY
                    && let Err(fault) = source.read(Limit::SERVE).await
                    && fault.kind == FaultKind::Internal
                {
                    return Ok(Ended::Broken(fault));
                }
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(wait.min(SERVE_EVERY)) => {}
                }
                continue;
            }
            let busy = self.durable.borrow().sequence < *sequence;
            let limit = self.limit(busy);
            let started = Instant::now();
            match source.read(limit).await {
                Ok(read) => {
                    backoff.reset();
                    self.progress.set_waiting(None);
                    let end = read.end;
                    let nothing = read.batch.is_empty() && read.cursor.is_empty() && !end;
                    if nothing && self.is_awaited() && started.elapsed() < limit.max_wait / 2 {
                        self.hurry_up(limit.max_wait).await;
                        continue;
                    }
                    if self.forward(read, sequence).await.is_err() {
                        return Ok(Ended::Closed);
                    }
                    if end {
                        return Ok(Ended::Source);
                    }
                }
                Err(fault) => match fault.kind {
                    FaultKind::Config | FaultKind::Auth => return Err(PipelineError::Connector(fault)),
                    FaultKind::Internal => return Ok(Ended::Broken(fault)),
                    FaultKind::Unreachable | FaultKind::Throttled => {
                        if !self.pause(backoff, fault).await? {
                            return Ok(Ended::Asked);
                        }
                    }
                    FaultKind::Data => {
                        if self.unusable(fault, sequence).await.is_err() {
                            return Ok(Ended::Closed);
                        }
                    }
                },
            }
        }
    }

    /// How much the next read may return, and how long it may wait.
    fn limit(&self, busy: bool) -> Limit {
        let (max_records, max_bytes) = (self.settings.max_records, self.settings.max_bytes);
        let (max_records, max_bytes) = match &self.settings.rate_limit {
            Some(limit) => limit.batch(max_records, max_bytes),
            None => (max_records, max_bytes),
        };
        Limit { max_records, max_bytes, max_wait: if busy { BUSY_WAIT } else { IDLE_WAIT } }
    }

    /// Whether a place that the source has returned is not kept yet.
    fn is_awaited(&self) -> bool {
        self.durable.borrow().kept < self.last_place
    }

    /// The source returned nothing although it might have waited: it holds back until what it returned before is
    /// durable. So the writer need not wait for more, and there is no use in asking again before.
    async fn hurry_up(&mut self, at_most: Duration) {
        self.hurry.notify_one();
        tokio::select! {
            _ = self.durable.changed() => {}
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }

    /// Hands a read on to the stages. A read without records still carries its cursor.
    async fn forward(&mut self, read: Read, sequence: &mut u64) -> Result<(), SendError<Chunk>> {
        if read.batch.is_empty() && read.cursor.is_empty() {
            return Ok(());
        }
        let (records, bytes) = (read.batch.len() as u64, read.batch.byte_len() as u64);
        self.progress.read_records.add(records);
        self.progress.read_bytes.add(bytes);
        if let Some(limit) = &self.settings.rate_limit {
            limit.pass(records, bytes);
        }
        *sequence += 1;
        if !read.cursor.is_empty() {
            self.last_place = *sequence;
        }
        let chunk = Chunk { sequence: *sequence, batch: read.batch, cursor: read.cursor, unusable: None };
        self.to_stages.send(chunk).await
    }

    /// Hands on that the source met something it can't use; the writer applies the policy in its turn.
    async fn unusable(&mut self, fault: Fault, sequence: &mut u64) -> Result<(), SendError<Chunk>> {
        *sequence += 1;
        let chunk = Chunk {
            sequence: *sequence,
            batch: host_batch::Batch::default(),
            cursor: Vec::new(),
            unusable: Some(fault.message),
        };
        self.to_stages.send(chunk).await
    }

    /// Tells the source what became durable since it was last told.
    async fn pass_on_durable(&mut self, source: &mut dyn Source) -> Result<(), Fault> {
        let cursor = self.durable.borrow_and_update().cursor.clone();
        if cursor.is_empty() || cursor == self.committed {
            return Ok(());
        }
        let told = source.commit(&cursor).await;
        self.committed = cursor;
        match told {
            Ok(()) => Ok(()),
            Err(fault) if fault.kind == FaultKind::Internal => Err(fault),
            Err(fault) => {
                // The records are safe; at worst the outside sends them again.
                tracing::warn!(error = %fault, kind = fault.kind.name(), "source did not take the commit");
                Ok(())
            }
        }
    }

    /// Waits before the next attempt; false when a stop was asked for meanwhile.
    async fn pause(&mut self, backoff: &mut Backoff, fault: Fault) -> Result<bool, PipelineError> {
        if matches!(fault.kind, FaultKind::Config | FaultKind::Auth) {
            return Err(PipelineError::Connector(fault));
        }
        let Some(wait) = backoff.next(fault.retry_after) else {
            return Err(PipelineError::RetriesExhausted { attempts: backoff.attempts(), fault });
        };
        self.progress.retries.add(1);
        tracing::warn!(
            error = %fault,
            kind = fault.kind.name(),
            attempt = backoff.attempts(),
            wait_ms = wait.as_millis() as u64,
            "source failed, trying again"
        );
        self.progress.set_waiting(Some(format!("{} (attempt {})", fault.message, backoff.attempts())));
        tokio::select! {
            () = self.stop.cancelled() => Ok(false),
            () = tokio::time::sleep(wait) => Ok(true),
        }
    }

    /// Waits until everything up to `sequence` is acknowledged and the last cursor is kept; false when the
    /// parts behind ended before.
    async fn drained(&mut self, sequence: u64) -> bool {
        let place = self.last_place;
        // A chunk without a cursor behind the last place: that place is kept as soon as the stages are asked
        // for their state again, or not at all. Only what is certain to come is waited for.
        let certain = if place == sequence { place } else { 0 };
        self.durable.wait_for(|durable| durable.sequence >= sequence && durable.kept >= certain).await.is_ok()
    }

    /// Lets the parts behind finish, tells the source one last time, and closes it.
    async fn finish(
        mut self,
        mut source: Box<dyn Source>,
        sequence: u64,
        stopped: Stopped,
    ) -> Result<Stopped, PipelineError> {
        // Nothing more comes: the parts behind need not wait for it.
        self.to_stages = mpsc::channel(1).0;
        if self.drained(sequence).await
            && let Err(fault) = self.pass_on_durable(source.as_mut()).await
        {
            tracing::warn!(error = %fault, "source did not take the last commit");
        }
        source.close().await;
        Ok(stopped)
    }
}
