//! What all connections of a broker share, and what is done with it beside answering requests.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluvio_controlplane_metadata::smartmodule::SmartModuleSpec;
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::catalog::{Catalog, Topic};
use crate::options::Options;
use crate::store::{Retention, Store, StoreError};

/// How long the writer has nothing to do before it makes the next start after a kill quick.
pub(crate) const SETTLE: Duration = Duration::from_millis(250);
/// How many partitions are looked through for old records at once.
const TRIMS: usize = 256;
/// How often a read is tried while the store is being opened again: for half a minute, since a big store is
/// checked then.
const READ_TRIES: u32 = 600;
/// How long such a read waits in between.
const READ_REST: Duration = Duration::from_millis(50);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct State {
    pub catalog: Catalog,
    pub store: Arc<Store>,
    /// Everything that runs in the background, so that stopping can wait for it.
    pub tasks: TaskTracker,
    /// Set when no more requests are to be taken.
    pub stopping: CancellationToken,
    /// Set when everything is to end at once.
    pub ending: CancellationToken,
    pub options: Options,
    unit_address: SocketAddr,
    /// Dropped partitions have left something behind.
    cleaning: Notify,
}

impl State {
    pub(crate) fn new(options: Options, catalog: Catalog, store: Arc<Store>, unit_address: SocketAddr) -> Self {
        Self {
            catalog,
            store,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            options,
            unit_address,
            cleaning: Notify::new(),
        }
    }

    /// Runs something in the background until it is done or `end` is set.
    pub(crate) fn spawn(&self, end: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
        let end = end.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Reads from the store on a thread that may block. While the store is being opened again after an
    /// error, the read waits and is tried again.
    pub(crate) async fn blocking<T, R>(self: &Arc<Self>, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: Fn(&Self) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let read = Arc::new(read);
        let mut tries = 1;
        loop {
            let state = Arc::clone(self);
            let once = Arc::clone(&read);
            let reading = tokio::task::spawn_blocking(move || once(&state));
            match reading.await {
                Ok(Err(error)) if error.is_passing() && tries < READ_TRIES => {
                    tries += 1;
                    tokio::time::sleep(READ_REST).await;
                }
                Ok(result) => return result,
                Err(_) => return Err(StoreError::Stopping),
            }
        }
    }

    /// A SmartModule with its payload.
    pub(crate) async fn load_smartmodule(self: &Arc<Self>, name: &str) -> io::Result<Option<SmartModuleSpec>> {
        let name = name.to_owned();
        let loaded = self.blocking(move |state| state.catalog.load_smartmodule(&name)).await;
        loaded.map_err(io::Error::other)
    }

    /// Where a client that reached the controller by `local` finds the storage unit.
    pub(crate) fn unit_endpoint(&self, local: Option<IpAddr>) -> (String, u16) {
        let port = self.unit_address.port();
        if let Some(host) = &self.options.advertise {
            return (host.clone(), port);
        }
        let bound = self.unit_address.ip();
        let address = if bound.is_unspecified() { local.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { bound };
        let host = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => v4.to_string(),
                None => format!("[{v6}]"),
            },
        };
        (host, port)
    }

    /// Deletes in the background what dropped partitions left behind.
    pub(crate) fn clean_soon(&self) {
        self.cleaning.notify_one();
    }

    /// Deletes what is too old or too much, and what deleted topics left behind, until it is cancelled.
    pub(crate) async fn keep_house(&self) {
        let pause = self.options.retention_interval.max(Duration::from_millis(10));
        let mut retention = tokio::time::interval(pause);
        let mut settle = tokio::time::interval(SETTLE);
        self.clean_soon();
        loop {
            tokio::select! {
                _ = retention.tick() => self.apply_retention().await,
                () = self.cleaning.notified() => {
                    if let Err(error) = self.store.clean().await {
                        debug!(%error, "deleted topics could not be cleaned up yet");
                        tokio::time::sleep(pause).await;
                        self.clean_soon();
                    }
                }
                _ = settle.tick() => {
                    if self.store.settle().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn apply_retention(&self) {
        let mut due = Vec::new();
        for topic in self.catalog.topics() {
            let retention = self.retention(&topic);
            if !retention.is_unlimited() {
                let filled = topic.partitions.iter().filter(|partition| partition.extent().bytes > 0);
                due.extend(filled.map(|partition| (Arc::clone(partition), retention)));
            }
        }
        // Several at once, so that they share commits.
        for some in due.chunks(TRIMS) {
            let trims = some.iter().map(|(partition, retention)| self.store.trim(partition, *retention));
            for (result, (partition, _)) in join_all(trims).await.into_iter().zip(some) {
                if let Err(error) = result {
                    debug!(%error, partition = %partition.key, "old records could not be deleted");
                }
            }
        }
    }

    fn retention(&self, topic: &Topic) -> Retention {
        let own = topic.spec.get_clean_policy();
        let age =
            own.map_or(self.options.retention, |policy| Some(Duration::from_secs(policy.retention_secs().into())));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let oldest = now.zip(age).map(|(now, age)| now.saturating_sub(age));
        let storage = topic.spec.get_storage();
        Retention {
            committed_before: oldest.map(|time| u64::try_from(time.as_millis()).unwrap_or(0)),
            max_bytes: storage.and_then(|storage| storage.max_partition_size).or(self.options.retention_bytes),
        }
    }
}
