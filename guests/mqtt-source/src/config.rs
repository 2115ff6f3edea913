//! The section `mqtt` of a configuration file: the official mqtt-source's keys, those of its predecessor, and
//! ours beside them.

use connector_sdk::config::Secret;
use connector_sdk::json::Pointer;
use connector_sdk::units::{ByteSize, Duration};
use connector_sdk::{Error, Result, warn};
use mqtt_kit::{Address, KeepAlive, Login, Protocol, Qos, Subscription, random_client_id};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// How long a broker keeps the messages of a host that is down, unless told otherwise.
const SESSION_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a broker keeps the session of a client without an id of its own: long enough to come back after
/// the connection was lost, short enough to leave no litter.
const SHORT_EXPIRY: Duration = Duration::from_secs(600);

/// What is subscribed to, and what becomes of the messages.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker: `mqtt://host`, `mqtts://host` for TLS, with a port where it is not 1883 or 8883. May hold
    /// `user:password@` and `?client_id=`.
    #[serde(alias = "mqtt-url", alias = "mqtt_url")]
    #[schemars(extend("x-network" = true, "x-aliases" = ["mqtt-url", "mqtt_url"]))]
    pub url: String,

    /// What to subscribe to: a filter such as `sensors/+/temperature` or `sensors/#`, or a list of them.
    /// With `$share/GROUP/` in front, hosts with the same group share the messages.
    #[serde(alias = "topics", alias = "mqtt-topic", alias = "mqtt_topic")]
    #[schemars(extend("x-aliases" = ["topics", "mqtt-topic", "mqtt_topic"]))]
    pub topic: Topics,

    /// By what the broker knows this client, and what it keeps messages under while the client is away. No
    /// two clients may have the same. Left out: a new one at each start.
    #[serde(default, alias = "client-id")]
    #[schemars(extend("x-aliases" = ["client-id"]))]
    pub client_id: Option<String>,

    /// The user to log in as, when it does not stand in `url`.
    #[serde(default)]
    pub username: Option<String>,

    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,

    /// Quality of service: 0, messages come at most once and are lost with a connection; 1, at least once; 2,
    /// exactly once as far as the connection goes. With 1 and 2 a message is acknowledged when its record is
    /// durable.
    #[serde(default)]
    pub qos: Qos,

    /// The version of MQTT.
    #[serde(default)]
    pub protocol: Protocol,

    /// How long the connection may be silent before either side takes the other for dead.
    #[serde(default, rename = "keep-alive", alias = "keep_alive", alias = "timeout")]
    #[schemars(extend("x-aliases" = ["keep_alive", "timeout"]))]
    pub keep_alive: KeepAlive,

    /// How long it may take until the broker has answered the login.
    #[serde(default = "default_connect_timeout", rename = "connect-timeout", alias = "connect_timeout")]
    #[schemars(extend("x-aliases" = ["connect_timeout"]))]
    pub connect_timeout: Duration,

    /// Begin with a new session at each start, without the messages that the broker has kept. Left out: true
    /// without a `client_id` or with `qos: 0`, else false.
    #[serde(default, rename = "clean-start", alias = "clean_start", alias = "clean_session")]
    #[schemars(extend("x-aliases" = ["clean_start", "clean_session"]))]
    pub clean_start: Option<bool>,

    /// How long the broker keeps the session, and messages for it, while the host is away; MQTT 5 only.
    /// Left out: 7 days, or 10 minutes with `clean-start`.
    #[serde(default, rename = "session-expiry", alias = "session_expiry")]
    #[schemars(extend("x-aliases" = ["session_expiry"]))]
    pub session_expiry: Option<Duration>,

    /// The most messages of quality 1 and 2 that may be on their way into the topic: the broker holds back
    /// the rest; MQTT 5 only.
    #[serde(default = "default_receive_maximum", rename = "receive-maximum", alias = "receive_maximum")]
    #[schemars(extend("x-aliases" = ["receive_maximum"]), range(min = 1))]
    pub receive_maximum: u16,

    /// The longest message taken; a longer one is an error.
    #[serde(default = "default_max_message", rename = "max-message", alias = "max_message")]
    #[schemars(extend("x-aliases" = ["max_message"]))]
    pub max_message: ByteSize,

    /// The form of the payload in the official connector's records, `{"mqtt_topic": …, "payload": …}`: a list
    /// of the bytes as numbers, or the JSON that it is.
    #[serde(default, alias = "payload-output-type")]
    #[schemars(extend("x-aliases" = ["payload-output-type"]))]
    pub payload_output_type: Option<PayloadOutputType>,

    /// The form of the payload, in place of `payload_output_type`: `raw` makes a record of the payload alone,
    /// the others put it into `{"mqtt_topic": …, "payload": …}`.
    #[serde(default)]
    pub payload: Option<Payload>,

    /// What the record's key is: `topic`, or a JSON Pointer into the payload.
    #[serde(default)]
    pub key: Option<Key>,

    /// What else goes into the record.
    #[serde(default)]
    pub include: Vec<Include>,
}

