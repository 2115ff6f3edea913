//! WASI preview 1 as a SmartModule gets it: a clock, random numbers, and two streams into the log.
//!
//! Modules built for `wasm32-wasip1` import it because their standard library does, not because they have
//! business with the outside. There is no file, no argument, no environment variable and no socket, so every
//! call on a descriptor other than the three standard ones says `badf`, and whatever is left says `nosys`. It
//! is written out here, and not taken from `wasmtime-wasi`, because that crate's synchronous form starts an
//! executor (and panics inside another one) and lets a guest sleep past its deadline.

use wasmtime::{Caller, Extern, FuncType, Linker, Memory, Val};

use crate::instance::State;

const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const NOSYS: i32 = 52;
const SPIPE: i32 = 70;

/// The most bytes of one line that reach the log, and the most bytes of output a call may log.
const MAX_LINE: usize = 1024;
const MAX_OUTPUT: usize = 16 * 1024;

/// The most random bytes in one call.
const MAX_RANDOM: usize = 64 * 1024;

/// What a guest writes to its standard streams, until a line is full.
#[derive(Debug)]
pub(crate) struct Stdio {
    module: String,
    line: Vec<u8>,
    written: usize,
}

impl Stdio {
    pub(crate) fn new(module: &str) -> Self {
        Self { module: module.to_owned(), line: Vec::new(), written: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().take(MAX_OUTPUT.saturating_sub(self.written)) {
            match byte {
                b'\n' => self.flush(),
                _ if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => {}
            }
        }
        self.written = self.written.saturating_add(bytes.len());
        if self.written >= MAX_OUTPUT {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            tracing::debug!(module = %self.module, text = %String::from_utf8_lossy(&self.line), "SmartModule output");
            self.line.clear();
        }
    }

    /// A new call may log again.
    pub(crate) fn renew(&mut self) {
        self.written = 0;
    }
}

/// Whether a module name stands for WASI preview 1.
pub(crate) fn is_wasi(module: &str) -> bool {
    matches!(module, "wasi_snapshot_preview1" | "wasi_unstable")
}

/// Links one function; `None` when its type isn't that of any preview 1 function.
pub(crate) fn link(linker: &mut Linker<State>, module: &str, name: &str, ty: FuncType) -> Option<wasmtime::Result<()>> {
    let linked = match name {
        "fd_write" => linker.func_wrap(module, name, fd_write),
        "fd_read" => linker.func_wrap(module, name, fd_read),
        "fd_fdstat_get" => linker.func_wrap(module, name, fd_fdstat_get),
        "fd_close" => linker.func_wrap(module, name, |fd: i32| if is_stdio(fd) { SUCCESS } else { BADF }),
        "fd_seek" => {
            linker.func_wrap(module, name, |fd: i32, _: i64, _: i32, _: i32| if is_stdio(fd) { SPIPE } else { BADF })
        }
        "args_sizes_get" | "environ_sizes_get" => linker.func_wrap(module, name, nothing_sizes),
        "args_get" | "environ_get" => linker.func_wrap(module, name, |_: i32, _: i32| SUCCESS),
        "clock_time_get" => linker.func_wrap(module, name, clock_time_get),
        "clock_res_get" => linker.func_wrap(module, name, |mut caller: Caller<'_, State>, _: i32, out: i32| {
            store(&mut caller, out, &1_000_u64.to_le_bytes())
        }),
        "random_get" => linker.func_wrap(module, name, random_get),
        "sched_yield" => linker.func_wrap(module, name, || SUCCESS),
        "proc_exit" => linker.func_wrap(module, name, |code: i32| -> wasmtime::Result<()> {
            Err(wasmtime::format_err!("it called exit({code})"))
        }),
        _ => return link_other(linker, module, name, ty),
    };
    Some(linked.map(drop))
}

