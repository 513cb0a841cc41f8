//! Quantizers as JSON, in the form that AIMET's encodings files have (version 0.6.1).
//!
//! `activation_encodings` has an entry for each tensor of the compiled network, `param_encodings` one for the weights of each layer, called
//! `LAYER.weight`, with an encoding for each output channel. An encoding is
//!
//! | field | what |
//! |---|---|
//! | `bitwidth` | width of a code |
//! | `dtype` | always `int` |
//! | `is_symmetric` | `True` for signed codes with zero point 0, else `False` |
//! | `scale` | step of the quantizer |
//! | `offset` | smallest code minus zero point: real value of the smallest code in steps |
//! | `min`, `max` | real values of the smallest and of the largest code |
//!
//! Scales of weights are read back from the integer multipliers, `m 2^-r s_out / s_in`, which hold them to 31 bits (23 bits where the
//! accumulator has 64). A channel whose weights are all zero has the scale that passes its bias.

use apq_kernels::OutputStage;
use apq_runtime::{Kernel, Model, Node};
use serde_json::{Map, Value, json};

use super::{ExportError, File, Source};

/// `NAME.encodings.json`.
///
/// # Errors
/// See [`ExportError`].
pub fn files(source: &Source<'_>) -> Result<Vec<File>, ExportError> {
    let model = &source.model;
    let (mut activations, mut weights) = (Map::new(), Map::new());
    for (index, tensor) in model.tensors().enumerate() {
        let bits = tensor.bits;
        let encoding = encoding(bits.bits(), f64::from(tensor.scale), tensor.zero_point, bits.lo(), bits.hi());
        insert(&mut activations, tensor.name, "", index, json!([encoding]));
    }
    for (index, node) in model.nodes().enumerate() {
        if let Some(channels) = channels(model, &node) {
            insert(&mut weights, node.name, ".weight", index, Value::Array(channels));
        }
    }
    let all = json!({ "version": "0.6.1", "activation_encodings": activations, "param_encodings": weights });
    let mut text = format!("{all:#}").into_bytes();
    text.push(b'\n');
    Ok(vec![(format!("{}.encodings.json", source.name), text)])
}

/// What has no name, or one that is taken, is called by its number.
fn insert(map: &mut Map<String, Value>, name: &str, ending: &str, index: usize, value: Value) {
    let named = format!("{name}{ending}");
    let key = if name.is_empty() || map.contains_key(&named) { format!("{name}#{index}{ending}") } else { named };
    map.insert(key, value);
}

fn encoding(bits: u32, scale: f64, zero_point: i32, lo: i32, hi: i32) -> Value {
    let (first, last) = (i64::from(lo) - i64::from(zero_point), i64::from(hi) - i64::from(zero_point));
    // Boolean words, as AIMET writes them.
    let symmetric = if lo < 0 && zero_point == 0 { "True" } else { "False" };
    json!({
        "bitwidth": bits,
        "dtype": "int",
        "is_symmetric": symmetric,
        "max": scale * last as f64,
        "min": scale * first as f64,
        "offset": first,
        "scale": scale,
    })
}

/// The encodings of a layer's weights, if it has weights.
fn channels(model: &Model<'_>, node: &Node<'_>) -> Option<Vec<Value>> {
    let stage: OutputStage<'_> = match model.kernel(node)? {
        Kernel::Conv(conv) => conv.stage,
        Kernel::FullyConnected(layer) => layer.stage,
        _ => return None,
    };
    let bits = node.weighted()?.bits;
    let input = model.tensor(*node.inputs.first()?)?;
    let output = model.tensor(node.output)?;
    let ratio = f64::from(output.scale) / f64::from(input.scale);
    // Scales of weights are single precision in the compiler; the multipliers hold them exactly or nearly so.
    let scale = |m: i32, r: u8| f64::from((f64::from(m) * 2f64.powi(-i32::from(r)) * ratio) as f32);
    let pairs = stage.multiplier.iter().zip(stage.shift);
    Some(pairs.map(|(&m, &r)| encoding(bits.bits(), scale(m, r), 0, bits.lo(), bits.hi())).collect())
}
