//! Real components in the real sandbox, against real servers on loopback.
//!
//! The guests are those of `tests/components`; `just guests` builds them.

mod cache;
mod ends;
mod guest;
mod http;
mod limits;
mod server;
mod sockets;
mod speech;