/// One filter or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Topics {
    /// One.
    One(String),
    /// Several.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// The official forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PayloadOutputType {
    /// A list of numbers.
    Binary,
    /// The JSON that it is.
    Json,
}

/// The form of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// As it came, without anything around it.
    Raw,
    /// The JSON that it is.
    Json,
    /// A string; the payload must be UTF-8.
    Text,
    /// A string, in Base64.
    Base64,
    /// A list of numbers.
    Binary,
}

/// Where the key comes from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^(topic|/.*|)$", "examples" = ["topic", "/device/id"]))]
pub enum Key {
    /// The message's topic.
    Topic,
    /// A place in its payload, which must be JSON.
    Pointer(Pointer),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "topic" => Ok(Self::Topic),
            pointer => Pointer::parse(pointer)
                .map(Self::Pointer)
                .map_err(|error| D::Error::custom(format!("{error}, or `topic`"))),
        }
    }
}

/// What else goes into the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Include {
    /// `"qos": 1`.
    Qos,
    /// `"retain": true` for a message that the broker had kept for new subscribers.
    Retain,
    /// `"properties": {…}`, of MQTT 5.
    Properties,
}

const fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_receive_maximum() -> u16 {
    4096
}

const fn default_max_message() -> ByteSize {
    ByteSize::from_bytes(32 << 20)
}

impl Config {
    /// The login.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn login(&self) -> Result<Login> {
        let address = Address::parse(&self.url).map_err(|error| error.context("`mqtt.url`"))?;
        // The one in the address wins, as with the official connector.
        let own_id = address.client_id.clone().or_else(|| self.client_id.clone()).filter(|id| !id.is_empty());
        let lasting = own_id.is_some() && self.qos > Qos::AtMostOnce;
        let clean_start = self.clean_start.unwrap_or(!lasting);
        if !clean_start && own_id.is_none() {
            return Err(Error::config(
                "`mqtt.clean-start: false` needs `mqtt.client_id`: the broker keeps a session under it",
            ));
        }
        if self.qos > Qos::AtMostOnce && clean_start {
            warn!(
                "messages that are published while the host is down will be missed: the broker keeps none \
                 without `client_id` and `clean-start: false`"
            );
        }
        let expiry = match self.session_expiry {
            Some(expiry) => expiry,
            None if !clean_start => SESSION_EXPIRY,
            None if self.qos > Qos::AtMostOnce => SHORT_EXPIRY,
            None => Duration::from_secs(0),
        };
        if self.max_message.get() == 0 {
            return Err(Error::config("`mqtt.max-message` must be more than nothing"));
        }
        if self.connect_timeout.get().is_zero() {
            return Err(Error::config("`mqtt.connect-timeout` must be longer than nothing"));
        }
        Ok(Login {
            client_id: own_id.unwrap_or_else(random_client_id),
            username: self.username.clone().or_else(|| address.username.clone()),
            password: self.password.clone().or_else(|| address.password.clone()),
            address,
            clean_start,
            session_expiry: u32::try_from(expiry.get().as_secs()).unwrap_or(u32::MAX),
            keep_alive: self.keep_alive.seconds(),
            timeout: self.connect_timeout.get(),
            receive_maximum: Some(self.receive_maximum.max(1)),
            max_packet: self.max_message.as_len().saturating_add(PACKET_MARGIN),
            protocol: self.protocol,
        })
    }

    /// The subscriptions, each filter once.
    ///
    /// # Errors
    /// Kind `config` for what is no filter.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>> {
        let filters = match &self.topic {
            Topics::One(filter) => std::slice::from_ref(filter),
            Topics::Many(filters) => filters.as_slice(),
        };
        if filters.is_empty() {
            return Err(Error::config("`mqtt.topic` is empty; name at least one filter"));
        }
        let mut subscriptions: Vec<Subscription> = Vec::new();
        for filter in filters {
            check_filter(filter)?;
            if subscriptions.iter().all(|known| known.filter != *filter) {
                subscriptions.push(Subscription { filter: filter.clone(), qos: self.qos });
            }
        }
        Ok(subscriptions)
    }

    /// The form of the payload, ours or the official one.
    ///
    /// # Errors
    /// Kind `config` for what can't go together.
    pub fn form(&self) -> Result<Payload> {
        let form = match (self.payload, self.payload_output_type) {
            (Some(_), Some(_)) => {
                return Err(Error::config(
                    "`mqtt.payload` takes the place of `mqtt.payload_output_type`; leave out one",
                ));
            }
            (Some(form), None) => form,
            (None, Some(PayloadOutputType::Json)) => Payload::Json,
            (None, Some(PayloadOutputType::Binary) | None) => Payload::Binary,
        };
        if form == Payload::Raw && !self.include.is_empty() {
            return Err(Error::config(
                "`mqtt.include` has no place beside `payload: raw`, whose records are the payload alone; use \
                 `text`, `json` or `base64`",
            ));
        }
        Ok(form)
    }
}

/// What a message's packet has beside its payload: topic, number, properties; far less in practice.
const PACKET_MARGIN: usize = 192 << 10;

