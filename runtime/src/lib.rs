//! apq-runtime
