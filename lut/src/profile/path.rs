//! Which way through the kernels a layer takes.

use serde::{Deserialize, Serialize};

use crate::{LayerKey, Operator};

/// Layers that run through the same code, as far as their shapes tell; each has a fit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// Convolution 1x1 with stride 1 over whole words of channels.
    Pointwise,
    /// Convolution over whole words of channels.
    Window,
    /// Convolution over other numbers of channels: first layers.
    Gathered,
    /// Convolution in groups.
    Grouped,
    /// Depthwise 3x3 with stride 1.
    Adjacent3x3,
    /// Depthwise 3x3 with other strides.
    Strided3x3,
    /// Depthwise of other windows, or with several outputs for an input.
    OtherWindow,
    /// Product of one row, or a convolution of one pixel.
    Vector,
    /// Product of several rows.
    Matrix,
    /// Pool of the whole image.
    Global,
    /// Pool with a window.
    Pool,
    /// Anything else.
    Plain,
}

impl Path {
    /// The path of a layer.
    #[must_use]
    pub fn of(key: &LayerKey) -> Self {
        let unit = key.stride == [1, 1] && key.dilation == [1, 1];
        match key.operator {
            Operator::Conv if key.groups > 1 => Self::Grouped,
            Operator::Conv if key.input == [1, 1] && key.output == [1, 1] && key.kernel == [1, 1] => Self::Vector,
            Operator::Conv if !key.input_channels.is_multiple_of(4) => Self::Gathered,
            Operator::Conv if key.kernel == [1, 1] && unit && key.padding == [0; 4] => Self::Pointwise,
            Operator::Conv => Self::Window,
            Operator::Depthwise if key.kernel != [3, 3] || key.output_channels != key.input_channels => Self::OtherWindow,
            Operator::Depthwise if unit => Self::Adjacent3x3,
            Operator::Depthwise => Self::Strided3x3,
            Operator::FullyConnected if key.rows == 1 => Self::Vector,
            Operator::FullyConnected | Operator::MatMul => Self::Matrix,
            Operator::AveragePool | Operator::MaxPool if key.output == [1, 1] => Self::Global,
            Operator::AveragePool | Operator::MaxPool => Self::Pool,
            _ => Self::Plain,
        }
    }

    /// Its name in files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pointwise => "pointwise",
            Self::Window => "window",
            Self::Gathered => "gathered",
            Self::Grouped => "grouped",
            Self::Adjacent3x3 => "adjacent3x3",
            Self::Strided3x3 => "strided3x3",
            Self::OtherWindow => "other_window",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::Global => "global",
            Self::Pool => "pool",
            Self::Plain => "plain",
        }
    }
}
