//! A board's program together with a job: a new ELF file with one more loadable segment, which any flashing program and QEMU take.

use std::path::Path;

use apq_protocol::Job;
use object::read::elf::ElfFile32;
use object::{Endianness, Object as _, ObjectSymbol as _};

use crate::error::DeviceError;

/// What the program's linker script calls the first byte of the job's place, and the first behind it.
const PLACE: [&str; 2] = ["_job_begin", "_job_end"];

/// Name of the job's section. A flashing program may pass over segments without sections.
const SECTION: &[u8] = b".job\0";

const ALIGNMENT: u32 = apq_protocol::job::ALIGNMENT as u32;

/// Fields of a 32-bit ELF header: where they stand.
mod header {
    pub(super) const SEGMENTS_OFFSET: usize = 28;
    pub(super) const SECTIONS_OFFSET: usize = 32;
    pub(super) const SEGMENT_SIZE: usize = 42;
    pub(super) const SEGMENTS: usize = 44;
    pub(super) const SECTIONS: usize = 48;
    pub(super) const NAMES: usize = 50;
}

/// Bytes of an entry of the list of segments.
const SEGMENT_BYTES: usize = 32;
/// Bytes of an entry of the list of sections, and where its offset and size stand.
const SECTION_BYTES: usize = 40;
const SECTION_OFFSET: usize = 16;

const LOADABLE: u32 = 1;
const READABLE: u32 = 4;
const HAS_BYTES: u32 = 1;
const IN_MEMORY: u32 = 2;

/// The program `firmware`, an ELF file, with a job in its place.
///
/// # Errors
/// The file is no program that takes a job ([`DeviceError::Firmware`], which names `path`), or the job does not fit.
pub fn image(path: &Path, firmware: &[u8], job: &Job<'_>) -> Result<Vec<u8>, DeviceError> {
    let wrong = |problem: &str| DeviceError::Firmware { path: path.into(), problem: problem.into() };
    let file = ElfFile32::<Endianness>::parse(firmware).map_err(|_| wrong("this is no 32-bit ELF file"))?;
    if file.endianness() != Endianness::Little {
        return Err(wrong("this is no program for a little-endian core"));
    }
    let address = |name: &str| file.symbol_by_name(name).and_then(|symbol| u32::try_from(symbol.address()).ok());
    let [Some(begin), Some(end)] = PLACE.map(address) else {
        return Err(wrong("this program has no place for a job"));
    };
    let bytes = job.bytes().ok_or(DeviceError::Job)?;
    let room = end.saturating_sub(begin);
    if bytes as u64 > u64::from(room) {
        return Err(DeviceError::Room { needed: bytes as u64, given: room.into() });
    }
    let mut content = vec![0; bytes];
    job.write(&mut content).ok_or(DeviceError::Job)?;
    append(firmware, begin, &content).ok_or_else(|| wrong("its lists of segments and sections are damaged"))
}

/// Puts the content, a longer list of segments, a longer list of names and a longer list of sections behind the file.
fn append(firmware: &[u8], address: u32, content: &[u8]) -> Option<Vec<u8>> {
    let mut file = firmware.to_vec();
    let mut put = |bytes: &[u8]| {
        file.resize(file.len().next_multiple_of(ALIGNMENT as usize), 0);
        let at = file.len();
        file.extend_from_slice(bytes);
        u32::try_from(at).ok()
    };
    let size = u32::try_from(content.len()).ok()?;
    let content_at = put(content)?;

    let (segments, mut list) = entries(firmware, header::SEGMENTS_OFFSET, header::SEGMENTS, SEGMENT_BYTES)?;
    for field in [LOADABLE, content_at, address, address, size, size, READABLE, ALIGNMENT] {
        list.extend(field.to_le_bytes());
    }
    let segments_at = put(&list)?;

    let (sections, mut list) = entries(firmware, header::SECTIONS_OFFSET, header::SECTIONS, SECTION_BYTES)?;
    let names_place = usize::from(half(firmware, header::NAMES)?) * SECTION_BYTES + SECTION_OFFSET;
    let (names_from, names_bytes) = (word(&list, names_place)? as usize, word(&list, names_place + 4)? as usize);
    let mut names = firmware.get(names_from..names_from.checked_add(names_bytes)?)?.to_vec();
    names.extend(SECTION);
    let names_at = put(&names)?;
    set(&mut list, names_place, &names_at.to_le_bytes())?;
    set(&mut list, names_place + 4, &u32::try_from(names.len()).ok()?.to_le_bytes())?;
    let name = u32::try_from(names_bytes).ok()?;
    for field in [name, HAS_BYTES, IN_MEMORY, address, content_at, size, 0, 0, ALIGNMENT, 0] {
        list.extend(field.to_le_bytes());
    }
    let sections_at = put(&list)?;

    set(&mut file, header::SEGMENTS_OFFSET, &segments_at.to_le_bytes())?;
    // A file without segments says that they have no bytes.
    set(&mut file, header::SEGMENT_SIZE, &u16::try_from(SEGMENT_BYTES).ok()?.to_le_bytes())?;
    set(&mut file, header::SEGMENTS, &(segments.checked_add(1)?).to_le_bytes())?;
    set(&mut file, header::SECTIONS_OFFSET, &sections_at.to_le_bytes())?;
    set(&mut file, header::SECTIONS, &(sections.checked_add(1)?).to_le_bytes())?;
    Some(file)
}

/// Number and bytes of the entries of a list.
fn entries(file: &[u8], offset_at: usize, count_at: usize, entry_bytes: usize) -> Option<(u16, Vec<u8>)> {
    let (offset, count) = (word(file, offset_at)? as usize, half(file, count_at)?);
    let bytes = file.get(offset..offset.checked_add(usize::from(count) * entry_bytes)?)?;
    Some((count, bytes.to_vec()))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn set(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(value.len())?)?.copy_from_slice(value);
    Some(())
}
