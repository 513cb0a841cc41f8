#ifndef APQ_RUNTIME_H
#define APQ_RUNTIME_H

// Made from the crate's source by its test `header`; do not edit.

// The C interface of the .apq runtime: models run where they lie, in an arena of the caller's. Nothing is allocated, nothing global.
//
// Every function checks what it is given and answers with a status; a call that ends with another one than APQ_STATUS_OK has changed
// nothing that the caller can see, except that a failed apq_open leaves no session. What no check can see, and every call relies on:
//  - an address that is neither null nor misaligned is memory of the caller's, of the length given, not used by others during the call;
//  - while a session is open, its model's bytes stay there and as they are, and its arena is left to the library, but for
//    apq_input_place and apq_output_place;
//  - an observer returns: it is not left by longjmp or by an exception.
//
// Sessions are independent of each other, may share a model, and may be used by different threads. A call for a session that is in use,
// by another thread or by the run whose observer makes the call, ends with APQ_STATUS_BUSY. Processors without an atomic exchange
// (Cortex-M0) see that for interrupts, not for two threads.
//
//     static apq_session session;
//     apq_status status = apq_open(&session, model, sizeof model, arena, sizeof arena, NULL);
//     status = apq_write_u8(&session, image, sizeof image);
//     status = apq_run(&session);
//     status = apq_argmax(&session, &class_index);

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Version of this interface: a header and a library fit where both have the same one.
#define APQ_ABI_VERSION 1

// Most axes of a shape.
#define APQ_SHAPE_MAX 5

// Words of 64 bits in an `apq_session`.
#define APQ_SESSION_WORDS 32

// Bytes of the name in a problem, its NUL included.
#define APQ_NAME_BYTES 32

// How a call ended. The numbers stay as they are.
enum apq_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  APQ_STATUS_OK = 0,
  // A pointer is null.
  APQ_STATUS_NULL = 1,
  // A pointer does not suit its type's alignment.
  APQ_STATUS_MISALIGNED = 2,
  // An address and a length reach past the end of memory.
  APQ_STATUS_RANGE = 3,
  // Two buffers that must be apart share bytes.
  APQ_STATUS_OVERLAP = 4,
  // A buffer has not one element for each code, or not the packed bytes of the tensor.
  APQ_STATUS_LENGTH = 5,
  // The session is not open.
  APQ_STATUS_NOT_OPEN = 6,
  // The session is in use, by another thread or by the run whose callback this is.
  APQ_STATUS_BUSY = 7,
  // No input was written since the last run, which may have used its bytes.
  APQ_STATUS_NO_INPUT = 8,
  // There is no output yet: the model has not run since the session was opened or its input was last touched.
  APQ_STATUS_NO_OUTPUT = 9,
  // The arena is shorter than the model needs.
  APQ_STATUS_ARENA_TOO_SMALL = 10,
  // The arena does not start at a multiple of 16.
  APQ_STATUS_ARENA_MISALIGNED = 11,
  // The model does not start at a multiple of 16.
  APQ_STATUS_MODEL_MISALIGNED = 12,
  // The bytes are no `.apq` file.
  APQ_STATUS_MODEL_MAGIC = 20,
  // The file is not as long as its header says.
  APQ_STATUS_MODEL_LENGTH = 21,
  // A byte of the file has changed.
  APQ_STATUS_MODEL_CHECKSUM = 22,
  // The file contradicts itself.
  APQ_STATUS_MODEL_INVALID = 23,
  // The file has a format version that this library does not read.
  APQ_STATUS_MODEL_VERSION = 30,
  // The file needs an operator that this library lacks.
  APQ_STATUS_MODEL_OPERATOR = 31,
  // The file needs kernels for an arrangement of weights that this library lacks.
  APQ_STATUS_MODEL_ARRANGEMENT = 32,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum apq_status apq_status;
#else
typedef int32_t apq_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Element type of the raw data that a model was compiled for; the others are turned into real numbers first.
enum apq_raw_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Unsigned bytes, as most images.
  APQ_RAW_TYPE_U8 = 0,
  // Signed bytes.
  APQ_RAW_TYPE_I8 = 1,
  // Real numbers in single precision.
  APQ_RAW_TYPE_F32 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum apq_raw_type apq_raw_type;
#else
typedef int32_t apq_raw_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// When an observer is called.
enum apq_moment
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The layer is about to run.
  APQ_MOMENT_BEFORE = 0,
  // The layer has run.
  APQ_MOMENT_AFTER = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum apq_moment apq_moment;
#else
typedef int32_t apq_moment;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Characters (UTF-8) without a NUL at their end; they lie in the model's bytes or in the library.
typedef struct {
  // The first character.
  const char *bytes;
  // Number of bytes.
  size_t length;
} apq_text;

// A tensor: the real value of a code q is `scale * (q - zero_point)`.
//
// Codes of 2, 4, 6 and 8 bits are unsigned, those of 16 bits signed. Packed, channel last: at 2 and 4 bits the channels of a pixel fill bytes
// from the lowest bits on, and every pixel starts at a byte; codes of 6 and 8 bits take a byte each, those of 16 bits two,
// little-endian.
typedef struct {
  // Name in the network that was compiled; may be empty.
  apq_text name;
  // Number of axes, 1 to 5.
  uint32_t rank;
  // Sizes, slowest axis first; 1 beyond the last axis.
  uint32_t shape[APQ_SHAPE_MAX];
  // Number of codes: the product of all sizes.
  size_t elements;
  // Bytes of the packed codes.
  size_t packed_bytes;
  // Width of a code: 2, 4, 6, 8 or 16.
  uint32_t bits;
  // Step of the quantizer; positive.
  float scale;
  // Code of the real value zero.
  int32_t zero_point;
} apq_tensor;

