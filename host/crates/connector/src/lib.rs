//! Compiles, sandboxes and calls connector components.
