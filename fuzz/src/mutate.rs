//! Damage to a file.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Longest file that is made.
const BYTES_MAX: usize = 1 << 16;

/// Numbers at which arithmetic goes wrong.
const NUMBERS: [u64; 12] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 62, u64::MAX];

/// Words that readers of text stumble over.
const WORDS: [&str; 16] = [
    "-1",
    "0",
    "1e999",
    "NaN",
    "18446744073709551616",
    "4294967296",
    "null",
    "\"\"",
    "[]",
    "{}",
    "[[[[",
    "{{{{",
    "\"",
    "\\u0000",
    "\n",
    ",",
];

/// Damages a file in one to four places; `others` are there to be mixed in.
pub(crate) fn mutate(file: &mut Vec<u8>, others: &[Vec<u8>], random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..=4) {
        once(file, others, random);
    }
    file.truncate(BYTES_MAX);
}

fn once(file: &mut Vec<u8>, others: &[Vec<u8>], random: &mut ChaCha8Rng) {
    if file.is_empty() {
        file.push(random.random());
    }
    let at = random.random_range(0..file.len());
    let end = file.len().min(at + random.random_range(1..=32));
    match random.random_range(0..12) {
        0 | 1 => file[at] ^= 1 << random.random_range(0..8),
        2 => file[at] = random.random(),
        3 => file[at] = file[at].wrapping_add(random.random_range(0..=16)).wrapping_sub(8),
        4 => {
            let number = NUMBERS[random.random_range(0..NUMBERS.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.random_range(0..4)];
            file.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, &part)| *byte = part);
        }
        5 => drop(file.drain(at..end)),
        6 => {
            let part = file[at..end].to_vec();
            let to = random.random_range(0..=file.len());
            file.splice(to..to, part);
        }
        7 => {
            let word = WORDS[random.random_range(0..WORDS.len())].bytes();
            file.splice(at..end.min(at + random.random_range(0..=4)), word);
        }
        8 => {
            let other = &others[random.random_range(0..others.len())];
            let from = random.random_range(0..other.len().max(1)).min(other.len());
            let part = &other[from..other.len().min(from + random.random_range(1..=64))];
            file.splice(at..end, part.iter().copied());
        }
        9 => replace_number(file, at, random),
        10 => file.truncate(at),
        _ => {
            let part = file[at..end].repeat(random.random_range(2..=64));
            file.splice(at..at, part);
        }
    }
}

/// Puts another number in the place of the next one that is written in digits.
fn replace_number(file: &mut Vec<u8>, at: usize, random: &mut ChaCha8Rng) {
    let Some(begin) = (at..file.len()).find(|&place| file[place].is_ascii_digit()) else { return };
    let end = (begin..file.len()).find(|&place| !file[place].is_ascii_digit()).unwrap_or(file.len());
    let number = match random.random_range(0..3) {
        0 => NUMBERS[random.random_range(0..NUMBERS.len())],
        1 => random.random_range(0..=300),
        _ => 1 << random.random_range(0..64),
    };
    file.splice(begin..end, number.to_string().into_bytes());
}
