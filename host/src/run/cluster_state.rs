//! State in a topic of the cluster, so that a connector goes on from any machine, and a lease in the same topic,
//! so that no two machines run the same.
//!
//! Each connector has a topic of one partition, `host-state-<name>`. Its records are lines of JSON; whoever
//! reads them in order knows, for each slot (the source, or a partition of the sink), who holds it until when,
//! and what was saved last. The order of the topic decides between two who claim a slot at the same time:
//!
//! * a line of the slot's holder renews its lease, and may carry what is saved;
//! * a line of anybody else counts only if the lease was over when it was written, or if it names the holder
//!   whose process it has seen to be gone (on the same machine): then the slot is theirs.
//!
//! A holder writes each of its slots again every few seconds, so old segments of the topic may be deleted, and
//! its size is bounded. Clocks of machines may differ by less than [`LEASE`] minus [`RENEW`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use host_batch::Batch;
use host_cluster::{Cluster, Consumer, ConsumerOptions, Producer, ProducerOptions, Start, TopicSpec};
use host_pipeline::checkpoint::{self, CheckpointError};
use host_pipeline::ends::{Checkpoint, Saved};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::failure::{Failure, Outcome};

/// How long a slot stays somebody's who is not heard of.
const LEASE: Duration = Duration::from_secs(15);

/// How often a holder is heard of.
const RENEW: Duration = Duration::from_secs(4);

/// What the topic may grow to; its newest seconds are all that is needed.
const TOPIC_BYTES: u64 = 64 << 20;

/// One line of the topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    slot: String,
    /// Who writes: a name of its own for each run.
    holder: String,
    /// Where that is, for people and for who shares the machine.
    machine: String,
    process: u32,
    /// Counts the holder's lines.
    number: u64,
    /// When it was written and until when the slot is claimed, in Unix milliseconds.
    at: i64,
    until: i64,
    /// A holder that is known to be dead, whose lease therefore counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    /// What is saved, as `host_pipeline::checkpoint` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
}

/// What the lines so far come to.
#[derive(Debug, Clone, Default)]
struct View {
    slots: BTreeMap<String, Slot>,
    /// The last line seen of each holder.
    seen: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    held: Option<Line>,
    saved: Option<String>,
}

impl View {
    fn add(&mut self, line: Line) {
        self.seen.insert(line.holder.clone(), line.number);
        let slot = self.slots.entry(line.slot.clone()).or_default();
        let free = slot.held.as_ref().is_none_or(|held| {
            held.holder == line.holder || held.until <= line.at || line.replaces.as_ref() == Some(&held.holder)
        });
        if free {
            if let Some(saved) = &line.saved {
                slot.saved = Some(saved.clone());
            }
            slot.held = Some(line);
        }
    }

    fn held(&self, slot: &str) -> Option<&Line> {
        self.slots.get(slot)?.held.as_ref()
    }
}

/// The state topic of one connector.
#[derive(Clone)]
pub(super) struct ClusterState(Arc<Inner>);

