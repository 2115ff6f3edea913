//! `host dead-letter`: looks at the records that could not be used, and puts them back once the reason is mended.

use std::collections::BTreeMap;

use host_batch::Batch;
use host_cluster::{Cluster, Consumer, ConsumerOptions, Fetched, Producer, ProducerOptions, Start};
use host_pipeline::dead_letter::{DeadLetter, Payload};
use serde::Serialize;

use crate::cli::{DeadLetterArgs, DeadLetterCommand};
use crate::cluster;
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};

/// Under this name the cluster keeps which letters were put back, so that none is put back twice.
const REPLAYED: &str = "host-dead-letter-replay";

/// Runs one of the dead-letter commands.
pub(crate) async fn dead_letter(arguments: DeadLetterArgs) -> Outcome {
    match arguments.command {
        DeadLetterCommand::List { topic, format, target } => {
            let connected = cluster::connect(&target).await?;
            let listed = list(&connected.cluster, &topic, format).await;
            let closed = connected.close().await;
            listed.and(closed)
        }
        DeadLetterCommand::Replay { topic, to, stage, all, target } => {
            let connected = cluster::connect(&target).await?;
            let replay = Replay { cluster: &connected.cluster, to, stage, producers: BTreeMap::new() };
            let replayed = replay.run(&topic, all).await;
            let closed = connected.close().await;
            replayed.and(closed)
        }
    }
}

#[derive(Serialize)]
struct Row {
    offset: i64,
    #[serde(flatten)]
    letter: DeadLetter,
}

async fn list(cluster: &Cluster, topic: &str, format: Format) -> Outcome {
    let mut consumer = open(cluster, topic, None).await?;
    let mut rows = Vec::new();
    while let Some(fetched) = consumer.next().await.map_err(Failure::failed)? {
        for (offset, letter) in letters(topic, &fetched) {
            rows.extend(letter.map(|letter| Row { offset, letter }));
        }
    }
    if format == Format::Json {
        return format::json(&rows);
    }
    let text = |payload: &Option<Payload>| {
        let text = payload.as_ref().map_or_else(String::new, |payload| payload.data.clone());
        text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
    };
    let cells = |Row { offset, letter }: &Row| {
        let place = match (letter.position.partition, letter.position.offset) {
            (Some(partition), Some(offset)) => format!("{} {partition}/{offset}", letter.position.topic),
            _ => letter.position.topic.clone(),
        };
        vec![
            offset.to_string(),
            letter.connector.clone(),
            letter.stage.clone(),
            place,
            letter.attempts.to_string(),
            text(&letter.value),
            letter.reason.clone(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    format::table(&["OFFSET", "CONNECTOR", "STAGE", "RECORD", "ATTEMPTS", "VALUE", "REASON"], &rows);
    Ok(())
}

async fn open(cluster: &Cluster, topic: &str, consumer_id: Option<&str>) -> Outcome<Consumer> {
    let consumer_id = consumer_id.map(str::to_owned);
    let options =
        ConsumerOptions { start: Start::Beginning, until_end: true, consumer_id, ..ConsumerOptions::new(topic) };
    cluster.consumer(options).await.map_err(|error| cluster::refused(&error))
}

/// The letters of one fetch with their offsets; `None` for a record that is none.
fn letters<'a>(topic: &'a str, fetched: &'a Fetched) -> impl Iterator<Item = (i64, Option<DeadLetter>)> + use<'a> {
    (fetched.first_offset..).zip(&fetched.batch).map(move |(offset, record)| {
        let letter = serde_json::from_slice(record.value);
        if let Err(error) = &letter {
            tracing::warn!(topic, offset, %error, "not a dead letter, passed over");
        }
        (offset, letter.ok())
    })
}

/// Letters on their way back.
struct Replay<'a> {
    cluster: &'a Cluster,
    to: Option<String>,
    stage: Option<String>,
    producers: BTreeMap<String, Producer>,
}

#[derive(Default)]
struct Count {
    back: BTreeMap<String, u64>,
    without_record: u64,
    others: u64,
}

impl Replay<'_> {
    async fn run(mut self, topic: &str, all: bool) -> Outcome {
        let mut consumer = open(self.cluster, topic, (!all).then_some(REPLAYED)).await?;
        let mut count = Count::default();
        while let Some(fetched) = consumer.next().await.map_err(Failure::failed)? {
            for (target, batch) in self.sort(topic, &fetched, &mut count)? {
                self.send(topic, &target, &batch).await?;
                *count.back.entry(target).or_default() += batch.len() as u64;
            }
            // Letters that were not asked for stay to be asked for.
            if !all && self.stage.is_none() {
                consumer.commit(fetched.partition, fetched.next_offset).await.map_err(Failure::failed)?;
            }
        }
        report(&count);
        Ok(())
    }

    /// The records of one fetch by the topic that they go back to.
    fn sort(&self, topic: &str, fetched: &Fetched, count: &mut Count) -> Outcome<BTreeMap<String, Batch>> {
        let mut batches = BTreeMap::<String, Batch>::new();
        for (offset, letter) in letters(topic, fetched) {
            let Some(letter) = letter else {
                count.others += 1;
                continue;
            };
            if self.stage.as_ref().is_some_and(|stage| *stage != letter.stage) {
                count.others += 1;
                continue;
            }
            let Some(value) = &letter.value else {
                count.without_record += 1;
                continue;
            };
            let damaged = || Failure::failed(format!("the letter at offset {offset} of {topic} is damaged"));
            let value = value.bytes().ok_or_else(damaged)?;
            let key = letter.key.as_ref().map(|key| key.bytes().ok_or_else(damaged)).transpose()?;
            let target = self.to.clone().unwrap_or(letter.position.topic);
            batches.entry(target).or_default().push(key.as_deref(), &value, None);
        }
        Ok(batches)
    }

    async fn send(&mut self, topic: &str, target: &str, batch: &Batch) -> Outcome {
        if target == topic {
            return Err(Failure::config(format!("the records of {topic} would go back to {topic} itself"))
                .help("name another topic with --to"));
        }
        if !self.producers.contains_key(target) {
            let producer = self.cluster.producer(target, ProducerOptions::default()).await;
            self.producers.insert(target.to_owned(), producer.map_err(|error| cluster::refused(&error))?);
        }
        match self.producers.get_mut(target) {
            Some(producer) => producer.send(batch).await.map_err(Failure::failed),
            None => Ok(()),
        }
    }
}

fn report(count: &Count) {
    for (target, records) in &count.back {
        println!("{records} records put back into {target}");
    }
    if count.back.is_empty() {
        println!("nothing to put back");
    }
    if count.without_record > 0 {
        println!("{} letters tell of input that never was a record; nothing can be put back", count.without_record);
    }
    if count.others > 0 {
        println!("{} records passed over", count.others);
    }
}
