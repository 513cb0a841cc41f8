//! Messages and jobs there and back, and every way in which their bytes can be damaged.

use apq_protocol::frame::{self, Decoder, ENCODED_BYTES_MAX, FRAME_BYTES_MAX, Line};
use apq_protocol::{CHUNK_BYTES_MAX, Class, Fault, FrameError, Inputs, Job, JobError, Message, TEXT_BYTES_MAX, Text, Unit, Wants};

const PIECE: [u8; CHUNK_BYTES_MAX] = [0; CHUNK_BYTES_MAX];

fn messages() -> Vec<Message<'static>> {
    vec![
        Message::Hello { version: u16::MAX, board: "mps2-an386", kernels: "dsp", unit: Unit::Instructions, arena_bytes_max: u32::MAX },
        Message::Output { input: u32::MAX, offset: u32::MAX, codes: &PIECE },
        Message::Layer { index: 3, count: u64::MAX, repeats: 16 },
        Message::Failed(Fault::Load { class: Class::Unsupported, text: "of version 2" }),
        Message::Failed(Fault::Job(JobError::Magic)),
        Message::Done,
    ]
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
    bytes.iter().filter_map(|&byte| decoder.push(byte).map(|frame| frame.map(<[u8]>::to_vec))).collect()
}

#[test]
fn messages_pass_a_serial_port() {
    let (mut decoder, mut buffer) = (Decoder::default(), [0; ENCODED_BYTES_MAX]);
    for message in messages() {
        let frame = frame::encode(&message, &mut buffer).unwrap();
        let got = decode(&mut decoder, frame);
        assert_eq!(frame::open::<Message<'_>>(got[0].as_ref().unwrap()), Ok(message));
        assert_eq!(got.len(), 1);
    }
}

#[test]
fn messages_pass_a_console() {
    let (mut encoded, mut buffer) = ([0; FRAME_BYTES_MAX], [0; FRAME_BYTES_MAX]);
    for message in messages() {
        let line = format!("12:00:01 [INFO] {}\r\n", Line::new(&message, &mut encoded).unwrap());
        let bytes = frame::read_line(&line, &mut buffer).unwrap().unwrap();
        assert_eq!(frame::open::<Message<'_>>(bytes), Ok(message));
    }
    assert_eq!(frame::read_line("panicked at main.rs", &mut buffer), None);
    assert_eq!(frame::read_line("apq:012", &mut buffer), Some(Err(FrameError::Cut)));
    assert_eq!(frame::read_line("apq:0g", &mut buffer), Some(Err(FrameError::Checksum)));
}

#[test]
fn a_frame_cut_anywhere_is_an_error_and_the_next_one_is_read() {
    let (mut buffer, mut next) = ([0; ENCODED_BYTES_MAX], [0; ENCODED_BYTES_MAX]);
    let frame = frame::encode(&Message::Layer { index: 3, count: 123_456, repeats: 16 }, &mut buffer).unwrap();
    let next = frame::encode(&Message::Done, &mut next).unwrap();
    for cut in 1..frame.len() - 1 {
        let mut decoder = Decoder::default();
        assert_eq!(decode(&mut decoder, &frame[..cut]), []);
        assert!(decoder.is_inside());
        let got = decode(&mut decoder, &[&[0], next].concat());
        let broken = match &got[0] {
            Ok(bytes) => frame::open::<Message<'_>>(bytes),
            Err(error) => Err(*error),
        };
        assert!(broken.is_err(), "{cut}");
        assert_eq!(frame::open::<Message<'_>>(got[1].as_ref().unwrap()), Ok(Message::Done));
    }
}

#[test]
fn a_changed_bit_anywhere_is_an_error() {
    let mut buffer = [0; ENCODED_BYTES_MAX];
    let frame = frame::encode(&Message::Stack { bytes: 1234 }, &mut buffer).unwrap().to_vec();
    for bit in 0..(frame.len() - 1) * 8 {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let frames = decode(&mut Decoder::default(), &changed);
        assert!(!frames.is_empty());
        for bytes in frames.into_iter().flatten() {
            assert!(frame::open::<Message<'_>>(&bytes).is_err(), "{bit}");
        }
    }
}

#[test]
fn a_frame_without_end_does_not_leave_its_buffer() {
    let mut decoder = Decoder::default();
    assert_eq!(decode(&mut decoder, &[7; 3 * ENCODED_BYTES_MAX]), []);
    assert_eq!(decode(&mut decoder, &[0]), [Err(FrameError::Long)]);
}

#[test]
fn bytes_of_another_kind_are_no_message() {
    let mut buffer = [0; ENCODED_BYTES_MAX];
    let frame = frame::encode(&[250u8; 32], &mut buffer).unwrap();
    let got = decode(&mut Decoder::default(), frame);
    assert_eq!(frame::open::<Message<'_>>(got[0].as_ref().unwrap()), Err(FrameError::Content));
}

fn bytes(job: &Job<'_>) -> Vec<u8> {
    let mut bytes = vec![0xee; job.bytes().unwrap()];
    job.write(&mut bytes).unwrap();
    bytes
}

const WANTS: Wants = Wants { outputs: true, layers: false, run: true, stack: false };

#[test]
fn jobs_are_read_as_written() {
    let given = Inputs::Given { codes: &[1, 2, 3, 4, 5, 6], each: 3 };
    for inputs in [given, Inputs::Drawn { seed: u64::MAX - 1, count: 4 }] {
        for arena_bytes in [None, Some(4096)] {
            let job = Job { model: &[9; 21], inputs, repeats: 16, arena_bytes, wants: WANTS };
            let mut memory = bytes(&job);
            // Flash memory goes on behind the job.
            memory.extend([0xff; 5]);
            assert_eq!(Job::read(&memory), Ok(job));
        }
    }
    assert_eq!(given.count(), 2);
    assert_eq!(given.given(1), Some(&[4, 5, 6][..]));
    assert_eq!(given.given(2), None);
    assert_eq!(
        Job { model: &[], inputs: Inputs::Given { codes: &[1, 2, 3], each: 2 }, repeats: 0, arena_bytes: None, wants: WANTS }.bytes(),
        None
    );
}

#[test]
fn damaged_jobs_are_refused() {
    let model = [9; 21];
    let job = Job { model: &model, inputs: Inputs::Given { codes: &[1, 2, 3, 4], each: 2 }, repeats: 1, arena_bytes: None, wants: WANTS };
    let whole = bytes(&job);
    for length in 0..whole.len() {
        assert!(matches!(Job::read(&whole[..length]), Err(JobError::Magic | JobError::Length)), "{length}");
    }
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match Job::read(&changed) {
            Err(_) => {}
            // The model's bytes are vouched for by the model's own checksum; zeros between the parts mean nothing.
            Ok(read) => assert_eq!(Job { model: &model, ..read }, job, "{bit}"),
        }
    }
    let mut newer = whole.clone();
    newer[8] = 2;
    assert_eq!(Job::read(&newer), Err(JobError::Version { version: 2 }));
    assert_eq!(Job::read(&[0xff; 64]), Err(JobError::Magic));
}

#[test]
fn long_text_is_cut_between_characters() {
    let text = Text::of(&"ä".repeat(TEXT_BYTES_MAX));
    assert_eq!(text.as_str(), "ä".repeat(TEXT_BYTES_MAX / 2));
    assert_eq!(Text::of(&"short").as_str(), "short");
}
