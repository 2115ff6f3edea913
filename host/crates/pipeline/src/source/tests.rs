//! The loop on ends that fail on purpose: what is promised at the top of this crate, one test a promise.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::checkpoint::CheckpointError;
use crate::ends::{Limit, Read, Refusal, Saved, Source, StageFault};
use crate::{Fault, FaultKind};

/// What the world outside of the loop has seen.
#[derive(Default)]
struct World {
    topic: Mutex<Vec<u64>>,
    letters: Mutex<Vec<String>>,
    cursor: Mutex<Option<u64>>,
    commits: Mutex<Vec<u64>>,
    opens: AtomicU32,
    served: AtomicU32,
    furthest_read: Mutex<u64>,
    /// Records that may be missing from the topic on purpose: what a policy skips.
    skipped: AtomicU32,
}

fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).expect("text").parse().expect("a number")
}

/// Counts from its cursor to `count`, `step` records a read, failing as `faults` says.
struct Counting {
    world: Arc<World>,
    position: u64,
    count: u64,
    step: u64,
    /// At the read that would start at this position: this fault, once.
    faults: Arc<Mutex<Vec<(u64, FaultKind)>>>,
    /// Whether each read waits for the one before it to be committed.
    holds_back: bool,
    committed: u64,
}

struct OpenCounting {
    world: Arc<World>,
    count: u64,
    step: u64,
    faults: Arc<Mutex<Vec<(u64, FaultKind)>>>,
    holds_back: bool,
}

#[async_trait]
impl OpenSource for OpenCounting {
    async fn open(&mut self, cursor: Option<&[u8]>) -> Result<Box<dyn Source>, Fault> {
        self.world.opens.fetch_add(1, Ordering::SeqCst);
        let position = cursor.map_or(0, number);
        let Self { ref world, count, step, ref faults, holds_back } = *self;
        let (world, faults) = (world.clone(), faults.clone());
        Ok(Box::new(Counting { world, position, count, step, faults, holds_back, committed: position }))
    }
}

#[async_trait]
impl Source for Counting {
    async fn read(&mut self, limit: Limit) -> Result<Read, Fault> {
        if limit.max_records == 0 {
            self.world.served.fetch_add(1, Ordering::SeqCst);
            return Ok(Read::default());
        }
        if self.holds_back && self.committed < self.position {
            return Ok(Read::default());
        }
        let mut faults = self.faults.lock().expect("lock");
        if let Some(at) = faults.iter().position(|(position, _)| *position <= self.position) {
            let (_, kind) = faults.remove(at);
            return Err(Fault::new(kind, "on purpose"));
        }
        let end = (self.position + self.step).min(self.count);
        let batch = (self.position..end).map(|n| (None::<&str>, n.to_string())).collect();
        self.position = end;
        *self.world.furthest_read.lock().expect("lock") = end;
        Ok(Read { batch, cursor: end.to_string().into_bytes(), end: end == self.count })
    }

    async fn commit(&mut self, cursor: &[u8]) -> Result<(), Fault> {
        let cursor = number(cursor);
        let stored = self.world.cursor.lock().expect("lock").unwrap_or(0);
        assert!(stored >= cursor, "commit of {cursor} before it was durable ({stored})");
        self.world.commits.lock().expect("lock").push(cursor);
        self.committed = cursor;
        Ok(())
    }
}

struct Topic(Arc<World>, Duration);

#[async_trait]
impl Output for Topic {
    fn name(&self) -> &str {
        "topic"
    }
    async fn send(&mut self, batch: &Batch) -> Result<(), Fault> {
        tokio::time::sleep(self.1).await;
        self.0.topic.lock().expect("lock").extend(batch.iter().map(|r| number(r.value)));
        Ok(())
    }
}

struct Letters(Arc<World>);

#[async_trait]
impl Output for Letters {
    fn name(&self) -> &str {
        "letters"
    }
    async fn send(&mut self, batch: &Batch) -> Result<(), Fault> {
        let text = |r: host_batch::RecordRef<'_>| String::from_utf8_lossy(r.value).into_owned();
        self.0.letters.lock().expect("lock").extend(batch.iter().map(text));
        Ok(())
    }
}

struct Memory(Arc<World>);

