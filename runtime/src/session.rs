//! One model, one arena, one run after another.

use apq_kernels::{ActivationBits, pack};

use crate::error::{ArenaError, LengthError};
use crate::execute::{self, Arithmetic};
use crate::header::ALIGNMENT;
use crate::input::RawType;
use crate::model::Model;
use crate::node::Node;
use crate::tensor::Tensor;
use crate::view::{Codes, TensorView, fill};

/// Sees every node before and after it runs: profiling, tracing, comparison with a simulation. The caller supplies the
/// clock. Both methods do nothing unless they are written.
pub trait Observer {
    /// Node number `index` is about to run.
    fn before(&mut self, index: usize, node: &Node<'_>) {
        let _ = (index, node);
    }

    /// Node number `index` has run and wrote `output`.
    fn after(&mut self, index: usize, node: &Node<'_>, output: &TensorView<'_>) {
        let _ = (index, node, output);
    }
}

/// Sees nothing.
impl Observer for () {}

/// A model with the memory to run in.
#[derive(Debug)]
pub struct Session<'m, 'a> {
    model: Model<'m>,
    arena: &'a mut [u8],
    input: Tensor<'m>,
    output: Tensor<'m>,
    arithmetic: Arithmetic,
}

impl<'m, 'a> Session<'m, 'a> {
    /// A session with the fast kernels. The arena may hold anything; bytes past [`Model::arena_bytes`] are left alone.
    ///
    /// # Errors
    /// The arena is too short or starts at an address that is not a multiple of [`ALIGNMENT`].
    pub fn new(model: &Model<'m>, arena: &'a mut [u8]) -> Result<Self, ArenaError> {
        Self::with_arithmetic(model, arena, Arithmetic::Native)
    }

