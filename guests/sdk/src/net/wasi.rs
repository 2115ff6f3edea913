//! TCP by `wasi:sockets`, TLS by `wasi:tls`, driven by polling with an end to every wait.
//!
//! Resources that come from each other must go in reverse order (streams before what they belong to, a
//! pollable before its stream), or the host traps: hence the order of fields, and the short life of
//! pollables.

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use super::{Chunk, Connect, Dial, Line};
use crate::bindings::tls::wasi::tls::types::{ClientConnection, ClientHandshake, FutureClientStreams};
use crate::error::{Error, Result};
use crate::time::{Instant, now};

pub(crate) fn start(to: &Connect) -> Result<Box<dyn Dial>> {
    let network = instance_network();
    let lookup = resolve_addresses(&network, &to.host).map_err(|code| lookup_error(&to.host, code))?;
    Ok(Box::new(WasiDial { to: to.clone(), step: Step::Lookup(lookup), network, addresses: Vec::new(), last: None }))
}

struct WasiDial {
    to: Connect,
    step: Step,
    network: Network,
    /// Those not tried yet, the next one last.
    addresses: Vec<IpAddress>,
    /// What the last attempt failed of.
    last: Option<Error>,
}

enum Step {
    Lookup(ResolveAddressStream),
    Connect(TcpSocket),
    Handshake {
        future: FutureClientStreams,
        socket: TcpSocket,
    },
    /// Nothing more to try.
    Over,
}

impl Dial for WasiDial {
    fn wait(&mut self, until: Instant) -> Result<Option<Box<dyn Line>>> {
        let mut waited = false;
        loop {
            let pollable = match std::mem::replace(&mut self.step, Step::Over) {
                Step::Lookup(lookup) => match self.collect(&lookup)? {
                    true => {
                        drop(lookup);
                        self.try_next()?;
                        continue;
                    }
                    false => {
                        let pollable = lookup.subscribe();
                        self.step = Step::Lookup(lookup);
                        pollable
                    }
                },
                Step::Connect(socket) => match socket.finish_connect() {
                    Ok((input, output)) => {
                        if !self.to.tls {
                            let tcp = WasiLine { input, output, _tls: None, _socket: socket, flushing: false };
                            return Ok(Some(Box::new(tcp)));
                        }
                        let handshake = ClientHandshake::new(&self.to.host, input, output);
                        self.step = Step::Handshake { future: ClientHandshake::finish(handshake), socket };
                        continue;
                    }
                    Err(ErrorCode::WouldBlock) => {
                        let pollable = socket.subscribe();
                        self.step = Step::Connect(socket);
                        pollable
                    }
                    Err(code) => {
                        self.last = Some(connect_error(code));
                        drop(socket);
                        self.try_next()?;
                        continue;
                    }
                },
                Step::Handshake { future, socket } => match future.get() {
                    Some(Ok(Ok((tls, input, output)))) => {
                        drop(future);
                        let line = WasiLine { input, output, _tls: Some(tls), _socket: socket, flushing: false };
                        return Ok(Some(Box::new(line)));
                    }
                    Some(Ok(Err(failure))) => {
                        let why = failure.to_debug_string();
                        return Err(Error::unreachable(format!("TLS failed: {why}")));
                    }
                    Some(Err(())) => return Err(Error::internal("the TLS connection was already taken")),
                    None => {
                        let pollable = future.subscribe();
                        self.step = Step::Handshake { future, socket };
                        pollable
                    }
                },
                Step::Over => return Err(Error::internal("the connection was already taken, or has failed")),
            };
            if waited && now() >= until {
                return Ok(None);
            }
            waited = true;
            wait(&[Some(pollable)], until);
        }
    }
}

impl WasiDial {
    /// Takes the addresses of the name; says whether those are all.
    fn collect(&mut self, lookup: &ResolveAddressStream) -> Result<bool> {
        loop {
            match lookup.resolve_next_address() {
                Ok(Some(address)) => self.addresses.insert(0, address),
                Ok(None) => return Ok(true),
                Err(ErrorCode::WouldBlock) => return Ok(false),
                Err(code) => return Err(lookup_error(&self.to.host, code)),
            }
        }
    }

