//! tract-core runs the ONNX file itself: a second opinion on the importer and on every number that is called "float".

use std::path::Path;
use std::sync::Arc;

use tract_onnx::pb;
use tract_onnx::prelude::*;

use crate::graph::Graph;
use crate::import::facts::{quietly, reader};
use crate::import::{ImportError, input_of};

/// The model on tract, for one sample at a time.
pub struct Reference {
    plan: Arc<tract_core::prelude::TypedRunnableModel>,
    /// Shape in ONNX order.
    input_shape: Vec<usize>,
    /// See [`Graph::input_axes`].
    input_axes: Vec<usize>,
    /// See [`Graph::output_axes`].
    output_axes: Vec<usize>,
    /// A softmax at the end that our graph leaves out is left out here too.
    output_len: usize,
}

impl Reference {
    /// Optimises the model. `graph` is what the importer made of it: its axes say how samples and outputs are stored.
    pub(crate) fn new(proto: &pb::ModelProto, folder: Option<&Path>, graph: &Graph) -> Result<Reference, ImportError> {
        let (_, input_shape) = input_of(proto)?;
        let mut proto = proto.clone();
        if graph.softmax_dropped {
            drop_softmax(&mut proto);
        }
        let folder = folder.and_then(Path::to_str);
        let fact = InferenceFact::dt_shape(f32::datum_type(), &input_shape);
        let analysed = || reader().parse(&proto, folder)?.model.with_input_fact(0, fact.clone());
        let optimised = quietly(|| analysed()?.into_optimized()?.into_runnable());
        let built = match optimised {
            Ok(Ok(plan)) => Ok(Ok(plan)),
            // tract's optimiser fails on some changes of shape; what it starts from runs too, only slower.
            _ => quietly(|| analysed()?.into_typed()?.into_runnable()),
        };
        let plan = match built {
            Ok(Ok(plan)) => plan,
            Ok(Err(error)) => return Err(ImportError::Model(format!("the float reference cannot run the model: {error:#}"))),
            Err(panic) => return Err(ImportError::Model(format!("the float reference cannot run the model: {panic}"))),
        };
        let output_len = graph.tensor(graph.output).len();
        Ok(Reference { plan, input_shape, input_axes: graph.input_axes.clone(), output_axes: graph.output_axes.clone(), output_len })
    }

    /// The output, stored as our graph stores it, for an input stored as our graph stores it.
    pub fn run(&self, input: &[f32]) -> Result<Vec<f32>, ImportError> {
        let stored: Vec<usize> = {
            let mut stored = vec![0; self.input_shape.len()];
            self.input_axes.iter().zip(&self.input_shape).for_each(|(axis, size)| stored[*axis] = *size);
            stored
        };
        let failed = |error: String| ImportError::Model(format!("the float reference failed: {error}"));
        let stored = tract_ndarray::ArrayViewD::from_shape(stored, input).map_err(|e| failed(e.to_string()))?;
        let onnx = stored.permuted_axes(self.input_axes.clone());
        let tensor = Tensor::from(onnx.as_standard_layout().into_owned());
        let outputs = quietly(|| self.plan.run(tvec!(tensor.into()))).map_err(failed)?.map_err(|e| failed(format!("{e:#}")))?;
        let view = outputs[0].to_plain_array_view::<f32>().map_err(|e| failed(format!("{e:#}")))?;
        if view.ndim() != self.output_axes.len() || view.len() != self.output_len {
            return Err(failed(format!("its output has shape {:?}", view.shape())));
        }
        let mut inverse = vec![0; self.output_axes.len()];
        self.output_axes.iter().enumerate().for_each(|(onnx, stored)| inverse[*stored] = onnx);
        Ok(view.permuted_axes(inverse).iter().copied().collect())
    }
}

/// Makes the input of the softmax that ends the model its output.
fn drop_softmax(proto: &mut pb::ModelProto) {
    let Some(graph) = &mut proto.graph else { return };
    let Some(output) = graph.output.first().map(|o| o.name.clone()) else { return };
    // What lies between the softmax and the output only renames axes, and ties no value.
    let mut name = output;
    while let Some(index) = graph.node.iter().position(|node| node.output.contains(&name)) {
        let Some(input) = graph.node[index].input.first().cloned() else { return };
        if graph.node[index].op_type == "Softmax" {
            for node in &mut graph.node {
                node.input.iter_mut().filter(|i| **i == name).for_each(|i| i.clone_from(&input));
            }
            if let Some(output) = graph.output.first_mut()
                && output.name == name
            {
                output.name = input;
            }
            return;
        }
        name = input;
    }
}
