//! apq-tests
