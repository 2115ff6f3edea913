//! Addresses: which ones no name may lead to, and the one way by which the host resolves names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local ranges: they hand a machine's credentials to whoever asks.
/// Alibaba Cloud, Azure's platform address, Oracle Cloud's classic one; Amazon's and Google's over IPv6.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Whether a connection to this address needs the address itself on the list: link-local, metadata
/// services, multicast, broadcast, and "this host" (0.0.0.0, which Linux takes for loopback).
pub(crate) fn forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || METADATA_V6.contains(&v6)
                || embedded_v4(v6).is_some_and(forbidden_v4)
        }
    }
}

fn forbidden_v4(v4: Ipv4Addr) -> bool {
    v4.octets()[0] == 0 || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || METADATA_V4.contains(&v4)
}

/// The IPv4 address that a translator would forward to: the NAT64 prefix and the old compatible form.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 1) => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// Why a name led nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The resolver has no answer.
    #[error("no address for `{name}`: {source}")]
    Unknown {
        /// The name.
        name: String,
        /// What the resolver says.
        source: std::io::Error,
    },
    /// All answers are addresses which no name may lead to.
    #[error("`{name}` leads to {address}, which is link-local or a metadata service")]
    Forbidden {
        /// The name.
        name: String,
        /// The first answer.
        address: IpAddr,
    },
}

/// The addresses of a name, without those that no name may lead to.
pub(crate) async fn resolve(name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let unknown = |source| ResolveError::Unknown { name: name.to_owned(), source };
    let mut refused = None;
    let mut addresses = Vec::new();
    for answer in tokio::net::lookup_host((name, 0)).await.map_err(unknown)? {
        let address = answer.ip().to_canonical();
        if forbidden(address) {
            refused = Some(address);
        } else if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match (addresses.is_empty(), refused) {
        (false, _) => Ok(addresses),
        (true, Some(address)) => Err(ResolveError::Forbidden { name: name.to_owned(), address }),
        (true, None) => Err(unknown(std::io::Error::new(std::io::ErrorKind::NotFound, "the answer is empty"))),
    }
}
