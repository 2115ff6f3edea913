//! Which storage unit leads which partition, and how to get there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fluvio_sc_schema::objects::Metadata;
use fluvio_sc_schema::spu::SpuSpec;
use tokio::sync::Mutex;

use crate::admin::Kind;
use crate::connection::Connection;
use crate::target::Endpoint;
use crate::{Cluster, Error};

/// How old the news of a topic's leaders may be for who connects to one of them: after an outage all of a
/// consumer's partitions look for their leaders at the same moment.
const FRESH: Duration = Duration::from_millis(200);

/// The last news of the leaders of each topic.
#[derive(Default)]
pub(crate) struct News(Mutex<HashMap<String, (Instant, Arc<Leaders>)>>);

/// The leaders of a topic's partitions.
#[derive(Default)]
pub(crate) struct Leaders {
    /// Every partition there is, and the storage unit that leads it.
    pub(crate) partitions: BTreeMap<u32, i32>,
    /// The partitions that the controller believes can be written.
    pub(crate) writable: Vec<u32>,
    units: BTreeMap<i32, Endpoint>,
}

impl Leaders {
    /// The storage unit that leads a partition and the way there; nothing if there is none at the moment.
    pub(crate) fn of(&self, partition: u32) -> Option<(i32, &Endpoint)> {
        let unit = *self.partitions.get(&partition)?;
        Some((unit, self.units.get(&unit)?))
    }

    /// The way to the storage unit that leads `partition` of `topic`.
    pub(crate) fn endpoint(&self, topic: &str, partition: u32) -> Result<&Endpoint, Error> {
        self.of(partition)
            .map(|(_, endpoint)| endpoint)
            .ok_or_else(|| Error::NoLeader { topic: topic.to_owned(), partition })
    }

    /// `partitions`, grouped by the storage unit that leads them.
    pub(crate) fn group(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = u32>,
    ) -> Result<BTreeMap<i32, Vec<u32>>, Error> {
        let mut groups: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        for partition in partitions {
            let (unit, _) = self.of(partition).ok_or_else(|| Error::NoLeader { topic: topic.to_owned(), partition })?;
            groups.entry(unit).or_default().push(partition);
        }
        Ok(groups)
    }
}

impl Cluster {
    /// The leaders of a topic's partitions as the controller knows them now; no partitions if there is no
    /// such topic, or not yet.
    pub(crate) async fn leaders(&self, topic: &str) -> Result<Leaders, Error> {
        self.leaders_of(topic, Kind::Whole).await
    }

    /// A connection to the leader of one of the cluster's own partitions.
    pub(crate) async fn connect_to_system_leader(&self, topic: &str, partition: u32) -> Result<Connection, Error> {
        let mut leaders = self.leaders_of(topic, Kind::System).await?;
        if leaders.partitions.is_empty() {
            // Not every cluster marks its own topics.
            leaders = self.leaders_of(topic, Kind::Whole).await?;
        }
        Connection::open(leaders.endpoint(topic, partition)?).await
    }

    /// A connection to the leader of a partition.
    pub(crate) async fn connect_to_leader(&self, topic: &str, partition: u32) -> Result<Connection, Error> {
        let leaders = self.recent_leaders(topic).await?;
        if leaders.partitions.is_empty() {
            return Err(Error::TopicNotFound { name: topic.to_owned() });
        }
        Connection::open(leaders.endpoint(topic, partition)?).await
    }

    async fn recent_leaders(&self, topic: &str) -> Result<Arc<Leaders>, Error> {
        // Held while asking: whoever comes meanwhile gets the same answer.
        let mut news = self.0.leaders.0.lock().await;
        news.retain(|_, (heard, _)| heard.elapsed() < FRESH);
        if let Some((_, leaders)) = news.get(topic) {
            return Ok(Arc::clone(leaders));
        }
        let leaders = Arc::new(self.leaders(topic).await?);
        news.insert(topic.to_owned(), (Instant::now(), Arc::clone(&leaders)));
        Ok(leaders)
    }

    async fn leaders_of(&self, topic: &str, kind: Kind) -> Result<Leaders, Error> {
        let partitions = self.list_partitions(topic, kind).await?;
        let units: Vec<Metadata<SpuSpec>> = self.list(None, Kind::Whole).await?;
        let settings = &self.0.settings;
        let endpoint = |unit: Metadata<SpuSpec>| {
            let SpuSpec { id, public_endpoint, public_endpoint_local, .. } = unit.spec;
            let address = match public_endpoint_local.filter(|_| settings.use_local_addresses) {
                Some(local) => format!("{}:{}", local.host, local.port),
                None => public_endpoint.addr(),
            };
            (id, settings.storage_unit(&unit.name, address))
        };
        Ok(Leaders {
            writable: partitions
                .iter()
                .filter(|partition| partition.online)
                .map(|partition| partition.partition)
                .collect(),
            partitions: partitions.into_iter().map(|partition| (partition.partition, partition.leader)).collect(),
            units: units.into_iter().map(endpoint).collect(),
        })
    }
}
