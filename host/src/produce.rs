//! `host produce`: lines, or one whole input, as records of a topic.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use host_batch::Batch;
use host_cluster::{Compression, Producer, ProducerOptions};

use crate::cli::ProduceArgs;
use crate::cluster;
use crate::failure::{Failure, Outcome};

/// How much input makes a batch when it comes faster than the cluster takes it.
const BATCH_BYTES: usize = 1 << 20;

/// Reads the input to its end; returns when every record is acknowledged.
pub(crate) async fn produce(arguments: ProduceArgs) -> Outcome {
    let compression = arguments
        .compression
        .as_deref()
        .map(str::parse::<Compression>)
        .transpose()
        .map_err(|_| Failure::config("--compression takes none, gzip, snappy, lz4 or zstd"))?;
    let input: Box<dyn Read + Send> = match &arguments.file {
        Some(path) => {
            Box::new(File::open(path).map_err(|e| Failure::failed(format!("can't read {}: {e}", path.display())))?)
        }
        None => Box::new(io::stdin()),
    };
    let connected = cluster::connect(&arguments.target).await?;
    let options = ProducerOptions { compression, ..ProducerOptions::default() };
    let sent = match connected.cluster.producer(&arguments.topic, options).await {
        Ok(mut producer) => send_all(&mut producer, input, &arguments).await,
        Err(error) => Err(cluster::refused(&error)),
    };
    let closed = connected.close().await;
    sent.and(closed)
}

async fn send_all(producer: &mut Producer, input: Box<dyn Read + Send>, arguments: &ProduceArgs) -> Outcome {
    let (batches, mut filled) = tokio::sync::mpsc::channel::<io::Result<Batch>>(2);
    let cut = Cut { raw: arguments.raw, key: arguments.key.clone(), separator: arguments.key_separator.clone() };
    // Reading blocks, so it has a thread; a batch leaves it when it is full or when the input pauses.
    std::thread::spawn(move || cut.read(BufReader::with_capacity(BATCH_BYTES, input), &batches));
    while let Some(batch) = filled.recv().await {
        let batch = batch.map_err(|e| Failure::failed(format!("can't read the input: {e}")))?;
        producer.send(&batch).await.map_err(Failure::failed)?;
    }
    Ok(())
}

/// How input becomes records.
struct Cut {
    raw: bool,
    key: Option<String>,
    separator: Option<String>,
}

impl Cut {
    fn read(&self, mut input: BufReader<Box<dyn Read + Send>>, out: &tokio::sync::mpsc::Sender<io::Result<Batch>>) {
        let mut batch = Batch::default();
        loop {
            let mut line = Vec::new();
            let read = if self.raw { input.read_to_end(&mut line) } else { input.read_until(b'\n', &mut line) };
            match read {
                Err(error) => {
                    let _ = out.blocking_send(Ok(batch)).and_then(|()| out.blocking_send(Err(error)));
                    return;
                }
                Ok(0) => {
                    let _ = out.blocking_send(Ok(batch));
                    return;
                }
                Ok(_) => self.push(&mut batch, line),
            }
            if (input.buffer().is_empty() || batch.byte_len() >= BATCH_BYTES)
                && out.blocking_send(Ok(std::mem::take(&mut batch))).is_err()
            {
                return;
            }
        }
    }

    fn push(&self, batch: &mut Batch, mut line: Vec<u8>) {
        if !self.raw && line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if let Some(separator) = self.separator.as_deref().filter(|s| !s.is_empty())
            && let Some(at) = line.windows(separator.len()).position(|w| w == separator.as_bytes())
        {
            batch.push(Some(&line[..at]), &line[at + separator.len()..], None);
            return;
        }
        batch.push(self.key.as_deref().map(str::as_bytes), &line, None);
    }
}
