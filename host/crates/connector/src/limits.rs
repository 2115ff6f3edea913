//! How much memory one instance may take.

use wasmtime::ResourceLimiter;

/// Elements of all tables together. A table's element costs the host up to 16 bytes; the largest guests
/// known (a whole JavaScript engine) need some 30,000.
const TABLE_ELEMENTS: usize = 1 << 20;

/// Core instances, tables and memories in one component. A Python guest has one instance for each of its
/// shared libraries, some thirty; a single program has four.
const PARTS: usize = 1024;

/// Counts the memory of an instance, over all of its linear memories.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: usize,
    memory: usize,
    table_elements: usize,
    last_growth: usize,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, memory: 0, table_elements: 0, last_growth: 0, refused: false }
    }

    /// Bytes of linear memory at present.
    pub(crate) fn memory(&self) -> u64 {
        self.memory as u64
    }

    /// A call begins: what was refused before has done no harm.
    pub(crate) fn begin(&mut self) {
        self.refused = false;
    }

    /// Whether this call asked for memory in vain: most guests then give up, which looks like any other trap.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        if self.memory.saturating_add(growth) > self.limit {
            self.refused = true;
            self.last_growth = 0;
            return Ok(false);
        }
        self.memory += growth;
        self.last_growth = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // The system had none left, or the module's own maximum is reached: what was counted did not come.
        self.memory -= std::mem::take(&mut self.last_growth);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}
