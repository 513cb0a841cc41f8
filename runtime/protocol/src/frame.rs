//! Framing: a message in postcard's encoding, a checksum, and either COBS with a zero byte behind it or a line of text.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};
use postcard::ser_flavors::crc::CrcModifier;
use postcard::ser_flavors::{Cobs, Slice};
use serde::{Deserialize, Serialize};

use crate::CHUNK_BYTES_MAX;

/// Most bytes of a message with its checksum.
pub const FRAME_BYTES_MAX: usize = CHUNK_BYTES_MAX + 64;

/// Most bytes of a frame: COBS adds one for each 254 begun, and the zero byte.
pub const ENCODED_BYTES_MAX: usize = FRAME_BYTES_MAX + FRAME_BYTES_MAX / 254 + 2;

/// What a line of text with a message starts with.
pub const LINE_PREFIX: &str = "apq:";

const CRC_BYTES: usize = 4;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrameError {
    /// The frame ends too early, or is no frame.
    Cut,
    /// A byte has changed.
    Checksum,
    /// The frame is longer than any message.
    Long,
    /// The bytes came as they were sent, but are no message of this version.
    Content,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "a frame was cut short",
            Self::Checksum => "a frame was changed on its way",
            Self::Long => "a frame is longer than any message",
            Self::Content => "a frame holds no message of this version",
        })
    }
}

impl core::error::Error for FrameError {}

/// A message as a frame for a serial port, ended by a zero byte. `None` where the buffer is too short;
/// [`ENCODED_BYTES_MAX`] bytes are enough.
pub fn encode<'b, T: Serialize>(message: &T, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let cobs = Cobs::try_new(Slice::new(buffer)).ok()?;
    let frame = postcard::serialize_with_flavor(message, CrcModifier::new(cobs, CRC.digest())).ok()?;
    Some(frame)
}

/// The message of a frame's bytes without stuffing, with its checksum.
///
/// # Errors
/// See [`FrameError`].
pub fn open<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, FrameError> {
    let split = frame.len().checked_sub(CRC_BYTES).ok_or(FrameError::Cut)?;
    let (message, stored) = frame.split_at_checked(split).ok_or(FrameError::Cut)?;
    if CRC.checksum(message).to_le_bytes() != stored {
        return Err(FrameError::Checksum);
    }
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Content),
    }
}

/// Collects the bytes of a serial port into frames.
#[derive(Debug)]
pub struct Decoder {
    bytes: [u8; ENCODED_BYTES_MAX],
    length: usize,
    too_long: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { bytes: [0; ENCODED_BYTES_MAX], length: 0, too_long: false }
    }
}

impl Decoder {
    /// Takes a byte. At the end of a frame: its bytes without stuffing, for [`open`]. An empty frame is passed over, so that a zero byte may be
    /// sent first to end whatever came before.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if byte != 0 {
            match self.bytes.get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length += 1;
                }
                None => self.too_long = true,
            }
            return None;
        }
        let (length, too_long) = (self.length, self.too_long);
        (self.length, self.too_long) = (0, false);
        if too_long {
            return Some(Err(FrameError::Long));
        }
        if length == 0 {
            return None;
        }
        let stuffed = self.bytes.get_mut(..length)?;
        let Ok(length) = cobs::decode_in_place(stuffed) else {
            return Some(Err(FrameError::Cut));
        };
        Some(self.bytes.get(..length).ok_or(FrameError::Cut))
    }

    /// Whether bytes of an unfinished frame have come.
    pub fn is_inside(&self) -> bool {
        self.length > 0 || self.too_long
    }
}

/// A message as a line of text, without its end: the prefix and pairs of hexadecimal digits. A console may put anything before it.
#[derive(Debug)]
pub struct Line<'a> {
    bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// Encodes into a buffer; `None` where that is too short. [`FRAME_BYTES_MAX`] bytes are enough.
    pub fn new<T: Serialize>(message: &T, buffer: &'a mut [u8]) -> Option<Self> {
        let bytes = postcard::serialize_with_flavor(message, CrcModifier::new(Slice::new(buffer), CRC.digest())).ok()?;
        Some(Self { bytes })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
        f.write_str(LINE_PREFIX)?;
        for byte in self.bytes {
            for digit in [byte >> 4, byte & 15] {
                f.write_str(DIGITS.get(usize::from(digit)).unwrap_or(&"0"))?;
            }
        }
        Ok(())
    }
}

/// The bytes of a line that holds a message, for [`open`]; `None` where it holds none.
pub fn read_line<'b>(line: &str, buffer: &'b mut [u8]) -> Option<Result<&'b [u8], FrameError>> {
    let (_, digits) = line.split_once(LINE_PREFIX)?;
    let digits = digits.trim_ascii_end().as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Some(Err(FrameError::Cut));
    }
    let Some(place) = buffer.get_mut(..pairs.len()) else {
        return Some(Err(FrameError::Long));
    };
    for (to, pair) in place.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (high, low) else {
            return Some(Err(FrameError::Checksum));
        };
        *to = (high * 16 + low) as u8;
    }
    Some(Ok(place))
}