#[async_trait]
impl Checkpoint for Memory {
    async fn load(&mut self) -> Result<Option<Saved>, CheckpointError> {
        let cursor = self.0.cursor.lock().expect("lock").map(|n| n.to_string().into_bytes());
        Ok(cursor.map(|cursor| Saved { cursor, ..Saved::default() }))
    }
    async fn save(&mut self, saved: &Saved) -> Result<(), CheckpointError> {
        let cursor = number(&saved.cursor);
        let sent = self.0.topic.lock().expect("lock").iter().copied().max().map_or(0, |n| n + 1);
        let letters = self.0.letters.lock().expect("lock").len() as u64;
        let skipped = u64::from(self.0.skipped.load(Ordering::SeqCst));
        assert!(cursor <= sent + letters + skipped, "cursor {cursor} before its records were acknowledged ({sent})");
        *self.0.cursor.lock().expect("lock") = Some(cursor);
        Ok(())
    }
}

/// Refuses the numbers that `refuse` names.
struct Refusing(fn(u64) -> bool);

impl Stages for Refusing {
    fn apply(&mut self, batch: &Batch, _: i64) -> Result<Applied, StageFault> {
        let refused = |i: usize| (self.0)(number(batch.value(i)));
        let sources = (0..batch.len()).filter(|&i| !refused(i)).map(|i| i as u32).collect();
        let refusals = (0..batch.len()).filter(|&i| refused(i)).map(|i| Refusal {
            index: i as u32,
            stage: "picky".into(),
            reason: "not this one".into(),
            key: None,
            value: batch.value(i).to_vec(),
        });
        Ok(Applied { sources, refusals: refusals.collect(), batch: batch.select(|i| !refused(i)) })
    }
    fn renew(&mut self) -> Result<(), StageFault> {
        Ok(())
    }
}

struct Case {
    world: Arc<World>,
    count: u64,
    step: u64,
    faults: Vec<(u64, FaultKind)>,
    refuse: fn(u64) -> bool,
    on_error: OnError,
    delay: Duration,
    retry: RetryPolicy,
    max_bytes: u32,
    linger: Duration,
    holds_back: bool,
}

impl Default for Case {
    fn default() -> Self {
        let retry = RetryPolicy { max: None, initial: Duration::from_millis(1), max_delay: Duration::from_millis(2) };
        Self {
            world: Arc::default(),
            count: 100,
            step: 7,
            faults: Vec::new(),
            refuse: |_| false,
            on_error: OnError::Stop,
            delay: Duration::ZERO,
            retry,
            max_bytes: 1 << 20,
            linger: Duration::ZERO,
            holds_back: false,
        }
    }
}

impl Case {
    fn build(self, stop: CancellationToken) -> SourceRun {
        let world = self.world;
        if self.on_error == OnError::Skip {
            let refused = (0..self.count).filter(|&n| (self.refuse)(n)).count();
            world.skipped.store(u32::try_from(refused).expect("few"), Ordering::SeqCst);
        }
        let faults = Arc::new(Mutex::new(self.faults));
        SourceRun {
            source: Box::new(OpenCounting {
                world: world.clone(),
                count: self.count,
                step: self.step,
                faults,
                holds_back: self.holds_back,
            }),
            stages: Box::new(Refusing(self.refuse)),
            exchange: Exchange::default(),
            output: Box::new(Topic(world.clone(), self.delay)),
            dead_letters: Some(Box::new(Letters(world.clone()))),
            checkpoint: Box::new(Memory(world)),
            settings: Settings {
                connector: "counting".into(),
                on_error: self.on_error,
                retry: self.retry,
                max_bytes: self.max_bytes,
                linger: self.linger,
                ..Settings::default()
            },
            progress: Arc::default(),
            stop,
        }
    }

    async fn run(self) -> (Arc<World>, Result<Stopped, PipelineError>) {
        let world = self.world.clone();
        (world, self.build(CancellationToken::new()).run().await)
    }
}

fn topic(world: &World) -> Vec<u64> {
    world.topic.lock().expect("lock").clone()
}

#[tokio::test]
async fn everything_arrives_once_in_order_and_is_committed() {
    let (world, ended) = Case::default().run().await;
    assert_eq!(ended.expect("runs to its end"), Stopped::End);
    assert_eq!(topic(&world), (0..100).collect::<Vec<_>>());
    assert_eq!(*world.cursor.lock().expect("lock"), Some(100));
    assert_eq!(world.commits.lock().expect("lock").last(), Some(&100));
}

