//! What exists: topics with their partitions, and SmartModules.
//!
//! The catalog is the store's tables in memory, where every request looks things up. A change goes to disk
//! first and becomes visible after; changes are made one after the other. Each has a revision, so that a
//! watching client is sent what changed since it was told last, and not everything that exists.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use fluvio_controlplane_metadata::smartmodule::{SmartModuleSpec, SmartModuleWasmSummary};
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::record::ReplicaKey;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_types::defaults::CONSUMER_STORAGE_TOPIC;
use tokio::sync::{Mutex, watch};

use crate::error::Error;
use crate::store::{Change, Extent, Partition, Store, StoreError};

/// The version in which specs are written to disk.
const SPEC_VERSION: Version = 19;
/// How many deleted topics are remembered for those who watch; who is further behind is sent everything.
const REMEMBERED: usize = 1024;
/// How long a creation waits until watching clients have been told of it.
const SPREAD: Duration = Duration::from_secs(1);
/// How long clients are given to take in what they were told.
const DIGEST: Duration = Duration::from_millis(10);
/// The most partitions of one topic.
pub(crate) const MAX_PARTITIONS: u32 = 10_000;

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub spec: TopicSpec,
    pub partitions: Vec<Arc<Partition>>,
    /// The revision in which it was created.
    pub revision: u64,
}

/// A SmartModule without its payload, which stays on disk.
#[derive(Debug)]
pub(crate) struct SmartModule {
    pub name: String,
    /// What a summary shows.
    pub summary: SmartModuleSpec,
}

/// What a watching client is to be told.
#[derive(Debug)]
pub(crate) struct News {
    /// Tell it everything: the topics are all there are.
    pub all: bool,
    pub created: Vec<Arc<Topic>>,
    pub deleted: Vec<Arc<Topic>>,
    pub revision: u64,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Arc<Topic>>,
    smartmodules: BTreeMap<String, Arc<SmartModule>>,
    deleted: VecDeque<(u64, Arc<Topic>)>,
    /// Deletions up to this revision are forgotten.
    forgotten: u64,
    next_partition: u64,
}

/// Why a topic was not created or deleted.
#[derive(Debug)]
pub(crate) enum CatalogError {
    Exists,
    Missing,
    System,
    Encode(io::Error),
    Store(StoreError),
}

#[derive(Debug)]
pub(crate) struct Catalog {
    store: Arc<Store>,
    state: RwLock<State>,
    revision: watch::Sender<u64>,
    changing: Mutex<()>,
    /// The revision that each watching client was told.
    told: std::sync::Mutex<Vec<watch::Receiver<u64>>>,
}

