//! One instance of a SmartModule and the calls into it.
//!
//! A call is: `alloc` room, write the input, call the export, read what the guest handed to `copy_records`. All
//! exports are resolved once. Every pointer and every length from the guest is checked against its memory; every
//! call, `alloc` included, ends by its deadline. After any error but a refusal by `init` or `look_back` the
//! instance is in an unknown state: its owner drops it and starts another.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use wasmtime::{Memory, Store, Trap, TypedFunc, WasmBacktrace};

use crate::error::{Call, Error};
use crate::limiter::{Denied, Limiter};
use crate::look_back::LookBack;
use crate::module::Module;
use crate::reclaim::Reclaim;
use crate::stage::Limits;
use crate::ticker;
use crate::wasi::Stdio;
use crate::wire::{self, VERSION};

/// The longest string that a guest's decoder reads right: it takes the length for a signed 16-bit number.
const MAX_STRING: usize = i16::MAX as usize;

/// What a store holds for the host.
#[derive(Debug)]
pub(crate) struct State {
    limiter: Limiter,
    /// what the guest last gave to `copy_records`
    output: Option<(u32, u32)>,
    pub(crate) stdio: Stdio,
}

impl State {
    pub(crate) fn new(module: &str, memory: u64) -> Self {
        Self { limiter: Limiter::new(memory), output: None, stdio: Stdio::new(module) }
    }

    /// Pointers are unsigned; one that a guest calls negative lies beyond 2 GiB and so outside of its memory.
    pub(crate) fn set_output(&mut self, pointer: i32, length: i32) {
        self.output = Some((pointer as u32, length as u32));
    }
}

type EntryFn = TypedFunc<(i32, i32, i32), i32>;

/// A running SmartModule.
pub(crate) struct Instance {
    module: Module,
    timeout: Duration,
    store: Store<State>,
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    transform: EntryFn,
    look_back: Option<EntryFn>,
    reclaim: Reclaim,
}

