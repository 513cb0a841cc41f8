//! `assignment.toml`: bit widths for each quantizer group, as `compile` writes them and `--assign` takes them.
//!
//! ```toml
//! [groups."conv1"]
//! weight_bits = 4
//! activation_bits = 8
//! ```
//!
//! Every group has its entry; there are no defaults.

use std::collections::BTreeMap;

use apq_lut::Candidate;
use serde::Deserialize;

use crate::quant::groups::Grouping;

/// Largest text that is read.
pub const TEXT_BYTES_MAX: usize = 1 << 24;

/// Widths by the names of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment(BTreeMap<String, Candidate>);

/// Why a text is no assignment, or none for a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("{0} bytes are more than {TEXT_BYTES_MAX}")]
    TooLarge(usize),
    /// Not TOML, or not with these fields; the text has line and column.
    #[error("not an assignment: {0}")]
    Toml(String),
    /// Bits that no width has.
    #[error("group \"{group}\": there is no w{weight_bits}a{activation_bits}; widths are 2, 4, 6, 8 and 16")]
    Width {
        /// The group.
        group: String,
        /// As written.
        weight_bits: u8,
        /// As written.
        activation_bits: u8,
    },
    /// A group that the network does not have.
    #[error("the network has no group \"{group}\"; its groups: {known}")]
    Unknown {
        /// As written.
        group: String,
        /// Those that exist.
        known: String,
    },
    /// Groups without an entry.
    #[error("the assignment has no entry for {0}")]
    Missing(String),
    /// A width that the target has no kernels for in all operations of the group.
    #[error("group \"{group}\" cannot have {candidate} on this target, only {possible}")]
    NotPossible {
        /// The group.
        group: String,
        /// As written.
        candidate: Candidate,
        /// What else in the file it could have.
        possible: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: BTreeMap<String, Width>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Width {
    weight_bits: u8,
    activation_bits: u8,
}

/// Most names that an error lists.
const NAMES_MAX: usize = 12;

fn list(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Reads an assignment.
///
/// # Errors
/// The text is too long, not TOML with these fields, or has bits that no width has.
pub fn parse(text: &str) -> Result<Assignment, AssignmentError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(AssignmentError::TooLarge(text.len()));
    }
    let file: File = toml::from_str(text).map_err(|error| AssignmentError::Toml(error.to_string().trim_end().into()))?;
    let mut groups = BTreeMap::new();
    for (group, Width { weight_bits, activation_bits }) in file.groups {
        let Some(candidate) = Candidate::new(weight_bits, activation_bits) else {
            return Err(AssignmentError::Width { group, weight_bits, activation_bits });
        };
        groups.insert(group, candidate);
    }
    Ok(Assignment(groups))
}

impl Assignment {
    /// All widths, each once, in the order of [`Candidate`].
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = self.0.values().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The width of each group of a network, in graph order.
    ///
    /// # Errors
    /// A group is unknown or missing, or cannot have its width.
    pub fn resolve(&self, grouping: &Grouping) -> Result<Vec<Candidate>, AssignmentError> {
        let quoted = |name: &str| format!("\"{name}\"");
        if let Some(group) = self.0.keys().find(|name| !grouping.groups.iter().any(|group| group.name == **name)) {
            let known: Vec<String> = grouping.groups.iter().map(|group| quoted(&group.name)).collect();
            return Err(AssignmentError::Unknown { group: group.clone(), known: list(&known) });
        }
        let missing: Vec<String> =
            grouping.groups.iter().filter(|group| !self.0.contains_key(&group.name)).map(|group| quoted(&group.name)).collect();
        if !missing.is_empty() {
            return Err(AssignmentError::Missing(list(&missing)));
        }
        let width = |group: &crate::quant::groups::QuantizerGroup| {
            let candidate = self.0[&group.name];
            if group.candidates.contains(&candidate) {
                return Ok(candidate);
            }
            let possible: Vec<String> = group.candidates.iter().map(ToString::to_string).collect();
            Err(AssignmentError::NotPossible { group: group.name.clone(), candidate, possible: list(&possible) })
        };
        grouping.groups.iter().map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_assignment_says_why() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message("groups = 3").contains("line 1"), "{}", message("groups = 3"));
        assert!(message("").contains("groups"));
        assert!(message("[groups.a]\nweight_bits = 4").contains("activation_bits"));
        assert!(message("[groups.a]\nweight_bits = 4\nactivation_bits = 8\nbits = 3").contains("bits"));
        assert!(message("[groups.a]\nweight_bits = 400\nactivation_bits = 8").contains("400"));
        assert!(message("[groups.\"a b\"]\nweight_bits = 5\nactivation_bits = 8").contains("group \"a b\": there is no w5a8"));
        assert!(message("[groups.a]\nweight_bits = 4\nactivation_bits = 8\n[other]\nx = 1").contains("other"));
        assert!(message(&format!("groups = {}", "[".repeat(100_000))).starts_with("not an assignment"));
        assert!(message(&format!("groups.{} = 1", "a.".repeat(50_000) + "b")).starts_with("not an assignment"));
        assert!(message(&" ".repeat(TEXT_BYTES_MAX + 1)).contains("more than"));
    }

    #[test]
    fn widths_are_listed_once() {
        let text = "[groups.b]\nweight_bits = 8\nactivation_bits = 8\n[groups.a]\nweight_bits = 4\nactivation_bits = 8\n[groups.c]\nweight_bits = 8\nactivation_bits = 8";
        let candidates = parse(text).unwrap().candidates();
        assert_eq!(candidates.iter().map(ToString::to_string).collect::<Vec<_>>(), ["w4a8", "w8a8"]);
    }
}
