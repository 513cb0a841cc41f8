//! apq-search
