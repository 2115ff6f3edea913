//! One instance of a component: its memory, its limits, and the rules for calling it.
//!
//! Every call goes `begin`, the call itself, `end`. A call that traps, runs out of time, returns nonsense,
//! or is dropped half-way poisons the instance: what its memory holds is then anybody's guess, so each
//! later call is refused and the caller opens a new one. An error that the guest returns is no such thing.

use std::time::{Duration, Instant};

use tokio::time::error::Elapsed;
use wasmtime::{Store, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::bindings::{error_in, types};
use crate::component::Parts;
use crate::state::State;
use crate::{Error, Sandbox};

/// What a guest may hand over in one call, at least. A limit is needed since lists may point to the same
/// bytes over and over: a guest within its memory could otherwise make the host allocate without end. 64
/// MiB is twice the largest record that a Fluvio cluster takes by default.
const CALL_BYTES: usize = 64 * 1024 * 1024;

/// How long a guest may take to let go of what it has open, when it is closed on purpose.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A store with one instance in it.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    call_timeout: Duration,
    memory_limit: u64,
    calls: u64,
    condition: Condition,
}

enum Condition {
    Idle,
    /// In a call; still so at the next one when the call's future was dropped.
    Busy(&'static str),
    Poisoned(String),
}

/// A call that has begun.
#[must_use]
pub(crate) struct Call {
    name: &'static str,
    allowed: Duration,
    /// When the waiting host gives up.
    pub(crate) until: tokio::time::Instant,
}

/// Raised inside of a guest whose time is over.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
struct OutOfTime;

impl Instance {
    /// Makes an instance, which may already run the guest's own start code.
    pub(crate) async fn new(parts: &Parts, sandbox: &Sandbox) -> Result<(Self, wasmtime::component::Instance), Error> {
        let mut store = Store::new(&parts.shared.engine, State::new(&parts.shared, sandbox));
        store.limiter(|state| &mut state.limiter);
        store.epoch_deadline_callback(|store| {
            if Instant::now() >= store.data().deadline {
                return Err(OutOfTime.into());
            }
            // Everybody else's turn; then on until the next tick.
            Ok(UpdateDeadline::Yield(1))
        });
        let mut instance = Self {
            store,
            call_timeout: sandbox.call_timeout,
            memory_limit: sandbox.memory,
            calls: 0,
            condition: Condition::Idle,
        };
        let call = instance.begin("start", Duration::ZERO, 0)?;
        let made = tokio::time::timeout_at(call.until, parts.pre.instantiate_async(&mut instance.store)).await;
        let exports = instance.end(call, made)?;
        Ok((instance, exports))
    }

    /// Begins a call that may wait for so long and may hand over about so many bytes.
    pub(crate) fn begin(&mut self, name: &'static str, wait: Duration, bytes: usize) -> Result<Call, Error> {
        if let Condition::Busy(earlier) = self.condition {
            self.condition = Condition::Poisoned(format!("its `{earlier}` was given up half-way"));
        }
        if let Condition::Poisoned(reason) = &self.condition {
            return Err(Error::Poisoned { reason: reason.clone() });
        }
        let allowed = wait.saturating_add(self.call_timeout);
        let now = Instant::now();
        // A time too far away to be told is no limit; a year is as good.
        let deadline = now.checked_add(allowed).unwrap_or(now + Duration::from_secs(365 * 24 * 3600));
        let state = self.store.data_mut();
        state.deadline = deadline;
        state.limiter.begin();
        self.store.set_epoch_deadline(1);
        self.store.set_hostcall_fuel(bytes.max(CALL_BYTES));
        self.calls += 1;
        self.condition = Condition::Busy(name);
        Ok(Call { name, allowed, until: deadline.into() })
    }

    /// Ends a call, for good: everything but a plain return poisons the instance.
    #[expect(clippy::needless_pass_by_value, reason = "a call ends once")]
    pub(crate) fn end<T>(&mut self, call: Call, result: Result<wasmtime::Result<T>, Elapsed>) -> Result<T, Error> {
        let Call { name, allowed, .. } = call;
        let error = match result {
            Ok(Ok(value)) => {
                self.condition = Condition::Idle;
                return Ok(value);
            }
            Err(_) => Error::Deadline { call: name, allowed },
            Ok(Err(trap)) => self.explain(name, allowed, &trap),
        };
        Err(self.poison(error))
    }

    /// Ends a call of a function that returns the contract's `result`.
    pub(crate) fn end_result<T>(
        &mut self,
        call: Call,
        result: Result<wasmtime::Result<Result<T, types::Error>>, Elapsed>,
    ) -> Result<T, Error> {
        self.end(call, result)?.map_err(|error| error_in(error, &self.store.data().log).into())
    }

    /// Gives the instance up for a return value that can't be.
    pub(crate) fn nonsense(&mut self, call: &'static str, reason: &impl ToString) -> Error {
        self.poison(Error::Nonsense { call, reason: reason.to_string() })
    }

    /// Bytes of linear memory at present.
    pub(crate) fn memory(&self) -> u64 {
        self.store.data().limiter.memory()
    }

    /// Whether a fresh instance should take over: guests with a garbage collector, or with a leak, grow
    /// until they fail, so one that nears its limit is replaced first. Not after just a few calls, or a
    /// guest that needs that much from the start would be replaced at each of them.
    pub(crate) fn worn_out(&self) -> bool {
        const CALLS: u64 = 100;
        self.calls > CALLS && self.memory() > self.memory_limit / 4 * 3
    }

    fn poison(&mut self, error: Error) -> Error {
        self.condition = Condition::Poisoned(error.to_string());
        error
    }

    fn explain(&self, call: &'static str, allowed: Duration, trap: &wasmtime::Error) -> Error {
        let state = self.store.data();
        if trap.is::<OutOfTime>() {
            return Error::Deadline { call, allowed };
        }
        if state.limiter.refused() {
            return Error::Memory { call, limit: self.memory_limit };
        }
        let reason = match trap.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => format!("it ended itself with exit status {status}"),
            None => trap.root_cause().to_string(),
        };
        let stack = trap.downcast_ref::<WasmBacktrace>().map(stack).unwrap_or_default();
        Error::Trap { call, reason: state.log.clean(reason), output: state.log.take_tail(), stack }
    }
}

/// Frames of a crash that are reported: enough for any cause, without the thousands of a runaway recursion.
const FRAMES: usize = 50;

fn stack(backtrace: &WasmBacktrace) -> Vec<String> {
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    backtrace.frames().iter().take(FRAMES).map(name).collect()
}
