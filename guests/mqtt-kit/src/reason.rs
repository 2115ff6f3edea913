//! What a broker's reason codes mean: in words, and for what is to be done.

use connector_sdk::Error;

/// The name of a reason code, as version 5 of the specification has it.
#[must_use]
pub fn name(code: u8) -> &'static str {
    match code {
        0x00 => "success",
        0x04 => "disconnect with will message",
        0x10 => "no matching subscribers",
        0x11 => "no subscription existed",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8a => "banned",
        0x8b => "server shutting down",
        0x8c => "bad authentication method",
        0x8d => "keep-alive timeout",
        0x8e => "session taken over",
        0x8f => "topic filter invalid",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x92 => "packet identifier not found",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9a => "retain not supported",
        0x9b => "QoS not supported",
        0x9c => "use another server",
        0x9d => "server moved",
        0x9e => "shared subscriptions not supported",
        0x9f => "connection rate exceeded",
        0xa0 => "maximum connect time",
        0xa1 => "subscription identifiers not supported",
        0xa2 => "wildcard subscriptions not supported",
        _ => "unknown reason",
    }
}

/// The name, the code, and the broker's own words.
fn words(code: u8, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("{} (0x{code:02x}, \"{text}\")", name(code)),
        None => format!("{} (0x{code:02x})", name(code)),
    }
}

/// A refused login.
pub(crate) fn connect_error(code: u8, text: Option<&str>, client_id: &str) -> Error {
    let words = words(code, text);
    match code {
        0x84 => Error::config(format!(
            "the broker does not speak this version of MQTT: {words}; set `protocol` to \"3.1.1\" or \"5\""
        )),
        0x85 => Error::config(format!("the broker refuses the client id `{client_id}`: {words}")),
        0x86 | 0x87 | 0x8a | 0x8c => Error::auth(format!("the broker refuses the login: {words}")),
        0x95 | 0x90 | 0x99 | 0x9a | 0x9b => Error::config(format!("the broker refuses the login: {words}")),
        0x9d => Error::config(format!("the broker has moved: {words}")),
        0x89 | 0x97 | 0x9f => Error::throttled(format!("the broker is busy: {words}"), None),
        _ => Error::unreachable(format!("the broker refuses the connection: {words}")),
    }
}

/// A connection that the broker ended, saying why.
pub(crate) fn disconnect_error(code: u8, text: Option<&str>, client_id: &str) -> Error {
    let words = words(code, text);
    match code {
        0x87 => Error::auth(format!("the broker ended the connection: {words}")),
        0x8e => Error::unreachable(format!(
            "somebody else logged in with the client id `{client_id}`, so the broker ended this connection: \
             {words}; each host needs an id of its own"
        )),
        0x9d => Error::config(format!("the broker has moved: {words}")),
        0x8f | 0x9e | 0xa1 | 0xa2 => Error::config(format!("the broker refuses the subscription: {words}")),
        0x89 | 0x96 | 0x97 | 0x9f => Error::throttled(format!("the broker ended the connection: {words}"), None),
        _ => Error::unreachable(format!("the broker ended the connection: {words}")),
    }
}

/// A message that the broker did not take.
#[must_use]
pub fn publish_error(code: u8, text: Option<&str>) -> Error {
    let message = format!("the broker refuses the message: {}", words(code, text));
    match code {
        0x97 => Error::throttled(message, None),
        0x87 | 0x90 | 0x95 | 0x99 | 0x9a | 0x9b => Error::data(message),
        _ => Error::unreachable(message),
    }
}
