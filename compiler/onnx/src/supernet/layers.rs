//! The convolutions of a network of a space, and the names and shapes of its tensors.

use apq_search::space::{Architecture, BlockShape, Space};

/// What a convolution is in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The first convolution.
    Stem,
    /// Opens a block: 1x1, from the block's input to its width.
    Expand,
    /// One kernel for each channel.
    Depthwise,
    /// Closes a block: 1x1, without a clamp.
    Project {
        /// Whether the block's input is added to its output.
        residual: bool,
    },
    /// The last convolution, 1x1.
    Head,
}

/// One convolution without bias, and the batch norm behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convolution {
    /// Of its node: `stem`, `stages.0.blocks.1.expand`, ...
    pub name: String,
    /// Its place in the network.
    pub role: Role,
    /// Channels that it reads.
    pub inputs: usize,
    /// Channels that it writes.
    pub outputs: usize,
    /// Side of its kernel; `kernel / 2` rows and columns of zeros are padded on each side.
    pub kernel: usize,
    /// In both directions.
    pub stride: usize,
}

impl Convolution {
    /// Whether every channel has a kernel of its own.
    pub fn is_depthwise(&self) -> bool {
        self.role == Role::Depthwise
    }

    /// Whether ReLU6 follows its batch norm.
    pub fn is_clamped(&self) -> bool {
        !matches!(self.role, Role::Project { .. })
    }

    /// `[outputs, inputs (1 for a depthwise convolution), kernel, kernel]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.outputs, if self.is_depthwise() { 1 } else { self.inputs }, self.kernel, self.kernel]
    }

    /// Name of its weights.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Names of its norm's tensors, each `[outputs]`: scale, bias, mean, variance.
    pub fn norm(&self) -> [String; 4] {
        NORM.map(|part| format!("{}.norm.{part}", self.name))
    }
}

/// Parts of a batch norm.
pub(super) const NORM: [&str; 4] = ["scale", "bias", "mean", "variance"];

/// The convolutions of a subnet in the order in which they run. The space has been checked, and the architecture belongs to it.
pub fn convolutions(space: &Space, architecture: &Architecture) -> Vec<Convolution> {
    let size = |channels: u32| channels as usize;
    let stem = &space.stem;
    let mut list = Vec::new();
    let mut add = |name: String, role, inputs, outputs, kernel: u8, stride| {
        list.push(Convolution { name, role, inputs: size(inputs), outputs: size(outputs), kernel: kernel.into(), stride: size(stride) });
    };
    add("stem".into(), Role::Stem, space.input[2], stem.channels, stem.kernel, stem.stride);
    let mut channels = stem.channels;
    if let Some(first) = space.first {
        add("first.depthwise".into(), Role::Depthwise, channels, channels, 3, 1);
        add("first.project".into(), Role::Project { residual: false }, channels, first, 1, 1);
        channels = first;
    }
    for (block, shape) in space.blocks().iter().zip(&architecture.0) {
        let Some(BlockShape { kernel, channels: width }) = *shape else { continue };
        let name = |part: &str| format!("{}.{part}", block.name());
        add(name("expand"), Role::Expand, block.input_channels, width, 1, 1);
        add(name("depthwise"), Role::Depthwise, width, width, kernel, block.stride);
        add(name("project"), Role::Project { residual: block.is_residual() }, width, block.output_channels, 1, 1);
        channels = block.output_channels;
    }
    add("head".into(), Role::Head, channels, space.head, 1, 1);
    list
}

/// The largest kernel and the next smaller one, and so on: `(7, 5), (5, 3)`.
pub(super) fn transforms(space: &Space) -> impl Iterator<Item = (usize, usize)> + '_ {
    space.kernels.windows(2).rev().map(|pair| (pair[1].into(), pair[0].into()))
}

/// Name of a kernel transform of a block.
pub(super) fn transform_name(block: &str, (from, to): (usize, usize)) -> String {
    format!("{block}.depthwise.transform.{from}to{to}")
}

/// Names and shapes of a network's own tensors, transforms not included, in the order of its convolutions.
pub(super) fn network_shapes(space: &Space, architecture: &Architecture) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    for convolution in convolutions(space, architecture) {
        shapes.push((convolution.weight(), convolution.weight_shape().to_vec()));
        shapes.extend(convolution.norm().map(|name| (name, vec![convolution.outputs])));
    }
    let (classes, head) = (space.classes as usize, space.head as usize);
    shapes.push(("classifier.weight".into(), vec![classes, head]));
    shapes.push(("classifier.bias".into(), vec![classes]));
    shapes
}

/// Names and shapes of all tensors of a supernet. The space has been checked: one that was not may have more than fit into memory.
pub fn tensor_shapes(space: &Space) -> Vec<(String, Vec<usize>)> {
    let mut shapes = network_shapes(space, &space.largest());
    for block in space.blocks() {
        let name = block.name();
        shapes.extend(transforms(space).map(|pair| (transform_name(&name, pair), vec![pair.1 * pair.1; 2])));
    }
    shapes
}
