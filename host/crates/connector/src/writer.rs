//! Writing to a sink.

use std::time::Duration;

use host_batch::Batch;
use wasmtime::component::ResourceAny;

use crate::bindings::{batch_out, error_in, sink};
use crate::component::{Component, Interface};
use crate::error::GuestError;
use crate::instance::Instance;
use crate::reader::close;
use crate::{Error, Kind, Sandbox};

/// Records of one partition, with their places of origin.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The records, in order.
    pub batch: &'a Batch,
    /// The topic they come from.
    pub topic: &'a str,
    /// The partition they come from.
    pub partition: u32,
    /// The offset that each record was made from: as many as records, never falling.
    pub offsets: &'a [i64],
    /// The number of each record among those made from the same offset; empty when all are 0.
    pub parts: &'a [u32],
}

/// One record that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its index in the batch.
    pub index: u32,
    /// Why: `Data` is a lost cause, `Unreachable` and `Throttled` are to be handed in again.
    pub error: GuestError,
}

/// An open sink, in an instance of its own. The instance is replaced by a fresh one, opened with the same
/// configuration, when its memory nears the limit: between two writes a sink holds nothing that matters.
///
/// A write whose future is dropped before it is done costs the instance, as with [`Reader`](crate::Reader).
pub struct Writer {
    component: Component,
    sandbox: Sandbox,
    config: String,
    open: Option<Open>,
    replaced: u64,
}

struct Open {
    instance: Instance,
    guest: sink::Guest,
    writer: ResourceAny,
}

impl Writer {
    /// Makes an instance and opens it. `config` is the connector's own section as JSON.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is no sink; what the connector says; those of a call.
    pub async fn open(component: &Component, sandbox: &Sandbox, config: &str) -> Result<Self, Error> {
        let open = Open::new(component, sandbox, config).await?;
        let (component, sandbox, config) = (component.clone(), sandbox.clone(), config.to_owned());
        Ok(Self { component, sandbox, config, open: Some(open), replaced: 0 })
    }

    /// Delivers the records. `Ok` says that every record not listed is durable at the destination; the
    /// failures come by rising index.
    ///
    /// # Errors
    /// Nothing is known of the records then: the whole delivery must be handed in again. The writer lives on
    /// unless [`Error::ends_instance`] is true.
    pub async fn write(&mut self, delivery: Delivery<'_>) -> Result<Vec<Failure>, Error> {
        if let Some(worn) = self.open.take_if(|open| open.instance.worn_out()) {
            tracing::debug!(
                component = self.component.name(),
                memory = worn.instance.memory(),
                "replacing an instance"
            );
            close(worn.instance, worn.writer).await;
            self.replaced += 1;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&self.component, &self.sandbox, &self.config).await?),
        };
        open.write(delivery).await
    }

    /// How many instances were replaced because of their memory.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Bytes of memory that the instance takes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.instance.memory())
    }

    /// Lets the connector close what it has open, for at most some seconds. Dropping the writer closes it
    /// too, the hard way.
    pub async fn close(self) {
        if let Some(open) = self.open {
            close(open.instance, open.writer).await;
        }
    }
}

impl Open {
    async fn new(component: &Component, sandbox: &Sandbox, config: &str) -> Result<Self, Error> {
        let Interface::Sink(indices) = &component.parts.interface else {
            return Err(component.wrong_kind(Kind::Sink));
        };
        let (mut instance, exports) = Instance::new(&component.parts, sandbox).await?;
        let guest = component.fits(indices.load(&mut instance.store, &exports))?;
        let call = instance.begin("open", Duration::ZERO, 0)?;
        let resource = guest.writer();
        let opened = tokio::time::timeout_at(call.until, resource.call_open(&mut instance.store, config)).await;
        let writer = instance.end_result(call, opened)?;
        Ok(Self { instance, guest, writer })
    }

    async fn write(&mut self, delivery: Delivery<'_>) -> Result<Vec<Failure>, Error> {
        const CALL: &str = "write";
        let records = delivery.batch.len();
        let handed = sink::Delivery {
            batch: batch_out(delivery.batch.clone()),
            topic: delivery.topic.to_owned(),
            partition: delivery.partition,
            offsets: delivery.offsets.to_vec(),
            parts: delivery.parts.to_vec(),
        };
        let call = self.instance.begin(CALL, Duration::ZERO, 0)?;
        let resource = self.guest.writer();
        let answer = resource.call_write(&mut self.instance.store, self.writer, &handed);
        let answer = tokio::time::timeout_at(call.until, answer).await;
        let mut failures = self.instance.end_result(call, answer)?;
        failures.sort_by_key(|failure| failure.index);
        if let Some(twice) = failures.windows(2).find(|pair| pair[0].index == pair[1].index) {
            let reason = format!("record {} is listed twice among the failures", twice[0].index);
            return Err(self.instance.nonsense(CALL, &reason));
        }
        if let Some(last) = failures.last().filter(|last| last.index as usize >= records) {
            let reason = format!("a failure of record {}, of {records}", last.index);
            return Err(self.instance.nonsense(CALL, &reason));
        }
        let log = &self.instance.store.data().log;
        let failure = |failure: sink::Failure| Failure { index: failure.index, error: error_in(failure.error, log) };
        Ok(failures.into_iter().map(failure).collect())
    }
}
