//! Bytes to packets and back, in either version.

use std::sync::Arc;

use connector_sdk::{Error, Result};
use mqtt_protocol_core::mqtt::packet::{
    DecodeResult, MqttString, Properties, Property, ReceiveMaximum, RetainHandling, SessionExpiryInterval, SubEntry,
    SubOpts, VariableByteInteger, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use crate::dial::{Limits, Login};
use crate::packet::{Ack, Incoming, Outgoing, Publish, Subscription};
use crate::settings::Qos;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1
    V3,
    /// 5
    V5,
}

/// Of a packet that is longer than allowed, so much is looked at: its topic and number are in there.
const HEAD: usize = (64 << 10) + 16;

/// What came and was not taken yet.
#[derive(Debug)]
pub(crate) struct Decoder {
    version: Version,
    buffer: Vec<u8>,
    /// Where in the buffer the next packet begins.
    start: usize,
    /// Bytes of an oversized packet that are still to come.
    skip: usize,
    /// The longest packet that is taken.
    max: usize,
}

impl Decoder {
    pub(crate) fn new(version: Version, max: usize) -> Self {
        Self { version, buffer: Vec::new(), start: 0, skip: 0, max }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        // What was taken makes room before more is added.
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(&bytes[skipped..]);
    }

    /// The next packet, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>> {
        let there = &self.buffer[self.start..];
        let Some((&first, rest)) = there.split_first() else { return Ok(None) };
        let flags_fit = match first >> 4 {
            3 => true,
            6 => first & 0x0f == 2,
            _ => first & 0x0f == 0,
        };
        if !flags_fit {
            return Err(broken("bytes", &format!("beginning with 0x{first:02x}")));
        }
        let (length, prefix) = match VariableByteInteger::decode_stream(rest) {
            DecodeResult::Ok(length, size) => (length.to_u32() as usize, 1 + size),
            DecodeResult::Incomplete => return Ok(None),
            DecodeResult::Err(why) => return Err(broken("a packet", why)),
        };
        if length > self.max {
            if there.len() < prefix + length.min(HEAD) {
                return Ok(None);
            }
            let packet = oversized(first, &there[prefix..prefix + length.min(HEAD)], length)?;
            let taken = there.len().min(prefix + length);
            self.skip = prefix + length - taken;
            self.start += taken;
            return Ok(Some(packet));
        }
        let Some(body) = there.get(prefix..prefix + length) else { return Ok(None) };
        let packet = match self.version {
            Version::V3 => decode_v3(first, body),
            Version::V5 => decode_v5(first, body),
        };
        let packet = packet.map_err(|error| broken(packet_name(first), &format!("{error:?}")))?;
        self.start += prefix + length;
        Ok(Some(packet))
    }
}

fn broken(what: &str, why: &str) -> Error {
    Error::unreachable(format!("the broker sent {what} that can't be read ({why}); does it speak MQTT?"))
}

fn packet_name(first: u8) -> &'static str {
    match first >> 4 {
        2 => "a CONNACK",
        3 => "a PUBLISH",
        4 => "a PUBACK",
        5 => "a PUBREC",
        6 => "a PUBREL",
        7 => "a PUBCOMP",
        9 => "a SUBACK",
        11 => "an UNSUBACK",
        13 => "a PINGRESP",
        14 => "a DISCONNECT",
        _ => "a packet",
    }
}

/// Reads topic and number of a message whose payload is not taken.
fn oversized(first: u8, head: &[u8], length: usize) -> Result<Incoming> {
    let what = packet_name(first);
    if first >> 4 != 3 {
        return Err(broken(what, &format!("{length} bytes")));
    }
    let (topic, size) = MqttString::decode(head).map_err(|error| broken(what, &format!("{error:?}")))?;
    let qos = match (first >> 1) & 3 {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        2 => Qos::ExactlyOnce,
        _ => return Err(broken(what, "its quality of service is 3")),
    };
    let id = match qos {
        Qos::AtMostOnce => None,
        _ => match head.get(size..size + 2) {
            Some(&[high, low]) => Some(u16::from_be_bytes([high, low])),
            _ => return Err(broken(what, "it has no number")),
        },
    };
    Ok(Incoming::Oversized { topic: topic.as_str().to_owned(), qos, id, length })
}

/// The whole body, or nothing.
fn exact<T>(body: &[u8], parse: impl FnOnce(&[u8]) -> Result<(T, usize), MqttError>) -> Result<T, MqttError> {
    let (packet, size) = parse(body)?;
    if size == body.len() { Ok(packet) } else { Err(MqttError::MalformedPacket) }
}

/// A message's number can't be 0.
fn numbered(publish: Publish) -> Result<Incoming, MqttError> {
    if publish.id() == Some(0) || publish.topic().is_empty() {
        return Err(MqttError::MalformedPacket);
    }
    Ok(Incoming::Publish(publish))
}

