//! Reads a connector's YAML in every version into one checked configuration.