#[tokio::test]
async fn a_source_that_breaks_goes_on_where_it_was() {
    let faults = vec![(14, FaultKind::Internal), (21, FaultKind::Unreachable), (49, FaultKind::Internal)];
    let (world, ended) = Case { faults, ..Case::default() }.run().await;
    assert_eq!(ended.expect("runs to its end"), Stopped::End);
    assert_eq!(topic(&world), (0..100).collect::<Vec<_>>(), "within one process nothing repeats");
    assert_eq!(world.opens.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_run_cut_off_anywhere_loses_nothing() {
    let world = Arc::<World>::default();
    for cut_ms in [0, 1, 2, 3, 5, 8, 13, 21] {
        let case = Case { world: world.clone(), count: 2_000, delay: Duration::from_millis(1), ..Case::default() };
        let run = case.build(CancellationToken::new()).run();
        let _ = tokio::time::timeout(Duration::from_millis(cut_ms), run).await;
    }
    let (world, ended) = Case { world, count: 2_000, ..Case::default() }.run().await;
    assert_eq!(ended.expect("runs to its end"), Stopped::End);
    let mut seen = topic(&world);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn stop_delivers_what_came_before_the_refused_record() {
    let (world, ended) = Case { refuse: |n| n == 38, ..Case::default() }.run().await;
    let error = ended.expect_err("the policy is to stop").to_string();
    assert_eq!(error, "stage picky refused record 3 of a batch: not this one");
    assert_eq!(topic(&world), (0..38).collect::<Vec<_>>());
    assert!(world.cursor.lock().expect("lock").unwrap_or(0) <= 35, "the record must be read again");
}

#[tokio::test]
async fn dead_letters_hold_exactly_what_the_topic_lacks() {
    let case = Case { refuse: |n| n % 10 == 3, on_error: OnError::DeadLetter, ..Case::default() };
    let (world, ended) = case.run().await;
    assert_eq!(ended.expect("goes on"), Stopped::End);
    assert_eq!(topic(&world), (0..100).filter(|n| n % 10 != 3).collect::<Vec<_>>());
    let letters = world.letters.lock().expect("lock").clone();
    let values: Vec<u64> = letters
        .iter()
        .map(|l| serde_json::from_str::<crate::dead_letter::DeadLetter>(l).expect("a dead letter"))
        .map(|l| number(&l.value.expect("a value").bytes().expect("bytes")))
        .collect();
    assert_eq!(values, (0..100).filter(|n| n % 10 == 3).collect::<Vec<_>>());
}

#[tokio::test]
async fn skip_counts_what_it_skips() {
    let case = Case { refuse: |n| n % 2 == 0, on_error: OnError::Skip, ..Case::default() };
    let run = case.build(CancellationToken::new());
    let progress = run.progress.clone();
    run.run().await.expect("goes on");
    assert_eq!((progress.skipped.get(), progress.sent_records.get()), (50, 50));
}

#[tokio::test]
async fn an_input_that_the_source_cannot_use_follows_the_policy() {
    let faults = vec![(21, FaultKind::Data)];
    let (_, ended) = Case { faults: faults.clone(), ..Case::default() }.run().await;
    assert!(matches!(ended, Err(PipelineError::Connector(Fault { kind: FaultKind::Data, .. }))));
    let (world, ended) = Case { faults, on_error: OnError::DeadLetter, ..Case::default() }.run().await;
    assert_eq!(ended.expect("goes on"), Stopped::End);
    assert_eq!(topic(&world).len(), 100);
    let letters = world.letters.lock().expect("lock").clone();
    assert!(letters.len() == 1 && letters[0].contains("on purpose"), "{letters:?}");
}

#[tokio::test]
async fn what_retrying_cannot_mend_ends_the_run() {
    for kind in [FaultKind::Config, FaultKind::Auth] {
        let (_, ended) = Case { faults: vec![(0, kind)], ..Case::default() }.run().await;
        assert!(matches!(ended, Err(PipelineError::Connector(fault)) if fault.kind == kind));
    }
    let retry = RetryPolicy { max: Some(2), ..Case::default().retry };
    let faults = vec![(50, FaultKind::Unreachable); 3];
    let (world, ended) = Case { faults, retry, ..Case::default() }.run().await;
    assert!(matches!(ended, Err(PipelineError::RetriesExhausted { attempts: 2, .. })), "{ended:?}");
    assert_eq!(topic(&world), (0..56).collect::<Vec<_>>(), "what was read is delivered all the same");
}

#[tokio::test]
async fn a_slow_topic_stops_the_source_and_keeps_it_served() {
    let world = Arc::<World>::default();
    let stop = CancellationToken::new();
    let case = Case {
        world: world.clone(),
        count: 1_000,
        delay: Duration::from_millis(1_200),
        max_bytes: 1,
        ..Case::default()
    };
    let run = tokio::spawn(case.build(stop.clone()).run());
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    assert!(*world.furthest_read.lock().expect("lock") <= 7 * 8, "reading must stop when nothing gets through");
    assert!(world.served.load(Ordering::SeqCst) > 0, "the source must be served while it waits");
    stop.cancel();
    assert_eq!(run.await.expect("no panic").expect("drains"), Stopped::Asked);
    let read = *world.furthest_read.lock().expect("lock");
    assert_eq!(topic(&world), (0..read).collect::<Vec<_>>(), "what was read is delivered before it stops");
    assert_eq!(*world.cursor.lock().expect("lock"), Some(read));
}

/// Reads one record; is asked to stop while it waits for the next, when that one is durable already.
struct Interrupted {
    world: Arc<World>,
    stop: CancellationToken,
    read: bool,
}

struct OpenInterrupted(Arc<World>, CancellationToken);

#[async_trait]
impl OpenSource for OpenInterrupted {
    async fn open(&mut self, _: Option<&[u8]>) -> Result<Box<dyn Source>, Fault> {
        Ok(Box::new(Interrupted { world: self.0.clone(), stop: self.1.clone(), read: false }))
    }
}

#[async_trait]
impl Source for Interrupted {
    async fn read(&mut self, _: Limit) -> Result<Read, Fault> {
        if !std::mem::replace(&mut self.read, true) {
            let batch = [(None::<&str>, "0".to_owned())].into_iter().collect();
            return Ok(Read { batch, cursor: b"1".to_vec(), end: false });
        }
        while self.world.cursor.lock().expect("lock").is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.stop.cancel();
        Ok(Read::default())
    }

    async fn commit(&mut self, cursor: &[u8]) -> Result<(), Fault> {
        self.world.commits.lock().expect("lock").push(number(cursor));
        Ok(())
    }

    async fn close(self: Box<Self>) {
        self.world.served.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_stop_commits_what_became_durable_just_before_it() {
    let (world, stop) = (Arc::<World>::default(), CancellationToken::new());
    let case = Case { world: world.clone(), delay: Duration::from_millis(5), ..Case::default() };
    let run = SourceRun { source: Box::new(OpenInterrupted(world.clone(), stop.clone())), ..case.build(stop) };
    assert_eq!(run.run().await.expect("stops"), Stopped::Asked);
    assert_eq!(*world.commits.lock().expect("lock"), [1]);
    assert_eq!(world.served.load(Ordering::SeqCst), 1, "and the source is closed");
}

#[tokio::test]
async fn a_source_that_holds_back_does_not_wait_for_the_linger_time() {
    let started = std::time::Instant::now();
    let case = Case { holds_back: true, linger: Duration::from_secs(10), ..Case::default() };
    let (world, ended) = case.run().await;
    assert_eq!(ended.expect("no failure"), Stopped::End);
    assert_eq!(topic(&world), (0..100).collect::<Vec<_>>());
    assert_eq!(world.commits.lock().expect("lock").len(), 15, "one commit a read");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_source_that_holds_back_hears_of_a_failure_behind_it() {
    let case = Case { holds_back: true, refuse: |n| n == 20, ..Case::default() };
    let run = tokio::time::timeout(Duration::from_secs(10), case.run());
    let (world, ended) = run.await.expect("it ends");
    assert!(matches!(ended, Err(PipelineError::Refused { .. })), "{ended:?}");
    assert_eq!(topic(&world), (0..20).collect::<Vec<_>>());
}
