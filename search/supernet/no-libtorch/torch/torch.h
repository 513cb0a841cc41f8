// The compiler gets here only where it finds no libtorch.
#error "libtorch is missing: run `cargo xtask libtorch`, or set LIBTORCH to a libtorch 2.13.0, or LIBTORCH_USE_PYTORCH=1 to take that of PyTorch 2.13.0"
