//! Through the real binary, from outside: what a user does, and what a user does wrong.

mod broker;
mod command_line;
mod delivery;
mod http_source;
mod mqtt_bridge;
mod mqtt_sink;
mod mqtt_source;
mod sinks;
mod stages;
mod swap;
