//! Reading from a source.

use std::time::Duration;

use host_batch::Batch;
use wasmtime::component::ResourceAny;

use crate::bindings::{batch_in, source};
use crate::component::{Component, Interface};
use crate::instance::{CLOSE_TIMEOUT, Instance};
use crate::{Error, Kind, Sandbox};

/// The largest cursor that is taken. It is stored after every batch, perhaps as a record of a topic.
const CURSOR_BYTES: usize = 256 * 1024;

/// How much one [`Reader::read`] may return, and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At most so many records. 0: serve the connection and return nothing.
    pub max_records: u32,
    /// At most so many bytes of keys and values, but for one record that is larger on its own.
    pub max_bytes: u32,
    /// Return within this, if need be with no records. Whole milliseconds; at most 49 days.
    pub max_wait: Duration,
}

/// What one [`Reader::read`] returned.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The records, in order.
    pub batch: Batch,
    /// Where the reader stands after them. Empty: nothing to remember, which must not overwrite anything.
    pub cursor: Vec<u8>,
    /// There will never be more.
    pub end: bool,
}

/// An open source, in an instance of its own.
///
/// A call whose future is dropped before it is done costs the instance: every later call is refused with
/// [`Error::Poisoned`]. To stop a reader, let its call return.
pub struct Reader {
    instance: Instance,
    guest: source::Guest,
    reader: ResourceAny,
}

impl Reader {
    /// Makes an instance and opens it. `config` is the connector's own section as JSON, `cursor` the newest
    /// durable one.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is no source; what the connector says; those of a call.
    pub async fn open(
        component: &Component,
        sandbox: &Sandbox,
        config: &str,
        cursor: Option<Vec<u8>>,
    ) -> Result<Self, Error> {
        let Interface::Source(indices) = &component.parts.interface else {
            return Err(component.wrong_kind(Kind::Source));
        };
        let (mut instance, exports) = Instance::new(&component.parts, sandbox).await?;
        let guest = component.fits(indices.load(&mut instance.store, &exports))?;
        let call = instance.begin("open", Duration::ZERO, 0)?;
        let resource = guest.reader();
        let opened = resource.call_open(&mut instance.store, config, cursor.as_deref());
        let opened = tokio::time::timeout_at(call.until, opened).await;
        let reader = instance.end_result(call, opened)?;
        Ok(Self { instance, guest, reader })
    }

    /// The next records.
    ///
    /// # Errors
    /// What the connector says, after which the reader lives on unless [`Error::ends_instance`] is true.
    pub async fn read(&mut self, limit: Limit) -> Result<Outcome, Error> {
        const CALL: &str = "read";
        let asked = source::Limit {
            max_records: limit.max_records,
            max_bytes: limit.max_bytes,
            max_wait_ms: u32::try_from(limit.max_wait.as_millis()).unwrap_or(u32::MAX),
        };
        // The last record may be as large as all before it; 16 bytes a record for its ends and time.
        let bytes = (limit.max_bytes as usize) * 2 + (limit.max_records as usize) * 16;
        let call = self.instance.begin(CALL, limit.max_wait, bytes)?;
        let resource = self.guest.reader();
        let answer = resource.call_read(&mut self.instance.store, self.reader, asked);
        let answer = tokio::time::timeout_at(call.until, answer).await;
        let source::Outcome { batch, cursor, end } = self.instance.end_result(call, answer)?;
        let batch = batch_in(batch).map_err(|error| self.instance.nonsense(CALL, &error))?;
        if batch.len() > limit.max_records as usize {
            let reason = format!("{} records where at most {} were asked for", batch.len(), limit.max_records);
            return Err(self.instance.nonsense(CALL, &reason));
        }
        if cursor.len() > CURSOR_BYTES {
            let reason = format!("a cursor of {} bytes; at most {CURSOR_BYTES} can be kept", cursor.len());
            return Err(self.instance.nonsense(CALL, &reason));
        }
        Ok(Outcome { batch, cursor, end })
    }

    /// Every record up to this cursor is durable.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn commit(&mut self, cursor: &[u8]) -> Result<(), Error> {
        let call = self.instance.begin("commit", Duration::ZERO, 0)?;
        let resource = self.guest.reader();
        let answer = resource.call_commit(&mut self.instance.store, self.reader, cursor);
        let answer = tokio::time::timeout_at(call.until, answer).await;
        self.instance.end_result(call, answer)
    }

    /// Bytes of memory that the instance takes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.instance.memory()
    }

    /// Lets the connector close what it has open, for at most some seconds. Dropping the reader closes it
    /// too, the hard way.
    pub async fn close(self) {
        close(self.instance, self.reader).await;
    }
}

/// Drops a guest's resource, so that its own destructor runs.
pub(crate) async fn close(mut instance: Instance, resource: ResourceAny) {
    let Ok(call) = instance.begin("close", Duration::ZERO, 0) else { return };
    let until = call.until.min(tokio::time::Instant::now() + CLOSE_TIMEOUT);
    let dropped = tokio::time::timeout_at(until, resource.resource_drop_async(&mut instance.store)).await;
    if let Err(error) = instance.end(call, dropped) {
        tracing::debug!(%error, "a connector did not close well");
    }
}
