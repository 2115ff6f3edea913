//! A broker in the hands of a native test: reads what the connector sends, in either version, and writes
//! packets to it. Built on the same packet crate, from the other side.

use std::cell::RefCell;
use std::rc::Rc;

use connector_sdk::testing::Peer;
use mqtt_protocol_core::mqtt::packet::{
    DecodeResult, Properties, Property, Qos as WireQos, VariableByteInteger, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, SubackReasonCode, SubackReturnCode};

use crate::codec::Version;
use crate::settings::Qos;

/// What a connector said, in words that tests compare: `CONNECT id clean`, `SUBSCRIBE 1 a/#:1`, `PUBACK 7`.
pub type Said = String;

/// A broker that answers logins, subscriptions and pings by itself; messages and their acknowledgements are
/// the test's.
#[derive(Clone)]
pub struct Broker {
    peer: Peer,
    state: Rc<RefCell<State>>,
}

struct State {
    version: Version,
    session_present: bool,
    buffer: Vec<u8>,
    said: Vec<Said>,
    connack: u8,
    suback: Option<u8>,
    limits: Vec<Property>,
    acknowledge: bool,
    welcomed: bool,
    close: bool,
    /// What a test sent before the login; it follows the welcome.
    early: Vec<u8>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({:?})", self.peer)
    }
}

impl Broker {
    /// The broker behind this peer. `session_present` is what it says in its welcome.
    #[must_use]
    pub fn new(peer: Peer, version: Version, session_present: bool) -> Self {
        let state = State {
            version,
            session_present,
            buffer: Vec::new(),
            said: Vec::new(),
            connack: 0,
            suback: None,
            limits: Vec::new(),
            acknowledge: false,
            welcomed: false,
            close: false,
            early: Vec::new(),
        };
        let state = Rc::new(RefCell::new(state));
        let inner = Rc::clone(&state);
        peer.answer(move |bytes, peer| {
            let mut state = inner.borrow_mut();
            state.buffer.extend_from_slice(bytes);
            while let Some((said, answer)) = state.step() {
                state.said.push(said);
                if !answer.is_empty() {
                    peer.send(answer);
                }
                if state.welcomed && !state.early.is_empty() {
                    peer.send(std::mem::take(&mut state.early));
                }
                if state.welcomed && std::mem::take(&mut state.close) {
                    peer.close();
                }
            }
        });
        Self { peer, state }
    }

    /// Refuses the login, with a reason code of the version that is spoken.
    pub fn refuse_login(&self, code: u8) {
        self.state.borrow_mut().connack = code;
    }

    /// Answers every filter of a subscription with this code.
    pub fn answer_subscriptions(&self, code: u8) {
        self.state.borrow_mut().suback = Some(code);
    }

    /// Acknowledges the connector's messages as they come.
    pub fn acknowledge(&self, on: bool) {
        self.state.borrow_mut().acknowledge = on;
    }

    /// Says this in its welcome.
    pub fn announce(&self, property: impl Into<Property>) {
        self.state.borrow_mut().limits.push(property.into());
    }

    /// Closes the connection behind its welcome and what the test has sent before.
    pub fn close_after_login(&self) {
        self.state.borrow_mut().close = true;
    }

