//! The loop on ends that fail on purpose: what is promised at the top of this crate, one test a promise.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use host_batch::Batch;

use super::*;
use crate::checkpoint::CheckpointError;
use crate::dead_letter::DeadLetter;
use crate::ends::{Applied, Delivery, Failure, Fetched, Refusal, Saved, Sink, StageFault};
use crate::{Fault, FaultKind, OnError, RateLimit, RetryPolicy};

type Answer = Result<Vec<Failure>, Fault>;

/// What the world outside of the loop has seen.
#[derive(Default)]
struct World {
    /// Partition, offset and value of what was delivered, in order of arrival.
    delivered: Mutex<Vec<(u32, i64, String)>>,
    letters: Mutex<Vec<DeadLetter>>,
    committed: Mutex<BTreeMap<u32, i64>>,
    commits: AtomicU32,
    /// Offsets that may be passed over, of any partition.
    skipped: Mutex<BTreeSet<i64>>,
    saved: Mutex<Vec<(i64, Vec<u8>)>>,
    opens: AtomicU32,
}

/// Some partitions with `count` records each, `step` a fetch; ends, or waits for ever.
struct Topic {
    partitions: Vec<u32>,
    next: BTreeMap<u32, i64>,
    count: i64,
    step: i64,
    turn: usize,
    follow: bool,
}

#[async_trait]
impl Input for Topic {
    fn topic(&self) -> &str {
        "topic"
    }
    async fn next(&mut self) -> Result<Option<Fetched>, Fault> {
        tokio::task::yield_now().await;
        for _ in 0..self.partitions.len() {
            let partition = self.partitions[self.turn % self.partitions.len()];
            self.turn += 1;
            let next = self.next.entry(partition).or_default();
            if *next < self.count {
                let first_offset = *next;
                *next = (first_offset + self.step).min(self.count);
                let batch = (first_offset..*next).map(|n| (None::<&str>, format!("v{n}"))).collect();
                return Ok(Some(Fetched { partition, first_offset, next_offset: *next, batch }));
            }
        }
        if self.follow {
            std::future::pending::<()>().await;
        }
        Ok(None)
    }
}

/// Answers as its script says, and remembers what it took.
struct Scripted<F> {
    world: Arc<World>,
    script: Arc<F>,
}

#[async_trait]
impl<F: Fn(&Delivery) -> Answer + Send + Sync + 'static> OpenSink for Scripted<F> {
    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        self.world.opens.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Self { world: Arc::clone(&self.world), script: Arc::clone(&self.script) }))
    }
}

#[async_trait]
impl<F: Fn(&Delivery) -> Answer + Send + Sync + 'static> Sink for Scripted<F> {
    async fn write(&mut self, delivery: &Delivery) -> Answer {
        assert_eq!(delivery.batch.len(), delivery.offsets.len());
        let failures = (self.script)(delivery)?;
        let mut delivered = self.world.delivered.lock().expect("lock");
        for (index, record) in delivery.batch.iter().enumerate() {
            if failures.iter().all(|failure| failure.index as usize != index) {
                let value = String::from_utf8_lossy(record.value).into_owned();
                delivered.push((delivery.partition, delivery.offsets[index], value));
            }
        }
        Ok(failures)
    }
}

struct Kept(Arc<World>);

#[async_trait]
impl Positions for Kept {
    async fn commit(&self, partition: u32, next_offset: i64) -> Result<(), Fault> {
        self.0.commits.fetch_add(1, Ordering::SeqCst);
        let delivered = self.0.delivered.lock().expect("lock");
        let letters = self.0.letters.lock().expect("lock");
        let skipped = self.0.skipped.lock().expect("lock");
        let mut committed = self.0.committed.lock().expect("lock");
        let before = committed.insert(partition, next_offset).unwrap_or(0);
        assert!(before <= next_offset, "committed {next_offset} after {before}");
        for offset in before..next_offset {
            let arrived = delivered.iter().any(|(p, o, _)| (*p, *o) == (partition, offset));
            let lettered = letters.iter().any(|l| l.position.offset == Some(offset));
            assert!(
                arrived || lettered || skipped.contains(&offset),
                "{next_offset} was committed, and {offset} of partition {partition} never arrived"
            );
        }
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
        let read = |r: host_batch::RecordRef<'_>| serde_json::from_slice(r.value).expect("a dead letter");
        self.0.letters.lock().expect("lock").extend(batch.iter().map(read));
        Ok(())
    }
}

