//! Cursors in a local directory: one file a connector (a source) or a partition (a sink), replaced as a whole,
//! and a lock that keeps a second `host` from running the same.
//!
//! `<state>/<name>.cursor` holds one line of JSON: the connector's name, the cursor and the stages' state in
//! base64, a checksum and the time. It is written beside itself, flushed to the disk, and renamed, so a reader finds either the
//! previous cursor or the new one. `<state>/<name>.lock` is held for as long as the store lives; the system
//! releases it when the process dies, however it dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::ends::{Checkpoint, Saved};

/// A cursor can't be kept or found again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The directory or a file in it can't be used.
    #[error("can't {action} {}: {source}", .path.display())]
    Io {
        /// What was tried: "write", "read", "create".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not hold what this program wrote.
    #[error("{} is damaged ({reason}); remove it to start {connector} from the beginning", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Whose cursor it should hold.
        connector: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else is running this connector.
    #[error("connector {connector} is already running ({} is locked); give this one another `meta.name` or another --state directory", .path.display())]
    Running {
        /// The connector's name.
        connector: String,
        /// The file that is locked.
        path: PathBuf,
    },
    /// The thread that writes cursors went away.
    #[error("the cursor could not be written: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The cluster can't keep it.
    #[error("can't keep the state of connector {connector} in the cluster: {reason}")]
    Cluster {
        /// The connector's name.
        connector: String,
        /// What the cluster said.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    connector: String,
    cursor: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    stages: String,
    crc32: u32,
    saved: String,
}

impl Stored {
    fn new(connector: &str, saved: &Saved) -> Self {
        Self {
            connector: connector.to_owned(),
            cursor: BASE64.encode(&saved.cursor),
            stages: BASE64.encode(&saved.stages),
            crc32: crc32(saved.cursor.iter().chain(&saved.stages)),
            saved: crate::source::now_ms().to_string(),
        }
    }

    fn read(text: &str, connector: &str) -> Result<Saved, String> {
        let stored: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let decode = |text: &str| BASE64.decode(text).map_err(|e| e.to_string());
        let saved = Saved { cursor: decode(&stored.cursor)?, stages: decode(&stored.stages)? };
        if crc32(saved.cursor.iter().chain(&saved.stages)) != stored.crc32 {
            return Err("the checksum does not match".to_owned());
        }
        if stored.connector != connector {
            return Err(format!("it belongs to {}", stored.connector));
        }
        Ok(saved)
    }
}

/// What is saved, as one line of JSON that says whose it is; how it lies in files and in topics.
#[must_use]
pub fn encode(connector: &str, saved: &Saved) -> String {
    serde_json::to_string(&Stored::new(connector, saved)).expect("strings and numbers always make JSON")
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// What is wrong with it, in words.
///
/// ```
/// use host_pipeline::{checkpoint, ends::Saved};
/// let saved = Saved { cursor: b"17".to_vec(), stages: b"sum=4".to_vec() };
/// let text = checkpoint::encode("cats", &saved);
/// assert_eq!(checkpoint::decode(&text, "cats"), Ok(saved));
/// assert!(checkpoint::decode(&text, "dogs").is_err());
/// ```
pub fn decode(text: &str, connector: &str) -> Result<Saved, String> {
    Stored::read(text, connector)
}

/// The cursor of one connector in a local directory.
#[derive(Debug)]
pub struct LocalCheckpoint {
    connector: String,
    path: PathBuf,
    _lock: File,
}

impl LocalCheckpoint {
    /// Creates the directory where it is missing, and takes the connector's lock.
    ///
    /// # Errors
    /// When the directory can't be used, and when another process runs this connector.
    ///
    /// ```
    /// use host_pipeline::checkpoint::LocalCheckpoint;
    /// # let dir = tempfile::tempdir()?;
    /// let first = LocalCheckpoint::open(dir.path(), "cat-facts")?;
    /// assert!(LocalCheckpoint::open(dir.path(), "cat-facts").is_err());
    /// # drop(first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(directory: &Path, connector: &str) -> Result<Self, CheckpointError> {
        Self::open_file(directory, connector, &file_name(connector))
    }

    fn open_file(directory: &Path, connector: &str, name: &str) -> Result<Self, CheckpointError> {
        fs::create_dir_all(directory).map_err(|source| io_error("create", directory, source))?;
        let path = directory.join(format!("{name}.lock"));
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| io_error("open", &path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CheckpointError::Running { connector: connector.to_owned(), path });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
        }
        Ok(Self { connector: connector.to_owned(), path: directory.join(format!("{name}.cursor")), _lock: lock })
    }

    /// As [`open`](Self::open), for one partition of a sink's topic.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_partition(directory: &Path, connector: &str, partition: u32) -> Result<Self, CheckpointError> {
        // A dot, which `file_name` writes otherwise: no connector's own name can be mistaken for it.
        Self::open_file(directory, connector, &format!("{}.{partition}", file_name(connector)))
    }

    fn read(&self) -> Result<Option<Saved>, CheckpointError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(self.damaged("not text")),
            Err(source) => return Err(io_error("read", &self.path, source)),
        };
        decode(&text, &self.connector).map(Some).map_err(|reason| self.damaged(&reason))
    }

    fn damaged(&self, reason: &str) -> CheckpointError {
        let (path, connector) = (self.path.clone(), self.connector.clone());
        CheckpointError::Damaged { path, connector, reason: reason.to_owned() }
    }
}

