//! A running broker: its listeners, its housekeeping, and how it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluvio_controlplane_metadata::smartmodule::SmartModuleSpec;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::catalog::{Catalog, Topic};
use crate::error::Error;
use crate::options::Options;
use crate::store::medium::{FileMedium, Medium};
use crate::store::{Retention, Store, StoreError};
use crate::{controller, unit};

/// The file that a running broker holds locked.
const LOCK: &str = "lock";
/// The file that holds everything else.
const DATABASE: &str = "broker.redb";
/// How long a broker is idle before it makes a start after a kill quick.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a listener rests when the system has no connection left to give.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How often a read is tried while the store is being opened again: for half a minute, since a big store is
/// checked then.
const READ_TRIES: u32 = 600;
/// How long such a read waits in between.
const READ_REST: Duration = Duration::from_millis(50);

/// A running broker. It ends with [`Broker::stop`], or in the background when dropped; either way what was
/// acknowledged is kept.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    unit_address: SocketAddr,
    stopping: CancellationToken,
    state: Arc<State>,
    writer: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker on the current runtime and returns when clients can connect.
    ///
    /// # Errors
    ///
    /// If the address can't be listened on, or the data directory can't be used or is in use.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let medium = Box::new(FileMedium { path: options.data.join(DATABASE) });
        Self::start_on(options, medium).await
    }

    /// Starts a broker whose store lies on `medium`.
    pub(crate) async fn start_on(options: Options, medium: Box<dyn Medium>) -> Result<Self, Error> {
        let folder = options.data.clone();
        let sync = options.sync;
        let opening = tokio::task::spawn_blocking(move || open(&folder, medium, sync));
        let listener = listen(options.listen).await?;
        let address = local(&listener, options.listen)?;
        let unit_listen = options.listen_unit.unwrap_or_else(|| SocketAddr::new(options.listen.ip(), 0));
        let unit_listener = listen(unit_listen).await?;
        let unit_address = local(&unit_listener, unit_listen)?;
        let opened = opening.await.map_err(|error| Error::Thread(io::Error::other(error)))??;
        let state = Arc::new(State {
            catalog: opened.catalog,
            store: opened.store,
            tasks: TaskTracker::new(),
            cut_responses: options.cut_responses,
            unit_address,
            cleaning: Notify::new(),
            options,
        });
        let stopping = CancellationToken::new();
        spawn_listener(&state, listener, &stopping, controller::serve);
        spawn_listener(&state, unit_listener, &stopping, unit::serve);
        spawn_housekeeping(&state, &stopping);
        info!(%address, unit = %unit_address, data = %state.options.data.display(), "broker started");
        Ok(Self { address, unit_address, stopping, state, writer: Some(opened.writer) })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the storage unit listens; clients are told by the controller.
    pub fn unit_address(&self) -> SocketAddr {
        self.unit_address
    }

    /// Stops: takes no more requests, writes what was taken, and closes the store. When it returns, another
    /// broker can use the data directory.
    ///
    /// # Errors
    ///
    /// If the store's thread has died, which would be a defect.
    pub async fn stop(mut self) -> Result<(), Error> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        self.stopping.cancel();
        self.state.tasks.close();
        self.state.tasks.wait().await;
        let state = Arc::clone(&self.state);
        drop(self);
        close(state, writer).await
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.state.tasks.close();
    }
}

/// Lets go of the store, which ends its thread when it has written everything.
async fn close(state: Arc<State>, writer: JoinHandle<()>) -> Result<(), Error> {
    drop(state);
    match tokio::task::spawn_blocking(move || writer.join()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Error::Thread(io::Error::other("the store's thread died"))),
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct State {
    pub catalog: Catalog,
    pub store: Arc<Store>,
    pub tasks: TaskTracker,
    pub cut_responses: bool,
    unit_address: SocketAddr,
    /// Dropped partitions have left something behind.
    cleaning: Notify,
    options: Options,
}

impl State {
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
        let state = Arc::clone(self);
        let name = name.to_owned();
        let loaded = self.blocking(move |_| state.catalog.load_smartmodule(&name)).await;
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

    async fn apply_retention(&self) {
        for topic in self.catalog.topics() {
            let retention = self.retention(&topic);
            if retention.committed_before.is_none() && retention.max_bytes.is_none() {
                continue;
            }
            for partition in &topic.partitions {
                if partition.extent().bytes == 0 {
                    continue;
                }
                if let Err(error) = self.store.trim(partition, retention).await {
                    debug!(%error, partition = %partition.key, "old records could not be deleted");
                    return;
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

struct Opened {
    catalog: Catalog,
    store: Arc<Store>,
    writer: JoinHandle<()>,
}

fn open(folder: &Path, medium: Box<dyn Medium>, sync: bool) -> Result<Opened, Error> {
    let lock = lock(folder)?;
    let (store, writer) = Store::open(folder, lock, medium, sync)?;
    let store = Arc::new(store);
    let catalog = Catalog::load(Arc::clone(&store), folder)?;
    Ok(Opened { catalog, store, writer })
}

/// Makes the data directory ours. The lock ends with the process, however that ends.
fn lock(folder: &Path) -> Result<File, Error> {
    let failed = |source| Error::Directory { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: PathBuf::from(folder) }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen { address, source })
}

fn spawn_listener<F>(
    state: &Arc<State>,
    listener: TcpListener,
    stopping: &CancellationToken,
    serve: fn(Arc<State>, TcpStream, CancellationToken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::clone(state);
    let stopping = stopping.clone();
    state.tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%error, %peer, "a connection was gone at once");
                        continue;
                    }
                    let connection = serve(Arc::clone(&shared), stream, stopping.clone());
                    shared.tasks.spawn(connection);
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    });
}

fn spawn_housekeeping(state: &Arc<State>, stopping: &CancellationToken) {
    let shared = Arc::clone(state);
    let stopping = stopping.clone();
    state.tasks.spawn(async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = keep_house(&shared) => {}
        }
    });
}

async fn keep_house(state: &State) {
    let mut retention = tokio::time::interval(state.options.retention_interval);
    let mut settle = tokio::time::interval(SETTLE);
    state.clean_soon();
    loop {
        tokio::select! {
            _ = retention.tick() => state.apply_retention().await,
            () = state.cleaning.notified() => {
                if let Err(error) = state.store.clean().await {
                    debug!(%error, "deleted topics could not be cleaned up yet");
                    tokio::time::sleep(SETTLE).await;
                    state.clean_soon();
                }
            }
            _ = settle.tick() => {
                if state.store.settle().await.is_err() {
                    return;
                }
            }
        }
    }
}
