//! A running broker: its listeners, its housekeeping, and how it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, info, warn};

use crate::catalog::Catalog;
use crate::error::Error;
use crate::options::Options;
use crate::state::State;
use crate::store::Store;
use crate::store::medium::FileMedium;
use crate::{controller, unit};

/// The file that a running broker holds locked.
const LOCK: &str = "lock";
/// The file that holds everything else.
const DATABASE: &str = "broker.redb";
/// How long stopping waits for answers to go out to clients that may not be reading.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a listener rests when the system has no connection left to give.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A running broker. It ends with [`Broker::stop`], or in the background when dropped; either way what was
/// acknowledged is kept.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    unit_address: SocketAddr,
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
        let folder = options.data.clone();
        let sync = options.sync;
        let opening = tokio::task::spawn_blocking(move || open(&folder, sync));
        let listener = listen(options.listen).await?;
        let address = local(&listener, options.listen)?;
        let unit_listen = options.listen_unit.unwrap_or_else(|| SocketAddr::new(options.listen.ip(), 0));
        let unit_listener = listen(unit_listen).await?;
        let unit_address = local(&unit_listener, unit_listen)?;
        let opened = opening.await.map_err(|error| Error::Thread(io::Error::other(error)))??;
        let state = Arc::new(State::new(options, opened.catalog, opened.store, unit_address));
        spawn_listener(&state, listener, controller::serve);
        spawn_listener(&state, unit_listener, unit::serve);
        let housekeeping = Arc::clone(&state);
        state.spawn(&state.stopping, async move { housekeeping.keep_house().await });
        info!(%address, unit = %unit_address, data = %state.options.data.display(), "broker started");
        Ok(Self { address, unit_address, state, writer: Some(opened.writer) })
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
        let state = Arc::clone(&self.state);
        state.stopping.cancel();
        state.tasks.close();
        if tokio::time::timeout(DRAIN, state.tasks.wait()).await.is_err() {
            debug!("some clients do not read their answers: closing their connections");
        }
        drop(self);
        state.tasks.wait().await;
        close(state, writer).await
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.state.stopping.cancel();
        self.state.ending.cancel();
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

struct Opened {
    catalog: Catalog,
    store: Arc<Store>,
    writer: JoinHandle<()>,
}

fn open(folder: &Path, sync: bool) -> Result<Opened, Error> {
    let lock = lock(folder)?;
    let medium = Box::new(FileMedium { path: folder.join(DATABASE) });
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

fn spawn_listener<F>(state: &Arc<State>, listener: TcpListener, serve: fn(Arc<State>, TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::clone(state);
    let accepting = async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%error, %peer, "a connection was gone at once");
                        continue;
                    }
                    shared.spawn(&shared.ending, serve(Arc::clone(&shared), stream));
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    };
    state.spawn(&state.stopping, accepting);
}