struct Memory(Arc<World>);

#[async_trait]
impl Checkpoint for Memory {
    async fn load(&mut self) -> Result<Option<Saved>, CheckpointError> {
        Ok(None)
    }
    async fn save(&mut self, saved: &Saved) -> Result<(), CheckpointError> {
        let offset = String::from_utf8_lossy(&saved.cursor).parse().expect("a number");
        self.0.saved.lock().expect("lock").push((offset, saved.stages.clone()));
        Ok(())
    }
}

struct NoStages;

impl Stages for NoStages {
    fn apply(&mut self, _: &Batch, _: i64) -> Result<Applied, StageFault> {
        unreachable!("there is nothing to pass")
    }
    fn renew(&mut self) -> Result<(), StageFault> {
        Ok(())
    }
    fn is_empty(&self) -> bool {
        true
    }
}

/// Drops every third offset, refuses those in its list, and shouts the others; counts what it has seen.
struct Shout {
    refuse: &'static [i64],
    seen: u64,
}

impl Stages for Shout {
    fn apply(&mut self, batch: &Batch, first_offset: i64) -> Result<Applied, StageFault> {
        let mut applied = Applied::default();
        for (index, record) in batch.iter().enumerate() {
            self.seen += 1;
            let offset = first_offset + index as i64;
            if self.refuse.contains(&offset) {
                let (stage, reason) = ("shout".to_owned(), "too loud".to_owned());
                let value = record.value.to_vec();
                applied.refusals.push(Refusal { index: index as u32, stage, reason, key: None, value });
            } else if offset % 3 != 0 {
                let shouted = String::from_utf8_lossy(record.value).to_uppercase();
                applied.batch.push(None, shouted.as_bytes(), None);
                applied.sources.push(index as u32);
            }
        }
        Ok(applied)
    }
    fn renew(&mut self) -> Result<(), StageFault> {
        Ok(())
    }
    fn state(&self) -> Vec<u8> {
        self.seen.to_string().into_bytes()
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), StageFault> {
        self.seen = String::from_utf8_lossy(state).parse().expect("a number");
        Ok(())
    }
}

/// A run of `lanes` with these partitions each, over a sink that answers as `script` says.
fn run_with<F: Fn(&Delivery) -> Answer + Send + Sync + 'static>(
    world: &Arc<World>,
    lanes: &[&[u32]],
    count: i64,
    script: F,
) -> SinkRun {
    let lane = |partitions: &&[u32]| Lane {
        input: Box::new(Topic {
            partitions: partitions.to_vec(),
            next: BTreeMap::new(),
            count,
            step: 40,
            turn: 0,
            follow: false,
        }),
        partitions: partitions
            .iter()
            .map(|&number| {
                let checkpoint = Box::new(Memory(Arc::clone(world)));
                (
                    number,
                    Partition { stages: Box::new(NoStages), exchange: Exchange::default(), checkpoint, state: vec![] },
                )
            })
            .collect(),
    };
    SinkRun {
        lanes: lanes.iter().map(lane).collect(),
        sink: Arc::new(Scripted { world: Arc::clone(world), script: Arc::new(script) }),
        positions: Some(Arc::new(Kept(Arc::clone(world)))),
        commit_every: Duration::ZERO,
        dead_letters: Some(Box::new(Letters(Arc::clone(world)))),
        settings: Settings {
            connector: "test".into(),
            retry: RetryPolicy { max: None, initial: Duration::from_millis(1), max_delay: Duration::from_millis(4) },
            max_records: 25,
            ..Settings::default()
        },
        progress: Arc::default(),
        stop: CancellationToken::new(),
    }
}

fn offsets(world: &World, partition: u32) -> Vec<i64> {
    let delivered = world.delivered.lock().expect("lock");
    delivered.iter().filter(|(p, ..)| *p == partition).map(|(_, offset, _)| *offset).collect()
}

fn failure(index: usize, kind: FaultKind) -> Failure {
    Failure { index: index as u32, fault: Fault::new(kind, "on purpose") }
}

/// The index of this offset in the delivery.
fn find(delivery: &Delivery, offset: i64) -> Option<usize> {
    delivery.offsets.iter().position(|&at| at == offset)
}

