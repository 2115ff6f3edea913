//! What the MQTT connectors share: reading an address, logging in to a broker in either version of the
//! protocol, packets in and out, keep-alive. Nothing here waits without an end.
//!
//! [`Dialer`] makes connections, one attempt after the other, and finds out which version the broker speaks.
//! A [`Link`] is one connection: packets come out of it in order, and it keeps itself alive whenever it is
//! asked. What a packet means for sessions and acknowledgements is the connector's own business.
//!
//! The bytes on the wire are read and written by `mqtt-protocol-core`; only its packets are used, not its
//! connection: that one confirms a repeated message of quality of service 2 at once, while a source may do so
//! only when the first delivery is durable.

mod address;
mod codec;
mod dial;
mod link;
mod packet;
mod reason;
mod settings;
#[cfg(not(target_os = "wasi"))]
pub mod testing;

pub use address::Address;
pub use codec::Version;
pub use dial::{Dialer, Limits, Login, Opening, Session};
pub use link::Link;
pub use mqtt_protocol_core::mqtt::packet::{ContentType, MessageExpiryInterval, Property, UserProperty};
pub use packet::{Ack, Incoming, Outgoing, Publish, Subscription};
pub use reason::{name as reason_name, publish_error};
pub use settings::{KeepAlive, Protocol, Qos, random_client_id};
