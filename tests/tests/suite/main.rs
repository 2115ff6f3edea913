//! Through the real binary, from outside: what a user does, and what a user does wrong.

mod broker;
mod command_line;
mod delivery;
mod http_source;
mod http_source_access;
mod http_source_pages;
mod http_source_streams;
mod mqtt;
mod sheets_sink;
mod sinks;
mod smartmodules;
mod stages;
mod swap;