#[tokio::test]
async fn every_record_of_every_partition_arrives_once_and_in_order() {
    let world = Arc::<World>::default();
    let run = run_with(&world, &[&[0, 1], &[2]], 103, |delivery| {
        assert!(delivery.batch.len() <= 25, "{} records", delivery.batch.len());
        Ok(vec![])
    });
    let progress = Arc::clone(&run.progress);
    assert_eq!(run.run().await.expect("it ends"), Stopped::End);
    for partition in 0..3 {
        assert_eq!(offsets(&world, partition), (0..103).collect::<Vec<_>>());
        assert_eq!(world.committed.lock().expect("lock")[&partition], 103);
    }
    let seen = progress.snapshot();
    assert_eq!((seen.read_records, seen.shaped_records, seen.sent_records), (309, 309, 309));
    assert_eq!(seen.read_bytes, seen.sent_bytes);
}

#[tokio::test]
async fn whatever_fails_is_tried_again_and_order_is_kept() {
    let world = Arc::<World>::default();
    let turn = AtomicU64::new(7);
    let run = run_with(&world, &[&[0], &[1]], 400, move |delivery| {
        // SplitMix64: the same throws in every run, but for how the two lanes take turns.
        let mut dice = turn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        dice = (dice ^ (dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        dice = (dice ^ (dice >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match (dice ^ (dice >> 31)) % 10 {
            0 | 5 => Err(Fault::new(FaultKind::Unreachable, "down")),
            1 => Err(Fault::new(FaultKind::Internal, "trap")),
            // From the middle on, as a sink that keeps order says it.
            2 | 6 => {
                let middle = delivery.batch.len() / 2;
                Ok((middle..delivery.batch.len()).map(|index| failure(index, FaultKind::Throttled)).collect())
            }
            _ => Ok(vec![]),
        }
    });
    let progress = Arc::clone(&run.progress);
    run.run().await.expect("it ends");
    for partition in 0..2 {
        assert_eq!(offsets(&world, partition), (0..400).collect::<Vec<_>>());
    }
    let seen = progress.snapshot();
    assert!(seen.retries > 0 && seen.restarts > 0, "{seen:?}");
    assert_eq!((seen.sent_records, seen.skipped, seen.dead_letters), (800, 0, 0));
}

#[tokio::test]
async fn a_lost_cause_becomes_a_dead_letter_as_it_was_fetched() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0]], 60, |delivery| {
        Ok(find(delivery, 31).map(|index| failure(index, FaultKind::Data)).into_iter().collect())
    });
    run.settings.on_error = OnError::DeadLetter;
    run.lanes[0].partitions.get_mut(&0).expect("partition").stages = Box::new(Shout { refuse: &[10], seen: 0 });
    world.skipped.lock().expect("lock").extend((0..60).filter(|n| n % 3 == 0));
    run.run().await.expect("it ends");
    let expected: Vec<i64> = (0..60).filter(|n| n % 3 != 0 && ![10, 31].contains(n)).collect();
    assert_eq!(offsets(&world, 0), expected);
    assert!(world.delivered.lock().expect("lock").iter().all(|(.., value)| value.starts_with('V')));
    let letters = world.letters.lock().expect("lock");
    let told = |offset: i64| letters.iter().find(|l| l.position.offset == Some(offset)).expect("a letter");
    let text = |payload: &Option<crate::dead_letter::Payload>| payload.as_ref().map(|p| p.data.clone());
    assert_eq!((told(10).stage.as_str(), text(&told(10).value)), ("shout", Some("v10".to_owned())));
    assert_eq!(text(&told(10).shaped_value), None, "the stage saw it as it was");
    assert_eq!((told(31).stage.as_str(), text(&told(31).value)), ("protocol", Some("v31".to_owned())));
    assert_eq!(text(&told(31).shaped_value), Some("V31".to_owned()));
    assert_eq!(letters.len(), 2);
}