impl Instance {
    /// Instantiates the module and gives it its parameters. `reclaim` allows to look for a way to free its
    /// outputs.
    pub(crate) fn start(
        module: &Module,
        params: &BTreeMap<String, String>,
        look_back: Option<LookBack>,
        limits: Limits,
        reclaim: bool,
    ) -> Result<Self, Error> {
        let engine = module.pre().module().engine();
        let mut store = Store::new(engine, State::new(module.name(), limits.memory));
        store.limiter(|state| &mut state.limiter);
        let timeout = limits.call_timeout;
        arm(&mut store, timeout);
        let started = module.pre().instantiate(&mut store);
        let instance = started.map_err(|error| failure(module, Call::Start, timeout, &error))?;
        let lost = |problem: &str| Error::Export { module: module.name().to_owned(), problem: problem.to_owned() };
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| lost("exports no `memory`"))?;
        let mut entry = |name: &str| {
            instance.get_typed_func(&mut store, name).map_err(|error| lost(&format!("exports no `{name}` ({error})")))
        };
        let transform = entry(module.kind().name())?;
        let init: Option<EntryFn> = if module.takes_params() { Some(entry("init")?) } else { None };
        let look_back_fn = if module.wants_look_back() { Some(entry("look_back")?) } else { None };
        let alloc = instance
            .get_typed_func(&mut store, "alloc")
            .map_err(|error| lost(&format!("exports no `alloc` ({error})")))?;
        let mut this = Self {
            module: module.clone(),
            timeout,
            store,
            memory,
            alloc,
            transform,
            look_back: look_back_fn,
            reclaim: Reclaim::Off,
        };
        if let Some(init) = init {
            this.init(&init, params, look_back)?;
        }
        if reclaim && module.has_dealloc() {
            let dealloc = instance.get_typed_func(&mut this.store, "dealloc");
            let dealloc = dealloc.map_err(|error| lost(&format!("exports no `dealloc` ({error})")))?;
            arm(&mut this.store, timeout);
            this.reclaim = Reclaim::probe(&mut this.store, this.memory, &this.alloc, dealloc)
                .map_err(|error| failure(module, Call::Alloc, timeout, &error))?;
        }
        Ok(this)
    }

    fn init(
        &mut self,
        init: &EntryFn,
        params: &BTreeMap<String, String>,
        look_back: Option<LookBack>,
    ) -> Result<(), Error> {
        let input = encode_params(self.module.name(), params, look_back)?;
        let status = self.call(Call::Init, init, &[&input])?;
        match status {
            0.. => Ok(()),
            -2 => {
                let output = self.output(Call::Init)?;
                let hint = wire::read_init_error(self.slice(output));
                let hint =
                    hint.map_err(|error| self.breach(Call::Init, format!("its error can't be read: {error}")))?;
                Err(Error::Init { module: self.module.name().to_owned(), hint: without_location(&hint) })
            }
            code => Err(self.code(Call::Init, code)),
        }
    }

    /// Shows the module records of the past. `parts` is the encoded input.
    pub(crate) fn look_back(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let Some(look_back) = self.look_back.clone() else { return Ok(()) };
        match self.call(Call::LookBack, &look_back, parts)? {
            0.. => Ok(()),
            -99 => {
                let output = self.output(Call::LookBack)?;
                let (hint, offset) = wire::read_look_back_error(self.slice(output))
                    .map_err(|error| self.breach(Call::LookBack, format!("its error can't be read: {error}")))?;
                Err(Error::LookBack { module: self.module.name().to_owned(), offset, hint: without_location(&hint) })
            }
            code => Err(self.code(Call::LookBack, code)),
        }
    }

    /// Calls the transform and says where its output lies. It stays there until [`Self::free`].
    pub(crate) fn transform(&mut self, parts: &[&[u8]]) -> Result<Range<usize>, Error> {
        let transform = self.transform.clone();
        match self.call(Call::Transform, &transform, parts)? {
            0.. => self.output(Call::Transform),
            code => Err(self.code(Call::Transform, code)),
        }
    }

    /// The bytes of an output.
    pub(crate) fn slice(&self, output: Range<usize>) -> &[u8] {
        &self.memory.data(&self.store)[output]
    }

    /// Gives an output's memory back to the guest's allocator, if that is known to be safe. An instance whose
    /// `dealloc` fails is lost.
    pub(crate) fn free(&mut self, output: &Range<usize>) -> Result<(), Error> {
        arm(&mut self.store, self.timeout);
        let freed = self.reclaim.output(&mut self.store, self.memory, output);
        freed.map_err(|error| failure(&self.module, Call::Transform, self.timeout, &error))
    }

    /// Bytes of linear memory in use.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.data_size(&self.store) as u64
    }

    /// An ABI breach of the transform.
    pub(crate) fn breach(&self, call: Call, problem: String) -> Error {
        Error::Guest { module: self.module.name().to_owned(), call, problem }
    }

    fn call(&mut self, call: Call, entry: &EntryFn, parts: &[&[u8]]) -> Result<i32, Error> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Ok(size) = i32::try_from(length) else {
            let limit = i32::MAX as u64;
            return Err(Error::Memory { module: self.module.name().to_owned(), call, wanted: length as u64, limit });
        };
        arm(&mut self.store, self.timeout);
        self.store.data_mut().output = None;
        let pointer = self
            .alloc
            .call(&mut self.store, size)
            .map_err(|error| failure(&self.module, Call::Alloc, self.timeout, &error))?;
        let memory = self.memory.data_mut(&mut self.store);
        let available = memory.len();
        let start = pointer as u32 as usize;
        let Some(mut room) = start.checked_add(length).and_then(|end| memory.get_mut(start..end)) else {
            let problem =
                format!("it returned {pointer} for {length} bytes, outside of its {available} bytes of memory");
            return Err(self.breach(Call::Alloc, problem));
        };
        for part in parts {
            let (here, rest) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = rest;
        }
        entry
            .call(&mut self.store, (pointer, size, VERSION))
            .map_err(|error| failure(&self.module, call, self.timeout, &error))
    }

    /// Where the guest says its output lies, checked.
    fn output(&mut self, call: Call) -> Result<Range<usize>, Error> {
        let Some((pointer, length)) = self.store.data_mut().output.take() else {
            return Err(self.breach(call, "it returned without handing over its output".to_owned()));
        };
        let start = pointer as usize;
        let available = self.memory.data_size(&self.store);
        match start.checked_add(length as usize) {
            Some(end) if end <= available => Ok(start..end),
            _ => {
                let problem = format!(
                    "its output of {length} bytes at {pointer} lies outside of its {available} bytes of memory"
                );
                Err(self.breach(call, problem))
            }
        }
    }

    fn code(&self, call: Call, code: i32) -> Error {
        let meaning = match (call, code) {
            (Call::Transform, -11) | (Call::Init, -10) | (Call::LookBack, -66) => "it can't decode its input",
            (Call::Transform, -22) | (Call::LookBack, -77) => "it can't decode the records",
            (Call::Transform, -33) | (Call::Init, -11) | (Call::LookBack, -88) => "it can't encode its output",
            (Call::Transform, -44) => "it can't parse its parameters",
            (Call::Transform, -55) => "it is a join, which this host has not",
            _ => "it gives no reason",
        };
        self.breach(call, format!("{meaning} (code {code})"))
    }
}

