//! The second part of a lane: delivers, retries, gives up what can't be delivered, and commits after that.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pending::{Part, Pending, Piece, subset};
use crate::ends::{Checkpoint, Delivery, Failure, OpenSink, Positions, Saved, Sink};
use crate::policy::{Lost, PROTOCOL, Policy};
use crate::source::Settings;
use crate::{Backoff, Fault, FaultKind, OnError, PipelineError, Progress};

/// How often a delivery may make the connector fail (a trap, an endless loop) before it is taken apart to
/// find the record at fault.
const FAILURES_BEFORE_HALVING: u32 = 3;

/// Lone records in a row that made the connector fail, with nothing delivered in between, after which the
/// connector counts as broken rather than the records.
const BROKEN_AFTER: u32 = 20;

/// What all lanes share.
pub(super) struct Shared {
    pub(super) sink: Arc<dyn OpenSink>,
    pub(super) positions: Option<Arc<dyn Positions>>,
    pub(super) commit_every: Duration,
    pub(super) policy: Policy,
    pub(super) settings: Settings,
    pub(super) progress: Arc<Progress>,
}

/// One lane's writer.
pub(super) struct Writing {
    topic: String,
    partitions: BTreeMap<u32, PartitionState>,
    shared: Arc<Shared>,
    halt: CancellationToken,
    pieces: mpsc::Receiver<Piece>,
    sink: Option<Box<dyn Sink>>,
    backoff: Backoff,
    broken: u32,
    /// Whose turn it is among the partitions of this lane.
    turn: u32,
}

struct PartitionState {
    pending: Pending,
    checkpoint: Box<dyn Checkpoint>,
    /// Delivered, and not committed yet.
    uncommitted: Option<i64>,
    committed_at: Option<Instant>,
}

/// Why a lane stopped without an error: it was asked to, with something left to deliver.
pub(super) struct Halted;

/// A delivery on its way, or a half of one that the connector could not take.
struct Attempt {
    delivery: Delivery,
    tries: u32,
    /// How often the connector itself failed on it.
    failures: u32,
    halved: bool,
}

impl Writing {
    pub(super) fn new(
        topic: String,
        checkpoints: BTreeMap<u32, Box<dyn Checkpoint>>,
        shared: Arc<Shared>,
        halt: CancellationToken,
        pieces: mpsc::Receiver<Piece>,
    ) -> Self {
        let state = |checkpoint| PartitionState {
            pending: Pending::default(),
            checkpoint,
            uncommitted: None,
            committed_at: None,
        };
        let partitions = checkpoints.into_iter().map(|(number, checkpoint)| (number, state(checkpoint))).collect();
        let backoff = Backoff::new(shared.settings.retry);
        Self { topic, partitions, shared, halt, pieces, sink: None, backoff, broken: 0, turn: 0 }
    }

    /// Delivers until the queue in front ends, or until a stop keeps it from delivering the rest.
    pub(super) async fn run(mut self) -> Result<Result<(), Halted>, PipelineError> {
        // Before there is anything to deliver: what is wrong with the configuration shows at the start.
        if let Err(halted) = self.opened().await? {
            return Ok(Err(halted));
        }
        let mut more = true;
        while more {
            more = self.gather().await?;
            while let Some(partition) = self.next_partition(!more) {
                let (max_records, max_bytes) = self.largest();
                let Some(state) = self.partitions.get_mut(&partition) else { break };
                let part = state.pending.take(&self.topic, max_records, max_bytes);
                if let Err(halted) = self.deal_with(partition, part).await? {
                    return Ok(Err(halted));
                }
            }
        }
        self.commit_all(true).await.map(Ok)
    }

    /// Collects pieces until there is a delivery to make; false when there will be no more.
    async fn gather(&mut self) -> Result<bool, PipelineError> {
        let linger = Instant::now() + self.shared.settings.linger;
        let (max_records, max_bytes) = self.largest();
        loop {
            if self.partitions.values().any(|state| state.pending.is_full(max_records, max_bytes)) {
                return Ok(true);
            }
            let waiting = self.partitions.values().any(|state| !state.pending.is_empty());
            let due = self.partitions.values().filter(|s| s.uncommitted.is_some()).filter_map(|s| s.committed_at).min();
            let due = due.map(|at| at + self.shared.commit_every);
            let until = match (waiting, due) {
                (true, due) => Some(due.map_or(linger, |due| due.min(linger))),
                (false, due) => due,
            };
            let piece = match until {
                Some(until) => match tokio::time::timeout_at(until, self.pieces.recv()).await {
                    Ok(piece) => piece,
                    Err(_) => {
                        self.commit_all(false).await?;
                        if waiting && Instant::now() >= linger {
                            return Ok(true);
                        }
                        continue;
                    }
                },
                None => self.pieces.recv().await,
            };
            let Some(piece) = piece else { return Ok(false) };
            let Some(state) = self.partitions.get_mut(&piece.partition) else {
                return Err(PipelineError::Defect { part: "partition" });
            };
            state.pending.push(piece);
        }
    }

