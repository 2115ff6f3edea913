//! The section `mqtt` of a configuration file, for the way out.

use std::collections::BTreeMap;

use connector_sdk::config::Secret;
use connector_sdk::json::Pointer;
use connector_sdk::units::Duration;
use connector_sdk::{Error, Result};
use mqtt_kit::{Address, KeepAlive, Login, Protocol, Qos, random_client_id};
use schemars::JsonSchema;
use serde::Deserialize;

/// What stands for random letters and digits in a client id.
const RANDOM: &str = "{{random}}";

/// Where records are published, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker: `mqtt://host`, `mqtts://host` for TLS, with a port where it is not 1883 or 8883. May hold
    /// `user:password@` and `?client_id=`.
    #[schemars(extend("x-network" = true))]
    pub url: String,

    /// The topic of each message. Placeholders are filled in from the record: `{{key}}`, `{{/json/pointer}}`
    /// into the value, `{{topic}}`, `{{partition}}`, `{{offset}}`, `{{timestamp}}`.
    pub topic: String,

    /// By what the broker knows this client. Every partition has a connection of its own, and no two may
    /// have the same id: write `{{random}}` in it, unless there is one partition, or `host.parallelism: 1`.
    #[serde(default, alias = "client-id")]
    #[schemars(extend("x-aliases" = ["client-id"]))]
    pub client_id: Option<String>,

    /// The user to log in as, when it does not stand in `url`.
    #[serde(default)]
    pub username: Option<String>,

    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,

    /// Quality of service: 0, sent at most once; 1, at least once; 2, exactly once as long as the connection
    /// stands.
    #[serde(default = "default_qos")]
    pub qos: Qos,

    /// Whether the broker keeps the last message of each topic for those who subscribe later.
    #[serde(default)]
    pub retain: bool,

    /// A place in the record's value: the payload is what is there (a string's content, any other value's
    /// JSON) instead of the whole value.
    #[serde(default)]
    pub payload: Option<Pointer>,

    /// User properties of each message, names and values, with placeholders as in `topic`; MQTT 5 only.
    #[serde(default, rename = "user-properties", alias = "user_properties")]
    #[schemars(extend("x-aliases" = ["user_properties"]))]
    pub user_properties: BTreeMap<String, String>,

    /// What the payload is, as in `application/json`; MQTT 5 only.
    #[serde(default, rename = "content-type", alias = "content_type")]
    #[schemars(extend("x-aliases" = ["content_type"]))]
    pub content_type: Option<String>,

    /// How long the broker keeps a message for a subscriber that is away; MQTT 5 only.
    #[serde(default, rename = "message-expiry", alias = "message_expiry")]
    #[schemars(extend("x-aliases" = ["message_expiry"]))]
    pub message_expiry: Option<Duration>,

    /// The version of MQTT.
    #[serde(default)]
    pub protocol: Protocol,

    /// The most messages of quality 1 and 2 that wait for an acknowledgement at a time. The broker may ask
    /// for less.
    #[serde(default = "default_max_inflight", rename = "max-inflight", alias = "max_inflight")]
    #[schemars(extend("x-aliases" = ["max_inflight"]), range(min = 1))]
    pub max_inflight: u16,

    /// How long a delivery may take altogether; what is not acknowledged by then is handed in again. Stay
    /// below `host.sandbox.call-timeout`.
    #[serde(default = "default_timeout", rename = "delivery-timeout", alias = "delivery_timeout")]
    #[schemars(extend("x-aliases" = ["delivery_timeout"]))]
    pub delivery_timeout: Duration,

    /// How long it may take until the broker has answered the login.
    #[serde(default = "default_connect_timeout", rename = "connect-timeout", alias = "connect_timeout")]
    #[schemars(extend("x-aliases" = ["connect_timeout"]))]
    pub connect_timeout: Duration,

    /// After how long a silence the broker may take this client for dead. A connection that was idle for
    /// longer is made anew.
    #[serde(default, rename = "keep-alive", alias = "keep_alive")]
    #[schemars(extend("x-aliases" = ["keep_alive"]))]
    pub keep_alive: KeepAlive,
}

const fn default_qos() -> Qos {
    Qos::AtLeastOnce
}

const fn default_max_inflight() -> u16 {
    1000
}

const fn default_timeout() -> Duration {
    Duration::from_secs(25)
}

const fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

impl Config {
    /// The login.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn login(&self) -> Result<Login> {
        let address = Address::parse(&self.url).map_err(|error| error.context("`mqtt.url`"))?;
        let own_id = address.client_id.clone().or_else(|| self.client_id.clone()).filter(|id| !id.is_empty());
        let client_id = match own_id {
            // 16 digits are more than enough to be alone.
            Some(id) => id.replace(RANDOM, &random_client_id()["fluvio".len()..]),
            None => random_client_id(),
        };
        for (key, span) in [("delivery-timeout", self.delivery_timeout), ("connect-timeout", self.connect_timeout)] {
            if span.get().is_zero() {
                return Err(Error::config(format!("`mqtt.{key}` must be longer than nothing")));
            }
        }
        let only_5 = [
            ("user-properties", !self.user_properties.is_empty()),
            ("content-type", self.content_type.is_some()),
            ("message-expiry", self.message_expiry.is_some()),
        ];
        if self.protocol == Protocol::V3
            && let Some((key, _)) = only_5.iter().find(|(_, given)| *given)
        {
            return Err(Error::config(format!("`mqtt.{key}` needs MQTT 5, and `mqtt.protocol` is 3.1.1")));
        }
        Ok(Login {
            client_id,
            username: self.username.clone().or_else(|| address.username.clone()),
            password: self.password.clone().or_else(|| address.password.clone()),
            address,
            clean_start: true,
            session_expiry: 0,
            keep_alive: self.keep_alive.seconds(),
            timeout: self.connect_timeout.get(),
            receive_maximum: None,
            // Brokers send acknowledgements only.
            max_packet: 1 << 20,
            protocol: self.protocol,
        })
    }
}
