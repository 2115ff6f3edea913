//! What a guest may reach: the hosts that its configuration names, and nothing else.
//!
//! Two checks stand between a guest and the network, and both must pass. The name (or address) that the
//! guest asks for must be on the list; and the address that a listed name resolves to must not be one of
//! those that no name should lead to, such as a cloud's metadata service. Private and loopback addresses
//! are fine when a listed name leads there: whoever wrote the configuration chose the name.
//!
//! Every request is noted in an [`Activity`], allowed or not, so that a user can be shown what a connector
//! asked for.

mod activity;
mod address;
mod allow;

pub use activity::{Access, Activity};
pub(crate) use address::{ResolveError, forbidden, resolve};
pub use allow::Authority;
pub(crate) use allow::{AllowList, host_of};

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use url::Host;

/// Addresses that one instance may have learnt from name lookups; the oldest go first. Round-robin names
/// hand out a few each time, so this is hours of lookups.
const LEARNT_ADDRESSES: usize = 1024;

/// One instance's view of the network.
pub(crate) struct Network {
    allow: AllowList,
    activity: Arc<Activity>,
    learnt: Mutex<Learnt>,
}

/// Which addresses the host has resolved for the guest, and from which names.
#[derive(Default)]
struct Learnt {
    names: HashMap<IpAddr, Vec<String>>,
    order: std::collections::VecDeque<IpAddr>,
}

impl Network {
    pub(crate) fn new(allow: &[Authority], activity: Arc<Activity>) -> Self {
        Self { allow: AllowList::new(allow), activity, learnt: Mutex::default() }
    }

    /// Whether the guest may talk to this host and port; noted, and logged when refused.
    pub(crate) fn permit(&self, host: &Host, port: u16) -> bool {
        let allowed = self.allow.permits(host, Some(port));
        self.note(&format!("{host}:{port}"), allowed);
        allowed
    }

    /// Whether the guest may ask for the addresses of this name, at whatever port.
    pub(crate) fn permit_lookup(&self, host: &Host) -> bool {
        let allowed = self.allow.permits(host, None);
        if !allowed {
            self.note(&host.to_string(), false);
        }
        allowed
    }

    /// Remembers what a permitted name resolved to.
    pub(crate) fn learn(&self, host: &Host, addresses: &[IpAddr]) {
        let name = host.to_string();
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        for &address in addresses {
            let address = address.to_canonical();
            if let Some(names) = learnt.names.get_mut(&address) {
                if !names.contains(&name) {
                    names.push(name.clone());
                }
                continue;
            }
            if learnt.order.len() == LEARNT_ADDRESSES
                && let Some(oldest) = learnt.order.pop_front()
            {
                learnt.names.remove(&oldest);
            }
            learnt.names.insert(address, vec![name.clone()]);
            learnt.order.push_back(address);
        }
    }

    /// Whether the guest may connect a socket to this address: it is listed itself, or the host resolved a
    /// name to it that is listed with this port.
    pub(crate) fn permit_connect(&self, to: SocketAddr) -> bool {
        let address = to.ip().to_canonical();
        let literal = literal(address);
        if self.allow.permits(&literal, Some(to.port())) {
            self.note(&format!("{literal}:{}", to.port()), true);
            return true;
        }
        let names = {
            let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
            learnt.names.get(&address).cloned().unwrap_or_default()
        };
        for name in &names {
            let host = Host::Domain(name.clone());
            if self.allow.permits(&host, Some(to.port())) {
                self.note(&format!("{name}:{}", to.port()), true);
                return true;
            }
        }
        let asked = names.first().cloned().unwrap_or_else(|| literal.to_string());
        self.note(&format!("{asked}:{}", to.port()), false);
        false
    }

    /// Notes that a permitted name leads to addresses which no name may lead to.
    pub(crate) fn refuse_address(&self, host: &Host, address: IpAddr) {
        if self.activity.record(&format!("{host} ({address})"), false) == 1 {
            tracing::warn!(
                %host,
                %address,
                "the sandbox refused a connection: this name leads to a link-local address or a metadata \
                 service; if the connector is meant to reach it, have it use the address itself, and name \
                 the address in the configuration"
            );
        }
    }

    fn note(&self, authority: &str, allowed: bool) {
        let seen = self.activity.record(authority, allowed);
        if !allowed && seen == 1 {
            tracing::warn!(
                authority,
                "the sandbox refused a connection: the configuration does not name this host; \
                 if the connector is meant to reach it, add \"{authority}\" to `host.sandbox.allow`"
            );
        }
    }
}

fn literal(address: IpAddr) -> Host {
    match address {
        IpAddr::V4(address) => Host::Ipv4(address),
        IpAddr::V6(address) => Host::Ipv6(address),
    }
}

#[cfg(test)]
mod tests;
