//! The inner loops of [`portable::pairs`](crate::portable::pairs).

use core::arch::global_asm;

use crate::arrange::duals;
use crate::portable::pairs::{Blocks, COLUMNS, Group, Portable, Run, Sums};
use crate::{ActivationBits, WeightBits, pack};

global_asm!(include_str!("pairs.s"), options(raw));
global_asm!(include_str!("vector.s"), options(raw));
global_asm!(include_str!("widen.s"), options(raw));

unsafe extern "C" {
    fn apq_dsp_pairs_8(task: *mut Task);
    fn apq_dsp_pairs_8_wide(task: *mut Task);
    fn apq_dsp_pairs_6(task: *mut Task);
    fn apq_dsp_pairs_6_wide(task: *mut Task);
    fn apq_dsp_pairs_4(task: *mut Task);
    fn apq_dsp_pairs_2(task: *mut Task);
    fn apq_dsp_duals(task: *mut Task);
    // Not functions: where a kernel goes on with sums in its registers.
    fn apq_dsp_stage_sums();
    fn apq_dsp_stage_8();
    fn apq_dsp_stage_4();
    fn apq_dsp_stage_2();
    fn apq_dsp_stage_15();
    fn apq_dsp_stage_16();
    fn apq_dsp_vector_8(task: *mut VectorTask);
    fn apq_dsp_vector_6(task: *mut VectorTask);
    fn apq_dsp_vector_4(task: *mut VectorTask);
    fn apq_dsp_vector_2(task: *mut VectorTask);
    fn apq_dsp_vector_stage(task: *mut VectorTask);
    fn apq_dsp_widen_16(widen: *mut Widen);
    fn apq_dsp_widen_8(widen: *mut Widen);
    fn apq_dsp_widen_4(widen: *mut Widen);
    fn apq_dsp_widen_2(widen: *mut Widen);
}

/// Weights of a segment: so many fields may be summed in 32 bits where the row has more than [`fields_max`].
const SEGMENT: usize = 256;

/// Weights that an unrolled loop takes at once.
const UNROLLED: usize = 16;

/// Groups of four 4-bit codes whose sum fits two halves of a word.
const HALVES_QUADS_MAX: usize = 2 * 0xffff / (4 * 15);

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
    /// Of duals: what keeps the low parts of sums from being negative.
    segment_bytes: usize,
    /// Whether there is anything but the unrolled loop to begin with, and to end with.
    before: usize,
    after: usize,
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
    /// The kernel's own.
    next: usize,
    phase: usize,
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

/// A kernel and what it is called with, but for what a block brings along.
pub(super) struct Plan<'a> {
    kernel: unsafe extern "C" fn(*mut Task),
    task: Task,
    group: Group<'a>,
    /// Channels that the kernel does.
    channels: usize,
    /// Bytes of a pixel before the group's, and those of `channels`.
    begin: usize,
    bytes: usize,
    /// Words of the columns.
    words: usize,
    /// What a column's sum of codes is multiplied with and added to, where its sums start.
    offset: i32,
    center: i32,
}

impl<'a> Plan<'a> {
    /// For some of the rows. `None` where there is no kernel.
    fn new(group: &Group<'a>) -> Option<Self> {
        let (bits, row_len) = (group.weight_bits.known(), group.row_len);
        let limit = limit(group);
        let wide = limit < SEGMENT;
        let kernel: unsafe extern "C" fn(*mut Task) = match bits {
            _ if group.dual && row_len > limit => return None,
            _ if group.dual => apq_dsp_duals,
            WeightBits::W8 if wide => apq_dsp_pairs_8_wide,
            WeightBits::W8 => apq_dsp_pairs_8,
            WeightBits::W6 if row_len > limit => apq_dsp_pairs_6_wide,
            WeightBits::W6 => apq_dsp_pairs_6,
            WeightBits::W4 => apq_dsp_pairs_4,
            WeightBits::W2 if row_len > limit => return None,
            WeightBits::W2 => apq_dsp_pairs_2,
        };
        let bytes = |codes: usize| kernel_row_bytes(group, codes);
        let rows = if group.dual { 1 } else { 2 };
        if row_len == 0 || !group.weights.as_ptr().addr().is_multiple_of(4) || group.row_bytes != rows * bytes(row_len) {
            return None;
        }
        let in_segments = !group.dual && matches!(bits, WeightBits::W4 | WeightBits::W8) && !wide && row_len > limit;
        let segments = if in_segments { (row_len - 1) / SEGMENT } else { 0 };
        let last = row_len - segments * SEGMENT;
        let (main_bytes, tail_bytes) = (bytes(last / UNROLLED * UNROLLED), bytes(last % UNROLLED));
        let center = if group.dual { low_max(group.input_bits).wrapping_mul(row_len) / 3 * 2 } else { 0 };
        let task = Task {
            main_bytes,
            tail_bytes,
            segments,
            segment_bytes: if group.dual { center } else { bytes(SEGMENT) },
            before: usize::from(segments > 0 || main_bytes == 0),
            // Duals read the bytes themselves there.
            after: if group.dual { tail_bytes } else { usize::from(segments > 0 || tail_bytes > 0) },
            ..Task::EMPTY
        };
        let words = columns_words(group);
        let (offset, center) = (bits.lo(), center as i32);
        Some(Self { kernel, task, group: *group, channels: 0, begin: 0, bytes: 0, words, offset, center })
    }

