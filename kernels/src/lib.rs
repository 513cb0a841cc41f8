//! apq-kernels
