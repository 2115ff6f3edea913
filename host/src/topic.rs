//! `host topic`: the topics of a cluster.

use serde::Serialize;

use crate::cli::{TopicArgs, TopicCommand};
use crate::cluster;
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};

#[derive(Serialize)]
struct Row {
    name: String,
    partitions: u32,
    replication: Option<u32>,
    retention: String,
    status: String,
}

#[derive(Serialize)]
struct Description {
    name: String,
    replication: Option<u32>,
    retention: String,
    status: String,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition: u32,
    leader: i32,
    online: bool,
    start_offset: i64,
    end_offset: i64,
    bytes: Option<u64>,
}

impl From<host_cluster::TopicInfo> for Row {
    fn from(info: host_cluster::TopicInfo) -> Self {
        Self {
            name: info.name,
            partitions: info.partitions,
            replication: info.replication,
            retention: humantime::format_duration(info.retention).to_string(),
            status: info.status,
        }
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let replication = self.replication.map_or_else(|| "mixed".to_owned(), |n| n.to_string());
        vec![self.name.clone(), self.partitions.to_string(), replication, self.retention.clone(), self.status.clone()]
    }
}

const HEAD: [&str; 5] = ["NAME", "PARTITIONS", "REPLICATION", "RETENTION", "STATUS"];

/// Runs one of the topic commands.
pub(crate) async fn topic(arguments: TopicArgs) -> Outcome {
    match arguments.command {
        TopicCommand::Create { name, partitions, replication, retention_time, max_partition_size, target } => {
            let connected = cluster::connect(&target).await?;
            let mut spec = host_cluster::TopicSpec::new(&name);
            spec.partitions = partitions.unwrap_or(spec.partitions);
            spec.replication = replication.unwrap_or(spec.replication);
            spec.retention = retention_time;
            spec.max_partition_size = max_partition_size;
            let created = match connected.cluster.create_topic(&spec).await {
                Ok(true) => Ok("created"),
                Ok(false) => exists(&connected.cluster, &name, partitions, replication).await,
                Err(error) => Err(cluster::refused(&error)),
            };
            connected.close().await?;
            println!("topic \"{name}\" {}", created?);
            Ok(())
        }
        TopicCommand::List { format, target } => {
            let connected = cluster::connect(&target).await?;
            let topics = connected.cluster.topics().await.map_err(|e| cluster::refused(&e));
            connected.close().await?;
            let rows: Vec<Row> = topics?.into_iter().map(Row::from).collect();
            match format {
                Format::Json => format::json(&rows),
                Format::Text => {
                    format::table(&HEAD, &rows.iter().map(Row::cells).collect::<Vec<_>>());
                    Ok(())
                }
            }
        }
        TopicCommand::Describe { name, format, target } => {
            let connected = cluster::connect(&target).await?;
            let topic = connected.cluster.topic(&name).await.map_err(|e| cluster::refused(&e));
            let partitions = partitions(&connected.cluster, &name).await;
            connected.close().await?;
            let partition = |p: host_cluster::PartitionInfo| Partition {
                partition: p.partition,
                leader: p.leader,
                online: p.online,
                start_offset: p.start_offset,
                end_offset: p.end_offset,
                bytes: p.size,
            };
            let topic = Row::from(topic?);
            let partitions: Vec<Partition> = partitions?.into_iter().map(partition).collect();
            match format {
                Format::Json => {
                    let Row { name, replication, retention, status, .. } = topic;
                    format::json(&Description { name, replication, retention, status, partitions })
                }
                Format::Text => {
                    print(&topic, &partitions);
                    Ok(())
                }
            }
        }
        TopicCommand::Delete { names, target } => {
            let connected = cluster::connect(&target).await?;
            let mut done = Ok(());
            for name in names {
                done = connected.cluster.delete_topic(&name).await.map_err(|e| cluster::refused(&e));
                if done.is_err() {
                    break;
                }
                println!("topic \"{name}\" deleted");
            }
            connected.close().await?;
            done
        }
    }
}

/// The partitions of a topic with the offsets they have now, where their leaders can be asked.
async fn partitions(cluster: &host_cluster::Cluster, name: &str) -> Outcome<Vec<host_cluster::PartitionInfo>> {
    let mut partitions = cluster.partitions(name).await.map_err(|e| cluster::refused(&e))?;
    let numbers: Vec<u32> = partitions.iter().filter(|p| p.online).map(|p| p.partition).collect();
    // The controller hears of offsets only now and then.
    let fresh = cluster.log_offsets(name, &numbers).await.unwrap_or_default();
    for partition in &mut partitions {
        if let Some(offsets) = fresh.get(&partition.partition) {
            (partition.start_offset, partition.end_offset) = (offsets.start, offsets.end);
        }
    }
    Ok(partitions)
}

/// A topic that exists already will do, unless it is another than the one that was asked for.
async fn exists(
    cluster: &host_cluster::Cluster,
    name: &str,
    partitions: Option<u32>,
    replication: Option<u32>,
) -> Outcome<&'static str> {
    let found = cluster.topic(name).await.map_err(|e| cluster::refused(&e))?;
    let other = |what: &str, found: u32, wanted: u32| {
        Failure::failed(format!(
            "topic \"{name}\" exists already, with another number of {what}: {found}, not {wanted}"
        ))
        .help("take another name, or delete it first, with its records")
    };
    if let Some(wanted) = partitions.filter(|&wanted| wanted != found.partitions) {
        return Err(other("partitions", found.partitions, wanted));
    }
    match (replication, found.replication) {
        (Some(wanted), Some(found)) if wanted != found => Err(other("replicas", found, wanted)),
        _ => Ok("exists already"),
    }
}

fn print(topic: &Row, partitions: &[Partition]) {
    format::table(&HEAD, &[topic.cells()]);
    println!();
    let rows: Vec<Vec<String>> = partitions
        .iter()
        .map(|p| {
            vec![
                p.partition.to_string(),
                p.leader.to_string(),
                if p.online { "online" } else { "offline" }.to_owned(),
                p.start_offset.to_string(),
                p.end_offset.to_string(),
                p.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            ]
        })
        .collect();
    format::table(&["PARTITION", "LEADER", "STATUS", "START", "END", "BYTES"], &rows);
}
