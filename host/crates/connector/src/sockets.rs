//! `wasi:sockets` for the hosts that the configuration names.
//!
//! The stock implementation checks addresses, never names. So the lookup of names is replaced by the host's
//! own, which answers for listed names only and remembers what it answered; and a socket may connect to
//! just those addresses, at the ports that go with their names. Datagrams, listening and accepting are off.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinHandle;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network as NetworkHandle};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::sockets::SocketAddrUse;

use crate::network::{Network, ResolveError, host_of, resolve};
use crate::state::State;

/// The interface as this Wasmtime links it; a guest's other 0.2 versions find it too.
const LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// Whether a socket may do this.
pub(crate) fn permitted(network: &Network, address: SocketAddr, purpose: SocketAddrUse) -> bool {
    match purpose {
        SocketAddrUse::TcpConnect => network.permit_connect(address),
        // The system's own choice of a local address, just before a connection.
        SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
        SocketAddrUse::TcpListen
        | SocketAddrUse::TcpAccept
        | SocketAddrUse::UdpBind
        | SocketAddrUse::UdpSend
        | SocketAddrUse::UdpReceive => false,
    }
}

/// The answer to one lookup, while it comes in and while the guest takes it address by address.
pub(crate) enum Lookup {
    Pending(JoinHandle<Answer>),
    Ready(Answer),
}

type Answer = Result<std::vec::IntoIter<IpAddr>, ErrorCode>;

#[async_trait::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Pending(task) = self {
            *self = Self::Ready(task.await.unwrap_or(Err(ErrorCode::Unknown)));
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if let Self::Pending(task) = self {
            task.abort();
        }
    }
}

/// Replaces the stock lookup of names.
pub(crate) fn add_lookup(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut lookup = linker.instance(LOOKUP)?;
    lookup.resource("resolve-address-stream", ResourceType::host::<Lookup>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<Lookup>::new_own(rep))?;
        Ok(())
    })?;
    lookup.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, State>, (network, name): (Resource<NetworkHandle>, String)| {
            let state = store.data_mut();
            state.table.get(&network)?;
            Ok((start(&mut state.table, &state.network, &name)?,))
        },
    )?;
    lookup.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, State>, (lookup,): (Resource<Lookup>,)| {
            let next: Result<Option<IpAddress>, ErrorCode> = match store.data_mut().table.get_mut(&lookup)? {
                Lookup::Pending(_) => Err(ErrorCode::WouldBlock),
                Lookup::Ready(Ok(addresses)) => Ok(addresses.next().map(Into::into)),
                Lookup::Ready(Err(code)) => Err(*code),
            };
            Ok((next,))
        },
    )?;
    lookup.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, State>, (lookup,): (Resource<Lookup>,)| {
            let pollable: Resource<DynPollable> = subscribe(&mut store.data_mut().table, lookup)?;
            Ok((pollable,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn start(
    table: &mut ResourceTable,
    network: &Arc<Network>,
    name: &str,
) -> wasmtime::Result<Result<Resource<Lookup>, ErrorCode>> {
    let Some(host) = host_of(name) else {
        return Ok(Err(ErrorCode::InvalidArgument));
    };
    let lookup = match &host {
        // An address is its own answer; connecting to it is another question.
        url::Host::Ipv4(address) => Lookup::Ready(Ok(vec![IpAddr::V4(*address)].into_iter())),
        url::Host::Ipv6(address) => Lookup::Ready(Ok(vec![IpAddr::V6(*address)].into_iter())),
        url::Host::Domain(_) if !network.permit_lookup(&host) => return Ok(Err(ErrorCode::AccessDenied)),
        url::Host::Domain(name) => {
            let (network, host, name) = (network.clone(), host.clone(), name.clone());
            Lookup::Pending(tokio::spawn(async move {
                match resolve(&name).await {
                    Ok(addresses) => {
                        network.learn(&host, &addresses);
                        Ok(addresses.into_iter())
                    }
                    Err(ResolveError::Forbidden { address, .. }) => {
                        network.refuse_address(&host, address);
                        Err(ErrorCode::AccessDenied)
                    }
                    Err(error @ ResolveError::Unknown { .. }) => {
                        tracing::debug!(%error, "a guest's name lookup failed");
                        Err(ErrorCode::NameUnresolvable)
                    }
                }
            }))
        }
    };
    Ok(Ok(table.push(lookup)?))
}
