//! An embedded, single-process broker that speaks Fluvio's wire protocol.
