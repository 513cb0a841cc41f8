//! The inner loops of [`portable::pairs`](crate::portable::pairs).

use core::arch::global_asm;

use crate::portable::pairs::{Block, Blocks, COLUMNS, Portable, Run, Sums};
use crate::{ActivationBits, WeightBits, pack};

global_asm!(include_str!("pairs.s"), options(raw));
global_asm!(include_str!("widen.s"), options(raw));

unsafe extern "C" {
    fn apq_dsp_pairs_8(task: *mut Task);
    fn apq_dsp_pairs_8_wide(task: *mut Task);
    fn apq_dsp_pairs_6(task: *mut Task);
    fn apq_dsp_pairs_6_wide(task: *mut Task);
    fn apq_dsp_pairs_4(task: *mut Task);
    fn apq_dsp_pairs_2(task: *mut Task);
    // Not functions: where a kernel goes on with sums in its registers.
    fn apq_dsp_stage_sums();
    fn apq_dsp_stage_8();
    fn apq_dsp_stage_4();
    fn apq_dsp_widen_16(widen: *mut Widen);
    fn apq_dsp_widen_8(widen: *mut Widen);
    fn apq_dsp_widen_4(widen: *mut Widen);
    fn apq_dsp_widen_2(widen: *mut Widen);
}

/// Weights of a segment: so many fields may be summed in 32 bits where the row has more than [`fields_max`].
const SEGMENT: usize = 256;

/// Weights that an unrolled loop takes at once.
const UNROLLED: usize = 16;

/// What a kernel reads and, as it goes from two channels to the next, writes. `pairs.s` knows the offsets.
#[repr(C)]
struct Task {
    weights: *const u8,
    columns: *const u32,
    bias: *const i32,
    /// What the offset of the first channel's codes adds, taken back.
    start: [i32; COLUMNS],
    /// Bytes of the last segment for the unrolled loop, and those left over.
    main_bytes: usize,
    tail_bytes: usize,
    /// Segments before the last one.
    segments: usize,
    segment_bytes: usize,
    multiplier: *const i32,
    shift: *const u8,
    out: *mut u8,
    /// Bytes from the first column's output to the others'.
    offsets: [usize; COLUMNS - 1],
    /// 2z + 1
    round: i32,
    /// 255 - hi, 255 - hi + lo, lo: each in four bytes.
    clamp: [u32; 3],
    /// Where `multiplier` ends up.
    end: *const i32,
    stage: unsafe extern "C" fn(),
    next: usize,
}

#[repr(C)]
struct Widen {
    from: [*const u8; COLUMNS],
    columns: *mut u32,
    totals: [i32; COLUMNS],
    /// Of `columns`, for one run.
    run_bytes: usize,
    rows: usize,
    /// From the end of a run to the next.
    skip: usize,
}

/// Most weights of a row for which the sums of fields, without the first channel's part, fit 32 bits.
const fn fields_max(weights: WeightBits, activations: ActivationBits) -> usize {
    let bits = weights.bits();
    // Of the second channel's codes: two's complement at 4 and 8 bits, with the offset at 2 and 6.
    let code = match weights {
        WeightBits::W4 | WeightBits::W8 => 1 << (bits - 1),
        WeightBits::W2 | WeightBits::W6 => (1 << bits) - 1,
    };
    let activation = if activations.signed() { 1 << 15 } else { activations.hi() as usize };
    ((1 << (31 - bits)) - 1) / (code * activation)
}

/// Cortex-M with DSP instructions.
#[derive(Clone, Copy)]
pub(super) struct Dsp;

impl Dsp {
    /// Runs a kernel over rows of two channels: as many as `multiplier` and `end` say. `None` where it does not apply.
    fn run(self, block: &Block<'_>, weights: &[u8], task: &mut Task) -> Option<()> {
        let (bits, codes) = (block.weight_bits, 2 * block.columns.len() / COLUMNS);
        let limit = fields_max(bits, block.input_bits);
        let wide = limit < SEGMENT;
        let kernel = match bits {
            WeightBits::W8 if wide => apq_dsp_pairs_8_wide,
            WeightBits::W8 => apq_dsp_pairs_8,
            WeightBits::W6 if wide => apq_dsp_pairs_6_wide,
            WeightBits::W6 => apq_dsp_pairs_6,
            WeightBits::W4 => apq_dsp_pairs_4,
            WeightBits::W2 => apq_dsp_pairs_2,
        };
        let bytes = |codes: usize| codes / 4 * bits.bits() as usize;
        if !weights.as_ptr().addr().is_multiple_of(4) || block.row_bytes != bytes(codes) {
            return None;
        }
        let segments = if wide || codes <= limit { 0 } else { (codes - 1) / SEGMENT };
        let last = codes - segments * SEGMENT;
        task.weights = weights.as_ptr();
        task.columns = block.columns.as_ptr();
        task.start = block.totals.map(|total| total.wrapping_mul(bits.lo()));
        task.main_bytes = bytes(last / UNROLLED * UNROLLED);
        task.tail_bytes = bytes(last % UNROLLED);
        (task.segments, task.segment_bytes) = (segments, bytes(SEGMENT));
        // SAFETY: the processor has the instructions, or this file would not be compiled. The kernel reads rows of `row_bytes` from
        // `weights`, one for two multipliers; the caller has checked that there are that many, with as many biases and shifts. It reads
        // `COLUMNS` words of `columns` for each pair of `codes`: all that there are. What it writes begins at `task.out`: see there.
        unsafe { kernel(task) };
        Some(())
    }
}