// What a network reads.
typedef struct {
  // Shape and quantizer.
  apq_tensor tensor;
  // Raw data that it was compiled for.
  apq_raw_type raw_type;
} apq_input;

// What a network writes.
typedef struct {
  // Shape and quantizer.
  apq_tensor tensor;
  // Number of classes of a classifier; 0 for any other network.
  size_t classes;
  // A softmax ended the network and was left out: the outputs are logits.
  bool softmax_removed;
} apq_output;

// A model.
typedef struct {
  // Its name.
  apq_text name;
  // Bytes that the arena must have.
  size_t arena_bytes;
  // Number of layers: how often an observer is called before, and after.
  size_t layers;
  // What it reads.
  apq_input input;
  // What it writes.
  apq_output output;
} apq_model_info;

// What a status does not say: numbers and names.
typedef struct {
  // How the call ended.
  apq_status status;
  // Number of the tensor or layer that is wrong, where the file contradicts itself in one; its format version where that is
  // the matter; else 0.
  uint32_t place;
  // Bytes that are needed: of the arena, or of the file by its header; else 0.
  size_t needed_bytes;
  // Bytes that were given.
  size_t given_bytes;
  // The operator or arrangement that is missing, NUL-terminated, cut to 31 bytes; else empty.
  char name[APQ_NAME_BYTES];
} apq_problem;

// Storage of a session; what is in it is the library's.
typedef struct {
  // The library's.
  uint64_t opaque[APQ_SESSION_WORDS];
} apq_session;

// A layer that runs; all pointers are good until the callback returns.
typedef struct {
  // Number of the layer, from 0 on, in the order in which layers run.
  uint32_t index;
  // Name in the network that was compiled; may be empty.
  apq_text name;
  // What it computes: `conv`, `fully-connected`, ...
  apq_text operation;
  // What it wrote; null before it runs.
  const apq_tensor *output;
  // The packed codes that it wrote; null before it runs.
  const uint8_t *codes;
} apq_layer;

// Called before and after each layer. It may read a clock and what `layer` points at, and must return; its calls for the same
// session end with `APQ_STATUS_BUSY`.
typedef void (*apq_observe)(void *context, apq_moment moment, const apq_layer *layer);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Version of the library, NUL-terminated, as `0.1.0`.
const char *apq_version(void);

// Version of the interface of the library; the header was made for `APQ_ABI_VERSION`.
uint32_t apq_abi_version(void);

// Version of the file format that the library reads.
uint32_t apq_format_version(void);

// Text of a status, NUL-terminated; never null, whatever the number.
const char *apq_status_text(int32_t status);

// Proves a model right, and describes it.
//
// `model`: the bytes of an `.apq` file, at a multiple of 16. `info` gets what it is; its names lie in the model's bytes.
// `problem` may be null; else it gets what the status does not say.
apq_status apq_model_check(const void *model, size_t model_bytes, apq_model_info *info, apq_problem *problem);

// Opens a session: proves the model right and gives it its arena.
//
// `session`: any storage of its type; a session that is open there ends. `model`: the bytes of an `.apq` file, at a multiple of 16, which
// stay there and as they are. `arena`: at a multiple of 16, at least as long as the model needs, whatever its bytes; it is the
// session's. None of the three may share bytes. `problem` may be null; else it gets what the status does not say.
apq_status apq_open(apq_session *session, const void *model, size_t model_bytes, void *arena, size_t arena_bytes, apq_problem *problem);

// Closes a session. There is nothing to give back: storage, model and arena are the caller's.
apq_status apq_close(apq_session *session);

// Describes the model of a session.
apq_status apq_session_info(const apq_session *session, apq_model_info *info);

// Writes the input from unsigned bytes, one for each code, channel last.
apq_status apq_write_u8(apq_session *session, const uint8_t *data, size_t count);

// Writes the input from signed bytes, one for each code, channel last.
apq_status apq_write_i8(apq_session *session, const int8_t *data, size_t count);

// Writes the input from real numbers before preprocessing, one for each code, channel last; the model knows mean and deviation.
apq_status apq_write_f32(apq_session *session, const float *data, size_t count);

// Writes the input from packed codes: `packed_bytes` of its tensor.
apq_status apq_write_packed(apq_session *session, const void *codes, size_t bytes);

// Where the packed codes of the input lie in the arena, to be filled there before `apq_run`. Ask again before each run.
apq_status apq_input_place(apq_session *session, uint8_t **codes, size_t *bytes);

// Where the packed codes of the output lie in the arena, until the input is written again.
apq_status apq_output_place(const apq_session *session, const uint8_t **codes, size_t *bytes);

// Runs the model on the input that was written. The input's bytes may be used for other tensors: write it again before the next run.
apq_status apq_run(apq_session *session);

// As `apq_run`; `observe` is called with `context` before and after each layer.
apq_status apq_run_observed(apq_session *session, apq_observe observe, void *context);

// Reads the codes of the output, one number for each, channel last.
apq_status apq_read_codes(const apq_session *session, int32_t *codes, size_t count);

// Reads the real values of the output, one for each code, channel last.
apq_status apq_read_f32(const apq_session *session, float *values, size_t count);

// Reads the packed codes of the output: `packed_bytes` of its tensor.
apq_status apq_read_packed(const apq_session *session, void *codes, size_t bytes);

// Place of the largest code of the output; of several, the first.
apq_status apq_argmax(const apq_session *session, size_t *place);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* APQ_RUNTIME_H */