struct Inner {
    connector: String,
    topic: String,
    holder: String,
    machine: String,
    producer: tokio::sync::Mutex<Writer>,
    view: watch::Receiver<View>,
    /// What this run holds, and what it last saved there.
    ours: Mutex<BTreeMap<String, Option<String>>>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

struct Writer {
    producer: Producer,
    number: u64,
}

impl ClusterState {
    /// Makes the topic where it is missing, and reads it.
    pub(super) async fn connect(cluster: &Cluster, connector: &str) -> Outcome<Self> {
        let topic = topic_name(connector);
        let spec = TopicSpec {
            max_partition_size: Some(TOPIC_BYTES),
            segment_size: Some((TOPIC_BYTES / 8) as u32),
            ..TopicSpec::new(&topic)
        };
        cluster.create_topic(&spec).await.map_err(Failure::failed)?;
        let producer = cluster.producer(&topic, ProducerOptions::default()).await.map_err(Failure::failed)?;
        let options =
            |until_end| ConsumerOptions { start: Start::Beginning, until_end, ..ConsumerOptions::new(&topic) };
        let mut view = View::default();
        let mut next_offset = 0;
        let mut consumer = cluster.consumer(options(true)).await.map_err(Failure::failed)?;
        while let Some(fetched) = consumer.next().await.map_err(Failure::failed)? {
            read_lines(&mut view, &fetched.batch);
            next_offset = fetched.next_offset;
        }
        let resume = BTreeMap::from([(0, next_offset)]);
        let following = ConsumerOptions { resume, ..options(false) };
        let following = cluster.consumer(following).await.map_err(Failure::failed)?;
        let (sender, receiver) = watch::channel(view);
        let machine = machine();
        let inner = Arc::new(Inner {
            connector: connector.to_owned(),
            topic,
            holder: format!("{machine}-{}-{}", std::process::id(), now()),
            machine,
            producer: tokio::sync::Mutex::new(Writer { producer, number: 0 }),
            view: receiver,
            ours: Mutex::default(),
            tasks: Mutex::default(),
        });
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(follow(following, sender))),
            AbortOnDropHandle::new(tokio::spawn(renew(Arc::downgrade(&inner)))),
        ];
        inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(Self(inner))
    }

    /// Takes a slot, waiting for the lease of a holder that is not heard of any more.
    pub(super) async fn open(&self, slot: &str) -> Outcome<Box<dyn Checkpoint>> {
        let inner = &self.0;
        let held = inner.view.borrow().held(slot).cloned();
        let dead = held.as_ref().filter(|held| inner.is_dead(held)).map(|held| held.holder.clone());
        if let Some(held) = held.filter(|held| held.until > now() && dead.is_none()) {
            let wait = Duration::from_millis(u64::try_from(held.until - now()).unwrap_or(0)).min(LEASE);
            tracing::warn!(
                connector = %inner.connector,
                machine = %held.machine,
                process = held.process,
                wait_ms = wait.as_millis() as u64,
                "this connector was running elsewhere a moment ago; waiting whether it still does"
            );
            let mut view = inner.view.clone();
            let renewed = |view: &View| view.held(slot).is_some_and(|now| now.number > held.number);
            let heard = tokio::time::timeout(wait, view.wait_for(renewed)).await.is_ok();
            if heard {
                return Err(inner.running(&held));
            }
        }
        let number = inner.write(vec![(slot.to_owned(), None)], LEASE, dead).await.map_err(Failure::failed)?;
        let mut view = inner.view.clone();
        let ours = |view: &View| view.seen.get(&inner.holder).is_some_and(|&seen| seen >= number);
        let view = view.wait_for(ours).await.map_err(|_| Failure::failed("the state topic can't be read"))?;
        match view.held(slot) {
            Some(held) if held.holder == inner.holder => {}
            Some(held) => return Err(inner.running(held)),
            None => return Err(Failure::failed("the state topic lost a record")),
        }
        let saved = view.slots.get(slot).and_then(|slot| slot.saved.clone());
        inner.ours().insert(slot.to_owned(), saved);
        Ok(Box::new(ClusterCheckpoint { state: self.clone(), slot: slot.to_owned() }))
    }

    /// Gives back what this run holds, so that the next one need not wait.
    pub(super) async fn release(&self) {
        let slots: Vec<_> = std::mem::take(&mut *self.0.ours()).into_iter().collect();
        let released = tokio::time::timeout(RENEW, self.0.write(slots, Duration::ZERO, None)).await;
        if !matches!(released, Ok(Ok(_))) {
            tracing::debug!("the lease was not given back; it ends by itself");
        }
    }
}

impl Inner {
    fn ours(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A holder on this very machine whose process is gone.
    fn is_dead(&self, held: &Line) -> bool {
        held.machine == self.machine
            && held.process != std::process::id()
            && !std::path::Path::new(&format!("/proc/{}", held.process)).exists()
    }

    fn running(&self, held: &Line) -> Failure {
        let Line { machine, process, .. } = held;
        Failure::failed(format!("connector {} is already running on {machine}, process {process}", self.connector))
            .help("stop that one, or give this one another `meta.name`")
    }

    /// Writes a line for each of these slots; returns the number of the last one.
    async fn write(
        &self,
        slots: Vec<(String, Option<String>)>,
        lease: Duration,
        replaces: Option<String>,
    ) -> Result<u64, host_cluster::Error> {
        let mut writer = self.producer.lock().await;
        let mut batch = Batch::default();
        let at = now();
        for (slot, saved) in slots {
            writer.number += 1;
            let until = at + i64::try_from(lease.as_millis()).unwrap_or(0);
            let (holder, machine, process) = (self.holder.clone(), self.machine.clone(), std::process::id());
            let (number, replaces) = (writer.number, replaces.clone());
            let line = Line { slot, holder, machine, process, number, at, until, replaces, saved };
            let text = serde_json::to_vec(&line).expect("strings and numbers always make JSON");
            batch.push(Some(line.slot.as_bytes()), &text, Some(at));
        }
        writer.producer.send(&batch).await?;
        Ok(writer.number)
    }

    /// Whoever took a slot of ours, because this run was not heard of for too long.
    fn lost(&self, slot: &str) -> Option<String> {
        let view = self.view.borrow();
        let held = view.held(slot).filter(|held| held.holder != self.holder)?;
        Some(format!("{}, process {}", held.machine, held.process))
    }

    fn error(&self, reason: impl Into<String>) -> CheckpointError {
        CheckpointError::Cluster { connector: self.connector.clone(), reason: reason.into() }
    }
}

/// Adds what others and this run write to the view.
async fn follow(mut consumer: Consumer, view: watch::Sender<View>) {
    loop {
        match consumer.next().await {
            Ok(Some(fetched)) => view.send_modify(|view| read_lines(view, &fetched.batch)),
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the state topic can't be read any more");
                return;
            }
        }
    }
}