/// Whether a filter is one, by the specification's rules.
fn check_filter(filter: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::config(format!("`mqtt.topic`: `{filter}` is no filter: {why}")));
    let levels = match filter.strip_prefix("$share/") {
        None => filter,
        Some(shared) => match shared.split_once('/') {
            Some((group, rest)) if !group.is_empty() && !group.contains(['+', '#']) && !rest.is_empty() => rest,
            _ => return wrong("a shared subscription is written `$share/GROUP/FILTER`"),
        },
    };
    if levels.is_empty() {
        return wrong("it is empty");
    }
    if filter.len() > usize::from(u16::MAX) || filter.contains('\0') {
        return wrong("it is too long, or holds a zero");
    }
    let last = levels.split('/').count() - 1;
    for (index, level) in levels.split('/').enumerate() {
        if level.contains('#') && (level != "#" || index != last) {
            return wrong("`#` stands alone in the last level");
        }
        if level.contains('+') && level != "+" {
            return wrong("`+` stands alone in a level");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::ErrorKind;
    use connector_sdk::testing::Harness;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "tests pass `json!` literals")]
    fn config(section: Value) -> Config {
        connector_sdk::config::parse("mqtt", &section.to_string()).expect("a fine section")
    }

    #[test]
    fn the_official_keys() {
        let config = config(json!({
            "url": "mqtt://me:secret@broker:1884?client_id=from-url", "topic": "ag-mqtt-topic",
            "client_id": "other", "timeout": {"secs": 30, "nanos": 0}, "payload_output_type": "json",
        }));
        let login = config.login().expect("fine");
        assert_eq!((login.client_id.as_str(), login.keep_alive, login.clean_start), ("from-url", 30, true));
        assert_eq!((login.username.as_deref(), login.password.expect("given").reveal()), (Some("me"), "secret"));
        assert_eq!(login.session_expiry, 0);
        assert_eq!(config.form().expect("fine"), Payload::Json);
        assert_eq!(config.subscriptions().expect("fine")[0].qos, Qos::AtMostOnce);
    }

    #[test]
    fn the_flat_keys_of_old() {
        let config = config(json!({"mqtt-url": "mqtt.hsl.fi", "mqtt-topic": "/hfp/v2/journey/#", "qos": "1"}));
        let login = config.login().expect("fine");
        assert_eq!((login.address.host.as_str(), login.address.port), ("mqtt.hsl.fi", 1883));
        assert_eq!(config.form().expect("fine"), Payload::Binary);
        let subscriptions = config.subscriptions().expect("fine");
        assert_eq!((subscriptions[0].filter.as_str(), subscriptions[0].qos), ("/hfp/v2/journey/#", Qos::AtLeastOnce));
    }

    #[test]
    fn a_session_is_kept_when_there_is_an_id_to_keep_it_under() {
        let harness = Harness::install();
        let login = |more: Value| {
            let mut section = json!({"url": "b", "topic": "t"});
            section.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let login = config(section).login().expect("fine");
            (login.clean_start, login.session_expiry)
        };
        assert_eq!(login(json!({"client_id": "a", "qos": 1})), (false, 604_800));
        assert!(harness.logs().is_empty());
        assert_eq!(login(json!({"qos": 2})), (true, 600));
        assert!(harness.logs()[0].1.contains("will be missed"));
        assert_eq!(login(json!({"client_id": "a"})), (true, 0));
        assert_eq!(login(json!({"client_id": "a", "clean_start": false, "session_expiry": "1h"})), (false, 3600));
        assert_eq!(login(json!({"client_id": "a", "qos": 1, "clean-start": true})), (true, 600));
        let error = config(json!({"url": "b", "topic": "t", "clean-start": false})).login().expect_err("no id");
        assert!(error.message().contains("`mqtt.client_id`"), "{error}");
    }

    #[test]
    fn filters_are_checked() {
        let subscriptions = |topics: Value| config(json!({"url": "b", "topic": topics})).subscriptions();
        for fine in ["a", "/", "#", "+", "a/+/b/#", "+/a", "$share/g/a/#", "$SYS/#", "a b/ü"] {
            assert_eq!(subscriptions(json!(fine)).expect(fine).len(), 1);
        }
        for wrong in ["", "a#", "#/a", "a/+b", "$share/g", "$share//a", "$share/g/", "$share/+/a", "a/#/b"] {
            let error = subscriptions(json!(wrong)).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(&format!("`{wrong}`")), "{error}");
        }
        assert_eq!(subscriptions(json!(["a", "b", "a"])).expect("fine").len(), 2);
        assert!(subscriptions(json!([])).is_err());
    }

    #[test]
    fn what_can_not_go_together() {
        let form = |more: Value| {
            let mut section = json!({"url": "b", "topic": "t"});
            section.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            config(section).form()
        };
        assert!(form(json!({"payload": "raw", "payload_output_type": "json"})).is_err());
        assert!(form(json!({"payload": "raw", "include": ["qos"]})).is_err());
        assert_eq!(form(json!({"payload": "text", "include": ["qos", "retain", "properties"]})), Ok(Payload::Text));
    }
}