    /// Begins to connect to the next address that takes the attempt at all.
    fn try_next(&mut self) -> Result<()> {
        while let Some(address) = self.addresses.pop() {
            let (family, remote) = match address {
                IpAddress::Ipv4(address) => {
                    (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(Ipv4SocketAddress { port: self.to.port, address }))
                }
                IpAddress::Ipv6(address) => {
                    let remote = Ipv6SocketAddress { port: self.to.port, address, flow_info: 0, scope_id: 0 };
                    (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(remote))
                }
            };
            let begun = create_tcp_socket(family).and_then(|socket| {
                // Found out by the system when a peer is gone without a word, in a quarter of an hour or so.
                socket.set_keep_alive_enabled(true)?;
                socket.start_connect(&self.network, remote)?;
                Ok(socket)
            });
            match begun {
                Ok(socket) => {
                    self.step = Step::Connect(socket);
                    return Ok(());
                }
                Err(code) => self.last = Some(connect_error(code)),
            }
        }
        Err(self.last.take().unwrap_or_else(|| Error::unreachable("the name has no address")))
    }
}

struct WasiLine {
    input: InputStream,
    output: OutputStream,
    _tls: Option<ClientConnection>,
    _socket: TcpSocket,
    /// Something was written that was not flushed yet.
    flushing: bool,
}

impl Line for WasiLine {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let room = self.output.check_write().map_err(|error| stream_error(&error))?;
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if taken > 0 {
            self.output.write(&bytes[..taken]).map_err(|error| stream_error(&error))?;
            self.flushing = true;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<bool> {
        if self.flushing {
            self.output.flush().map_err(|error| stream_error(&error))?;
            self.flushing = false;
        }
        let room = self.output.check_write().map_err(|error| stream_error(&error))?;
        Ok(room > 0)
    }

    fn read(&mut self, max: usize) -> Result<Chunk> {
        match self.input.read(max as u64) {
            Ok(bytes) if bytes.is_empty() => Ok(Chunk::Pending),
            Ok(bytes) => Ok(Chunk::Data(bytes)),
            Err(StreamError::Closed) => Ok(Chunk::End),
            Err(error @ StreamError::LastOperationFailed(_)) => Err(stream_error(&error)),
        }
    }

    fn wait(&mut self, read: bool, write: bool, until: Instant) {
        wait(&[read.then(|| self.input.subscribe()), write.then(|| self.output.subscribe())], until);
    }
}

/// Waits for one of these, or the time. Even when that has passed it is worth a call: a host may carry things
/// on only while it is asked.
fn wait(pollables: &[Option<Pollable>], until: Instant) {
    let timer = monotonic_clock::subscribe_instant(until.as_nanos());
    let mut all: Vec<&Pollable> = pollables.iter().flatten().collect();
    all.push(&timer);
    poll(&all);
}

fn lookup_error(host: &str, code: ErrorCode) -> Error {
    match code {
        ErrorCode::AccessDenied => denied(),
        ErrorCode::InvalidArgument => Error::config(format!("`{host}` is not the name of a host")),
        ErrorCode::NameUnresolvable | ErrorCode::PermanentResolverFailure => {
            Error::unreachable("the name could not be resolved (no such name)")
        }
        code => Error::unreachable(format!("the name could not be resolved ({})", code.name())),
    }
}

fn connect_error(code: ErrorCode) -> Error {
    match code {
        ErrorCode::AccessDenied => denied(),
        ErrorCode::ConnectionRefused => Error::unreachable("the connection was refused"),
        ErrorCode::RemoteUnreachable => Error::unreachable("there is no way to this address"),
        ErrorCode::Timeout => Error::unreachable("nobody answers at this address"),
        code => Error::unreachable(format!("no connection ({})", code.name())),
    }
}

fn denied() -> Error {
    Error::config(
        "the sandbox does not allow this address; only what the configuration names is open (see \
         host.sandbox.allow)",
    )
}

fn stream_error(error: &StreamError) -> Error {
    match error {
        StreamError::Closed => Error::unreachable("the other side has closed the connection"),
        StreamError::LastOperationFailed(failure) => {
            Error::unreachable(format!("the connection broke ({})", failure.to_debug_string()))
        }
    }
}