/// Keeps the lease of everything that is held, and everything saved near the end of the topic.
async fn renew(inner: std::sync::Weak<Inner>) {
    loop {
        tokio::time::sleep(RENEW).await;
        let Some(inner) = inner.upgrade() else { return };
        let slots: Vec<_> = inner.ours().clone().into_iter().collect();
        if slots.is_empty() {
            continue;
        }
        if let Err(error) = inner.write(slots, LEASE, None).await {
            tracing::warn!(%error, topic = %inner.topic, "the lease can't be renewed");
        }
    }
}

fn read_lines(view: &mut View, batch: &Batch) {
    for record in batch {
        match serde_json::from_slice(record.value) {
            Ok(line) => view.add(line),
            Err(error) => tracing::warn!(%error, "a record of the state topic is not ours, passed over"),
        }
    }
}

struct ClusterCheckpoint {
    state: ClusterState,
    slot: String,
}

#[async_trait]
impl Checkpoint for ClusterCheckpoint {
    async fn load(&mut self) -> Result<Option<Saved>, CheckpointError> {
        let inner = &self.state.0;
        let saved = inner.ours().get(&self.slot).cloned().flatten();
        let saved = saved.map(|text| checkpoint::decode(&text, &inner.connector)).transpose();
        saved.map_err(|reason| inner.error(format!("a record of topic {} is damaged: {reason}", inner.topic)))
    }

    async fn save(&mut self, saved: &Saved) -> Result<(), CheckpointError> {
        let inner = &self.state.0;
        if let Some(holder) = inner.lost(&self.slot) {
            return Err(inner.error(format!("another host runs it now ({holder}), since this one was not heard of")));
        }
        let text = checkpoint::encode(&inner.connector, saved);
        inner.ours().insert(self.slot.clone(), Some(text.clone()));
        let written = inner.write(vec![(self.slot.clone(), Some(text))], LEASE, None).await;
        written.map(|_| ()).map_err(|error| inner.error(error.to_string()))
    }
}

/// A topic name for any connector name: what can't stand in one becomes a hyphen, and a checksum keeps such names
/// apart.
fn topic_name(connector: &str) -> String {
    let plain: String =
        connector.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    if plain == connector && plain.len() <= 40 {
        return format!("host-state-{plain}");
    }
    let sum = connector
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("host-state-{}-{:08x}", &plain[..plain.len().min(30)], sum as u32)
}

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(holder: &str, number: u64, at: i64, until: i64, saved: Option<&str>) -> Line {
        let saved = saved.map(str::to_owned);
        let (slot, machine) = ("source".to_owned(), "m".to_owned());
        Line { slot, holder: holder.into(), machine, process: 1, number, at, until, replaces: None, saved }
    }

    #[test]
    fn the_first_claim_after_a_lease_is_over_wins() {
        let mut view = View::default();
        view.add(line("a", 1, 0, 100, Some("one")));
        view.add(line("b", 1, 50, 150, None));
        assert_eq!(view.held("source").expect("held").holder, "a", "its lease is not over");
        view.add(line("a", 2, 60, 160, Some("two")));
        view.add(line("b", 2, 161, 261, None));
        view.add(line("c", 1, 162, 262, None));
        view.add(line("a", 3, 163, 263, Some("three")));
        assert_eq!(view.held("source").expect("held").holder, "b", "the first one after it was over");
        assert_eq!(view.slots["source"].saved.as_deref(), Some("two"), "who lost the slot saves nothing");
        view.add(line("b", 3, 170, 170, None));
        view.add(line("c", 2, 171, 271, None));
        assert_eq!(view.held("source").expect("held").holder, "c", "it was given back");
        view.add(Line { replaces: Some("b".into()), ..line("d", 1, 180, 280, None) });
        assert_eq!(view.held("source").expect("held").holder, "c", "another one was known to be dead");
        view.add(Line { replaces: Some("c".into()), ..line("d", 2, 181, 281, None) });
        assert_eq!(view.held("source").expect("held").holder, "d");
    }

    #[test]
    fn topic_names_are_valid_and_differ() {
        assert_eq!(topic_name("cat-facts"), "host-state-cat-facts");
        let (upper, other) = (topic_name("Cat.Facts"), topic_name("cat_facts"));
        assert_ne!(upper, other);
        assert!(upper.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{upper}");
        assert!(topic_name(&"x".repeat(200)).len() < 60);
    }
}