#[tokio::test]
async fn the_policy_to_stop_commits_up_to_the_record_and_no_further() {
    for (refuse, by_sink) in [(&[17_i64][..], None), (&[], Some(17))] {
        let world = Arc::<World>::default();
        let mut run = run_with(&world, &[&[4]], 60, move |delivery| {
            let found = by_sink.and_then(|offset| find(delivery, offset));
            Ok(found.map(|index| failure(index, FaultKind::Data)).into_iter().collect())
        });
        run.lanes[0].partitions.get_mut(&4).expect("partition").stages = Box::new(Shout { refuse, seen: 0 });
        world.skipped.lock().expect("lock").extend((0..60).filter(|n| n % 3 == 0));
        let error = run.run().await.expect_err("it stops").to_string();
        assert!(error.contains("refused record at offset 17 of partition 4"), "{error}");
        assert_eq!(world.committed.lock().expect("lock")[&4], 17);
    }
}

#[tokio::test]
async fn an_error_or_a_trap_on_one_record_costs_that_record_only() {
    for kind in [FaultKind::Data, FaultKind::Internal] {
        let world = Arc::<World>::default();
        let mut run = run_with(&world, &[&[0]], 60, move |delivery| {
            find(delivery, 23).map_or(Ok(vec![]), |_| Err(Fault::new(kind, "poison")))
        });
        run.settings.on_error = OnError::DeadLetter;
        run.run().await.expect("it ends");
        assert_eq!(offsets(&world, 0), (0..60).filter(|&n| n != 23).collect::<Vec<_>>());
        assert_eq!(world.letters.lock().expect("lock")[0].reason, "poison");
    }
}

#[tokio::test]
async fn a_connector_that_fails_on_everything_is_broken_and_one_that_is_refused_stops() {
    for (kind, on_error) in [(FaultKind::Internal, OnError::Skip), (FaultKind::Auth, OnError::Skip)] {
        let world = Arc::<World>::default();
        let mut run = run_with(&world, &[&[0]], 60, move |_| Err(Fault::new(kind, "always")));
        run.settings.on_error = on_error;
        let error = run.run().await.expect_err("it gives up").to_string();
        assert!(error.contains("the connector stopped"), "{error}");
        assert_eq!(world.commits.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn when_the_attempts_are_used_up_the_policy_decides() {
    let down = |_: &Delivery| Err(Fault::new(FaultKind::Unreachable, "down"));
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0]], 30, down);
    run.settings.retry.max = Some(3);
    assert!(matches!(run.run().await, Err(PipelineError::RetriesExhausted { attempts: 3, .. })));
    assert_eq!(world.commits.load(Ordering::SeqCst), 0);

    let mut run = run_with(&world, &[&[0]], 30, down);
    run.settings.retry.max = Some(3);
    run.settings.on_error = OnError::DeadLetter;
    run.run().await.expect("it ends");
    let letters = world.letters.lock().expect("lock");
    assert_eq!(letters.len(), 30);
    assert!(letters.iter().all(|letter| letter.attempts == 4 && letter.reason == "down"));
}

#[tokio::test]
async fn a_stop_ends_at_once_while_the_destination_is_down() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0]], 30, |_| Err(Fault::new(FaultKind::Unreachable, "down")));
    run.settings.retry.initial = Duration::from_secs(60);
    run.settings.retry.max_delay = Duration::from_secs(60);
    let (stop, progress) = (run.stop.clone(), Arc::clone(&run.progress));
    let ended = tokio::spawn(run.run());
    while progress.retries.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it does not wait out the backoff");
    assert_eq!(ended.expect("no panic").expect("no error"), Stopped::Short);
    assert_eq!(world.commits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stop_delivers_and_commits_what_was_read() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0]], 60, |_| Ok(vec![]));
    run.lanes[0].input =
        Box::new(Topic { partitions: vec![0], next: BTreeMap::new(), count: 60, step: 7, turn: 0, follow: true });
    run.commit_every = Duration::from_secs(3600);
    let (stop, progress) = (run.stop.clone(), Arc::clone(&run.progress));
    let ended = tokio::spawn(run.run());
    while progress.sent_records.get() < 60 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    assert_eq!(ended.await.expect("no panic").expect("no error"), Stopped::Asked);
    assert_eq!(world.committed.lock().expect("lock")[&0], 60);
    assert_eq!(world.commits.load(Ordering::SeqCst), 1, "the period had not passed before the end");
}

