//! Makes numbered or templated records: the load generator.
