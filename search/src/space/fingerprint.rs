//! A number that stands for a space.

use super::Space;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

struct Fnv(u64);

impl Fnv {
    fn number(&mut self, value: u32) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// Its length goes before a list, so that no two contents have the same bytes.
    fn list(&mut self, values: impl ExactSizeIterator<Item = u32>) {
        self.number(values.len() as u32);
        values.for_each(|value| self.number(value));
    }
}

impl Space {
    /// 64 bits that stand for what the space contains: FNV-1a over its fields as numbers, in their order. Its name does not count, nor how its
    /// text form is written. Files that belong to a space carry it as 16 hexadecimal digits ([`Space::fingerprint_text`]).
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv(FNV_OFFSET);
        let pair = |candidate: &apq_lut::Candidate| u32::from(candidate.weight_bits) << 8 | u32::from(candidate.activation_bits);
        hash.list(self.input.into_iter());
        hash.number(self.classes);
        hash.list([self.stem.channels, self.stem.kernel.into(), self.stem.stride].into_iter());
        hash.list(self.first.as_slice().iter().copied());
        hash.number(self.stages.len() as u32);
        for stage in &self.stages {
            hash.list([stage.channels, stage.stride].into_iter());
            hash.list(stage.depths.iter().map(|depth| u32::from(*depth)));
        }
        hash.number(self.head);
        hash.list(self.kernels.iter().map(|side| u32::from(*side)));
        hash.list(self.expansion.into_iter());
        hash.number(self.channel_step);
        hash.list(self.candidates.iter().map(pair));
        hash.number(pair(&self.fixed));
        hash.0
    }

    /// The fingerprint as files and messages write it.
    #[must_use]
    pub fn fingerprint_text(&self) -> alloc::string::String {
        alloc::format!("{:016x}", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn every_field_but_the_name_counts() {
        let space = Space::imagenet();
        let changes: Vec<fn(&mut Space)> = alloc::vec![
            |space| space.input[0] = 192,
            |space| space.input[2] = 1,
            |space| space.classes = 10,
            |space| space.stem.channels = 16,
            |space| space.stem.kernel = 5,
            |space| space.stem.stride = 1,
            |space| space.first = None,
            |space| space.first = Some(24),
            |space| space.stages[0].channels = 32,
            |space| space.stages[1].stride = 1,
            |space| space.stages[2].depths.truncate(2),
            |space| space.stages[5].depths = [2].into(),
            |space| drop(space.stages.pop()),
            |space| space.head = 640,
            |space| space.kernels.truncate(2),
            |space| space.expansion = [3, 6],
            |space| space.expansion = [4, 5],
            |space| space.channel_step = 4,
            |space| space.candidates.truncate(8),
            |space| space.candidates.swap(0, 1),
            |space| space.fixed.weight_bits = 4,
            |space| space.fixed.activation_bits = 4,
        ];
        let mut seen = BTreeSet::from([space.fingerprint()]);
        for (index, change) in changes.iter().enumerate() {
            let mut other = space.clone();
            change(&mut other);
            assert!(seen.insert(other.fingerprint()), "change {index}");
        }
        let mut renamed = space.clone();
        renamed.name = "mine".to_string();
        assert_eq!(renamed.fingerprint(), space.fingerprint());
    }

    #[test]
    fn it_stays_what_it_is() {
        // Files carry it: another value here makes every stored predictor and data set unreadable.
        assert_eq!(Space::imagenet().fingerprint_text(), "615acc10ecb4b338");
    }
}
