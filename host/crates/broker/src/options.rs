//! What one can choose when starting a broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a broker is started. [`Options::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the controller listens: the address clients are given. The storage unit takes another port on
    /// the same address. Port 0 takes a free one. Default: 127.0.0.1, a free port.
    pub listen: SocketAddr,
    /// Where the storage unit listens, if not on a free port of the controller's address.
    pub listen_unit: Option<SocketAddr>,
    /// The host name or address under which clients are told to find the storage unit. Default: the address
    /// by which the client reached the controller.
    pub advertise: Option<String>,
    /// The directory that holds everything. It is made if it does not exist, and belongs to one broker at a
    /// time.
    pub data: PathBuf,
    /// For tests: cut responses to consumers at the size they asked for, in mid-batch, as a real storage unit
    /// does. Otherwise they hold whole batches. Default: no.
    pub cut_responses: bool,
    /// How long records are kept where their topic does not say; `None`: for ever. Default: 7 days, as in a
    /// Fluvio cluster.
    pub retention: Option<Duration>,
    /// How many bytes a partition keeps where its topic does not say; `None`: any number. Default: any number.
    pub retention_bytes: Option<u64>,
    /// How often old records are looked for. Default: 10 s.
    pub retention_interval: Duration,
    /// Whether a record is only acknowledged when the disk has it, so that a power cut loses nothing. Without
    /// it, a killed broker still loses nothing, a stopped machine may. Default: yes.
    pub sync: bool,
}

impl Options {
    /// The defaults, with everything kept in `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            listen_unit: None,
            advertise: None,
            data: data.into(),
            cut_responses: false,
            retention: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            retention_bytes: None,
            retention_interval: Duration::from_secs(10),
            sync: true,
        }
    }
}
