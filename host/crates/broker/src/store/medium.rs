//! Where the store's bytes lie: a file on a file system, or what a test puts in its place.
//!
//! The store closes and opens its medium again after an I/O error, while readers may still hold the old one;
//! [`Switched`] makes sure that nothing reaches the medium through an instance that was given up.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

/// A place to keep the store in.
pub(crate) trait Medium: Debug + Send + Sync {
    /// Opens the place, made if it does not exist.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// How many bytes more it could hold.
    fn free(&self) -> io::Result<u64>;
}

/// A file.
#[derive(Debug)]
pub(crate) struct FileMedium {
    pub path: PathBuf,
}

impl Medium for FileMedium {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        Ok(Box::new(FileBackend { file }))
    }

    fn free(&self) -> io::Result<u64> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let system = rustix::fs::statvfs(folder)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

#[derive(Debug)]
struct FileBackend {
    file: File,
}

impl StorageBackend for FileBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// A backend that can be cut off, and that leaves out syncing when asked to.
#[derive(Debug)]
pub(crate) struct Switched {
    inner: Box<dyn StorageBackend>,
    off: Arc<AtomicBool>,
    sync: bool,
}

impl Switched {
    /// `off` cuts the backend off for good once it is set.
    pub(crate) fn new(inner: Box<dyn StorageBackend>, off: Arc<AtomicBool>, sync: bool) -> Self {
        Self { inner, off, sync }
    }

    fn check(&self) -> io::Result<()> {
        if self.off.load(Ordering::Acquire) {
            return Err(io::Error::other("this instance of the store was given up"));
        }
        Ok(())
    }
}

impl StorageBackend for Switched {
    fn len(&self) -> io::Result<u64> {
        self.check()?;
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check()?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        if self.sync {
            self.inner.sync_data()?;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