    /// As [`Session::new`], with a choice of kernels. All choices give the same codes.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_arithmetic(model: &Model<'m>, arena: &'a mut [u8], arithmetic: Arithmetic) -> Result<Self, ArenaError> {
        if !arena.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(ArenaError::Misaligned);
        }
        let error = ArenaError::TooSmall { needed: model.arena_bytes(), given: arena.len() };
        let arena = arena.get_mut(..model.arena_bytes()).ok_or(error)?;
        // A checked model has both.
        let input = model.input().ok_or(error)?.tensor;
        let output = model.output().ok_or(error)?.tensor;
        Ok(Self { model: *model, arena, input, output, arithmetic })
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// Shape and quantizer of the input.
    pub fn input(&self) -> &Tensor<'m> {
        &self.input
    }

    /// Shape and quantizer of the output.
    pub fn output(&self) -> &Tensor<'m> {
        &self.output
    }

    /// The packed codes of the input, to be filled in place: channel last, each pixel's channels from a byte on.
    ///
    /// The run may use these bytes for other tensors, so that every run needs its input anew. A byte that is no code
    /// (above 63 at 6 bits) counts as the largest one, and bits that no code uses do not matter.
    pub fn input_codes_mut(&mut self) -> &mut [u8] {
        bytes_mut(self.arena, &self.input)
    }

    /// Writes the input from unsigned bytes, channel last: by the file's table where the model was calibrated with them,
    /// else as real numbers by the formula.
    ///
    /// # Errors
    /// `data` has not one element for each code.
    pub fn write_input_u8(&mut self, data: &[u8]) -> Result<(), LengthError> {
        self.write_bytes(data.len(), RawType::U8, |index| data.get(index).copied())
    }

    /// As [`Session::write_input_u8`], from signed bytes.
    ///
    /// # Errors
    /// `data` has not one element for each code.
    pub fn write_input_i8(&mut self, data: &[i8]) -> Result<(), LengthError> {
        self.write_bytes(data.len(), RawType::I8, |index| data.get(index).map(|&value| value as u8))
    }

    /// Writes the input from real numbers, channel last, before preprocessing: `(x - mean) / std` is made here.
    ///
    /// # Errors
    /// `data` has not one element for each code.
    pub fn write_input_f32(&mut self, data: &[f32]) -> Result<(), LengthError> {
        check_length(&self.input, data.len())?;
        let Some(input) = self.model.input() else {
            return Ok(());
        };
        fill(&self.input, bytes_mut(self.arena, &self.input), |index, channel| {
            input.quantize(data.get(index).copied().unwrap_or(0.0), channel)
        });
        Ok(())
    }

    fn write_bytes(&mut self, given: usize, raw_type: RawType, byte: impl Fn(usize) -> Option<u8>) -> Result<(), LengthError> {
        check_length(&self.input, given)?;
        let Some(input) = self.model.input() else {
            return Ok(());
        };
        fill(&self.input, bytes_mut(self.arena, &self.input), |index, channel| {
            let byte = byte(index).unwrap_or(0);
            let by_table = if input.raw_type == raw_type { input.look_up(byte, channel) } else { None };
            by_table.unwrap_or_else(|| input.quantize(raw_type.value(byte), channel))
        });
        Ok(())
    }

    /// Runs all nodes in order. Cannot fail; the time depends on the model alone.
    pub fn run(&mut self, observer: &mut impl Observer) {
        self.clean_input();
        for (index, node) in self.model.nodes().enumerate() {
            observer.before(index, &node);
            execute::node(&self.model, &node, self.arena, self.arithmetic);
            if let Some(output) = self.model.tensor(node.output) {
                observer.after(index, &node, &TensorView::new(&output, bytes(self.arena, &output)));
            }
        }
    }

    /// The caller may have written anything; kernels rely on codes, and copy the bits that no code uses.
    fn clean_input(&mut self) {
        let (bits, channels) = (self.input.bits, self.input.shape.channels());
        let row_bytes = self.input.pixel_bytes().max(1);
        let codes = bytes_mut(self.arena, &self.input);
        match bits {
            ActivationBits::A2 | ActivationBits::A4 => {
                codes.chunks_exact_mut(row_bytes).for_each(|row| pack::clear_unused(row, bits, channels));
            }
            ActivationBits::A6 => {
                let largest = ActivationBits::A6.hi() as u8;
                codes.iter_mut().for_each(|code| *code = (*code).min(largest));
            }
            ActivationBits::A8 | ActivationBits::A16 => {}
        }
    }

    /// The codes of the output, channel last, as the last run left them.
    pub fn output_codes(&self) -> Codes<'_> {
        Codes::new(&self.output, bytes(self.arena, &self.output))
    }

    /// The packed codes of the output.
    pub fn output_bytes(&self) -> &[u8] {
        bytes(self.arena, &self.output)
    }

    /// The codes that lie in the place of any tensor of the model now; another tensor's, if the plan
    /// has given the place on.
    pub fn codes(&self, tensor: &Tensor<'_>) -> Codes<'_> {
        Codes::new(tensor, bytes(self.arena, tensor))
    }

    /// Writes the real values of the output, channel last.
    ///
    /// # Errors
    /// `values` has not one element for each code.
    pub fn read_output_f32(&self, values: &mut [f32]) -> Result<(), LengthError> {
        check_length(&self.output, values.len())?;
        for (value, code) in values.iter_mut().zip(self.output_codes()) {
            *value = self.output.dequantize(code);
        }
        Ok(())
    }

    /// Place of the largest code of the output; of several, the first.
    pub fn argmax(&self) -> usize {
        let (mut best, mut best_code) = (0, i32::MIN);
        for (index, code) in self.output_codes().enumerate() {
            if code > best_code {
                (best, best_code) = (index, code);
            }
        }
        best
    }
}

fn check_length(tensor: &Tensor<'_>, given: usize) -> Result<(), LengthError> {
    let needed = tensor.shape.elements();
    if given == needed { Ok(()) } else { Err(LengthError { needed, given }) }
}

fn bytes<'a>(arena: &'a [u8], tensor: &Tensor<'_>) -> &'a [u8] {
    arena.get(tensor.range()).unwrap_or(&[])
}

fn bytes_mut<'a>(arena: &'a mut [u8], tensor: &Tensor<'_>) -> &'a mut [u8] {
    arena.get_mut(tensor.range()).unwrap_or(&mut [])
}
