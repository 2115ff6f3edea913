//! The store's one writer.
//!
//! It takes what is waiting as one *group*, applies it in order within one transaction, commits, publishes
//! what the partitions hold now, and answers. Offsets are given out here and nowhere else, and only become
//! known when the commit has succeeded: a group that fails leaves no trace, and the next one gets the same
//! offsets.
//!
//! After an I/O error the database refuses everything until it is opened again, which happens here at once,
//! and before each later group as long as it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::apply::{Done, Outcome, apply};
use super::{Change, Command, Reply, Shared, StoreError, layout};
use crate::state::SETTLE;

/// How many bytes of records go into one commit, roughly.
const GROUP_BYTES: usize = 16 << 20;
/// How many commands go into one commit.
const GROUP_COMMANDS: usize = 2048;
/// What must be free on the disk beside twice the group, for the database's own pages.
const SPARE_BYTES: u64 = 256 << 10;
/// How long the store rests after the disk was found full, at first; a commit may still find room in pages
/// that were freed inside the file.
const FULL_REST: Duration = Duration::from_secs(1);
/// And at most.
const FULL_REST_MAX: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The number of the last commit.
    commits: u64,
    /// What the last commit would have done: it failed, and the database could not be opened since.
    doubtful: Option<Done>,
    /// The disk was found full: when to try again at the earliest, and how long to rest if in vain.
    full: Option<(Instant, Duration)>,
    /// When there was a commit, if none since makes a start after a kill quick.
    unsettled: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, commits: u64) -> Self {
        Self { shared, commits, doubtful: None, full: None, unsettled: Some(Instant::now()) }
    }

    /// Works until every handle to the store is gone, then finishes what is waiting.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut bytes = first.bytes();
            let mut group = vec![first];
            while bytes < GROUP_BYTES && group.len() < GROUP_COMMANDS {
                let Ok(command) = commands.try_recv() else {
                    break;
                };
                bytes += command.bytes();
                group.push(command);
            }
            self.handle(group, bytes);
        }
    }

    fn handle(&mut self, group: Vec<Command>, bytes: usize) {
        let is_settling = group.iter().all(|command| matches!(command, Command::Settle));
        if is_settling && self.unsettled.is_none_or(|since| since.elapsed() < SETTLE) {
            return;
        }
        if let Err(failure) = self.ready(&group, bytes) {
            return refuse(group, &failure);
        }
        let mut done = Done::default();
        match self.commit(&group, is_settling, &mut done) {
            Ok(()) => {
                if done.has_changes {
                    self.commits += 1;
                    if self.full.take().is_some() {
                        info!("the disk has room again");
                    }
                    self.unsettled = (!is_settling).then(Instant::now);
                }
                done.publish();
                for (command, outcome) in group.into_iter().zip(done.outcomes) {
                    command.answer(outcome);
                }
            }
            Err(failure) => self.failed(group, done, &failure),
        }
    }

    /// Checks that a commit has a chance.
    fn ready(&mut self, group: &[Command], bytes: usize) -> Result<(), StoreError> {
        if self.doubtful.is_some() {
            self.heal()?;
            info!("the store is open again");
        }
        let Some((again, _)) = self.full else {
            return Ok(());
        };
        let needed = 2 * bytes as u64 + SPARE_BYTES;
        let has_room = self.shared.medium.free().is_ok_and(|free| free >= needed);
        let makes_room = group.iter().all(Command::makes_room);
        if has_room || makes_room || Instant::now() >= again { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Opens the database again after a failed commit, and finds out whether the commit is in it after all:
    /// an error while syncing can mean either. True if it is.
    fn heal(&mut self) -> Result<bool, StoreError> {
        self.shared.reopen()?;
        let commits = self.shared.commits()?;
        let is_committed = commits > self.commits;
        self.commits = commits;
        if let Some(done) = self.doubtful.take()
            && is_committed
        {
            done.publish();
        }
        Ok(is_committed)
    }

    fn failed(&mut self, group: Vec<Command>, done: Done, failure: &StoreError) {
        if matches!(failure, StoreError::Full) {
            let rest = self.full.map_or(FULL_REST, |(_, rest)| (rest * 2).min(FULL_REST_MAX));
            if self.full.is_none() {
                warn!("the disk is full: records are refused until there is room");
            }
            self.full = Some((Instant::now() + rest, rest));
        } else {
            error!(error = %failure, "the store failed: what was waiting is refused");
        }
        self.unsettled = Some(Instant::now());
        let outcomes = done.outcomes.clone();
        self.doubtful = Some(done);
        match self.heal() {
            Ok(false) => refuse(group, failure),
            Ok(true) => {
                for (command, outcome) in group.into_iter().zip(outcomes) {
                    // Records may still be lost with the machine, so they are not acknowledged.
                    let is_append = matches!(command, Command::Append { .. });
                    command.answer(if is_append { Err(failure.clone()) } else { outcome });
                }
            }
            Err(error) => {
                error!(%error, "the store can't be opened again yet");
                refuse(group, failure);
            }
        }
    }

    fn commit(&self, group: &[Command], quick_repair: bool, done: &mut Done) -> Result<(), StoreError> {
        let open = self.shared.current();
        let mut transaction = open.database.begin_write()?;
        transaction.set_quick_repair(quick_repair);
        for command in group {
            let outcome = apply(&transaction, command, done)?;
            done.outcomes.push(outcome);
        }
        if !done.has_changes {
            transaction.abort()?;
            return Ok(());
        }
        done.finish(&transaction)?;
        transaction.open_table(layout::META)?.insert(layout::COMMITS, self.commits + 1)?;
        transaction.commit()?;
        Ok(())
    }
}

fn refuse(group: Vec<Command>, failure: &StoreError) {
    for command in group {
        command.answer(Err(failure.clone()));
    }
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { batches, .. } => batches.iter().map(|batch| batch.bytes.len()).sum(),
            Self::Change { change, .. } => match change {
                Change::PutTopic { value, .. } | Change::PutSmartModule { value, .. } => value.len(),
                _ => 0,
            },
            Self::Trim { .. } | Self::Clean { .. } | Self::Settle => 0,
        }
    }

    /// Whether it leaves more room on the disk than before.
    fn makes_room(&self) -> bool {
        match self {
            Self::Trim { .. } | Self::Clean { .. } => true,
            Self::Change { change, .. } => matches!(
                change,
                Change::RemoveTopic { .. } | Change::RemoveSmartModule { .. } | Change::RemoveOffset { .. }
            ),
            Self::Append { .. } | Self::Settle => false,
        }
    }

    /// Answers; who asked may be gone, which is no concern of the store.
    fn answer(self, outcome: Result<Outcome, StoreError>) {
        match self {
            Self::Append { reply, .. } => send(reply, outcome, |outcome| match outcome {
                Outcome::Offset(offset) => offset,
                Outcome::Done | Outcome::More(_) => -1,
            }),
            Self::Change { reply, .. } => send(reply, outcome, |_| ()),
            Self::Trim { reply, .. } | Self::Clean { reply } => {
                send(reply, outcome, |outcome| matches!(outcome, Outcome::More(true)));
            }
            Self::Settle => {}
        }
    }
}

fn send<T>(reply: Reply<T>, outcome: Result<Outcome, StoreError>, value: impl FnOnce(Outcome) -> T) {
    let _ = reply.send(outcome.map(value));
}
