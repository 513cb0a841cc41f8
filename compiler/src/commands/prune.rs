//! `apqc compile --prune`.

use apqc::compile::{ListStore, Progress};
use apqc::prune::{self, Job, Outcome};

use super::failure::{input_with_hint, unsupported};
use super::request::Request;

/// Compiles with channel pruning.
///
/// # Errors
/// There is no budget, or the model brings its quantizers; and what a compilation can fail with.
pub(super) fn compile(request: &Request, lists: &dyn ListStore, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let options = &request.options;
    if options.budgets.is_empty() && options.search.task.budgets.is_empty() {
        return Err(input_with_hint(
            "--prune needs a budget: without one nothing is too large",
            "give one, as --bops 0.25, --latency 8ms, --flash 64KiB or --min-sqnr 20",
        ));
    }
    if request.network.graph.is_quantized() {
        return Err(unsupported(
            "--prune: the model brings quantizers of its own, which fix the weights",
            "prune the float model that it was made from",
        ));
    }
    let model = request.choice.cost_model();
    let job = Job {
        network: &request.network,
        target: &request.choice.target,
        model: model.as_deref(),
        data: &request.data(),
        options,
        store: (lists, &request.list_prefix()),
        progress,
    };
    prune::compile(&job).map_err(|error| request.explain(error))
}
