//! What can go wrong with a broker as a whole. What goes wrong with one request is answered to the client
//! that sent it, as Fluvio's own error codes, and never ends the broker.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a broker could not start or stop cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is taken, not ours, or not allowed.
    #[error("can't listen on {address}: {source}; choose another address or port")]
    Listen {
        /// Where the broker tried to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another broker has the data directory open.
    #[error(
        "another broker is using the data directory {}; stop it or choose another directory",
        path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory can't be created, read or written.
    #[error("can't use the data directory {}: {source}", path.display())]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store in the data directory can't be opened or written.
    #[error("can't use the store in {}: {source}", path.display())]
    Store {
        /// The data directory.
        path: PathBuf,
        /// What the store said.
        source: Box<redb::Error>,
    },
    /// The store was written by another version of this program, or is damaged.
    #[error("the store in {} is not one this version can read: {reason}", path.display())]
    Format {
        /// The data directory.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A thread could not be started.
    #[error("can't start the store's writer: {0}")]
    Thread(io::Error),
}
