//! The operators that this build has: one feature of the crate each, by the name that a file gives them.
//!
//! A `match` over operators asks here in a guard, so that nothing of an operator that is not wanted is linked. A model that needs such an
//! operator is refused when it is loaded ([`LoadError::Operator`](crate::LoadError::Operator)).

macro_rules! operators {
    ($($name:ident = $feature:literal),* $(,)?) => {
        $(pub(crate) const $name: bool = cfg!(feature = $feature);)*

        /// All of them, by their place in [`Operator::NAMES`](crate::Operator::NAMES).
        const ALL: [(&str, bool); crate::Operator::NAMES.len()] = [$(($feature, $name)),*];
    };
}

operators! {
    CONV = "conv",
    FULLY_CONNECTED = "fully-connected",
    ADD = "add",
    MUL = "mul",
    AVERAGE_POOL = "average-pool",
    MAX_POOL = "max-pool",
    REQUANTIZE = "requantize",
    PAD = "pad",
    SLICE = "slice",
    CONCAT = "concat",
    TRANSPOSE = "transpose",
    TABLE = "table",
    SOFTMAX = "softmax",
    RESHAPE = "reshape",
    RESIZE = "resize",
    PRELU = "prelu",
    MATMUL = "matmul",
    LAYER_NORM = "layer-norm",
    CONSTANT = "constant",
}

const _: () = {
    let (mut any, mut place) = (false, 0);
    while place < ALL.len() {
        any |= ALL[place].1;
        place += 1;
    }
    assert!(any, "this build runs no model: turn on the feature `operators`, or those of the operators that the model needs");
};

/// Whether this build has the operator of that place.
pub(crate) fn has(place: usize) -> bool {
    ALL.get(place).is_some_and(|&(_, has)| has)
}

#[cfg(test)]
mod tests {
    #[test]
    fn features_are_named_as_files_name_operators() {
        assert_eq!(super::ALL.map(|(name, _)| name), crate::Operator::NAMES);
    }
}