    /// The next partition with something to deliver, in turns. `all` says that nothing waits for more.
    fn next_partition(&mut self, all: bool) -> Option<u32> {
        let (max_records, max_bytes) = self.largest();
        let full = |s: &PartitionState| s.pending.is_full(max_records, max_bytes);
        let any_full = self.partitions.values().any(full);
        let ready = |s: &PartitionState| if any_full && !all { full(s) } else { !s.pending.is_empty() };
        let mut ready = self.partitions.iter().filter(|(_, state)| ready(state)).map(|(&number, _)| number);
        let first = ready.next()?;
        let next = if first > self.turn { first } else { ready.find(|&n| n > self.turn).unwrap_or(first) };
        self.turn = next;
        Some(next)
    }

    fn largest(&self) -> (usize, usize) {
        let Settings { max_records, max_bytes, rate_limit, .. } = &self.shared.settings;
        let (records, bytes) = match rate_limit {
            Some(limit) => limit.batch(*max_records, *max_bytes),
            None => (*max_records, *max_bytes),
        };
        (records as usize, bytes as usize)
    }

    /// Delivers a part, gives up what can't be delivered, and notes how far the partition has got.
    async fn deal_with(&mut self, partition: u32, mut part: Part) -> Result<Result<(), Halted>, PipelineError> {
        let stop = self.shared.policy.on_error == OnError::Stop;
        let mut stopped_by = None;
        if stop && !part.lost.is_empty() {
            let first = part.lost.swap_remove(0);
            part.cut_at(first.position.offset.unwrap_or(part.next_offset));
            part.lost.clear();
            stopped_by = Some(first);
        }
        let delivery = std::mem::take(&mut part.delivery);
        let given_up = match self.deliver(&part, delivery).await? {
            Ok(given_up) => given_up,
            Err(halted) => return Ok(Err(halted)),
        };
        if stop {
            if let Some(first) = given_up.into_iter().min_by_key(|lost| lost.position.offset) {
                // What is behind it was delivered too, but the position can't say so: it will be delivered again.
                part.cut_at(first.position.offset.unwrap_or(part.next_offset));
                stopped_by = Some(first);
            }
        } else {
            part.lost.extend(given_up);
            part.lost.sort_by_key(|lost| lost.position.offset);
            self.shared.policy.give_up(&part.lost).await?;
        }
        self.note(partition, &mut part).await?;
        let Some(lost) = stopped_by else { return Ok(Ok(())) };
        self.commit_all(true).await?;
        let (offset, value) = (lost.position.offset.unwrap_or_default(), lost.shown());
        let place = format!("at offset {offset} of partition {partition}");
        Err(PipelineError::Refused { stage: lost.stage, place, reason: lost.reason, value })
    }