    /// As [`Plan::new`], for the whole group, but for channels that do not fill what the stage writes at once.
    fn whole(group: &Group<'a>) -> Option<Self> {
        let stage = &group.stage;
        let (kernel, at_once): (unsafe extern "C" fn(), _) = match stage.bits.known() {
            ActivationBits::A8 | ActivationBits::A6 => (apq_dsp_stage_8, 2),
            ActivationBits::A4 => (apq_dsp_stage_4, 2),
            ActivationBits::A2 => (apq_dsp_stage_2, 4),
            ActivationBits::A16 if stage.zero_point != 0 => return None,
            ActivationBits::A16 if (stage.lo, stage.hi) == (-32768, 32767) => (apq_dsp_stage_16, 2),
            ActivationBits::A16 if (stage.lo, stage.hi) == (0, 32767) => (apq_dsp_stage_15, 2),
            ActivationBits::A16 => return None,
        };
        let channels = stage.bias.len() / at_once * at_once;
        let lists = [stage.multiplier.len(), stage.shift.len()] == [stage.bias.len(); 2];
        let rows = group.weights.len()
            >= channels.div_ceil(4).checked_mul(group.row_bytes)? - if group.dual { 0 } else { channels % 4 / 2 * group.row_bytes / 2 };
        if channels == 0 || !group.high || !lists || !rows || !group.first.is_multiple_of(at_once) {
            return None;
        }
        let plan = Self::new(group)?;
        let four = |byte: i32| u32::from(byte as u8) * 0x0101_0101;
        let task = Task {
            round: 2 * stage.zero_point + 1,
            clamp: [four(255 - stage.hi), four(255 - stage.hi + stage.lo), four(stage.lo)],
            end: stage.multiplier.as_ptr().wrapping_add(channels),
            stage: kernel,
            ..plan.task
        };
        let (begin, bytes) = (pack::row_bytes(stage.bits, group.first), pack::row_bytes(stage.bits, channels));
        Some(Self { task, channels, begin, bytes, ..plan })
    }

    /// Completes the task and runs the kernel.
    ///
    /// # Safety
    /// From `weights` on there are the rows of as many channels as there are multipliers from `task.multiplier` to `task.end`, as many biases
    /// and, where the stage reads them, multipliers and shifts, and at `task.out` room for what the stage writes.
    #[inline]
    unsafe fn run(&mut self, weights: &[u8], columns: &[u32], totals: [i32; COLUMNS]) {
        let task = &mut self.task;
        task.weights = weights.as_ptr();
        task.columns = columns.as_ptr();
        task.start = totals.map(|total| self.center.wrapping_add(total.wrapping_mul(self.offset)));
        // SAFETY: the processor has the instructions, or this file would not be compiled. What the kernel reads besides is the columns, of
        // which there are as many words as a row has codes: both callers check that.
        unsafe { (self.kernel)(task) };
    }
}

/// Most that a product of a weight and an activation adds to the low part of a double sum.
const fn low_max(activations: ActivationBits) -> usize {
    3 * if activations.signed() { 1 << 15 } else { activations.hi() as usize }
}

/// Most weights of a row for which the kernel's sums hold what they must. Double sums of signed activations hold nothing.
const fn limit(group: &Group<'_>) -> usize {
    match group.dual {
        true if group.input_bits.signed() => 0,
        true => ((1 << duals::SECOND) - 1) / low_max(group.input_bits),
        false => fields_max(group.weight_bits, group.input_bits),
    }
}

/// Bytes of `codes` weights of the channels that a kernel takes at once: two, or four of duals.
const fn kernel_row_bytes(group: &Group<'_>, codes: usize) -> usize {
    if group.dual { codes } else { codes / 4 * group.weight_bits.bits() as usize }
}

/// Words of the columns of a block.
const fn columns_words(group: &Group<'_>) -> usize {
    group.row_len / 2 * COLUMNS
}

impl Blocks for Dsp {
    type Plan<'a> = Option<Plan<'a>>;