    /// The other end of the connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the connector said since this was last asked.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        std::mem::take(&mut self.state.borrow_mut().said)
    }

    /// Sends a message.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>, qos: Qos, id: u16, dup: bool) {
        self.publish_with(topic, payload, qos, id, dup, false, Properties::new());
    }

    /// Sends a message with everything.
    ///
    /// # Panics
    /// When the test's message can't be.
    #[expect(clippy::too_many_arguments, reason = "a message has so many parts")]
    pub fn publish_with(
        &self,
        topic: &str,
        payload: impl AsRef<[u8]>,
        qos: Qos,
        id: u16,
        dup: bool,
        retain: bool,
        properties: Properties,
    ) {
        let id = (qos != Qos::AtMostOnce).then_some(id);
        let bytes = crate::codec::encode(
            self.state.borrow().version,
            crate::Outgoing::Publish { topic, payload: payload.as_ref(), qos, id, retain, dup, properties },
        );
        self.send(bytes.expect("a test's message"));
    }

    fn send(&self, bytes: Vec<u8>) {
        let mut state = self.state.borrow_mut();
        if state.welcomed {
            self.peer.send(bytes);
        } else {
            state.early.extend(bytes);
        }
    }

    /// Sends a step of an acknowledgement.
    ///
    /// # Panics
    /// Never.
    pub fn ack(&self, ack: crate::Ack, id: u16) {
        let bytes = crate::codec::encode(self.state.borrow().version, crate::Outgoing::Ack(ack, id));
        self.send(bytes.expect("an acknowledgement"));
    }

    /// Sends a negative acknowledgement of version 5.
    pub fn refuse_message(&self, ack: crate::Ack, id: u16, code: u8) {
        let first = if ack == crate::Ack::Puback { 0x40 } else { 0x50 };
        let [high, low] = id.to_be_bytes();
        self.send(vec![first, 3, high, low, code]);
    }
}

impl State {
    /// The next packet in words, and its answer.
    fn step(&mut self) -> Option<(Said, Vec<u8>)> {
        let (&first, rest) = self.buffer.split_first()?;
        let (length, size) = match VariableByteInteger::decode_stream(rest) {
            DecodeResult::Ok(length, size) => (length.to_u32() as usize, size),
            _ => return None,
        };
        let body = rest.get(size..size + length)?.to_vec();
        self.buffer.drain(..1 + size + length);
        Some(self.understand(first, &body))
    }

    fn understand(&mut self, first: u8, body: &[u8]) -> (Said, Vec<u8>) {
        let v3 = self.version == Version::V3;
        let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        match first >> 4 {
            1 if v3 && body[6] == 5 => ("CONNECT of version 5".to_owned(), vec![0x20, 2, 0, 1]),
            1 => {
                self.welcomed = true;
                self.connect(body)
            }
            3 => self.publish(first, body),
            4 => (format!("PUBACK {}", id(0)), Vec::new()),
            5 => (format!("PUBREC {}", id(0)), Vec::new()),
            6 => {
                let answer = if self.acknowledge { vec![0x70, 2, body[0], body[1]] } else { Vec::new() };
                (format!("PUBREL {}", id(0)), answer)
            }
            7 => (format!("PUBCOMP {}", id(0)), Vec::new()),
            8 => self.subscribe(body),
            10 => {
                let filters = if v3 {
                    let packet = v3_1_1::Unsubscribe::parse(body).expect("an UNSUBSCRIBE").0;
                    packet.entries().iter().map(|filter| filter.as_str().to_owned()).collect::<Vec<_>>()
                } else {
                    let packet = v5_0::Unsubscribe::parse(body).expect("an UNSUBSCRIBE").0;
                    packet.entries().iter().map(|filter| filter.as_str().to_owned()).collect()
                };
                let mut answer = if v3 { vec![0xb0, 2] } else { vec![0xb0, 3 + filters.len() as u8] };
                answer.extend(&body[..2]);
                if !v3 {
                    answer.push(0);
                    answer.extend(filters.iter().map(|_| 0));
                }
                (format!("UNSUBSCRIBE {} {}", id(0), filters.join(" ")), answer)
            }
            12 => ("PINGREQ".to_owned(), vec![0xd0, 0]),
            14 => ("DISCONNECT".to_owned(), Vec::new()),
            other => panic!("the connector sent a packet of type {other}"),
        }
    }

