//! Functions of one real value, as activations and what networks make of them: `x * sigmoid(x)`, `x * clip(x + 3, 0, 6) / 6`.
//!
//! A [`Function`] is a short list of steps, of which each may read every value before it. It becomes one table of the integer runtime, whatever it is
//! made of, so that it costs one rounding.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};
use std::fmt;

use super::Clamp;

/// A function that ONNX has an operator for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// |x|
    Abs,
    /// x, or alpha (e^x - 1) below zero.
    Elu(f32),
    /// The error function.
    Erf,
    /// e^x
    Exp,
    /// x Phi(x), Phi the normal distribution.
    Gelu,
    /// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
    GeluTanh,
    /// max(0, min(1, alpha x + beta))
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at zero.
        beta: f32,
    },
    /// x max(0, min(1, x / 6 + 1/2))
    HardSwish,
    /// x, or alpha x below zero.
    LeakyRelu(f32),
    /// ln(x)
    Log,
    /// x tanh(ln(1 + e^x))
    Mish,
    /// x^p
    Power(f32),
    /// 1 / x
    Reciprocal,
    /// gamma x, or gamma alpha (e^x - 1) below zero.
    Selu {
        /// Limit towards minus infinity, over gamma.
        alpha: f32,
        /// Slope above zero.
        gamma: f32,
    },
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// ln(1 + e^x)
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// sqrt(x)
    Sqrt,
    /// tanh(x)
    Tanh,
}

impl Unary {
    /// The value at `x`; NaN where there is none.
    pub fn at(self, x: f64) -> f64 {
        let real = f64::from;
        match self {
            Unary::Abs => x.abs(),
            Unary::Elu(alpha) => {
                if x < 0.0 {
                    real(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
            Unary::Erf => libm::erf(x),
            Unary::Exp => x.exp(),
            // The complement keeps its digits where the sum would lose them.
            Unary::Gelu => 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
            Unary::GeluTanh => 0.5 * x * (1.0 + (FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x)).tanh()),
            Unary::HardSigmoid { alpha, beta } => (real(alpha) * x + real(beta)).clamp(0.0, 1.0),
            Unary::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Unary::LeakyRelu(alpha) => {
                if x < 0.0 {
                    real(alpha) * x
                } else {
                    x
                }
            }
            Unary::Log => x.ln(),
            Unary::Mish => x * softplus(x).tanh(),
            Unary::Power(exponent) => x.powf(real(exponent)),
            Unary::Reciprocal => x.recip(),
            Unary::Selu { alpha, gamma } => real(gamma) * if x < 0.0 { real(alpha) * x.exp_m1() } else { x },
            Unary::Sigmoid => sigmoid(x),
            Unary::Softplus => softplus(x),
            Unary::Softsign => x / (1.0 + x.abs()),
            Unary::Sqrt => x.sqrt(),
            Unary::Tanh => x.tanh(),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl fmt::Display for Unary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unary::Abs => f.write_str("abs"),
            Unary::Elu(alpha) => write!(f, "elu<{alpha}>"),
            Unary::Erf => f.write_str("erf"),
            Unary::Exp => f.write_str("exp"),
            Unary::Gelu => f.write_str("gelu"),
            Unary::GeluTanh => f.write_str("gelu_tanh"),
            Unary::HardSigmoid { alpha, beta } => write!(f, "hard_sigmoid<{alpha}, {beta}>"),
            Unary::HardSwish => f.write_str("hard_swish"),
            Unary::LeakyRelu(alpha) => write!(f, "leaky_relu<{alpha}>"),
            Unary::Log => f.write_str("log"),
            Unary::Mish => f.write_str("mish"),
            Unary::Power(exponent) => write!(f, "power<{exponent}>"),
            Unary::Reciprocal => f.write_str("reciprocal"),
            Unary::Selu { alpha, gamma } => write!(f, "selu<{alpha}, {gamma}>"),
            Unary::Sigmoid => f.write_str("sigmoid"),
            Unary::Softplus => f.write_str("softplus"),
            Unary::Softsign => f.write_str("softsign"),
            Unary::Sqrt => f.write_str("sqrt"),
            Unary::Tanh => f.write_str("tanh"),
        }
    }
}

/// How two values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// a + b
    Sum,
    /// a - b
    Difference,
    /// a b
    Product,
}

/// One step; `usize` is the number of a value: 0 is the argument, k + 1 what step k made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Unary(Unary, usize),
    Affine { of: usize, scale: f32, offset: f32 },
    Clamp(Clamp, usize),
    Pair(Pair, usize, usize),
}

