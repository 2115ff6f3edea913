//! The list of hosts that a guest may reach, and how a request is held against it.

use std::fmt;
use std::net::IpAddr;

use url::Host;

use super::forbidden;

/// A host that a guest may reach, at one port or at all of them.
///
/// The host is a name, an IP address (version 6 with or without brackets), `*.example.com` for every name
/// under `example.com` (not itself), or `*` for every host.
///
/// ```
/// use host_connector::Authority;
/// let one: Authority = "api.example.com:8443".into();
/// assert_eq!((one.host.as_str(), one.port), ("api.example.com", Some(8443)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host.
    pub host: String,
    /// The port; all of them when absent.
    pub port: Option<u16>,
}

impl Authority {
    /// A host at one port, or at all of them.
    pub fn new(host: impl Into<String>, port: Option<u16>) -> Self {
        Self { host: host.into(), port }
    }
}

impl From<&str> for Authority {
    /// Takes `host`, `host:port` or `[v6]:port`; what is no port number stays part of the host.
    fn from(text: &str) -> Self {
        if text.parse::<IpAddr>().is_err()
            && let Some((host, port)) = text.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            return Self::new(host, Some(port));
        }
        Self::new(text, None)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = self.host.contains(':') && !self.host.starts_with('[');
        match (self.port, colon) {
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
            (None, _) => f.write_str(&self.host),
        }
    }
}

/// The list, in the form that requests are held against.
#[derive(Debug)]
pub(crate) struct AllowList {
    rules: Vec<(Rule, Option<u16>)>,
}

#[derive(Debug)]
enum Rule {
    /// This very host.
    Host(Host),
    /// Every name that ends so; starts with a dot.
    Under(String),
    /// Every host, but for addresses that must be named themselves.
    Any,
}

impl AllowList {
    /// Entries that can't name a host match nothing.
    pub(crate) fn new(authorities: &[Authority]) -> Self {
        let rule = |authority: &Authority| {
            let rule = match authority.host.as_str() {
                "*" => Rule::Any,
                host => match host.strip_prefix("*.") {
                    Some(parent) => match host_of(parent)? {
                        Host::Domain(parent) => Rule::Under(format!(".{parent}")),
                        _ => return None,
                    },
                    None => Rule::Host(host_of(host)?),
                },
            };
            Some((rule, authority.port))
        };
        let checked = |authority: &Authority| {
            let rule = rule(authority);
            if rule.is_none() {
                tracing::warn!(host = authority.host, "this names no host, so it allows none");
            }
            rule
        };
        Self { rules: authorities.iter().filter_map(checked).collect() }
    }

    /// Whether a host may be reached at a port, or at any port at all (`None`).
    pub(crate) fn permits(&self, host: &Host, port: Option<u16>) -> bool {
        self.rules.iter().any(|(rule, rule_port)| {
            let port_fits = match (rule_port, port) {
                (Some(rule), Some(port)) => *rule == port,
                _ => true,
            };
            port_fits && rule.covers(host)
        })
    }
}

impl Rule {
    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Host(rule), host) => rule == host,
            (Self::Under(suffix), Host::Domain(name)) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            (Self::Under(_), _) => false,
            (Self::Any, Host::Domain(_)) => true,
            (Self::Any, Host::Ipv4(address)) => !forbidden((*address).into()),
            (Self::Any, Host::Ipv6(address)) => !forbidden((*address).into()),
        }
    }
}

/// A host as all comparisons see it: lower case, punycode, without a root dot, odd spellings of an IPv4
/// address (`0x7f.1`) and mapped IPv6 ones as the address they mean.
pub(crate) fn host_of(text: &str) -> Option<Host> {
    let text = text.trim();
    let parsed = match text.parse::<std::net::Ipv6Addr>() {
        Ok(address) => Host::Ipv6(address),
        Err(_) => Host::parse(text).ok()?,
    };
    Some(match parsed {
        Host::Ipv6(address) => match address.to_ipv4_mapped() {
            Some(address) => Host::Ipv4(address),
            None => Host::Ipv6(address),
        },
        Host::Domain(name) => Host::Domain(name.strip_suffix('.').unwrap_or(&name).to_owned()),
        host @ Host::Ipv4(_) => host,
    })
}