    fn connect(&self, body: &[u8]) -> (Said, Vec<u8>) {
        let (client_id, clean, user, password) = if self.version == Version::V3 {
            let packet = v3_1_1::Connect::parse(body).expect("a CONNECT").0;
            let password = packet.password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            (packet.client_id().to_owned(), packet.clean_session(), packet.user_name().map(str::to_owned), password)
        } else {
            let packet = v5_0::Connect::parse(body).expect("a CONNECT").0;
            let password = packet.password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            (packet.client_id().to_owned(), packet.clean_start(), packet.user_name().map(str::to_owned), password)
        };
        let mut said = format!("CONNECT {client_id}");
        for (there, word) in [(user, "user"), (password, "password")] {
            if let Some(text) = there {
                said = format!("{said} {word}={text}");
            }
        }
        if clean {
            said.push_str(" clean");
        }
        let answer = if self.version == Version::V3 {
            let code = ConnectReturnCode::try_from(self.connack).expect("a code of 3.1.1");
            let connack = v3_1_1::Connack::builder().session_present(self.session_present && self.connack == 0);
            connack.return_code(code).build().expect("a CONNACK").to_continuous_buffer()
        } else {
            let code = ConnectReasonCode::try_from(self.connack).expect("a code of 5");
            let connack = v5_0::Connack::builder().session_present(self.session_present && self.connack == 0);
            let connack = connack.reason_code(code).props(self.limits.clone());
            connack.build().expect("a CONNACK").to_continuous_buffer()
        };
        (said, answer)
    }

    fn subscribe(&self, body: &[u8]) -> (Said, Vec<u8>) {
        if self.version == Version::V3 {
            let packet = v3_1_1::Subscribe::parse(body).expect("a SUBSCRIBE").0;
            let entries = packet.entries();
            let said: Vec<_> =
                entries.iter().map(|e| format!("{}:{}", e.topic_filter(), e.sub_opts().qos() as u8)).collect();
            let code = |qos: WireQos| SubackReturnCode::try_from(self.suback.unwrap_or(qos as u8)).expect("a code");
            let codes = entries.iter().map(|e| code(e.sub_opts().qos())).collect();
            let suback = v3_1_1::Suback::builder().packet_id(packet.packet_id()).return_codes(codes);
            let answer = suback.build().expect("a SUBACK").to_continuous_buffer();
            (format!("SUBSCRIBE {} {}", packet.packet_id(), said.join(" ")), answer)
        } else {
            let packet = v5_0::Subscribe::parse(body).expect("a SUBSCRIBE").0;
            let entries = packet.entries();
            let said: Vec<_> =
                entries.iter().map(|e| format!("{}:{}", e.topic_filter(), e.sub_opts().qos() as u8)).collect();
            let code = |qos: WireQos| SubackReasonCode::try_from(self.suback.unwrap_or(qos as u8)).expect("a code");
            let codes = entries.iter().map(|e| code(e.sub_opts().qos())).collect();
            let suback = v5_0::Suback::builder().packet_id(packet.packet_id()).reason_codes(codes);
            let answer = suback.build().expect("a SUBACK").to_continuous_buffer();
            (format!("SUBSCRIBE {} {}", packet.packet_id(), said.join(" ")), answer)
        }
    }

    fn publish(&self, first: u8, body: &[u8]) -> (Said, Vec<u8>) {
        let publish = if self.version == Version::V3 {
            crate::Publish::V3(v3_1_1::Publish::parse(first & 0x0f, body.into()).expect("a PUBLISH").0)
        } else {
            crate::Publish::V5(v5_0::Publish::parse(first & 0x0f, body.into()).expect("a PUBLISH").0)
        };
        let mut said = format!("PUBLISH {}={}", publish.topic(), String::from_utf8_lossy(publish.payload()));
        let mut answer = Vec::new();
        if let Some(id) = publish.id() {
            said = format!("{said} qos={} id={id}", publish.qos());
            if self.acknowledge {
                let [high, low] = id.to_be_bytes();
                answer = vec![if publish.qos() == Qos::AtLeastOnce { 0x40 } else { 0x50 }, 2, high, low];
            }
        }
        for (flag, word) in [(publish.retain(), "retain"), (publish.dup(), "dup")] {
            if flag {
                said = format!("{said} {word}");
            }
        }
        for property in publish.properties() {
            if let Property::UserProperty(pair) = property {
                said = format!("{said} {}:{}", pair.key(), pair.val());
            }
        }
        (said, answer)
    }
}