impl Catalog {
    /// Reads what exists from the store.
    pub(crate) fn load(store: Arc<Store>, folder: &std::path::Path) -> Result<Self, Error> {
        let damaged = |what: &str, name: &str| Error::Format {
            path: folder.to_owned(),
            reason: format!("{what} `{name}` can't be decoded"),
        };
        let loaded = store.load()?;
        let mut state = State { next_partition: loaded.next_partition, ..State::default() };
        for topic in loaded.topics {
            let (spec, ids): (TopicSpec, Vec<u64>) =
                decode(&topic.value).ok_or_else(|| damaged("topic", &topic.name))?;
            let topic = make_topic(topic.name, spec, &ids, 0, &loaded.extents);
            state.topics.insert(topic.name.clone(), Arc::new(topic));
        }
        for (name, value) in loaded.smartmodules {
            let (spec, _): (SmartModuleSpec, Vec<u64>) = decode(&value).ok_or_else(|| damaged("SmartModule", &name))?;
            let module = summarize(name.clone(), &spec);
            state.smartmodules.insert(name, Arc::new(module));
        }
        let system = system_topic();
        state.topics.insert(system.name.clone(), Arc::new(system));
        Ok(Self {
            store,
            state: RwLock::new(state),
            revision: watch::Sender::new(0),
            changing: Mutex::new(()),
            told: std::sync::Mutex::default(),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All topics, the system's own among them.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        self.read().topics.values().cloned().collect()
    }

    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().topics.get(name).cloned()
    }

    /// A partition.
    pub(crate) fn partition(&self, topic: &str, index: u32) -> Option<Arc<Partition>> {
        let state = self.read();
        let topic = state.topics.get(topic)?;
        topic.partitions.get(usize::try_from(index).ok()?).cloned()
    }

    /// All SmartModules, without their payloads.
    pub(crate) fn smartmodules(&self) -> Vec<Arc<SmartModule>> {
        self.read().smartmodules.values().cloned().collect()
    }

    /// Tells of each new revision.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Where a watching client's task notes what it has told the client.
    pub(crate) fn follower(&self) -> watch::Sender<u64> {
        let told = watch::Sender::new(0);
        let mut followers = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A follower that is gone leaves a receiver without a sender.
        followers.retain(|follower| follower.has_changed().is_ok());
        followers.push(told.subscribe());
        told
    }

    /// Waits until those who watch now have been told everything. In a cluster a topic takes a while to be
    /// made, so that clients, which ask for it as soon as it is created, have heard of it by then.
    pub(crate) async fn spread(&self) {
        let revision = *self.revision.borrow();
        let followers = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let telling = async {
            for mut follower in followers {
                // A client that went away needs not be told.
                let _ = follower.wait_for(|told| *told >= revision).await;
            }
            tokio::time::sleep(DIGEST).await;
        };
        // A client that does not read must not hold up the others.
        let _ = tokio::time::timeout(SPREAD, telling).await;
    }

    /// What changed after a revision; everything, if it was none.
    pub(crate) fn news(&self, after: Option<u64>) -> News {
        let state = self.read();
        let revision = *self.revision.borrow();
        let after = after.filter(|after| *after >= state.forgotten);
        let topics = state.topics.values();
        let Some(after) = after else {
            return News { all: true, created: topics.cloned().collect(), deleted: Vec::new(), revision };
        };
        let created = topics.filter(|topic| topic.revision > after);
        let deleted = state.deleted.iter().filter(|(gone, _)| *gone > after);
        News {
            all: false,
            created: created.cloned().collect(),
            deleted: deleted.map(|(_, topic)| Arc::clone(topic)).collect(),
            revision,
        }
    }

    /// Creates a topic with its partitions.
    pub(crate) async fn create_topic(&self, name: String, spec: TopicSpec) -> Result<(), CatalogError> {
        let _one = self.changing.lock().await;
        if self.topic(&name).is_some() {
            return Err(CatalogError::Exists);
        }
        let count = u64::from(spec.replicas().partitions());
        let ids: Vec<u64> = {
            let mut state = self.write();
            let first = state.next_partition;
            // Also if the creation fails: it may be on disk all the same.
            state.next_partition += count;
            (first..first + count).collect()
        };
        let change = Change::PutTopic {
            name: name.clone(),
            value: encode(&spec, &ids).map_err(CatalogError::Encode)?,
            partitions: ids.clone(),
        };
        self.store.change(change).await.map_err(CatalogError::Store)?;
        let revision = *self.revision.borrow() + 1;
        let topic = make_topic(name.clone(), spec, &ids, revision, &HashMap::new());
        let mut state = self.write();
        state.topics.insert(name, Arc::new(topic));
        self.revision.send_replace(revision);
        Ok(())
    }

    /// Deletes a topic; its records go in the background.
    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), CatalogError> {
        let _one = self.changing.lock().await;
        let topic = self.topic(name).ok_or(CatalogError::Missing)?;
        if topic.spec.is_system() {
            return Err(CatalogError::System);
        }
        let change = Change::RemoveTopic { name: name.to_owned(), partitions: topic.partitions.clone() };
        self.store.change(change).await.map_err(CatalogError::Store)?;
        let mut state = self.write();
        let revision = *self.revision.borrow() + 1;
        state.topics.remove(name);
        state.deleted.push_back((revision, topic));
        if state.deleted.len() > REMEMBERED
            && let Some((forgotten, _)) = state.deleted.pop_front()
        {
            state.forgotten = forgotten;
        }
        self.revision.send_replace(revision);
        Ok(())
    }

