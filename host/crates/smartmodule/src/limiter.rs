//! How much a stage may take: the sum of its linear memories, and its tables.

use wasmtime::ResourceLimiter;

/// Tables are the host's memory, 16 bytes an element; real modules have a few thousand elements.
const TABLE_ELEMENTS: usize = 1 << 20;

/// Denied growth. It travels through Wasmtime's error and becomes [`crate::Error::Memory`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{wanted} bytes of memory asked for, {limit} allowed")]
pub(crate) struct Denied {
    pub(crate) wanted: u64,
    pub(crate) limit: u64,
}

/// Counts what a store has.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: usize,
    used: usize,
}

impl Limiter {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0 }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.used.saturating_sub(current).saturating_add(desired);
        if total > self.limit {
            // An error traps at once and names the cause; a refusal would only end in the guest's own abort.
            return Err(Denied { wanted: total as u64, limit: self.limit as u64 }.into());
        }
        self.used = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }
}
