//! A broker's address as people write it: `mqtts://user:password@broker.example:8883?client_id=me`,
//! `broker.example`, `broker.example:1883`.

use connector_sdk::config::Secret;
use connector_sdk::{Error, Result, warn};
use percent_encoding::percent_decode_str;
use url::Url;

/// Where a broker is, and what its address says about the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port; the scheme's where none is given.
    pub port: u16,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// From `user@`.
    pub username: Option<String>,
    /// From `user:password@`.
    pub password: Option<Secret>,
    /// From `?client_id=`.
    pub client_id: Option<String>,
}

impl Address {
    /// Reads an address; one without a scheme means `mqtt://`.
    ///
    /// # Errors
    /// Kind `config`, without the address itself, which may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = |what: &str| Error::config(format!("{what}; write an address such as mqtt://broker.example:1883"));
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("mqtt://{text}") };
        let url = Url::parse(&with_scheme).map_err(|error| wrong(&format!("the address is not a URL ({error})")))?;
        let (tls, port) = match url.scheme() {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            "ws" | "wss" => {
                return Err(Error::config(
                    "MQTT over WebSocket is not spoken here; use the broker's `mqtt` or `mqtts` listener",
                ));
            }
            other => return Err(wrong(&format!("`{other}` addresses are not spoken here, only mqtt and mqtts"))),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("the address names no host"))?;
        let decoded = |text: &str| {
            let bytes = percent_decode_str(text).collect();
            String::from_utf8(bytes).map_err(|_| wrong("the address's user or password is not UTF-8"))
        };
        let mut client_id = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "client_id" => client_id = Some(value.into_owned()),
                other => warn!("`{other}` in the broker's address has no effect here"),
            }
        }
        let username = Some(url.username()).filter(|name| !name.is_empty()).map(decoded).transpose()?;
        let password = url.password().map(decoded).transpose()?.map(Secret::from);
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(port), tls, username, password, client_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::ErrorKind;
    use connector_sdk::testing::Harness;

    #[test]
    fn every_form_that_people_write() {
        let parse = |text: &str| {
            let Address { host, port, tls, .. } = Address::parse(text).expect("an address");
            (host, port, tls)
        };
        assert_eq!(parse("mqtt.hsl.fi"), ("mqtt.hsl.fi".into(), 1883, false));
        assert_eq!(parse("broker:1884"), ("broker".into(), 1884, false));
        assert_eq!(parse("mqtt://broker"), ("broker".into(), 1883, false));
        assert_eq!(parse("tcp://10.0.0.1:9/"), ("10.0.0.1".into(), 9, false));
        assert_eq!(parse("mqtts://broker"), ("broker".into(), 8883, true));
        assert_eq!(parse("ssl://[::1]:1"), ("[::1]".into(), 1, true));
        assert_eq!(parse(" MQTT://b.example "), ("b.example".into(), 1883, false));
    }

    #[test]
    fn credentials_and_client_id_come_out_decoded() {
        let harness = Harness::install();
        let address = Address::parse("mqtt://me%40home:p%2Fa+s@b.example?client_id=cl%201&inflight=3").expect("fine");
        assert_eq!(address.username.as_deref(), Some("me@home"));
        assert_eq!(address.password.expect("given").reveal(), "p/a+s");
        assert_eq!(address.client_id.as_deref(), Some("cl 1"));
        assert!(harness.logs()[0].1.contains("`inflight`"));
        let address = Address::parse("mqtt://:only@b.example").expect("fine");
        assert_eq!((address.username, address.password.is_some()), (None, true));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, says) in [
            ("http://u:hunter2@b", "`http` addresses"),
            ("wss://u:hunter2@b", "WebSocket"),
            ("mqtt://u:hunter2@", "host"),
            ("mqtt://u:hunter2@b:99999", "not a URL"),
            ("", "host"),
        ] {
            let error = Address::parse(text).expect_err("not an address");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(says) && !error.message().contains("hunter2"), "{text}: {error}");
        }
    }
}
