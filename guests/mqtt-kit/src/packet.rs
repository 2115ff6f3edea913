//! Packets in one shape for both versions of the protocol. Reason codes are those of version 5 throughout.

use mqtt_protocol_core::mqtt::packet::{Properties, Property, v3_1_1, v5_0};

use crate::dial::Limits;
use crate::settings::Qos;

/// A packet from the broker.
#[derive(Debug)]
pub enum Incoming {
    /// The answer to a login.
    Connack {
        /// The broker still has this client's session.
        session_present: bool,
        /// 0 when it is welcome.
        code: u8,
        /// The broker's own words.
        text: Option<String>,
        /// What the broker can do.
        limits: Limits,
    },
    /// A message.
    Publish(Publish),
    /// A message that is longer than what was allowed; its payload is skipped.
    Oversized {
        /// Its topic.
        topic: String,
        /// Its quality of service.
        qos: Qos,
        /// Its number, unless its quality of service is 0.
        id: Option<u16>,
        /// Bytes of the packet.
        length: usize,
    },
    /// A step in the acknowledgement of a message.
    Ack {
        /// Which step.
        ack: Ack,
        /// The message's number.
        id: u16,
        /// 0 when all is well; 0x80 and more when it is not.
        code: u8,
        /// The broker's own words.
        text: Option<String>,
    },
    /// The answer to a subscription, one code for each filter: the quality of service that was granted, or
    /// 0x80 and more.
    Suback {
        /// The subscription's number.
        id: u16,
        /// The codes.
        codes: Vec<u8>,
        /// The broker's own words.
        text: Option<String>,
    },
    /// The answer to the end of a subscription.
    Unsuback {
        /// Its number.
        id: u16,
    },
    /// The answer to a ping.
    Pingresp,
    /// The broker ends the connection; version 5 only.
    Disconnect {
        /// Why.
        code: u8,
        /// The broker's own words.
        text: Option<String>,
    },
}

impl Incoming {
    /// What the specification calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connack { .. } => "CONNACK",
            Self::Publish(_) | Self::Oversized { .. } => "PUBLISH",
            Self::Ack { ack: Ack::Puback, .. } => "PUBACK",
            Self::Ack { ack: Ack::Pubrec, .. } => "PUBREC",
            Self::Ack { ack: Ack::Pubrel, .. } => "PUBREL",
            Self::Ack { ack: Ack::Pubcomp, .. } => "PUBCOMP",
            Self::Suback { .. } => "SUBACK",
            Self::Unsuback { .. } => "UNSUBACK",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect { .. } => "DISCONNECT",
        }
    }
}

/// The steps of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// Quality of service 1: the receiver has the message.
    Puback,
    /// Quality of service 2: the receiver has the message.
    Pubrec,
    /// The sender knows, and forgets the message.
    Pubrel,
    /// The receiver knows, and forgets its number.
    Pubcomp,
}

/// A message, on its way in.
#[derive(Debug, Clone)]
pub enum Publish {
    /// Of version 3.1.1.
    V3(v3_1_1::Publish),
    /// Of version 5.
    V5(v5_0::Publish),
}

impl Publish {
    /// Its topic.
    #[must_use]
    #[inline]
    pub fn topic(&self) -> &str {
        match self {
            Self::V3(publish) => publish.topic_name(),
            Self::V5(publish) => publish.topic_name(),
        }
    }

    /// Its payload.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::V3(publish) => publish.payload().as_slice(),
            Self::V5(publish) => publish.payload().as_slice(),
        }
    }

    /// Its quality of service.
    #[must_use]
    #[inline]
    pub fn qos(&self) -> Qos {
        Qos::from_wire(match self {
            Self::V3(publish) => publish.qos(),
            Self::V5(publish) => publish.qos(),
        })
    }

    /// Its number, unless its quality of service is 0.
    #[must_use]
    #[inline]
    pub fn id(&self) -> Option<u16> {
        match self {
            Self::V3(publish) => publish.packet_id(),
            Self::V5(publish) => publish.packet_id(),
        }
    }

    /// Whether the broker may have sent it before.
    #[must_use]
    pub fn dup(&self) -> bool {
        match self {
            Self::V3(publish) => publish.dup(),
            Self::V5(publish) => publish.dup(),
        }
    }

    /// Whether it is the topic's retained message, sent because of a new subscription.
    #[must_use]
    pub fn retain(&self) -> bool {
        match self {
            Self::V3(publish) => publish.retain(),
            Self::V5(publish) => publish.retain(),
        }
    }

    /// Its properties; none in version 3.1.1.
    #[must_use]
    pub fn properties(&self) -> &[Property] {
        match self {
            Self::V3(_) => &[],
            Self::V5(publish) => publish.props(),
        }
    }
}

/// One filter of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The filter, as in `sensors/+/temperature` or `$share/group/sensors/#`.
    pub filter: String,
    /// The highest quality of service in which messages come.
    pub qos: Qos,
}

/// A packet to the broker.
#[derive(Debug)]
pub enum Outgoing<'a> {
    /// Ask for messages.
    Subscribe {
        /// A number that is not in use.
        id: u16,
        /// What for.
        subscriptions: &'a [Subscription],
    },
    /// Ask for no more messages.
    Unsubscribe {
        /// A number that is not in use.
        id: u16,
        /// The filters.
        filters: &'a [String],
    },
    /// A message.
    Publish {
        /// Its topic.
        topic: &'a str,
        /// Its payload.
        payload: &'a [u8],
        /// Its quality of service.
        qos: Qos,
        /// A number that is not in use, unless the quality of service is 0.
        id: Option<u16>,
        /// Whether the broker keeps it for later subscribers.
        retain: bool,
        /// Whether it may have been sent before.
        dup: bool,
        /// Its properties; left out in version 3.1.1.
        properties: Properties,
    },
    /// A step in the acknowledgement of a message.
    Ack(Ack, u16),
    /// Sign of life.
    Pingreq,
    /// The end of the connection, on purpose.
    Disconnect,
}
