//! What generated code uses.
