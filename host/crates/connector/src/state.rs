//! What belongs to one instance on the host's side, and the functions that a guest may call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::IoError;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, RequestOptions};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_tls::{WasiTlsCtx, WasiTlsCtxBuilder, WasiTlsCtxView, WasiTlsView};

use crate::Sandbox;
use crate::bindings::{logging, metrics};
use crate::engine::Shared;
use crate::events::{GuestLog, Level, Redactor};
use crate::http::{Hooks, wasi_code};
use crate::limits::Limiter;
use crate::network::Network;
use crate::sockets;
use crate::stdio::LineStream;
use crate::tls::GuestTls;

/// Names of numbers that one instance may make up. Each becomes a time series in whatever collects them,
/// where a guest that puts an id into a name does the harm.
const METRIC_NAMES: usize = 256;

/// The longest name of a number.
const METRIC_NAME_BYTES: usize = 100;

/// Refused numbers that are logged, for each instance.
const METRIC_COMPLAINTS: u32 = 5;

/// Handles that one instance may hold at a time: streams, requests, sockets, pollables. Each may cost the
/// host some KiB; a guest with hundreds of parallel requests holds a few thousand.
const HANDLES: usize = 20_000;

/// The most random bytes for one call: enough for any key, too few to keep a core busy.
const RANDOM_BYTES: u64 = 1024 * 1024;

/// The data of an instance's store.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    tls: WasiTlsCtx,
    metrics: HashMap<String, Metric>,
    metrics_refused: u32,
    pub(crate) table: ResourceTable,
    pub(crate) network: Arc<Network>,
    pub(crate) log: Arc<GuestLog>,
    pub(crate) limiter: Limiter,
    /// When the running call must be over.
    pub(crate) deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Counter,
    Gauge,
    Histogram,
}

impl State {
    pub(crate) fn new(shared: &Shared, sandbox: &Sandbox) -> Self {
        let log = Arc::new(GuestLog::new(sandbox.events.clone(), Redactor::new(&sandbox.redact)));
        let network = Arc::new(Network::new(&sandbox.network, sandbox.activity.clone()));
        let checked = network.clone();
        let wasi = WasiCtx::builder()
            .stdout(LineStream::new(log.clone(), Level::Info, "stdout"))
            .stderr(LineStream::new(log.clone(), Level::Warn, "stderr"))
            .allow_tcp(true)
            .allow_udp(false)
            .allow_ip_name_lookup(true)
            .socket_addr_check(move |address, purpose| {
                let permitted = sockets::permitted(&checked, address, purpose);
                Box::pin(async move { permitted })
            })
            .max_random_size(RANDOM_BYTES)
            .build();
        let outlet = sandbox.outlet.as_ref().map_or(&shared.outlet, |own| &own.0);
        let hooks = Hooks {
            client: outlet.client.clone(),
            network: network.clone(),
            log: log.clone(),
            call_timeout: sandbox.call_timeout,
        };
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            hooks,
            tls: WasiTlsCtxBuilder::new().provider(Box::new(GuestTls(outlet.tls.clone()))).build(),
            metrics: HashMap::new(),
            metrics_refused: 0,
            table,
            network,
            log,
            limiter: Limiter::new(sandbox.memory),
            deadline: Instant::now(),
        }
    }

    /// Whether this number may be passed on; the first few that may not are logged.
    fn metric(&mut self, name: &str, kind: Metric) -> bool {
        let refusal = match self.metrics.get(name) {
            Some(&known) if known == kind => return true,
            Some(known) => format!("it is a {known:?} already, not a {kind:?}"),
            None if !is_metric_name(name) => {
                "a name has lower case letters, digits and underscores, at most 100 of them".to_owned()
            }
            None if self.metrics.len() >= METRIC_NAMES => {
                format!("this instance has made up {METRIC_NAMES} names already")
            }
            None => {
                self.metrics.insert(name.to_owned(), kind);
                return true;
            }
        };
        if self.metrics_refused < METRIC_COMPLAINTS {
            self.metrics_refused += 1;
            let name = &name[..name.floor_char_boundary(METRIC_NAME_BYTES)];
            self.log.log(Level::Warn, "host", format!("metric {name:?} is ignored: {refusal}"));
        }
        false
    }
}

fn is_metric_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.len() <= METRIC_NAME_BYTES && name.bytes().all(fits)
}

/// Everything a component may import. What the sandbox does not give (files, environment, arguments) is
/// linked all the same, and empty: standard libraries import it whether the program uses it or not.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let mut tls = wasmtime_wasi_tls::p2::LinkOptions::default();
    tls.tls(true);
    wasmtime_wasi_tls::p2::add_to_linker(&mut linker, &tls)?;
    logging::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    metrics::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    sockets::add_lookup(&mut linker)?;
    linker.allow_shadowing(true);
    add_http_error_code(&mut linker)?;
    add_http_handle(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// Replaces `http-error-code`: the stock one knows its own errors only, not those that a response body of
/// this host's client ends with, so a guest could not tell a truncated body from a slow one.
fn add_http_error_code(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, State>, (error,): (Resource<IoError>,)| {
            let error = store.data_mut().table.get(&error)?;
            let code = match error.downcast_ref::<ErrorCode>() {
                Some(code) => Some(code.clone()),
                None => error.downcast_ref::<wasmtime_wasi_http::Error>().and_then(wasi_code),
            };
            Ok((code,))
        },
    )
}

/// Replaces `handle`: the stock one (of Wasmtime 48) takes over the request's options, but leaves them in the
/// table, so that an instance fails after as many requests as it may hold handles.
fn add_http_handle(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>,
         (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>)| {
            let state = store.data_mut();
            let left = options.as_ref().map(|options| Resource::<RequestOptions>::new_own(options.rep()));
            let answer = outgoing_handler::Host::handle(&mut state.http(), request, options);
            if let Some(options) = left {
                state.table.delete(options)?;
            }
            Ok((match answer {
                Ok(answer) => Ok(answer),
                Err(error) => Err(error.downcast()?),
            },))
        },
    )
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl WasiTlsView for State {
    fn tls(&mut self) -> WasiTlsCtxView<'_> {
        WasiTlsCtxView { ctx: &mut self.tls, table: &mut self.table }
    }
}

impl logging::Host for State {
    fn log(&mut self, level: logging::Level, context: String, message: String) {
        let level = match level {
            logging::Level::Trace => Level::Trace,
            logging::Level::Debug => Level::Debug,
            logging::Level::Info => Level::Info,
            logging::Level::Warn => Level::Warn,
            logging::Level::Error => Level::Error,
            logging::Level::Critical => Level::Critical,
        };
        self.log.log(level, &context, message);
    }
}

impl metrics::Host for State {
    fn counter(&mut self, name: String, add: u64) {
        if self.metric(&name, Metric::Counter) {
            self.log.events().counter(&name, add);
        }
    }

    fn gauge(&mut self, name: String, value: f64) {
        if self.metric(&name, Metric::Gauge) {
            self.log.events().gauge(&name, value);
        }
    }

    fn histogram(&mut self, name: String, value: f64) {
        if self.metric(&name, Metric::Histogram) {
            self.log.events().histogram(&name, value);
        }
    }
}