fn decode_v3(first: u8, body: &[u8]) -> Result<Incoming, MqttError> {
    let plain = |ack, id| Incoming::Ack { ack, id, code: 0, text: None };
    Ok(match first >> 4 {
        2 => connack_v3(body)?,
        3 => numbered(Publish::V3(v3_1_1::Publish::parse(first & 0x0f, Arc::from(body))?.0))?,
        4 => plain(Ack::Puback, exact(body, v3_1_1::Puback::parse)?.packet_id()),
        5 => plain(Ack::Pubrec, exact(body, v3_1_1::Pubrec::parse)?.packet_id()),
        6 => plain(Ack::Pubrel, exact(body, v3_1_1::Pubrel::parse)?.packet_id()),
        7 => plain(Ack::Pubcomp, exact(body, v3_1_1::Pubcomp::parse)?.packet_id()),
        9 => {
            let suback = exact(body, v3_1_1::Suback::parse)?;
            let codes = suback.return_codes().into_iter().map(|code| code as u8).collect();
            Incoming::Suback { id: suback.packet_id(), codes, text: None }
        }
        11 => Incoming::Unsuback { id: exact(body, v3_1_1::Unsuback::parse)?.packet_id() },
        13 => Incoming::Pingresp,
        _ => return Err(MqttError::ProtocolError),
    })
}

fn connack_v3(body: &[u8]) -> Result<Incoming, MqttError> {
    let connack = exact(body, v3_1_1::Connack::parse)?;
    let code = match connack.return_code() as u8 {
        0 => 0,
        1 => 0x84,
        2 => 0x85,
        3 => 0x88,
        4 => 0x86,
        _ => 0x87,
    };
    Ok(Incoming::Connack { session_present: connack.session_present(), code, text: None, limits: Limits::default() })
}

fn decode_v5(first: u8, body: &[u8]) -> Result<Incoming, MqttError> {
    Ok(match first >> 4 {
        // A broker that does not know version 5 says so in the form of 3.1.1.
        2 if body.len() == 2 => connack_v3(body)?,
        2 => {
            let connack = exact(body, v5_0::Connack::parse)?;
            Incoming::Connack {
                session_present: connack.session_present(),
                code: connack.reason_code() as u8,
                text: reason_string(Some(connack.props())),
                limits: Limits::of(connack.props()),
            }
        }
        3 => numbered(Publish::V5(v5_0::Publish::parse(first & 0x0f, Arc::from(body))?.0))?,
        4 => {
            let ack = exact(body, v5_0::Puback::parse)?;
            let code = ack.reason_code().map_or(0, |code| code as u8);
            Incoming::Ack { ack: Ack::Puback, id: ack.packet_id(), code, text: reason_string(ack.props().as_ref()) }
        }
        5 => {
            let ack = exact(body, v5_0::Pubrec::parse)?;
            let code = ack.reason_code().map_or(0, |code| code as u8);
            Incoming::Ack { ack: Ack::Pubrec, id: ack.packet_id(), code, text: reason_string(ack.props().as_ref()) }
        }
        6 => {
            let ack = exact(body, v5_0::Pubrel::parse)?;
            let code = ack.reason_code().map_or(0, |code| code as u8);
            Incoming::Ack { ack: Ack::Pubrel, id: ack.packet_id(), code, text: None }
        }
        7 => {
            let ack = exact(body, v5_0::Pubcomp::parse)?;
            let code = ack.reason_code().map_or(0, |code| code as u8);
            Incoming::Ack { ack: Ack::Pubcomp, id: ack.packet_id(), code, text: None }
        }
        9 => {
            let suback = exact(body, v5_0::Suback::parse)?;
            let codes = suback.reason_codes().into_iter().map(|code| code as u8).collect();
            Incoming::Suback { id: suback.packet_id(), codes, text: reason_string(Some(suback.props())) }
        }
        11 => Incoming::Unsuback { id: exact(body, v5_0::Unsuback::parse)?.packet_id() },
        13 => Incoming::Pingresp,
        14 => {
            let disconnect = exact(body, v5_0::Disconnect::parse)?;
            let code = disconnect.reason_code().map_or(0, |code| code as u8);
            Incoming::Disconnect { code, text: reason_string(disconnect.props().as_ref()) }
        }
        _ => return Err(MqttError::ProtocolError),
    })
}

fn reason_string(properties: Option<&Properties>) -> Option<String> {
    properties?.iter().find_map(|property| match property {
        Property::ReasonString(text) => Some(text.val().to_owned()),
        _ => None,
    })
}

/// The bytes of a login.
pub(crate) fn connect(version: Version, login: &Login, clean_start: bool) -> Result<Vec<u8>> {
    let refused = |error: MqttError| Error::config(format!("the login can't be put into a packet ({error:?})"));
    let keep_alive = login.keep_alive;
    Ok(match version {
        Version::V3 => {
            let mut connect = v3_1_1::Connect::builder()
                .client_id(login.client_id.as_str())
                .map_err(refused)?
                .clean_session(clean_start)
                .keep_alive(keep_alive);
            if let Some(name) = &login.username {
                connect = connect.user_name(name.as_str()).map_err(refused)?;
            }
            if let Some(password) = &login.password {
                connect = connect.password(password.reveal()).map_err(refused)?;
            }
            connect.build().map_err(refused)?.to_continuous_buffer()
        }
        Version::V5 => {
            let mut properties = Properties::new();
            if login.session_expiry > 0 {
                properties.push(SessionExpiryInterval::new(login.session_expiry).map_err(refused)?.into());
            }
            if let Some(most) = login.receive_maximum {
                properties.push(ReceiveMaximum::new(most.max(1)).map_err(refused)?.into());
            }
            let mut connect = v5_0::Connect::builder()
                .client_id(login.client_id.as_str())
                .map_err(refused)?
                .clean_start(clean_start)
                .keep_alive(keep_alive)
                .props(properties);
            if let Some(name) = &login.username {
                connect = connect.user_name(name.as_str()).map_err(refused)?;
            }
            if let Some(password) = &login.password {
                connect = connect.password(password.reveal()).map_err(refused)?;
            }
            connect.build().map_err(refused)?.to_continuous_buffer()
        }
    })
}

