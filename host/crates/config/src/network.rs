//! Reads where a connector will connect to out of what people write in such fields: URLs, authorities, hosts.
//!
//! Names come out in lower case and, where international, in ASCII; addresses without brackets. What names no
//! host is refused, since the sandbox would refuse the connection later, with a worse message.

use std::fmt;
use url::{Host, Url};

/// A host, and a port of it where only one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkTarget {
    /// A name in lower case, or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port; every port when absent.
    pub port: Option<u16>,
}

impl fmt::Display for NetworkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (_, None) => f.write_str(&self.host),
        }
    }
}

/// Ports of the schemes that connectors speak, where the URL gives none.
const DEFAULT_PORTS: [(&str, u16); 17] = [
    ("http", 80),
    ("https", 443),
    ("ws", 80),
    ("wss", 443),
    ("mqtt", 1883),
    ("tcp", 1883),
    ("mqtts", 8883),
    ("ssl", 8883),
    ("amqp", 5672),
    ("amqps", 5671),
    ("mysql", 3306),
    ("nats", 4222),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("kafka", 9092),
    ("redis", 6379),
    ("rediss", 6379),
];

impl NetworkTarget {
    /// Reads a URL, `host:port`, `host`, or several of the latter separated by commas. A URL without a port
    /// means its scheme's.
    ///
    /// # Errors
    /// When a part of it names no host; the text says why.
    ///
    /// ```
    /// use host_config::NetworkTarget;
    /// let target = &NetworkTarget::parse("https://Example.com/path")?[0];
    /// assert_eq!((target.host.as_str(), target.port), ("example.com", Some(443)));
    /// assert_eq!(NetworkTarget::parse("kafka-1:9092, kafka-2:9092")?.len(), 2);
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let text = text.trim();
        match text.split_once("://") {
            Some((scheme, rest)) if authority(rest).contains(',') => {
                let credentials_end = authority(rest).rfind('@').map_or(0, |at| at + 1);
                let port = default_port(scheme);
                let hosts = authority(rest)[credentials_end..].split(',');
                hosts.map(|host| Self::bare(host.trim()).map(|t| Self { port: t.port.or(port), ..t })).collect()
            }
            Some(_) => Self::url(text).map(|target| vec![target]),
            None => text.split(',').map(|part| Self::bare(part.trim())).collect(),
        }
    }

    fn url(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
        let host = match url.host() {
            Some(Host::Domain(name)) => name_of(&Host::parse(name).map_err(|error| error.to_string())?),
            Some(address) => name_of(&address.to_owned()),
            None => return Err("this URL names no host".to_owned()),
        };
        if host.is_empty() {
            return Err("this URL names no host".to_owned());
        }
        Ok(Self { host, port: url.port().or_else(|| default_port(url.scheme())) })
    }

    fn bare(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let authority = authority(text);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port =
                    port.parse().map_err(|_| format!("`{port}` is not a port: expected a number up to 65535"))?;
                (host, Some(port))
            }
            _ => (authority, None),
        };
        if host.is_empty() {
            return Err("the host is empty".to_owned());
        }
        let host = Host::parse(host).map_err(|error| format!("`{host}` is not a host: {error}"))?;
        Ok(Self { host: name_of(&host), port })
    }
}

/// What stands before the path.
fn authority(text: &str) -> &str {
    text.split(['/', '?', '#']).next().unwrap_or_default()
}

fn default_port(scheme: &str) -> Option<u16> {
    DEFAULT_PORTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(scheme)).map(|(_, port)| *port)
}

fn name_of(host: &Host) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}
