//! apq-lut
