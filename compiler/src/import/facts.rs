//! Shapes and constants of every value of an ONNX graph, as tract infers and folds them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact};

use super::error::ImportError;

/// A value known at compile time, as f32 in ONNX order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// What tract knows of each value, by name.
pub(super) struct Facts {
    facts: HashMap<String, InferenceFact>,
}

impl Facts {
    /// Lets tract parse the graph, fixes its input to `input_shape`, and infers the rest.
    pub(super) fn infer(proto: &pb::ModelProto, folder: Option<&Path>, input_shape: &[usize]) -> Result<Facts, ImportError> {
        let folder = folder.and_then(Path::to_str);
        let analysed = quietly(|| -> TractResult<HashMap<String, InferenceFact>> {
            let parsed = reader().parse(proto, folder)?;
            let mut model = parsed.model;
            if let Some(name) = parsed.unresolved_inputs.first() {
                return Err(TractError::msg(format!("\"{name}\" is read but never made")));
            }
            model.set_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), input_shape))?;
            model.analyse(false)?;
            let mut facts = HashMap::new();
            for (name, outlet) in parsed.outlets_by_name {
                facts.insert(name, model.outlet_fact(outlet)?.clone());
            }
            Ok(facts)
        });
        match analysed {
            Ok(Ok(facts)) => Ok(Facts { facts }),
            Ok(Err(error)) => Err(ImportError::Model(format!("the model's shapes are inconsistent: {error:#}"))),
            Err(panic) => Err(ImportError::Model(format!("the model cannot be analysed: {panic}"))),
        }
    }

    /// The shape of a value in ONNX order, where it is known.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let shape = self.facts.get(name)?.shape.as_concrete_finite().ok()??;
        Some(shape.to_vec())
    }

    /// The value, where tract folded it.
    pub(super) fn constant(&self, name: &str) -> Result<Option<Constant>, String> {
        let Some(tensor) = self.facts.get(name).and_then(|fact| fact.value.concretize()) else { return Ok(None) };
        let cast = tensor.cast_to::<f32>().map_err(|error| format!("\"{name}\" cannot be read as numbers: {error}"))?;
        let view = cast.to_plain_array_view::<f32>().map_err(|error| format!("\"{name}\": {error}"))?;
        Ok(Some(Constant { shape: tensor.shape().to_vec(), values: view.iter().copied().collect() }))
    }
}

/// The reader for models whose batch is dynamic and whose recorded shapes may speak of another batch.
pub(crate) fn reader() -> tract_onnx::Onnx {
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}

/// Runs `work`; a panic inside becomes an error with its message, and prints nothing.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    use std::cell::Cell;
    use std::sync::Once;
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                previous(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        text.unwrap_or_else(|| "unknown reason".into())
    })
}
