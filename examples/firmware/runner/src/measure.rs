//! Counting. A tick of the counter may be many instructions: starts of runs are spread over a tick, so that the mean of many runs is exact to a
//! fraction of it.

use core::hint::black_box;

use apq_board::{counter, units};
use apq_protocol::LAYERS_MAX;
use apq_runtime::{Node, Observer, Session, TensorView};

/// Bytes of the counts of all layers.
pub(crate) const COUNTS_BYTES: usize = LAYERS_MAX * size_of::<u64>();

/// Empty measurements whose mean is what a measurement itself costs.
const EMPTY: u32 = 256;

/// Counts between one look at the counter and the next.
struct Stopwatch {
    begin: u64,
}

impl Stopwatch {
    #[inline(never)]
    fn start(&mut self) {
        self.begin = counter::now();
    }

    #[inline(never)]
    fn stop(&mut self, sum: &mut u64) {
        *sum += counter::now() - self.begin;
    }
}

/// Waits for a time that differs from call to call, up to some hundred instructions.
fn spread(call: u32) {
    for step in 0..call.wrapping_mul(29) % 127 {
        black_box(step);
    }
}

/// Ticks that all empty measurements take.
fn empty(watch: &mut Stopwatch) -> u64 {
    let mut ticks = 0;
    for call in 0..EMPTY {
        spread(call);
        watch.start();
        watch.stop(&mut ticks);
    }
    ticks
}

/// The units of `ticks`, without what `measurements` empty ones take.
fn net(ticks: u64, measurements: u32, empty: u64) -> u64 {
    units(ticks.saturating_mul(u64::from(EMPTY)).saturating_sub(empty * u64::from(measurements))) / u64::from(EMPTY)
}

/// Sum over `repeats` whole runs, loading left out.
pub(crate) fn run<'m, 'a>(repeats: u32, session: &mut Session<'m, 'a>, mut load: impl FnMut(&mut Session<'m, 'a>)) -> u64 {
    let mut watch = Stopwatch { begin: 0 };
    let empty = empty(&mut watch);
    let mut ticks = 0;
    for call in 0..repeats {
        load(session);
        spread(call);
        watch.start();
        session.run(&mut ());
        watch.stop(&mut ticks);
    }
    net(ticks, repeats, empty)
}

/// Sums over `repeats` runs for each layer.
pub(crate) fn layers<'m, 'a>(repeats: u32, session: &mut Session<'m, 'a>, mut load: impl FnMut(&mut Session<'m, 'a>), counts: &mut [u64]) {
    counts.fill(0);
    let mut watch = Stopwatch { begin: 0 };
    let empty = empty(&mut watch);
    for call in 0..repeats {
        load(session);
        session.run(&mut Layers { watch: Stopwatch { begin: 0 }, call, counts });
    }
    counts.iter_mut().for_each(|count| *count = net(*count, repeats, empty));
}

struct Layers<'a> {
    watch: Stopwatch,
    call: u32,
    counts: &'a mut [u64],
}

impl Observer for Layers<'_> {
    fn before(&mut self, index: usize, _: &Node<'_>) {
        spread(self.call.wrapping_add(index as u32));
        self.watch.start();
    }

    fn after(&mut self, index: usize, _: &Node<'_>, _: &TensorView<'_>) {
        let mut ticks = 0;
        self.watch.stop(&mut ticks);
        if let Some(count) = self.counts.get_mut(index) {
            *count += ticks;
        }
    }
}