/// Starts the clock for a call.
fn arm(store: &mut Store<State>, timeout: Duration) {
    store.set_epoch_deadline(ticker::ticks(timeout));
    store.data_mut().stdio.renew();
}

/// What ended a call.
pub(crate) fn failure(module: &Module, call: Call, timeout: Duration, error: &wasmtime::Error) -> Error {
    let module = module.name().to_owned();
    if let Some(&Denied { wanted, limit }) = error.downcast_ref() {
        return Error::Memory { module, call, wanted, limit };
    }
    if let Some(Trap::Interrupt) = error.downcast_ref() {
        return Error::Deadline { module, call, after: timeout };
    }
    let place = error.downcast_ref::<WasmBacktrace>().and_then(|trace| {
        let name = |frame: &wasmtime::FrameInfo| frame.func_name().map(|name| format!("{name:#}"));
        // the innermost frames of a Rust panic are the panic machinery itself
        let machinery = |name: &String| ["rust_panic", "panic", "abort"].iter().any(|part| name.contains(part));
        trace.frames().iter().filter_map(name).find(|name| !machinery(name))
    });
    let cause = error.root_cause().to_string();
    let reason = place.map_or_else(|| cause.clone(), |place| format!("{cause} (in {place})"));
    Error::Trap { module, call, reason }
}

/// The message of an error without the backtrace section that `eyre` adds to it.
pub(crate) fn without_location(hint: &str) -> String {
    let end = hint.find("\n\nLocation:\n").unwrap_or(hint.len());
    hint[..end].trim_end().to_owned()
}

fn encode_params(
    module: &str,
    params: &BTreeMap<String, String>,
    look_back: Option<LookBack>,
) -> Result<Vec<u8>, Error> {
    let too_long = |param: &str, length: usize| Error::Param {
        module: module.to_owned(),
        param: param.chars().take(64).collect(),
        length,
    };
    let count = u16::try_from(params.len()).map_err(|_| too_long("(all)", params.len()))?;
    let mut input = count.to_be_bytes().to_vec();
    for (name, value) in params {
        for text in [name, value] {
            if text.len() > MAX_STRING {
                return Err(too_long(name, text.len()));
            }
            input.extend_from_slice(&(text.len() as u16).to_be_bytes());
            input.extend_from_slice(text.as_bytes());
        }
    }
    match look_back {
        None => input.push(0),
        Some(LookBack { last, age }) => {
            input.push(1);
            input.extend_from_slice(&last.to_be_bytes());
            match age {
                None => input.push(0),
                Some(age) => {
                    input.push(1);
                    input.extend_from_slice(&age.as_secs().to_be_bytes());
                    input.extend_from_slice(&age.subsec_nanos().to_be_bytes());
                }
            }
        }
    }
    Ok(input)
}