impl Step {
    fn apply(&self, value: impl Fn(usize) -> f64) -> f64 {
        match *self {
            Step::Unary(unary, of) => unary.at(value(of)),
            Step::Affine { of, scale, offset } => value(of) * f64::from(scale) + f64::from(offset),
            Step::Clamp(clamp, of) => value(of).max(f64::from(clamp.lo)).min(f64::from(clamp.hi)),
            Step::Pair(Pair::Sum, a, b) => value(a) + value(b),
            Step::Pair(Pair::Difference, a, b) => value(a) - value(b),
            Step::Pair(Pair::Product, a, b) => value(a) * value(b),
        }
    }
}

/// A function of one real value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Function {
    steps: Vec<Step>,
}

impl Function {
    /// Most steps: longer ones are left as separate operations.
    pub const STEPS_MAX: usize = 32;

    /// x
    pub fn identity() -> Function {
        Function::default()
    }

    /// A function of ONNX.
    pub fn unary(unary: Unary) -> Function {
        Function { steps: vec![Step::Unary(unary, 0)] }
    }

    /// scale x + offset
    pub fn affine(scale: f32, offset: f32) -> Function {
        Function { steps: vec![Step::Affine { of: 0, scale, offset }] }
    }

    /// max(lo, min(hi, x))
    pub fn clamp(clamp: Clamp) -> Function {
        Function { steps: if clamp.is_none() { Vec::new() } else { vec![Step::Clamp(clamp, 0)] } }
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True for the identity.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// next(self(x)); `None` where that takes more than [`Function::STEPS_MAX`] steps.
    pub fn then(&self, next: &Function) -> Option<Function> {
        let mut steps = self.steps.clone();
        append(&mut steps, next, self.steps.len());
        (steps.len() <= Function::STEPS_MAX).then_some(Function { steps })
    }

    /// a(x) and b(x) as one value; `None` where that takes more than [`Function::STEPS_MAX`] steps.
    pub fn joined(pair: Pair, a: &Function, b: &Function) -> Option<Function> {
        let mut steps = a.steps.clone();
        let left = steps.len();
        append(&mut steps, b, 0);
        let right = if b.is_empty() { 0 } else { steps.len() };
        steps.push(Step::Pair(pair, left, right));
        (steps.len() <= Function::STEPS_MAX).then_some(Function { steps })
    }

    /// The value at `x`; NaN where there is none.
    pub fn at(&self, x: f64) -> f64 {
        let mut values = [0.0; Function::STEPS_MAX + 1];
        values[0] = x;
        for (index, step) in self.steps.iter().enumerate() {
            values[index + 1] = step.apply(|value| values[value]);
        }
        values[self.steps.len()]
    }

    /// The values at many places.
    pub fn map(&self, places: &[f32]) -> Vec<f32> {
        const BLOCK: usize = 256;
        let mut values = vec![[0.0; BLOCK]; self.steps.len() + 1];
        let mut output = Vec::with_capacity(places.len());
        for block in places.chunks(BLOCK) {
            values[0].iter_mut().zip(block).for_each(|(to, x)| *to = f64::from(*x));
            for (index, step) in self.steps.iter().enumerate() {
                let (before, after) = values.split_at_mut(index + 1);
                let made = after[0].iter_mut().enumerate().take(block.len());
                made.for_each(|(place, to)| *to = step.apply(|value| before[value][place]));
            }
            output.extend(values[self.steps.len()].iter().take(block.len()).map(|value| *value as f32));
        }
        output
    }

    fn write(&self, value: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(step) = value.checked_sub(1).and_then(|step| self.steps.get(step)) else { return f.write_str("x") };
        match *step {
            Step::Unary(unary, of) => {
                write!(f, "{unary}(")?;
                self.write(of, f)?;
                f.write_str(")")
            }
            Step::Affine { of, scale, offset } => {
                write!(f, "({scale} * ")?;
                self.write(of, f)?;
                write!(f, " + {offset})")
            }
            Step::Clamp(clamp, of) => {
                write!(f, "clamp<{}, {}>(", clamp.lo, clamp.hi)?;
                self.write(of, f)?;
                f.write_str(")")
            }
            Step::Pair(pair, a, b) => {
                f.write_str("(")?;
                self.write(a, f)?;
                f.write_str(match pair {
                    Pair::Sum => " + ",
                    Pair::Difference => " - ",
                    Pair::Product => " * ",
                })?;
                self.write(b, f)?;
                f.write_str(")")
            }
        }
    }
}

/// Terms up to which a function is written out.
const TERMS_MAX: u64 = 64;

/// Appends the steps of `next`, whose argument is value `argument`.
fn append(steps: &mut Vec<Step>, next: &Function, argument: usize) {
    let base = steps.len();
    let moved = |value: usize| if value == 0 { argument } else { base + value };
    steps.extend(next.steps.iter().map(|step| match *step {
        Step::Unary(unary, of) => Step::Unary(unary, moved(of)),
        Step::Affine { of, scale, offset } => Step::Affine { of: moved(of), scale, offset },
        Step::Clamp(clamp, of) => Step::Clamp(clamp, moved(of)),
        Step::Pair(pair, a, b) => Step::Pair(pair, moved(a), moved(b)),
    }));
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values that are read twice are written twice.
        let mut terms = vec![1u64];
        for step in &self.steps {
            terms.push(match *step {
                Step::Unary(_, of) | Step::Affine { of, .. } | Step::Clamp(_, of) => terms[of].saturating_add(1),
                Step::Pair(_, a, b) => terms[a].saturating_add(terms[b]),
            });
        }
        match terms.last() {
            Some(terms) if *terms > TERMS_MAX => write!(f, "a function of {} steps", self.steps.len()),
            _ => self.write(self.steps.len(), f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_composed_and_joined() {
        let sigmoid = Function::unary(Unary::Sigmoid);
        let joined = |pair, a: &Function, b: &Function| Function::joined(pair, a, b).unwrap();
        let then = |a: &Function, b: &Function| a.then(b).unwrap();
        let silu = joined(Pair::Product, &Function::identity(), &sigmoid);
        assert_eq!(silu.to_string(), "(x * sigmoid(x))");
        assert!((silu.at(1.5) - 1.5 / (1.0 + (-1.5f64).exp())).abs() < 1e-12);
        let gate =
            then(&then(&Function::affine(1.0, 3.0), &Function::clamp(Clamp { lo: 0.0, hi: 6.0 })), &Function::affine(1.0 / 6.0, 0.0));
        let hard = joined(Pair::Product, &gate, &Function::identity());
        for x in [-5.0, -3.0, -1.0, 0.0, 0.7, 2.9, 3.0, 8.0] {
            assert!((hard.at(x) - Unary::HardSwish.at(x)).abs() < 1e-6, "{x}");
            assert_eq!(then(&silu, &gate).at(x), gate.at(silu.at(x)));
            let difference = joined(Pair::Difference, &then(&silu, &gate), &hard);
            assert_eq!(difference.at(x), gate.at(silu.at(x)) - hard.at(x));
        }
        let places: Vec<f32> = (0..700).map(|place| place as f32 / 50.0 - 7.0).collect();
        let expected: Vec<f32> = places.iter().map(|x| hard.at(f64::from(*x)) as f32).collect();
        assert_eq!(hard.map(&places), expected);
        let mut squares = Function::identity();
        while let Some(longer) = Function::joined(Pair::Product, &squares, &squares) {
            squares = longer;
        }
        assert!(squares.to_string().len() < 4096);
    }

    #[test]
    fn values_far_from_zero_stay_finite() {
        for unary in [Unary::Gelu, Unary::GeluTanh, Unary::HardSwish, Unary::Mish, Unary::Sigmoid, Unary::Softplus, Unary::Tanh] {
            for x in [-1e4, -800.0, -40.0, 40.0, 800.0, 1e4] {
                assert!(unary.at(x).is_finite(), "{unary}({x}) = {}", unary.at(x));
            }
        }
        assert_eq!(Unary::Sigmoid.at(-800.0), 0.0);
        assert!((Unary::Softplus.at(800.0) - 800.0).abs() < 1e-9);
    }
}