    /// Keeps the stages' state and commits, if it is time to.
    async fn note(&mut self, partition: u32, part: &mut Part) -> Result<(), PipelineError> {
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(()) };
        if let Some((offset, stages)) = part.state.take().filter(|(_, stages)| !stages.is_empty()) {
            state.checkpoint.save(&Saved { cursor: offset.to_string().into_bytes(), stages }).await?;
        }
        state.uncommitted = Some(part.next_offset);
        state.committed_at.get_or_insert_with(Instant::now);
        if self.shared.commit_every.is_zero() { self.commit_all(true).await } else { self.commit_all(false).await }
    }

    /// Commits what is delivered: of all partitions, or of those whose last commit is long enough ago.
    async fn commit_all(&mut self, now: bool) -> Result<(), PipelineError> {
        let Some(positions) = &self.shared.positions else { return Ok(()) };
        for (&partition, state) in &mut self.partitions {
            let due = now || state.committed_at.is_none_or(|at| at.elapsed() >= self.shared.commit_every);
            let Some(next_offset) = state.uncommitted.filter(|_| due) else { continue };
            let committed = positions.commit(partition, next_offset).await;
            committed.map_err(|fault| PipelineError::Input { topic: self.topic.clone(), fault })?;
            state.uncommitted = None;
            state.committed_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Delivers everything that can be; what can't is in the answer (with the policy to stop) or in
    /// `part.lost`.
    async fn deliver(&mut self, part: &Part, delivery: Delivery) -> Result<Result<Vec<Lost>, Halted>, PipelineError> {
        let mut given_up = Vec::new();
        let mut attempts = VecDeque::new();
        if !delivery.batch.is_empty() {
            attempts.push_back(Attempt { delivery, tries: 0, failures: 0, halved: false });
        }
        while let Some(mut attempt) = attempts.pop_front() {
            if self.wait_for_rate().await.is_err() {
                return Ok(Err(Halted));
            }
            let sink = match self.opened().await? {
                Ok(sink) => sink,
                Err(halted) => return Ok(Err(halted)),
            };
            attempt.tries += 1;
            let written = sink.write(&attempt.delivery).await;
            let (records, bytes) = (attempt.delivery.batch.len(), attempt.delivery.batch.byte_len());
            match written {
                Ok(failures) if failures.is_empty() => self.delivered(records, bytes),
                Ok(failures) => {
                    let again = self.sort(part, &attempt, failures, &mut given_up)?;
                    let Some((remaining, fault)) = again else { continue };
                    if remaining.len() < records {
                        // Some of it arrived: the destination is alive, and this wait is the first of a series.
                        self.backoff.reset();
                    }
                    let not_tried = fault.kind == FaultKind::Throttled && fault.retry_after == Some(Duration::ZERO);
                    let at_once = not_tried && remaining.len() < records && !self.halt.is_cancelled();
                    let delivery = subset(&attempt.delivery, &remaining);
                    attempts.push_front(Attempt { delivery, ..attempt });
                    if at_once {
                        continue;
                    }
                    if !self.pause(fault, part, &mut attempts, &mut given_up).await? {
                        return Ok(Err(Halted));
                    }
                }
                Err(fault) => match fault.kind {
                    FaultKind::Config | FaultKind::Auth => return Err(PipelineError::Connector(fault)),
                    FaultKind::Unreachable | FaultKind::Throttled => {
                        attempts.push_front(attempt);
                        if !self.pause(fault, part, &mut attempts, &mut given_up).await? {
                            return Ok(Err(Halted));
                        }
                    }
                    FaultKind::Data if records == 1 => {
                        self.backoff.reset();
                        given_up.push(part.lost(&attempt.delivery, 0, PROTOCOL, &fault.message, attempt.tries));
                    }
                    FaultKind::Data => halve(attempt, &mut attempts),
                    FaultKind::Internal => {
                        self.sink = None;
                        self.shared.progress.restarts.add(1);
                        attempt.failures += 1;
                        if self.at_fault(part, attempt, &fault, &mut attempts, &mut given_up)?
                            && !self.pause(fault, part, &mut attempts, &mut given_up).await?
                        {
                            return Ok(Err(Halted));
                        }
                    }
                },
            }
        }
        Ok(Ok(given_up))
    }

    /// The connector failed on this attempt. Tries it again at first, then takes it apart; says whether to wait
    /// before going on.
    fn at_fault(
        &mut self,
        part: &Part,
        attempt: Attempt,
        fault: &Fault,
        attempts: &mut VecDeque<Attempt>,
        given_up: &mut Vec<Lost>,
    ) -> Result<bool, PipelineError> {
        let lone = attempt.delivery.batch.len() == 1;
        let patience = if attempt.halved && !lone { 1 } else { FAILURES_BEFORE_HALVING };
        if attempt.failures < patience {
            attempts.push_front(attempt);
            return Ok(true);
        }
        if !lone {
            halve(attempt, attempts);
            return Ok(false);
        }
        self.broken += 1;
        if self.broken >= BROKEN_AFTER {
            return Err(PipelineError::Connector(fault.clone()));
        }
        given_up.push(part.lost(&attempt.delivery, 0, PROTOCOL, &fault.message, attempt.tries));
        Ok(false)
    }

    /// Sorts failures into lost causes and what is handed in again, with the fault that says when.
    fn sort(
        &mut self,
        part: &Part,
        attempt: &Attempt,
        failures: Vec<Failure>,
        given_up: &mut Vec<Lost>,
    ) -> Result<Option<(Vec<usize>, Fault)>, PipelineError> {
        let all = &attempt.delivery.batch;
        let failed: usize = failures.iter().map(|f| record_bytes(&attempt.delivery, f.index as usize)).sum();
        self.delivered(all.len() - failures.len(), all.byte_len() - failed);
        let mut remaining = Vec::new();
        let mut reason: Option<Fault> = None;
        for Failure { index, fault } in failures {
            let index = index as usize;
            match fault.kind {
                FaultKind::Data => {
                    given_up.push(part.lost(&attempt.delivery, index, PROTOCOL, &fault.message, attempt.tries));
                }
                FaultKind::Config | FaultKind::Auth => return Err(PipelineError::Connector(fault)),
                FaultKind::Unreachable | FaultKind::Throttled | FaultKind::Internal => {
                    remaining.push(index);
                    let wait = reason.as_ref().and_then(|reason| reason.retry_after).max(fault.retry_after);
                    reason.get_or_insert(fault).retry_after = wait;
                }
            }
        }
        Ok(reason.map(|fault| (remaining, fault)))
    }

    fn delivered(&mut self, records: usize, bytes: usize) {
        if records > 0 {
            self.backoff.reset();
            self.broken = 0;
            self.shared.progress.set_waiting(None);
        }
        self.shared.progress.sent_records.add(records as u64);
        self.shared.progress.sent_bytes.add(bytes as u64);
        if let Some(limit) = &self.shared.settings.rate_limit {
            limit.pass(records as u64, bytes as u64);
        }
    }

    /// The open sink, or a stop that came while it could not be opened.
    async fn opened(&mut self) -> Result<Result<&mut dyn Sink, Halted>, PipelineError> {
        while self.sink.is_none() {
            match self.shared.sink.open().await {
                Ok(sink) => self.sink = Some(sink),
                Err(fault) if fault.kind == FaultKind::Data => return Err(PipelineError::Connector(fault)),
                Err(fault) => {
                    let Some(wait) = self.wait_after(&fault)? else {
                        return Err(PipelineError::RetriesExhausted { attempts: self.backoff.attempts(), fault });
                    };
                    if !self.sleep(wait).await {
                        return Ok(Err(Halted));
                    }
                }
            }
        }
        match &mut self.sink {
            Some(sink) => Ok(Ok(sink.as_mut())),
            None => Err(PipelineError::Defect { part: "writer" }),
        }
    }

    /// Waits before the next attempt; false when a stop was asked for meanwhile. When the attempts are used up,
    /// the policy decides about the records at the front.
    async fn pause(
        &mut self,
        fault: Fault,
        part: &Part,
        attempts: &mut VecDeque<Attempt>,
        given_up: &mut Vec<Lost>,
    ) -> Result<bool, PipelineError> {
        if let Some(wait) = self.wait_after(&fault)? {
            return Ok(self.sleep(wait).await);
        }
        if self.shared.policy.on_error == OnError::Stop {
            return Err(PipelineError::RetriesExhausted { attempts: self.backoff.attempts(), fault });
        }
        self.backoff.reset();
        if let Some(Attempt { delivery, tries, .. }) = attempts.pop_front() {
            let lost = (0..delivery.batch.len()).map(|i| part.lost(&delivery, i, PROTOCOL, &fault.message, tries));
            given_up.extend(lost);
        }
        Ok(true)
    }

    /// Notes a failure and says so; how long to wait, or nothing when the attempts are used up.
    fn wait_after(&mut self, fault: &Fault) -> Result<Option<Duration>, PipelineError> {
        if matches!(fault.kind, FaultKind::Config | FaultKind::Auth) {
            return Err(PipelineError::Connector(fault.clone()));
        }
        let Some(wait) = self.backoff.next(fault.retry_after) else { return Ok(None) };
        let attempt = self.backoff.attempts();
        self.shared.progress.retries.add(1);
        self.shared.progress.set_waiting(Some(format!("{} (attempt {attempt})", fault.message)));
        let (kind, wait_ms) = (fault.kind.name(), wait.as_millis() as u64);
        tracing::warn!(error = %fault, kind, attempt, wait_ms, "sink failed, trying again");
        Ok(Some(wait))
    }

    async fn wait_for_rate(&mut self) -> Result<(), Halted> {
        let Some(limit) = self.shared.settings.rate_limit.clone() else { return Ok(()) };
        loop {
            let wait = limit.wait();
            if wait.is_zero() {
                return Ok(());
            }
            if !self.sleep(wait).await {
                return Err(Halted);
            }
        }
    }

    /// False when a stop was asked for meanwhile.
    async fn sleep(&mut self, wait: Duration) -> bool {
        tokio::select! {
            () = self.halt.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

fn record_bytes(delivery: &Delivery, index: usize) -> usize {
    delivery.batch.value(index).len() + delivery.batch.key(index).map_or(0, <[u8]>::len)
}

/// Puts both halves of an attempt back, in order.
fn halve(attempt: Attempt, attempts: &mut VecDeque<Attempt>) {
    let Attempt { delivery, tries, .. } = attempt;
    let middle = delivery.batch.len() / 2;
    for range in [middle..delivery.batch.len(), 0..middle] {
        let half = Delivery {
            batch: delivery.batch.slice(range.clone()),
            offsets: delivery.offsets[range.clone()].to_vec(),
            parts: delivery.parts.get(range).unwrap_or_default().to_vec(),
            topic: delivery.topic.clone(),
            partition: delivery.partition,
        };
        attempts.push_front(Attempt { delivery: half, tries, failures: 0, halved: true });
    }
}
