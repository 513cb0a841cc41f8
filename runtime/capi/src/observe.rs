//! Layers, as a callback in C sees them run.
#![forbid(unsafe_code)]

use core::ffi::c_void;
use core::ptr;

use apq_runtime::{Node, Observer, TensorView};

use crate::describe::{Tensor, Text};

/// When an observer is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Moment {
    /// The layer is about to run.
    Before = 0,
    /// The layer has run.
    After = 1,
}

/// A layer that runs; all pointers are good until the callback returns.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Layer {
    /// Number of the layer, from 0 on, in the order in which layers run.
    pub index: u32,
    /// Name in the network that was compiled; may be empty.
    pub name: Text,
    /// What it computes: `conv`, `fully-connected`, ...
    pub operation: Text,
    /// What it wrote; null before it runs.
    pub output: *const Tensor,
    /// The packed codes that it wrote; null before it runs.
    pub codes: *const u8,
}

/// Called before and after each layer. It may read a clock and what `layer` points at, and must return; its calls for the same
/// session end with `APQ_STATUS_BUSY`.
pub type Observe = Option<extern "C" fn(context: *mut c_void, moment: Moment, layer: *const Layer)>;

/// Passes layers on to a callback.
pub(crate) struct Callback {
    pub(crate) observe: extern "C" fn(*mut c_void, Moment, *const Layer),
    pub(crate) context: *mut c_void,
}

impl Callback {
    fn layer(index: usize, node: &Node<'_>) -> Layer {
        let operation = Text::new(node.operator.name());
        Layer { index: index as u32, name: Text::new(node.name), operation, output: ptr::null(), codes: ptr::null() }
    }
}

impl Observer for Callback {
    fn before(&mut self, index: usize, node: &Node<'_>) {
        (self.observe)(self.context, Moment::Before, &Self::layer(index, node));
    }

    fn after(&mut self, index: usize, node: &Node<'_>, output: &TensorView<'_>) {
        let tensor = Tensor::new(output.tensor());
        let layer = Layer { output: &tensor, codes: output.bytes().as_ptr(), ..Self::layer(index, node) };
        (self.observe)(self.context, Moment::After, &layer);
    }
}
