//! Functions of one value, which become tables.

use std::sync::Arc;

/// An activation function that no clamp can express.
#[derive(Debug, Clone, PartialEq)]
pub enum Activation {
    /// A chain of elementwise operations on one tensor, such as GELU in any of its spellings.
    Composed(Arc<Expression>),
}

impl Activation {
    /// The function.
    pub fn apply(&self, x: f64) -> f64 {
        let mut value = [x];
        match self {
            Activation::Composed(expression) => expression.apply(&mut value),
        }
        value[0]
    }

    /// The function of each value.
    pub fn apply_all(&self, values: &mut [f32]) {
        const BLOCK: usize = 64;
        let mut wide = [0.0; BLOCK];
        for block in values.chunks_mut(BLOCK) {
            let wide = &mut wide[..block.len()];
            wide.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = f64::from(*from));
            match self {
                Activation::Composed(expression) => expression.apply(wide),
            }
            block.iter_mut().zip(wide.iter()).for_each(|(to, from)| *to = *from as f32);
        }
    }
}

/// An operation on one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// -x
    Neg,
    /// e^x
    Exp,
    /// Square root.
    Sqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// Error function.
    Erf,
}

/// An operation on two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// Power.
    Pow,
}

/// One step of an expression; operands are places of earlier steps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Input,
    Constant(f64),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
}

/// A function of one value, as a list of steps of which the last is the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    steps: Vec<Step>,
    /// `(scale, offset)` where the function is `x * scale + offset`.
    affine: Option<(f64, f64)>,
}

/// Most steps of an expression.
const STEPS_MAX: usize = 256;

impl Expression {
    /// x itself.
    pub fn identity() -> Expression {
        Expression { steps: vec![Step::Input], affine: Some((1.0, 0.0)) }
    }

    /// A constant.
    pub fn constant(value: f64) -> Expression {
        Expression { steps: vec![Step::Constant(value)], affine: Some((0.0, value)) }
    }

    /// `(scale, offset)` where the function is `x * scale + offset`.
    pub fn affine(&self) -> Option<(f64, f64)> {
        self.affine
    }

    /// `operation(self)`; `None` where it would be too long.
    pub fn unary(&self, operation: Unary) -> Option<Expression> {
        let mut steps = self.steps.clone();
        steps.push(Step::Unary(operation, self.steps.len() - 1));
        let affine = self.affine.filter(|_| operation == Unary::Neg).map(|(scale, offset)| (-scale, -offset));
        (steps.len() <= STEPS_MAX).then_some(Expression { steps, affine })
    }

    /// `operation(self, other)`; `None` where it would be too long.
    pub fn binary(&self, operation: Binary, other: &Expression) -> Option<Expression> {
        let mut steps = self.steps.clone();
        let first = steps.len();
        for step in &other.steps {
            steps.push(match *step {
                Step::Unary(operation, operand) => Step::Unary(operation, operand + first),
                Step::Binary(operation, a, b) => Step::Binary(operation, a + first, b + first),
                same => same,
            });
        }
        steps.push(Step::Binary(operation, first - 1, steps.len() - 1));
        let affine = self.affine.zip(other.affine).and_then(|((a, b), (c, d))| match operation {
            Binary::Add => Some((a + c, b + d)),
            Binary::Sub => Some((a - c, b - d)),
            Binary::Mul if a == 0.0 => Some((b * c, b * d)),
            Binary::Mul if c == 0.0 => Some((a * d, b * d)),
            Binary::Div if c == 0.0 => Some((a / d, b / d)),
            _ => None,
        });
        (steps.len() <= STEPS_MAX).then_some(Expression { steps, affine })
    }

    /// The function of each value, step by step.
    fn apply(&self, values: &mut [f64]) {
        let len = values.len();
        let mut results = vec![0.0; self.steps.len() * len];
        for (place, step) in self.steps.iter().enumerate() {
            let (before, rest) = results.split_at_mut(place * len);
            let to = &mut rest[..len];
            let operand = |place: usize| &before[place * len..(place + 1) * len];
            match *step {
                Step::Input => to.copy_from_slice(values),
                Step::Constant(value) => to.fill(value),
                Step::Unary(operation, a) => to.iter_mut().zip(operand(a)).for_each(|(to, a)| *to = unary(operation, *a)),
                Step::Binary(operation, a, b) => {
                    let operands = operand(a).iter().zip(operand(b));
                    to.iter_mut().zip(operands).for_each(|(to, (a, b))| *to = binary(operation, *a, *b));
                }
            }
        }
        values.copy_from_slice(&results[results.len() - len..]);
    }
}

fn unary(operation: Unary, x: f64) -> f64 {
    match operation {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Sqrt => x.sqrt(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Erf => libm::erf(x),
    }
}

fn binary(operation: Binary, a: f64, b: f64) -> f64 {
    match operation {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_by_its_steps() {
        let x = Expression::identity();
        let erf = x.binary(Binary::Div, &Expression::constant(2f64.sqrt())).unwrap().unary(Unary::Erf).unwrap();
        let half = x.binary(Binary::Mul, &Expression::constant(0.5)).unwrap();
        let gelu = half.binary(Binary::Mul, &erf.binary(Binary::Add, &Expression::constant(1.0)).unwrap()).unwrap();
        assert_eq!(gelu.affine(), None);
        let gelu = Activation::Composed(gelu.into());
        for (x, y) in [(0.0, 0.0), (1.0, 0.841344746), (-1.0, -0.158655254), (3.0, 2.995950306)] {
            assert!((gelu.apply(x) - y).abs() < 1e-8, "{x} {}", gelu.apply(x));
        }
        let mut values: Vec<f32> = (0..200).map(|i| i as f32 / 40.0 - 2.5).collect();
        let expected: Vec<f32> = values.iter().map(|x| gelu.apply(f64::from(*x)) as f32).collect();
        gelu.apply_all(&mut values);
        assert_eq!(values, expected);
    }

    #[test]
    fn affine_chains_are_known() {
        let x = Expression::identity();
        let y = x.binary(Binary::Mul, &Expression::constant(3.0)).unwrap().binary(Binary::Sub, &Expression::constant(1.0)).unwrap();
        assert_eq!(y.affine(), Some((3.0, -1.0)));
        assert_eq!(y.unary(Unary::Neg).unwrap().binary(Binary::Div, &Expression::constant(2.0)).unwrap().affine(), Some((-1.5, 0.5)));
        assert_eq!(y.binary(Binary::Add, &x).unwrap().affine(), Some((4.0, -1.0)));
        assert_eq!(x.binary(Binary::Mul, &x).unwrap().affine(), None);
    }
}
