//! apq-examples
