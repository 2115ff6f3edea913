//! The clock behind the deadlines: one thread an engine that moves its epoch on.
//!
//! It holds the engine weakly, so it ends by itself within a tick of the last engine, module and chain.

use std::time::Duration;

use wasmtime::Engine;

/// How often the epoch moves. A deadline is exact to one tick; 50 wake-ups a second cost nothing measurable.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Starts the thread.
pub(crate) fn start(engine: &Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new().name("smartmodule-epoch".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match weak.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}

/// How many ticks give a call at least `timeout`.
pub(crate) fn ticks(timeout: Duration) -> u64 {
    let whole = timeout.as_millis().div_ceil(TICK.as_millis());
    // the tick that is already running doesn't count
    u64::try_from(whole).unwrap_or(u64::MAX / 2).min(u64::MAX / 2).saturating_add(1)
}