#[tokio::test]
async fn state_is_kept_with_its_position_and_given_back() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0]], 100, |_| Ok(vec![]));
    let partition = run.lanes[0].partitions.get_mut(&0).expect("partition");
    partition.stages = Box::new(Shout { refuse: &[], seen: 0 });
    partition.state = b"1000".to_vec();
    world.skipped.lock().expect("lock").extend((0..100).filter(|n| n % 3 == 0));
    run.run().await.expect("it ends");
    let saved = world.saved.lock().expect("lock");
    assert_eq!(saved.last(), Some(&(100, b"1100".to_vec())));
    for (offset, state) in saved.iter() {
        assert_eq!(state, &(1000 + offset).to_string().into_bytes(), "state and position belong together");
    }
}

#[tokio::test]
async fn one_lane_that_fails_stops_the_others() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0], &[1]], 60, |delivery| match delivery.partition {
        0 => Err(Fault::new(FaultKind::Config, "no such table")),
        _ => Ok(vec![]),
    });
    run.lanes[1].input =
        Box::new(Topic { partitions: vec![1], next: BTreeMap::new(), count: 60, step: 7, turn: 0, follow: true });
    let ended = tokio::time::timeout(Duration::from_secs(5), run.run()).await.expect("both lanes end");
    assert!(ended.expect_err("the reason").to_string().contains("no such table"));
}

#[tokio::test]
async fn the_rate_is_held() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0], &[1]], 50, |_| Ok(vec![]));
    run.settings.rate_limit = RateLimit::new(Some(200), None).map(Arc::new);
    let started = Instant::now();
    run.run().await.expect("it ends");
    let took = started.elapsed();
    // 100 records at 200 a second; the last batch of 25 is paid for after the end.
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn new_stages_take_over_between_two_batches_with_the_state_of_the_old() {
    /// Marks each record with its version, and counts.
    struct Version(u32, u64);
    impl Stages for Version {
        fn apply(&mut self, batch: &Batch, _: i64) -> Result<Applied, StageFault> {
            self.1 += batch.len() as u64;
            let batch: Batch = batch.iter().map(|_| (None::<&str>, self.0.to_string())).collect();
            let sources = (0..batch.len() as u32).collect();
            Ok(Applied { batch, sources, refusals: Vec::new() })
        }
        fn renew(&mut self) -> Result<(), StageFault> {
            Ok(())
        }
        fn state(&self) -> Vec<u8> {
            self.1.to_string().into_bytes()
        }
        fn restore(&mut self, state: &[u8]) -> Result<(), StageFault> {
            self.1 = String::from_utf8_lossy(state).parse().expect("a number");
            Ok(())
        }
    }
    let world = Arc::<World>::default();
    let exchange = Exchange::default();
    let (put, version) = (exchange.clone(), AtomicU32::new(0));
    let mut run = run_with(&world, &[&[0]], 2000, move |_| {
        put.put(Box::new(Version(version.fetch_add(1, Ordering::SeqCst) + 1, 0)));
        Ok(vec![])
    });
    let partition = run.lanes[0].partitions.get_mut(&0).expect("partition");
    (partition.stages, partition.exchange) = (Box::new(Version(0, 0)), exchange);
    run.run().await.expect("it ends");
    let versions: Vec<u32> =
        world.delivered.lock().expect("lock").iter().map(|(.., v)| v.parse().expect("a version")).collect();
    assert_eq!(versions.len(), 2000);
    assert!(versions.is_sorted() && versions.last() > Some(&5), "{:?}", versions.last());
    assert_eq!(world.saved.lock().expect("lock").last(), Some(&(2000, b"2000".to_vec())), "no count is lost");
}

#[tokio::test]
async fn what_a_slow_sink_did_not_get_to_is_handed_in_at_once() {
    let world = Arc::<World>::default();
    let mut run = run_with(&world, &[&[0]], 60, |delivery| {
        let not_tried = |index| {
            let mut failure = failure(index, FaultKind::Throttled);
            failure.fault.retry_after = Some(Duration::ZERO);
            failure
        };
        Ok((2..delivery.batch.len()).map(not_tried).collect())
    });
    run.settings.retry.initial = Duration::from_secs(3600);
    run.settings.retry.max_delay = Duration::from_secs(3600);
    let progress = Arc::clone(&run.progress);
    run.run().await.expect("it ends");
    assert_eq!(offsets(&world, 0), (0..60).collect::<Vec<_>>());
    assert_eq!(progress.snapshot().retries, 0, "nothing has failed");
}
