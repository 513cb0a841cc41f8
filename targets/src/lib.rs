//! apq-targets
