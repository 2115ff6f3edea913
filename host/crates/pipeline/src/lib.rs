//! The way of a batch: stages, back-pressure, retry, checkpoints and the loops.
