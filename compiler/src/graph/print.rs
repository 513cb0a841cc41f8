//! The graph as text, for logs and golden tests.

use std::fmt;

use super::{Clamp, Graph, Node, Op, TensorId, Window};

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { kernel, stride, dilation, pad_begin, pad_end } = self;
        write!(f, "k{}x{} s{}x{}", kernel[0], kernel[1], stride[0], stride[1])?;
        if *dilation != [1, 1] {
            write!(f, " d{}x{}", dilation[0], dilation[1])?;
        }
        if (*pad_begin, *pad_end) != ([0, 0], [0, 0]) {
            write!(f, " p{},{},{},{}", pad_begin[0], pad_begin[1], pad_end[0], pad_end[1])?;
        }
        Ok(())
    }
}

impl fmt::Display for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.lo, self.hi) {
            (f32::NEG_INFINITY, f32::INFINITY) => Ok(()),
            (0.0, f32::INFINITY) => write!(f, " relu"),
            (lo, hi) => write!(f, " clamp {lo}..{hi}"),
        }
    }
}

impl Graph {
    fn shape_text(&self, id: TensorId) -> String {
        let tensor = self.tensor(id);
        let dims: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        format!("{}[{}]", tensor.name, dims.join(","))
    }

    fn fmt_node(&self, node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} \"{}\"", self.shape_text(node.output), node.op.name(), node.name)?;
        match &node.op {
            Op::Conv { window, groups, .. } => {
                write!(f, " {window}")?;
                if *groups != 1 {
                    write!(f, " g{groups}")?;
                }
            }
            Op::MaxPool { window } => write!(f, " {window}")?,
            Op::AveragePool { window, count_include_pad } => {
                write!(f, " {window}{}", if *count_include_pad { " include-pad" } else { "" })?;
            }
            Op::Table { function } => write!(f, " {function}")?,
            Op::Slice { begin, step } => write!(f, " from {begin:?} step {step:?}")?,
            Op::Resize { interpolate, .. } => f.write_str(if *interpolate { " bilinear" } else { " nearest" })?,
            Op::Concat { axis } => write!(f, " axis {axis}")?,
            Op::Pad { pads, value } => write!(f, " {pads:?} value {value}")?,
            Op::Transpose { perm } => write!(f, " {perm:?}")?,
            Op::MatMul { transposed, scale } => {
                write!(f, "{}", if *transposed { " transposed" } else { "" })?;
                if *scale != 1.0 {
                    write!(f, " scale {scale}")?;
                }
            }
            Op::LayerNorm { epsilon, .. } => write!(f, " epsilon {epsilon}")?,
            _ => {}
        }
        let inputs: Vec<&str> = node.inputs.iter().map(|id| self.tensor(*id).name.as_str()).collect();
        writeln!(f, " ({}){}", inputs.join(", "), node.clamp)
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network \"{}\" input {}", self.name, self.shape_text(self.input))?;
        for node in &self.nodes {
            self.fmt_node(node, f)?;
        }
        writeln!(f, "output {}{}", self.tensor(self.output).name, if self.softmax_dropped { " (softmax left out)" } else { "" })
    }
}