    /// Stores a SmartModule, in place of one of the same name if there is one.
    pub(crate) async fn put_smartmodule(&self, name: String, spec: SmartModuleSpec) -> Result<(), CatalogError> {
        let _one = self.changing.lock().await;
        let change = Change::PutSmartModule {
            name: name.clone(),
            value: encode(&spec, &Vec::new()).map_err(CatalogError::Encode)?,
        };
        self.store.change(change).await.map_err(CatalogError::Store)?;
        let module = summarize(name.clone(), &spec);
        self.write().smartmodules.insert(name, Arc::new(module));
        Ok(())
    }

    /// Deletes a SmartModule.
    pub(crate) async fn delete_smartmodule(&self, name: &str) -> Result<(), CatalogError> {
        let _one = self.changing.lock().await;
        if !self.read().smartmodules.contains_key(name) {
            return Err(CatalogError::Missing);
        }
        let change = Change::RemoveSmartModule { name: name.to_owned() };
        self.store.change(change).await.map_err(CatalogError::Store)?;
        self.write().smartmodules.remove(name);
        Ok(())
    }

    /// A SmartModule with its payload, from disk.
    pub(crate) fn load_smartmodule(&self, name: &str) -> Result<Option<SmartModuleSpec>, StoreError> {
        let value = self.store.smartmodule(name)?;
        Ok(value.and_then(|value| decode::<SmartModuleSpec>(&value)).map(|(spec, _)| spec))
    }
}

/// The topic that clients look for before they ask for consumer offsets. The offsets themselves have a table
/// of their own, and no record is ever in it.
fn system_topic() -> Topic {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_system(true);
    let key = ReplicaKey::new(CONSUMER_STORAGE_TOPIC, 0_u32);
    Topic {
        name: CONSUMER_STORAGE_TOPIC.to_owned(),
        spec,
        partitions: vec![Arc::new(Partition::new(0, key, Extent::default()))],
        revision: 0,
    }
}

fn make_topic(name: String, spec: TopicSpec, ids: &[u64], revision: u64, extents: &HashMap<u64, Extent>) -> Topic {
    let partitions = (0_u32..).zip(ids).map(|(index, id)| {
        let key = ReplicaKey::new(name.as_str(), index);
        let extent = extents.get(id).copied().unwrap_or_default();
        Arc::new(Partition::new(*id, key, extent))
    });
    let partitions = partitions.collect();
    Topic { name, spec, partitions, revision }
}

fn summarize(name: String, spec: &SmartModuleSpec) -> SmartModule {
    let length = u32::try_from(spec.wasm.payload.len()).unwrap_or(u32::MAX);
    let summary = SmartModuleSpec {
        meta: spec.meta.clone(),
        summary: Some(SmartModuleWasmSummary { wasm_length: length }),
        ..SmartModuleSpec::default()
    };
    SmartModule { name, summary }
}

fn encode<S: Encoder>(spec: &S, ids: &Vec<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = SPEC_VERSION.to_be_bytes().to_vec();
    ids.encode(&mut bytes, SPEC_VERSION)?;
    spec.encode(&mut bytes, SPEC_VERSION)?;
    Ok(bytes)
}

fn decode<S: Decoder>(mut bytes: &[u8]) -> Option<(S, Vec<u64>)> {
    let version = Version::decode_from(&mut bytes, 0).ok()?;
    let ids = Vec::<u64>::decode_from(&mut bytes, version).ok()?;
    let spec = S::decode_from(&mut bytes, version).ok()?;
    Some((spec, ids))
}
