//! A model read and ready to be quantized for a target: everything that needs no data.

use std::borrow::Cow;
use std::path::Path;

use apq_lut::{Candidate, Operator};
use apq_targets::Target;
use tract_onnx::pb;

use crate::float::reference::Reference;
use crate::graph::{Graph, GraphError, Op};
use crate::import::{self, ImportError};
use crate::passes;
use crate::quant::groups::{Grouping, NoKernel, group};

/// Why a model cannot be prepared for a target.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The model could not be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The target lacks a kernel.
    #[error(transparent)]
    NoKernel(#[from] Box<NoKernel>),
    /// A bug of a pass.
    #[error(transparent)]
    Inconsistent(#[from] GraphError),
}

/// An imported and simplified model.
pub struct Network {
    /// The network.
    pub graph: Graph,
    /// Multiply-accumulates of the network as imported, to which relative BOPs refer.
    pub macs: u64,
    /// The network before channels were pruned from `graph`, where they were.
    pub unpruned: Option<Box<Graph>>,
    /// Whether it was found by a joint search, which does without the layers that the target's search exclusions name.
    pub searched: bool,
    /// As the float reference reads it.
    proto: pb::ModelProto,
    folder: Option<std::path::PathBuf>,
}

impl Network {
    /// Imports and simplifies a model. `folder` is where external weight files may lie; `trace` gets the graph after each pass.
    pub fn load(bytes: &[u8], name: &str, folder: Option<&Path>, trace: impl FnMut(&str, usize, &Graph)) -> Result<Network, NetworkError> {
        let mut proto = import::parse(bytes)?;
        let given = import::strip(&mut proto)?;
        let (mut graph, rewritten) = import::import_parsed(&proto, &given, name, folder)?;
        let rewritten = match rewritten {
            Cow::Owned(rewritten) => Some(rewritten),
            Cow::Borrowed(_) => None,
        };
        let proto = rewritten.unwrap_or(proto);
        passes::simplify(&mut graph, trace)?;
        let macs = graph.total_macs();
        Ok(Network { graph, macs, unpruned: None, searched: false, proto, folder: folder.map(Path::to_path_buf) })
    }

    /// The same model with channels pruned: `graph` is what is compiled, the model as imported remains what it is held against.
    pub fn pruned(&self, graph: Graph) -> Network {
        let unpruned = Some(Box::new(self.imported().clone()));
        Network { graph, macs: self.macs, unpruned, searched: self.searched, proto: self.proto.clone(), folder: self.folder.clone() }
    }

    /// The network as imported, which is the float network that results are compared with.
    pub fn imported(&self) -> &Graph {
        self.unpruned.as_deref().unwrap_or(&self.graph)
    }

    /// The quantizer groups for a target, at its own candidates or at those given.
    pub fn group(&self, target: &Target, candidates: &[Candidate]) -> Result<Grouping, NetworkError> {
        let supports = |op: &Op, candidate: Candidate| {
            // A reshape moves nothing, or copies codes as they are.
            if matches!(op, Op::Reshape) {
                return true;
            }
            // Both operands of a product have the activations' width.
            let weight_bits = if matches!(op, Op::MatMul { .. }) { candidate.activation_bits } else { candidate.weight_bits };
            let Ok(operator) = op.name().parse::<Operator>() else { return false };
            let kernel = op.window().map_or([1; 2], |window| window.kernel.map(|side| side as u32));
            target.kernel_supports(&operator, weight_bits, candidate.activation_bits)
                && !(self.searched && target.search_excludes(&operator, kernel, candidate))
        };
        group(&self.graph, candidates, supports)
    }

    /// The same model on tract.
    pub fn reference(&self) -> Result<Reference, ImportError> {
        Reference::new(&self.proto, self.folder.as_deref(), &self.graph)
    }

    /// Files beside the model that hold some of its weights, each once, in the order of the model.
    pub fn external_files(&self) -> Vec<String> {
        import::external::files(&self.proto)
    }

    /// Shape of a sample without the batch, channel last.
    pub fn sample_shape(&self) -> &[usize] {
        &self.graph.tensor(self.graph.input).shape[1..]
    }
}
