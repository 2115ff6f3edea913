//! The whole crate against the embedded broker: what is promised, and what happens when the broker goes away.

mod admin;
mod consume;
mod faults;
mod network;
mod offsets;
mod produce;
mod proxy;
mod retention;
mod support;
