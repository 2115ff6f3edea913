//! What arrived at a destination, and whether it is all and in order; and the test that kills a sink.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Answer, Broker, HttpServer, World};

/// Numbers that look random and are the same every time.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// A series of its own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end.max(1)
    }
}

/// Partition and offset of everything that arrived, in order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Mutex<Vec<(u32, i64)>>>);

impl Arrivals {
    /// What a body has to look like for [`Arrivals::note`].
    pub const BODY: &str = r#"{"p": {{partition}}, "o": {{offset}}, "v": "{{value}}"}"#;

    /// Notes the records of a body: one, an array of them, or one a line.
    ///
    /// # Panics
    /// When it is something else.
    pub fn note(&self, body: &[u8]) {
        let place = |record: &serde_json::Value| {
            let number = |key: &str| record[key].as_i64().expect("a number");
            (u32::try_from(number("p")).expect("a partition"), number("o"))
        };
        let mut places = Vec::new();
        for value in serde_json::Deserializer::from_slice(body).into_iter() {
            match value.expect("JSON") {
                serde_json::Value::Array(records) => places.extend(records.iter().map(place)),
                record => places.push(place(&record)),
            }
        }
        self.lock().extend(places);
    }

    /// How many records arrived, repeats included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many records arrived, repeats left aside.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.lock().iter().collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Checks that `records` records arrived of all partitions together, and each partition's in order when
    /// repeats are left aside. Returns how often a record of each partition came again.
    ///
    /// # Panics
    /// When one is missing, or out of order.
    #[must_use]
    pub fn check(&self, records: i64) -> BTreeMap<u32, u64> {
        let (mut next, mut repeats) = (BTreeMap::<u32, i64>::new(), BTreeMap::<u32, u64>::new());
        for (at, &(partition, offset)) in self.lock().iter().enumerate() {
            let next = next.entry(partition).or_default();
            assert!(
                offset <= *next,
                "arrival {at} is offset {offset} of partition {partition}, and {} to {} never came before it",
                *next,
                offset - 1
            );
            if offset == *next {
                *next += 1;
            } else {
                *repeats.entry(partition).or_default() += 1;
            }
        }
        assert_eq!(next.values().sum::<i64>(), records, "of partitions {next:?}");
        repeats
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u32, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills http-sink with `kill -9` at so many random moments while it delivers so many records of three
/// partitions, one a request, and checks that every record arrives, in order, and that a kill repeats no more
/// than one delivery of each partition.
///
/// # Panics
/// When that does not hold.
pub fn kill_a_sink(records: u64, kills: u64) {
    const DELIVERY: u64 = 100;
    let world = World::new();
    let broker = Broker::start(&world);
    let at = broker.address();
    let _ = world.run(&format!("topic create killed -p 3 --cluster {at}")).success();
    let fill = format!(
        "run --connector test-source --topic killed --name fill --set count={records} --set interval=0s --cluster {at}"
    );
    let _ = world.run(&fill).success();

    let arrivals = Arrivals::default();
    let noted = arrivals.clone();
    let server = HttpServer::receive(move |request| {
        noted.note(&request.body);
        Answer::ok("")
    });
    let text = format!(
        "apiVersion: 0.1.0\nmeta:\n  name: killed\n  type: http-sink\n  version: 0.1.0\n  topic: killed\n\
         \x20 consumer: {{offset: {{strategy: manual, start: beginning}}}}\n\
         http: {{endpoint: '{}', body: '{}'}}\nhost: {{batch: {{max-records: {DELIVERY}}}}}\n",
        server.url(),
        Arrivals::BODY
    );
    let config = world.file("sink.yaml", text);
    let run = || world.host(["run", "-d", "--cluster", at, "--config"]).arg(&config).start();

    let mut dice = Dice::new(records);
    for kill in 0..kills {
        let mut sink = run();
        // Some while it starts, most when so many records more have arrived.
        if dice.below(5) == 0 {
            std::thread::sleep(Duration::from_millis(dice.below(150)));
        } else {
            let enough = arrivals.count() as u64 + dice.below(records * 3 / 2 / kills);
            let started = Instant::now();
            while (arrivals.count() as u64) < enough {
                assert!(sink.is_running(), "the run was over before kill {kill}:\n{}", sink.log());
                assert!(started.elapsed() < Duration::from_secs(120), "nothing arrives:\n{}", sink.log());
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        sink.kill();
    }
    let _ = run().wait(Duration::from_secs(600)).success();
    let repeats = arrivals.check(i64::try_from(records).expect("a number of records"));
    println!("{kills} kills in {records} records: {} repeats", repeats.values().sum::<u64>());
    for (partition, repeats) in repeats {
        assert!(repeats <= kills * DELIVERY, "{repeats} repeats of partition {partition} after {kills} kills");
    }
}