impl Blocks for Dsp {
    fn widen(&self, run: &Run<'_>, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let bytes = pack::row_bytes(run.bits, 4).wrapping_mul(run.quads);
        let last = run.rows.wrapping_sub(1).wrapping_mul(run.stride);
        let fits = |codes: &[u8]| codes.get(last..).is_some_and(|codes| bytes <= codes.len());
        let words = run.quads.wrapping_mul(2 * COLUMNS);
        if run.rows == 0 || run.quads == 0 || columns.len() != run.rows.wrapping_mul(words) || !run.from.iter().all(|codes| fits(codes)) {
            return;
        }
        let kernel = match run.bits {
            ActivationBits::A2 => apq_dsp_widen_2,
            ActivationBits::A4 => apq_dsp_widen_4,
            ActivationBits::A6 | ActivationBits::A8 => apq_dsp_widen_8,
            ActivationBits::A16 => apq_dsp_widen_16,
        };
        let mut widen = Widen {
            from: run.from.map(<[u8]>::as_ptr),
            columns: columns.as_mut_ptr(),
            totals: *totals,
            run_bytes: words * size_of::<u32>(),
            rows: run.rows,
            skip: run.stride.wrapping_sub(bytes),
        };
        // SAFETY: every run lies in its slice, which was checked, and the columns have room for all of them. Loads of codes may be
        // misaligned, as the instructions that do them allow.
        unsafe { kernel(&raw mut widen) };
        *totals = widen.totals;
    }

    fn sums(&self, block: &Block<'_>, row: &[u8], bias: [i32; 2]) -> Sums {
        let mut sums = [[0; COLUMNS]; 2];
        let mut task = Task {
            bias: bias.as_ptr(),
            // Written whole: two channels by the columns.
            out: (&raw mut sums).cast(),
            stage: apq_dsp_stage_sums,
            ..Task::EMPTY
        };
        match self.run(block, row, &mut task) {
            Some(()) if row.len() == block.row_bytes => sums,
            _ => Portable.sums(block, row, bias),
        }
    }

    fn channels(&self, block: &Block<'_>, pixels: &mut [u8]) -> usize {
        let stage = &block.stage;
        let pairs = stage.bias.len() / 2;
        let (kernel, bytes): (unsafe extern "C" fn(), _) = match stage.bits {
            ActivationBits::A8 | ActivationBits::A6 => (apq_dsp_stage_8, 2),
            ActivationBits::A4 if block.first.is_multiple_of(2) => (apq_dsp_stage_4, 1),
            _ => return 0,
        };
        let lists = [stage.multiplier.len(), stage.shift.len()] == [stage.bias.len(); 2];
        let rows = block.weights.len() >= pairs.wrapping_mul(block.row_bytes);
        let Some(last) = block.used.checked_sub(1) else { return 0 };
        let begin = pack::row_bytes(stage.bits, block.first);
        let fits = last.wrapping_mul(block.pixel_bytes).wrapping_add(begin).wrapping_add(pairs * bytes) <= pixels.len();
        if pairs == 0 || !block.high || !lists || !rows || !fits || last >= COLUMNS {
            return 0;
        }
        let four = |byte: i32| u32::from(byte as u8) * 0x0101_0101;
        let mut task = Task {
            bias: stage.bias.as_ptr(),
            multiplier: stage.multiplier.as_ptr(),
            shift: stage.shift.as_ptr(),
            // In each of the `used` pixels, `pairs` times `bytes` from `begin` on: checked above. The other columns go where the last
            // pixel's do, before them.
            out: pixels.as_mut_ptr().wrapping_add(begin),
            offsets: [last.min(1) * block.pixel_bytes, last * block.pixel_bytes],
            round: 2 * stage.zero_point + 1,
            clamp: [four(255 - stage.hi), four(255 - stage.hi + stage.lo), four(stage.lo)],
            end: stage.multiplier.as_ptr().wrapping_add(2 * pairs),
            stage: kernel,
            ..Task::EMPTY
        };
        self.run(block, block.weights, &mut task).map_or(0, |()| pairs)
    }

    fn vector(&self, bits: WeightBits, row: &[u8], codes: &[u8], total: i32, bias: [i32; 2]) -> [i32; 2] {
        Portable.vector(bits, row, codes, total, bias)
    }
}

impl Task {
    const EMPTY: Self = Self {
        weights: core::ptr::null(),
        columns: core::ptr::null(),
        bias: core::ptr::null(),
        start: [0; COLUMNS],
        main_bytes: 0,
        tail_bytes: 0,
        segments: 0,
        segment_bytes: 0,
        multiplier: core::ptr::null(),
        shift: core::ptr::null(),
        out: core::ptr::null_mut(),
        offsets: [0; COLUMNS - 1],
        round: 0,
        clamp: [0; 3],
        end: core::ptr::null(),
        stage: apq_dsp_stage_sums,
        next: 0,
    };
}