/// Every other function: it fails, in the way the caller expects.
fn link_other(linker: &mut Linker<State>, module: &str, name: &str, ty: FuncType) -> Option<wasmtime::Result<()>> {
    if ty.results().len() != 1 || !ty.results().all(|ty| ty.is_i32()) {
        return None;
    }
    let on_descriptor = ["fd_", "path_", "sock_"].iter().any(|prefix| name.starts_with(prefix));
    let errno = if on_descriptor { BADF } else { NOSYS };
    let linked = linker.func_new(module, name, ty, move |_, _, results| {
        results[0] = Val::I32(errno);
        Ok(())
    });
    Some(linked.map(drop))
}

fn is_stdio(fd: i32) -> bool {
    (0..=2).contains(&fd)
}

fn memory(caller: &mut Caller<'_, State>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

fn store(caller: &mut Caller<'_, State>, at: i32, bytes: &[u8]) -> i32 {
    let Some(memory) = memory(caller) else { return FAULT };
    match memory.write(caller, at as u32 as usize, bytes) {
        Ok(()) => SUCCESS,
        Err(_) => FAULT,
    }
}

fn fd_write(mut caller: Caller<'_, State>, fd: i32, vectors: i32, count: i32, written: i32) -> i32 {
    if fd != 1 && fd != 2 {
        return BADF;
    }
    let Some(memory) = memory(&mut caller) else { return FAULT };
    let (data, state) = memory.data_and_store_mut(&mut caller);
    let mut total = 0_u32;
    for index in 0..(count as u32).min(1024) {
        let Some(bytes) = vector(data, (vectors as u32).wrapping_add(8 * index)) else { return FAULT };
        state.stdio.write(bytes);
        total = total.saturating_add(bytes.len() as u32);
    }
    store(&mut caller, written, &total.to_le_bytes())
}

/// The bytes that an `iovec` at this address stands for.
fn vector(data: &[u8], at: u32) -> Option<&[u8]> {
    let vector: &[u8; 8] = data.get(at as usize..)?.first_chunk()?;
    let [p0, p1, p2, p3, l0, l1, l2, l3] = *vector;
    let start = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    data.get(start..)?.get(..length)
}

fn fd_read(mut caller: Caller<'_, State>, fd: i32, _vectors: i32, _count: i32, read: i32) -> i32 {
    if fd != 0 {
        return BADF;
    }
    store(&mut caller, read, &0_u32.to_le_bytes())
}

/// The standard streams are character devices without flags or rights beyond reading or writing.
fn fd_fdstat_get(mut caller: Caller<'_, State>, fd: i32, out: i32) -> i32 {
    if !is_stdio(fd) {
        return BADF;
    }
    let mut stat = [0_u8; 24];
    stat[0] = 2;
    stat[8] = if fd == 0 { 1 << 1 } else { 1 << 6 };
    store(&mut caller, out, &stat)
}

fn nothing_sizes(mut caller: Caller<'_, State>, count: i32, size: i32) -> i32 {
    match store(&mut caller, count, &[0; 4]) {
        SUCCESS => store(&mut caller, size, &[0; 4]),
        errno => errno,
    }
}

fn clock_time_get(mut caller: Caller<'_, State>, id: i32, _precision: i64, out: i32) -> i32 {
    use std::sync::LazyLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let time = match id {
        0 => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        1..=3 => START.elapsed(),
        _ => return INVAL,
    };
    store(&mut caller, out, &(time.as_nanos() as u64).to_le_bytes())
}

fn random_get(mut caller: Caller<'_, State>, at: i32, length: i32) -> i32 {
    let Some(memory) = memory(&mut caller) else { return FAULT };
    let length = length as u32 as usize;
    if length > MAX_RANDOM {
        return INVAL;
    }
    let Some(room) = memory.data_mut(&mut caller).get_mut(at as u32 as usize..).and_then(|rest| rest.get_mut(..length))
    else {
        return FAULT;
    };
    match getrandom::fill(room) {
        Ok(()) => SUCCESS,
        Err(_) => NOSYS,
    }
}
