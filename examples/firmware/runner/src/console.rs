//! Messages as lines of the console.

use apq_board::println;
use apq_protocol::Message;
use apq_protocol::frame::{FRAME_BYTES_MAX, Line};

/// Writes a message.
pub(crate) fn send(message: &Message<'_>) {
    let mut buffer = [0; FRAME_BYTES_MAX];
    if let Some(line) = Line::new(message, &mut buffer) {
        println!("{line}");
    }
}
