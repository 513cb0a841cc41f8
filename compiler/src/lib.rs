//! apqc