/// The bytes of any other packet.
pub(crate) fn encode(version: Version, packet: Outgoing<'_>) -> Result<Vec<u8>> {
    let bytes = match version {
        Version::V3 => encode_v3(&packet),
        Version::V5 => encode_v5(packet),
    };
    bytes.map_err(|error| Error::data(format!("this can't be put into a packet ({error:?})")))
}

fn entries(version: Version, subscriptions: &[Subscription]) -> Result<Vec<SubEntry>, MqttError> {
    let entry = |subscription: &Subscription| {
        let mut options = SubOpts::new().set_qos(subscription.qos.wire());
        if version == Version::V5 {
            // A subscription that is only renewed brings no retained messages again; and retained messages
            // that come are marked as such by the flag alone.
            options = options.set_rh(RetainHandling::SendRetainedIfNotExists);
        }
        SubEntry::new(subscription.filter.as_str(), options)
    };
    subscriptions.iter().map(entry).collect()
}

fn encode_v3(packet: &Outgoing<'_>) -> Result<Vec<u8>, MqttError> {
    Ok(match *packet {
        Outgoing::Subscribe { id, subscriptions } => {
            let entries = entries(Version::V3, subscriptions)?;
            v3_1_1::Subscribe::builder().packet_id(id).entries(entries).build()?.to_continuous_buffer()
        }
        Outgoing::Unsubscribe { id, filters } => {
            v3_1_1::Unsubscribe::builder().packet_id(id).entries(filters)?.build()?.to_continuous_buffer()
        }
        Outgoing::Publish { topic, payload, qos, id, retain, dup, .. } => v3_1_1::Publish::builder()
            .topic_name(topic)?
            .qos(qos.wire())
            .packet_id(id)
            .retain(retain)
            .dup(dup)
            .payload(payload)
            .build()?
            .to_continuous_buffer(),
        Outgoing::Ack(ack, id) => match ack {
            Ack::Puback => v3_1_1::Puback::builder().packet_id(id).build()?.to_continuous_buffer(),
            Ack::Pubrec => v3_1_1::Pubrec::builder().packet_id(id).build()?.to_continuous_buffer(),
            Ack::Pubrel => v3_1_1::Pubrel::builder().packet_id(id).build()?.to_continuous_buffer(),
            Ack::Pubcomp => v3_1_1::Pubcomp::builder().packet_id(id).build()?.to_continuous_buffer(),
        },
        Outgoing::Pingreq => v3_1_1::Pingreq::builder().build()?.to_continuous_buffer(),
        Outgoing::Disconnect => v3_1_1::Disconnect::builder().build()?.to_continuous_buffer(),
    })
}

fn encode_v5(packet: Outgoing<'_>) -> Result<Vec<u8>, MqttError> {
    Ok(match packet {
        Outgoing::Subscribe { id, subscriptions } => {
            let entries = entries(Version::V5, subscriptions)?;
            v5_0::Subscribe::builder().packet_id(id).entries(entries).build()?.to_continuous_buffer()
        }
        Outgoing::Unsubscribe { id, filters } => {
            v5_0::Unsubscribe::builder().packet_id(id).entries(filters)?.build()?.to_continuous_buffer()
        }
        Outgoing::Publish { topic, payload, qos, id, retain, dup, properties } => v5_0::Publish::builder()
            .topic_name(topic)?
            .qos(qos.wire())
            .packet_id(id)
            .retain(retain)
            .dup(dup)
            .payload(payload)
            .props(properties)
            .build()?
            .to_continuous_buffer(),
        Outgoing::Ack(ack, id) => match ack {
            Ack::Puback => v5_0::Puback::builder().packet_id(id).build()?.to_continuous_buffer(),
            Ack::Pubrec => v5_0::Pubrec::builder().packet_id(id).build()?.to_continuous_buffer(),
            Ack::Pubrel => v5_0::Pubrel::builder().packet_id(id).build()?.to_continuous_buffer(),
            Ack::Pubcomp => v5_0::Pubcomp::builder().packet_id(id).build()?.to_continuous_buffer(),
        },
        Outgoing::Pingreq => v5_0::Pingreq::builder().build()?.to_continuous_buffer(),
        Outgoing::Disconnect => v5_0::Disconnect::builder().build()?.to_continuous_buffer(),
    })
}

#[cfg(test)]
mod tests;