    fn plan<'a>(self, group: &Group<'a>) -> Option<Plan<'a>> {
        Plan::whole(group)
    }

    #[inline]
    fn gather(self, from: &[u8], rows: usize, stride: usize, bytes: usize, to: &mut [u8]) {
        let words = bytes.div_ceil(4);
        let last = |step: usize| rows.wrapping_sub(1).wrapping_mul(step);
        let fits = |len: usize, step: usize| len.checked_sub(last(step)).is_some_and(|left| 4 * words <= left);
        if rows == 0 || words == 0 || !fits(from.len(), stride) || !fits(to.len(), bytes) {
            return Portable.gather(from, rows, stride, bytes, to);
        }
        // SAFETY: `words` words from the last row's begin are in both slices.
        unsafe {
            match words {
                1 => copy::<1>(from, rows, stride, bytes, to),
                2 => copy::<2>(from, rows, stride, bytes, to),
                3 => copy::<3>(from, rows, stride, bytes, to),
                _ => return Portable.gather(from, rows, stride, bytes, to),
            }
        }
    }

    #[inline]
    fn widen(self, run: &Run<'_>, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let bytes = run.bytes;
        let last = run.rows.wrapping_sub(1).wrapping_mul(run.stride);
        let fits = |codes: &[u8]| codes.len().checked_sub(last).is_some_and(|left| bytes <= left);
        let words = run.quads.wrapping_mul(2 * COLUMNS);
        if run.rows == 0
            || run.quads == 0
            || bytes != pack::row_bytes(run.bits, 4 * run.quads)
            || columns.len() != run.rows.wrapping_mul(words)
            || !run.from.iter().all(|codes| fits(codes))
        {
            return;
        }
        // Of narrow codes, the sums of 16 bits hold so many.
        if run.bits.bits() < 6 && run.rows.wrapping_mul(run.quads) > HALVES_QUADS_MAX {
            return Portable.widen(run, columns, totals);
        }
        let kernel = match run.bits.known() {
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

    fn sums(self, group: &Group<'_>, row: &[u8], columns: &[u32], totals: [i32; COLUMNS], bias: [i32; 4]) -> Sums {
        let bytes = kernel_row_bytes(group, group.row_len);
        let channels = if group.dual { 4 } else { row.len().checked_div(bytes).unwrap_or(0) * 2 };
        let fits = row.len() == bytes * channels.div_ceil(if group.dual { 4 } else { 2 }) && matches!(channels, 2 | 4);
        let aligned = row.as_ptr().addr().is_multiple_of(4);
        let plan = Plan::new(group).filter(|_| fits && aligned && columns.len() == columns_words(group));
        let Some(mut plan) = plan else {
            return Portable.sums(group, row, columns, totals, bias);
        };
        let mut sums = [[0; COLUMNS]; 4];
        plan.task.bias = bias.as_ptr();
        plan.task.out = (&raw mut sums).cast();
        // Nothing is read there: the stage counts channels with it.
        plan.task.multiplier = bias.as_ptr();
        plan.task.end = bias.as_ptr().wrapping_add(channels);
        // SAFETY: rows and biases of `channels` channels, and the stage writes a sum for each and each column.
        unsafe { plan.run(row, columns, totals) };
        sums
    }

    #[inline]
    fn channels(self, plan: &mut Option<Plan<'_>>, columns: &[u32], totals: [i32; COLUMNS], pixels: &mut [u8]) -> usize {
        let Some(plan) = plan else { return 0 };
        let group = &plan.group;
        // Behind the last pixel nothing is written: columns that are none go where the last one's does, before it.
        let mut last = (COLUMNS - 1) * group.pixel_bytes;
        while last > 0 && pixels.len() < last + group.pixel_bytes {
            last -= group.pixel_bytes;
        }
        if pixels.len() < last + plan.begin + plan.bytes || columns.len() != plan.words {
            return 0;
        }
        let (stage, weights) = (group.stage, group.weights);
        let task = &mut plan.task;
        task.bias = stage.bias.as_ptr();
        task.multiplier = stage.multiplier.as_ptr();
        task.shift = stage.shift.as_ptr();
        task.out = pixels.as_mut_ptr().wrapping_add(plan.begin);
        task.offsets = [group.pixel_bytes.min(last), last];
        // SAFETY: `whole` has found rows of `channels` channels, with as many biases, multipliers and shifts. The stage writes `bytes` bytes of
        // each of the pixels from `begin` on, of which the last was checked.
        unsafe { plan.run(weights, columns, totals) };
        plan.channels
    }

    fn vector(self, group: &Group<'_>, codes: &[u8], total: i32, output: &mut [u8], mut each: impl FnMut(&mut [u8], usize, [i32; 4])) {
        let bits = group.weight_bits.known();
        let (step, kernel): (_, unsafe extern "C" fn(*mut VectorTask)) = match bits {
            WeightBits::W8 => (4, apq_dsp_vector_8),
            WeightBits::W6 => (8, apq_dsp_vector_6),
            WeightBits::W4 => (4, apq_dsp_vector_4),
            WeightBits::W2 => (8, apq_dsp_vector_2),
        };
        let bytes = |codes: usize| codes / 4 * bits.bits() as usize;
        let aligned = group.weights.as_ptr().addr().is_multiple_of(4);
        let two_bytes = bytes(codes.len().next_multiple_of(step));
        if !aligned || group.dual || group.row_bytes != 2 * two_bytes || two_bytes == 0 {
            return Portable.vector(group, codes, total, output, each);
        }
        let start = total.wrapping_mul(bits.lo());
        // The second channels' codes have the offset at 2 and 6 bits only.
        let second = if matches!(bits, WeightBits::W4 | WeightBits::W8) { 0 } else { start };
        let (whole, rest) = codes.split_at_checked(codes.len() / step * step).unwrap_or((codes, &[]));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let stage = &group.stage;
        let channels = stage.bias.len();
        let lists = [stage.multiplier.len(), stage.shift.len()] == [channels; 2] && channels <= output.len();
        let direct = group.high && matches!(stage.bits, ActivationBits::A6 | ActivationBits::A8) && lists;
        let four = |byte: i32| u32::from(byte as u8);
        let mut task = VectorTask {
            rows: [core::ptr::null(); 2],
            codes: codes.as_ptr(),
            end: codes.as_ptr(),
            sums: [0; 4],
            bias: stage.bias.as_ptr(),
            multiplier: stage.multiplier.as_ptr(),
            shift: stage.shift.as_ptr(),
            out: output.as_mut_ptr(),
            count: 4,
            round: 2 * stage.zero_point + 1,
            clamp: [four(255 - stage.hi), four(255 - stage.hi + stage.lo), four(stage.lo)],
        };
        let mut done = 0;
        for rows in group.weights.chunks(group.row_bytes.max(1)) {
            // An odd row is its own other.
            let (first, other) = (rows.as_ptr(), if rows.len() > two_bytes { two_bytes } else { 0 });
            (task.rows, task.codes) = ([first, first.wrapping_add(other)], codes.as_ptr());
            task.sums = [start, second, start, second];
            let mut left = whole.len();
            while left > 0 {
                // Segments of the fewest codes that `fields_max` allows for bytes: whole steps.
                let codes = left.min(SEGMENT);
                task.end = task.codes.wrapping_add(codes);
                // SAFETY: both rows have weights for all codes, in whole steps; the kernel takes at least one, and leaves what it reads
                // next in the task.
                unsafe { kernel(&raw mut task) };
                left -= codes;
            }
            if !rest.is_empty() {
                (task.codes, task.end) = (last.as_ptr(), last.as_ptr().wrapping_add(step));
                // SAFETY: as before; the rows' last step is padded as the codes are.
                unsafe { kernel(&raw mut task) };
            }
            if direct {
                task.count = (channels - done.min(channels)).min(4);
                if task.count == 0 {
                    return;
                }
                // SAFETY: of the output and of the stage's lists, which have `channels` entries, `done` are behind the task's pointers.
                unsafe { apq_dsp_vector_stage(&raw mut task) };
            } else {
                each(output, done, task.sums);
            }
            done += 4;
        }
    }
}

/// Copies `N` words of each row.
///
/// # Safety
/// There are as many from the last row's begin on in both slices.
#[inline]
unsafe fn copy<const N: usize>(from: &[u8], rows: usize, stride: usize, bytes: usize, to: &mut [u8]) {
    let (mut source, mut target) = (from.as_ptr(), to.as_mut_ptr());
    for _ in 0..rows {
        // SAFETY: the caller's promise; the slices do not overlap, and nothing is aligned.
        unsafe { target.cast::<[u32; N]>().write_unaligned(source.cast::<[u32; N]>().read_unaligned()) };
        (source, target) = (source.wrapping_add(stride), target.wrapping_add(bytes));
    }
}

/// `vector.s` knows the offsets; it advances the first three.
#[repr(C)]
struct VectorTask {
    rows: [*const u8; 2],
    codes: *const u8,
    end: *const u8,
    sums: [i32; 4],
    bias: *const i32,
    multiplier: *const i32,
    shift: *const u8,
    out: *mut u8,
    /// Sums to write.
    count: usize,
    /// As in [`Task`].
    round: i32,
    clamp: [u32; 3],
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
        before: 0,
        after: 0,
        multiplier: core::ptr::null(),
        shift: core::ptr::null(),
        out: core::ptr::null_mut(),
        offsets: [0; COLUMNS - 1],
        round: 0,
        clamp: [0; 3],
        end: core::ptr::null(),
        stage: apq_dsp_stage_sums,
        next: 0,
        phase: 0,
    };
}