#[async_trait]
impl Checkpoint for LocalCheckpoint {
    async fn load(&mut self) -> Result<Option<Saved>, CheckpointError> {
        self.read()
    }

    async fn save(&mut self, saved: &Saved) -> Result<(), CheckpointError> {
        let text = encode(&self.connector, saved);
        let path = self.path.clone();
        // Flushing waits for the disk, so it must not hold up the other tasks of this thread.
        tokio::task::spawn_blocking(move || replace(&path, text)).await?
    }
}

fn replace(path: &Path, mut text: String) -> Result<(), CheckpointError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    text.push('\n');
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| io_error("write", path, source))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { action, path: path.to_owned(), source }
}

/// A file name for any connector name: what is not plainly harmless is written as `%` and hexadecimal digits.
fn file_name(connector: &str) -> String {
    let mut name = String::new();
    for byte in connector.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte as char),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

/// CRC-32 as zip and Ethernet use it; bitwise, for it sees a few bytes a batch.
fn crc32<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    !bytes.into_iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_cursor_is_found_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        {
            let mut store = LocalCheckpoint::open(dir.path(), "a/b ä").expect("open");
            assert_eq!(store.load().await.expect("load"), None);
            for cursor in [&b"1"[..], b"", b"\x00\xff"] {
                let saved = Saved { cursor: cursor.to_vec(), stages: b"sum".to_vec() };
                store.save(&saved).await.expect("save");
            }
        }
        let mut store = LocalCheckpoint::open(dir.path(), "a/b ä").expect("the lock went with its holder");
        let saved = store.load().await.expect("load").expect("it was saved");
        assert_eq!((saved.cursor.as_slice(), saved.stages.as_slice()), (&b"\x00\xff"[..], &b"sum"[..]));
        let mut other = LocalCheckpoint::open_partition(dir.path(), "a/b ä", 3).expect("a partition is another lock");
        assert_eq!(other.load().await.expect("load"), None);
    }

    #[tokio::test]
    async fn a_damaged_file_is_named_and_not_taken_for_a_beginning() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut store = LocalCheckpoint::open(dir.path(), "cats").expect("open");
        let saved = Saved { cursor: b"position 17".to_vec(), ..Saved::default() };
        store.save(&saved).await.expect("save");
        let path = dir.path().join("cats.cursor");
        let text = fs::read_to_string(&path).expect("it was just written");
        let flipped = text.replacen("\"crc32\":", "\"crc32\":1", 1);
        for bad in [&b""[..], b"{", b"\xff\xfe", &text.as_bytes()[..text.len() / 2], flipped.as_bytes()] {
            fs::write(&path, bad).expect("write");
            let error = store.load().await.expect_err("damage must be noticed").to_string();
            assert!(error.contains("cats.cursor is damaged"), "{error}");
        }
    }

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
