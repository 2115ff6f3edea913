//! Write connectors for host in Rust.
