//! Resize and Upsample: where each output row and column lies in the input, as the ONNX specification and its coordinate modes say.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op};

/// How an output position becomes a position in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// How nearest neighbour rounds a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
    /// Towards zero where the axis grows, up where it shrinks: before opset 11.
    Simple,
}

/// One axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    scale: f32,
}

impl Axis {
    /// The position of output element `place` in the input. In f32, as the reference implementations compute it: ties depend on it.
    fn position(self, place: usize, coordinates: Coordinates) -> f32 {
        let (x, input, output) = (place as f32, self.input as f32, self.output as f32);
        let half = |x: f32| (x + 0.5) / self.scale - 0.5;
        match coordinates {
            Coordinates::HalfPixel => half(x),
            Coordinates::HalfPixelSymmetric => {
                let adjustment = output / (self.scale * input);
                input / 2.0 * (1.0 - adjustment) + half(x)
            }
            Coordinates::PytorchHalfPixel => {
                if self.output > 1 {
                    half(x)
                } else {
                    0.0
                }
            }
            Coordinates::AlignCorners => {
                if self.output > 1 {
                    x * (input - 1.0) / (output - 1.0)
                } else {
                    0.0
                }
            }
            Coordinates::Asymmetric => x / self.scale,
        }
    }

    /// Positions of all output elements; whole ones with a rounding.
    fn positions(self, coordinates: Coordinates, rounding: Option<Rounding>) -> Vec<f32> {
        let last = (self.input - 1) as f32;
        let at = |place| {
            // Where nothing changes no convention moves anything.
            let x = if self.input == self.output && self.scale == 1.0 { place as f32 } else { self.position(place, coordinates) };
            let x = match rounding {
                None => x,
                Some(Rounding::PreferFloor) => {
                    if x == x.floor() + 0.5 {
                        x.floor()
                    } else {
                        x.round()
                    }
                }
                Some(Rounding::PreferCeil) => x.round(),
                Some(Rounding::Floor) => x.floor(),
                Some(Rounding::Ceil) => x.ceil(),
                Some(Rounding::Simple) => {
                    if self.scale < 1.0 {
                        x.ceil()
                    } else {
                        x.trunc()
                    }
                }
            };
            x.clamp(0.0, last)
        };
        (0..self.output).map(at).collect()
    }
}

/// What a Resize or Upsample reads.
pub(in crate::import) struct Sampling {
    pub(in crate::import) interpolate: bool,
    /// For each ONNX axis, the position of each output element in the input.
    pub(in crate::import) positions: Vec<Vec<f32>>,
}

pub(super) fn resize(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let Sampling { interpolate, mut positions } = sampling(node, &shape)?;
    let input = importer.builder.image(node.name(), &view);
    let channels = importer.builder.graph.tensor(input).channels();
    let columns = positions.pop().unwrap_or_default();
    let rows = if shape.len() == 4 { positions.pop().unwrap_or_default() } else { vec![0.0] };
    let output = vec![1, rows.len(), columns.len(), channels];
    let op = Op::Resize { rows: rows.into(), columns: columns.into(), interpolate };
    let tensor = importer.builder.push(node.name(), op, vec![input], output, Clamp::NONE);
    Ok(importer.builder.after_image(node.name(), tensor, shape.len()))
}

/// What a Resize or Upsample of a value of that shape reads.
pub(in crate::import) fn sampling(node: OnnxNode<'_>, shape: &[usize]) -> Result<Sampling, ImportError> {
    let old = node.opset < 11;
    let choose = |name: &str, default: &str| node.text(name).unwrap_or_else(|| default.into());
    let mode = choose("mode", "nearest");
    let interpolate = match mode.as_str() {
        "nearest" => false,
        "linear" => true,
        _ => return Err(node.unsupported("mode", mode, "nearest or linear")),
    };
    let mode = choose("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
    let coordinates = match mode.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        _ => {
            let nearest = "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners or asymmetric";
            return Err(node.unsupported("coordinate_transformation_mode", mode, nearest));
        }
    };
    let mode = choose("nearest_mode", if old { "simple" } else { "round_prefer_floor" });
    let rounding = match mode.as_str() {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        "simple" if old => Rounding::Simple,
        _ => return Err(node.invalid(format!("nearest_mode {mode}"))),
    };
    if interpolate && node.int("antialias").unwrap_or(0) != 0 {
        return Err(node.unsupported("antialias", "1", "antialias = 0"));
    }
    let policy = choose("keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return Err(node.unsupported("keep_aspect_ratio_policy", policy, "stretch"));
    }
    let rank = shape.len();
    let axes = axes(node, shape)?;
    if !(3..=4).contains(&rank) || axes[..2].iter().any(|axis| axis.input != axis.output) {
        let to: Vec<usize> = axes.iter().map(|axis| axis.output).collect();
        return Err(node.unsupported("", format!("{shape:?} becomes {to:?}"), "one or two spatial axes, batch and channels unchanged"));
    }
    let positions = axes.iter().map(|axis| axis.positions(coordinates, (!interpolate).then_some(rounding))).collect();
    Ok(Sampling { interpolate, positions })
}

/// Every axis with its size before and after. Scales are an attribute of Upsample before opset 9, input 1 of it and of Resize 10, and input 2
/// since, with sizes as input 3.
fn axes(node: OnnxNode<'_>, shape: &[usize]) -> Result<Vec<Axis>, ImportError> {
    let place = if node.proto.op_type == "Upsample" || node.opset < 11 { 1 } else { 2 };
    let scales = match node.floats("scales") {
        Some(scales) => Some(scales.to_vec()),
        None => constant(node, place)?,
    };
    let sizes = if place == 2 { constant(node, 3)? } else { None };
    let named = match node.ints("axes") {
        Some(axes) => axes.iter().map(|axis| node.axis(*axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let mut all: Vec<Axis> = shape.iter().map(|size| Axis { input: *size, output: *size, scale: 1.0 }).collect();
    let values = match (&scales, &sizes) {
        (Some(values), None) | (None, Some(values)) if values.len() == named.len() => values,
        _ => {
            return Err(
                node.invalid(format!("scales {scales:?} and sizes {sizes:?} for {} axes; exactly one of them is needed", named.len()))
            );
        }
    };
    for (axis, value) in named.into_iter().zip(values) {
        let input = all[axis].input;
        let output = if sizes.is_some() { *value } else { (input as f32 * value).floor() };
        if !(1.0..=OUTPUT_MAX).contains(&output) || !value.is_finite() {
            return Err(node.invalid(format!("axis {axis} of {shape:?} would have {output} elements")));
        }
        let scale = if sizes.is_some() { output / input as f32 } else { *value };
        all[axis] = Axis { input, output: output as usize, scale };
    }
    // Coordinates in the file have 21 bits before the point.
    if shape.iter().any(|size| *size >= 1 << 21) {
        return Err(node.unsupported("", format!("a tensor of shape {shape:?}"), "axes of at most 2^21 elements"));
    }
    Ok(all)
}

/// Largest output of one axis.
const OUTPUT_MAX: f32 = 65536.0;

/// A constant input; `None` where it is left out or empty.
fn constant(node: OnnxNode<'_>, index: usize) -> Result<Option<Vec<f32>>, ImportError> {
    let Some(name) = node.input(index) else { return Ok(None) };
    match node.constant(index)? {
        Some(constant) if constant.values.is_empty() => Ok(None),
        Some(constant) => Ok(Some(constant.values)),
        None => Err(node.unsupported(name, "the value is computed from the network's input", "a constant")),
    }
}
