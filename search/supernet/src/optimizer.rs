//! Stochastic gradient descent with Nesterov's momentum.

use std::collections::BTreeMap;

use tch::Tensor;

/// The optimizer's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Share of the last step that is kept.
    pub momentum: f64,
    /// Added times the weight to the gradient of convolution and classifier weights; norms, biases and transforms decay not at all.
    pub weight_decay: f64,
}

impl Sgd {
    /// One step against the gradients, which are cleared. A parameter that no subnet of the step used has a gradient of zero, and what is kept of the
    /// steps before moves it on: whether libtorch has made room for its gradient yet, which a restart undoes, changes nothing.
    pub fn step(&self, parameters: &mut BTreeMap<String, Tensor>, moments: &mut BTreeMap<String, Tensor>, rate: f64) {
        tch::no_grad(|| {
            for (name, parameter) in parameters {
                let gradient = parameter.grad();
                let mut gradient = if gradient.defined() { gradient } else { parameter.zeros_like() };
                if name.ends_with(".weight") {
                    let _ = gradient.g_add_(&(&*parameter * self.weight_decay));
                }
                let moment = moments.entry(name.clone()).or_insert_with(|| gradient.zeros_like());
                let _ = moment.g_mul_scalar_(self.momentum);
                let _ = moment.g_add_(&gradient);
                let step = (gradient + &*moment * self.momentum) * rate;
                let _ = parameter.g_sub_(&step);
                parameter.zero_grad();
            }
        });
    }
}
