//! `host consume`: a topic's records on standard output, none missing.

use std::io::{self, BufWriter, Write};

use host_batch::RecordRef;
use host_cluster::{Consumer, ConsumerOptions, Start};
use serde_json::json;

use crate::cli::{ConsumeArgs, RecordFormat};
use crate::cluster;
use crate::failure::{Failure, Outcome};

/// Prints until the end that was asked for, or until nobody reads.
pub(crate) async fn consume(arguments: Box<ConsumeArgs>) -> Outcome {
    let connected = cluster::connect(&arguments.target).await?;
    let mut options = ConsumerOptions::new(&arguments.topic);
    options.partitions.clone_from(&arguments.partitions);
    options.start = match (&arguments.start, arguments.head, arguments.tail) {
        (Some(offset), _, _) => Start::Absolute(*offset),
        (_, Some(behind), _) => Start::FromBeginning(u64::from(behind)),
        (_, _, Some(before)) => Start::FromEnd(u64::from(before)),
        _ if arguments.beginning => Start::Beginning,
        _ => Start::End,
    };
    options.consumer_id.clone_from(&arguments.consumer);
    options.until_end = arguments.disable_continuous;
    if let Some(max_bytes) = arguments.max_bytes {
        options.max_bytes = max_bytes;
    }
    let printed = match connected.cluster.consumer(options).await {
        Ok(mut consumer) => tokio::select! {
            printed = print_all(&mut consumer, &arguments) => printed,
            _ = tokio::signal::ctrl_c() => Ok(()),
        },
        Err(error) => Err(cluster::refused(&error)),
    };
    let closed = connected.close().await;
    printed.and(closed)
}

async fn print_all(consumer: &mut Consumer, arguments: &ConsumeArgs) -> Outcome {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(fetched) = consumer.next().await.map_err(|e| cluster::refused(&e))? else {
            break;
        };
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(fetched.batch.len());
        for (record, offset) in fetched.batch.iter().take(take).zip(fetched.first_offset..) {
            if let Err(error) = print(&mut out, &record, fetched.partition, offset, arguments) {
                return ended(&error);
            }
        }
        if let Err(error) = out.flush() {
            return ended(&error);
        }
        left -= take as u64;
        if arguments.consumer.is_some() {
            // Only now: what was not printed is read again.
            let next = fetched.first_offset + take as i64;
            consumer.commit(fetched.partition, next).await.map_err(Failure::failed)?;
        }
    }
    Ok(())
}

/// A reader that goes away, as `head` does, is no failure.
fn ended(error: &io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(Failure::failed(format!("can't print: {error}")))
    }
}

fn print(
    out: &mut impl Write,
    record: &RecordRef<'_>,
    partition: u32,
    offset: i64,
    arguments: &ConsumeArgs,
) -> io::Result<()> {
    match arguments.output {
        RecordFormat::Raw => out.write_all(record.value),
        RecordFormat::Json => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let line = json!({
                "topic": arguments.topic,
                "partition": partition,
                "offset": offset,
                "timestamp": record.timestamp,
                "key": record.key.map(text),
                "value": text(record.value),
            });
            writeln!(out, "{line}")
        }
        RecordFormat::Text => {
            if arguments.key_value {
                let key = record.key.map_or_else(|| "[null]".into(), String::from_utf8_lossy);
                write!(out, "[{key}] ")?;
            }
            out.write_all(record.value)?;
            out.write_all(b"\n")
        }
    }
}
