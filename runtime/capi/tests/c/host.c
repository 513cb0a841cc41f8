/* Runs a model through every function of the header, prints what came out, and misuses every function.
 *
 * usage: host MODEL.apq INPUT    INPUT: one byte for each code of the model's input
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apq_runtime.h"

static void expect(apq_status status, apq_status expected, const char *what, int line) {
    if (status != expected) {
        fprintf(stderr, "line %d: %s: %d (%s), expected %d\n", line, what, (int)status, apq_status_text(status), (int)expected);
        exit(1);
    }
}
#define EXPECT(call, status) expect((call), (status), #call, __LINE__)
#define OK(call) EXPECT(call, APQ_STATUS_OK)
#define CHECK(condition) expect((condition) ? APQ_STATUS_OK : -1, APQ_STATUS_OK, #condition, __LINE__)

typedef struct {
    unsigned char *bytes;
    size_t length;
} file_bytes;

static file_bytes read_file(const char *path) {
    file_bytes file = {NULL, 0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    file.length = (size_t)ftell(stream);
    rewind(stream);
    file.bytes = aligned_alloc(16, (file.length + 15) / 16 * 16);
    if (file.bytes == NULL || fread(file.bytes, 1, file.length, stream) != file.length) {
        perror(path);
        exit(2);
    }
    fclose(stream);
    return file;
}

static void *arena_of(size_t bytes) { return aligned_alloc(16, (bytes + 15) / 16 * 16); }

static void print_bytes(const char *name, const unsigned char *bytes, size_t length) {
    printf("%s ", name);
    for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
    printf("\n");
}

static void print_output(const char *name, const apq_session *session, size_t bytes) {
    unsigned char *packed = malloc(bytes);
    OK(apq_read_packed(session, packed, bytes));
    print_bytes(name, packed, bytes);
    free(packed);
}

/* The bits of a number: what decimals hide is compared too. */
static unsigned bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void print_tensor(const char *name, const apq_tensor *tensor) {
    printf("%s %.*s", name, (int)tensor->name.length, tensor->name.bytes);
    for (uint32_t axis = 0; axis < tensor->rank; axis++) printf("%c%u", axis == 0 ? ' ' : 'x', (unsigned)tensor->shape[axis]);
    printf(" %u bits %08x %d %zu %zu\n", (unsigned)tensor->bits, bits_of(tensor->scale), (int)tensor->zero_point, tensor->elements, tensor->packed_bytes);
}

/* What an observer checks and counts. */
typedef struct {
    apq_session *session;
    size_t before, after;
} trace;

static void observe(void *context, apq_moment moment, const apq_layer *layer) {
    trace *seen = context;
    apq_model_info info;
    size_t place;
    uint8_t *codes;
    /* The session is in use, whatever is called. */
    EXPECT(apq_run(seen->session), APQ_STATUS_BUSY);
    EXPECT(apq_run_observed(seen->session, observe, context), APQ_STATUS_BUSY);
    EXPECT(apq_close(seen->session), APQ_STATUS_BUSY);
    EXPECT(apq_session_info(seen->session, &info), APQ_STATUS_BUSY);
    EXPECT(apq_argmax(seen->session, &place), APQ_STATUS_BUSY);
    EXPECT(apq_input_place(seen->session, &codes, &place), APQ_STATUS_BUSY);
    if (moment == APQ_MOMENT_BEFORE) {
        CHECK(layer->index == seen->before && layer->output == NULL && layer->codes == NULL);
        seen->before++;
        return;
    }
    CHECK(moment == APQ_MOMENT_AFTER && layer->index == seen->after && seen->after + 1 == seen->before);
    seen->after++;
    printf("layer %.*s %.*s ", (int)layer->name.length, layer->name.bytes, (int)layer->operation.length, layer->operation.bytes);
    print_bytes("", layer->codes, layer->output->packed_bytes);
}

/* Every way of writing the input, and of reading the output. */
static void use(file_bytes model, file_bytes input) {
    apq_session session;
    apq_model_info info;
    OK(apq_model_check(model.bytes, model.length, &info, NULL));
    printf("model %.*s %zu %zu\n", (int)info.name.length, info.name.bytes, info.arena_bytes, info.layers);
    print_tensor("input", &info.input.tensor);
    print_tensor("output", &info.output.tensor);
    printf("kind %d %zu %d\n", (int)info.input.raw_type, info.output.classes, info.output.softmax_removed);
    size_t count = info.input.tensor.elements, bytes = info.output.tensor.packed_bytes, outputs = info.output.tensor.elements;
    CHECK(input.length == count);
    void *arena = arena_of(info.arena_bytes);
    OK(apq_open(&session, model.bytes, model.length, arena, info.arena_bytes, NULL));

    OK(apq_write_u8(&session, input.bytes, count));
    OK(apq_run(&session));
    print_output("u8", &session, bytes);
    OK(apq_write_i8(&session, (const int8_t *)input.bytes, count));
    OK(apq_run(&session));
    print_output("i8", &session, bytes);

    float *values = malloc((count > outputs ? count : outputs) * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = (float)input.bytes[i] / 64.0f - 2.0f;
    OK(apq_write_f32(&session, values, count));
    trace seen = {&session, 0, 0};
    OK(apq_run_observed(&session, observe, &seen));
    CHECK(seen.before == info.layers && seen.after == info.layers);
    print_output("f32", &session, bytes);

    unsigned char *place;
    size_t place_bytes;
    OK(apq_input_place(&session, &place, &place_bytes));
    CHECK(place_bytes == info.input.tensor.packed_bytes && place >= (unsigned char *)arena);
    unsigned char *packed = malloc(place_bytes);
    for (size_t i = 0; i < place_bytes; i++) packed[i] = place[i] = input.bytes[i % count];
    OK(apq_run(&session));
    print_output("place", &session, bytes);
    OK(apq_write_packed(&session, packed, place_bytes));
    OK(apq_run(&session));
    print_output("packed", &session, bytes);
    const uint8_t *out;
    size_t out_bytes, best;
    OK(apq_output_place(&session, &out, &out_bytes));
    print_bytes("there", out, out_bytes);

    int32_t *codes = malloc(outputs * sizeof *codes);
    OK(apq_read_codes(&session, codes, outputs));
    OK(apq_read_f32(&session, values, outputs));
    OK(apq_argmax(&session, &best));
    printf("argmax %zu\n", best);
    for (size_t i = 0; i < outputs; i++) printf("value %d %08x\n", (int)codes[i], bits_of(values[i]));
    OK(apq_close(&session));
    free(codes);
    free(packed);
    free(values);
    free(arena);
}

/* Files that are damaged: every byte of the first and of the last hundred, one after the other. */
static void damage(file_bytes model) {
    apq_model_info info;
    apq_problem problem;
    for (size_t i = 0; i < model.length; i++) {
        if (i == 100 && model.length > 200) i = model.length - 100;
        model.bytes[i] ^= 0x10;
        apq_status status = apq_model_check(model.bytes, model.length, &info, &problem);
        CHECK(status >= APQ_STATUS_MODEL_MAGIC && status == problem.status);
        model.bytes[i] ^= 0x10;
    }
    model.bytes[0] ^= 1;
    EXPECT(apq_model_check(model.bytes, model.length, &info, &problem), APQ_STATUS_MODEL_MAGIC);
    model.bytes[0] ^= 1;
    model.bytes[model.length - 1] ^= 1;
    EXPECT(apq_model_check(model.bytes, model.length, &info, &problem), APQ_STATUS_MODEL_CHECKSUM);
    model.bytes[model.length - 1] ^= 1;
    EXPECT(apq_model_check(model.bytes, model.length - 1, &info, &problem), APQ_STATUS_MODEL_LENGTH);
    CHECK(problem.needed_bytes == model.length && problem.given_bytes == model.length - 1);
    EXPECT(apq_model_check(model.bytes, 0, &info, &problem), APQ_STATUS_MODEL_MAGIC);
    OK(apq_model_check(model.bytes, model.length, &info, &problem));
    CHECK(problem.status == APQ_STATUS_OK && problem.name[0] == 0);
}

/* Calls that are wrong. */
static void misuse(file_bytes model, file_bytes input) {
    apq_session session, other;
    apq_model_info info;
    apq_problem problem;
    OK(apq_model_check(model.bytes, model.length, &info, NULL));
    size_t count = info.input.tensor.elements, outputs = info.output.tensor.elements, size = info.arena_bytes, length, best;
    unsigned char *arena = arena_of(size + 32), *place;
    const uint8_t *out;
    int32_t *codes = malloc((outputs + 1) * sizeof *codes);
    float *values = malloc((outputs + 1) * sizeof *values);

    EXPECT(apq_model_check(NULL, model.length, &info, &problem), APQ_STATUS_NULL);
    EXPECT(apq_model_check(model.bytes, model.length, NULL, &problem), APQ_STATUS_NULL);
    EXPECT(apq_model_check(model.bytes, SIZE_MAX, &info, &problem), APQ_STATUS_RANGE);
    EXPECT(apq_model_check(model.bytes, SIZE_MAX / 2 + 1, &info, &problem), APQ_STATUS_RANGE);
    unsigned char *shifted = aligned_alloc(16, (model.length + 31) / 16 * 16);
    memcpy(shifted + 1, model.bytes, model.length);
    EXPECT(apq_model_check(shifted + 1, model.length, &info, &problem), APQ_STATUS_MODEL_MISALIGNED);
    EXPECT(apq_model_check(model.bytes, model.length, (apq_model_info *)((char *)&info + 1), &problem), APQ_STATUS_MISALIGNED);
    EXPECT(apq_model_check(model.bytes, model.length, &info, (apq_problem *)((char *)&problem + 1)), APQ_STATUS_MISALIGNED);

    memset(&session, 0, sizeof session);
    EXPECT(apq_run(&session), APQ_STATUS_NOT_OPEN);
    EXPECT(apq_close(&session), APQ_STATUS_NOT_OPEN);
    EXPECT(apq_session_info(&session, &info), APQ_STATUS_NOT_OPEN);
    memset(&session, 0xa5, sizeof session);
    EXPECT(apq_run(&session), APQ_STATUS_NOT_OPEN);
    EXPECT(apq_write_u8(&session, input.bytes, count), APQ_STATUS_NOT_OPEN);
    EXPECT(apq_read_f32(&session, values, outputs), APQ_STATUS_NOT_OPEN);
    EXPECT(apq_run(NULL), APQ_STATUS_NULL);
    EXPECT(apq_run((apq_session *)((char *)&session + 1)), APQ_STATUS_MISALIGNED);

    EXPECT(apq_open(NULL, model.bytes, model.length, arena, size, &problem), APQ_STATUS_NULL);
    EXPECT(apq_open(&session, NULL, model.length, arena, size, &problem), APQ_STATUS_NULL);
    EXPECT(apq_open(&session, model.bytes, model.length, NULL, size, &problem), APQ_STATUS_NULL);
    EXPECT(apq_open(&session, model.bytes, model.length, arena + 1, size, &problem), APQ_STATUS_ARENA_MISALIGNED);
    EXPECT(apq_open(&session, model.bytes, model.length, arena, size - 1, &problem), APQ_STATUS_ARENA_TOO_SMALL);
    CHECK(problem.needed_bytes == size && problem.given_bytes == size - 1);
    EXPECT(apq_open(&session, model.bytes, model.length, arena, 0, &problem), APQ_STATUS_ARENA_TOO_SMALL);
    EXPECT(apq_open(&session, model.bytes, model.length, arena, SIZE_MAX, &problem), APQ_STATUS_RANGE);
    EXPECT(apq_open(&session, model.bytes, model.length, model.bytes, size, &problem), APQ_STATUS_OVERLAP);
    EXPECT(apq_open((apq_session *)arena, model.bytes, model.length, arena, size, &problem), APQ_STATUS_OVERLAP);
    EXPECT(apq_open((apq_session *)model.bytes, model.bytes, model.length, arena, size, &problem), APQ_STATUS_OVERLAP);
    EXPECT(apq_open((apq_session *)((char *)&session + 4), model.bytes, model.length, arena, size, &problem), APQ_STATUS_MISALIGNED);
    EXPECT(apq_open(&session, model.bytes, 7, arena, size, &problem), APQ_STATUS_MODEL_LENGTH);
    EXPECT(apq_run(&session), APQ_STATUS_NOT_OPEN);

    OK(apq_open(&session, model.bytes, model.length, arena, size + 32, &problem));
    EXPECT(apq_run(&session), APQ_STATUS_NO_INPUT);
    EXPECT(apq_read_codes(&session, codes, outputs), APQ_STATUS_NO_OUTPUT);
    EXPECT(apq_output_place(&session, &out, &length), APQ_STATUS_NO_OUTPUT);
    EXPECT(apq_argmax(&session, &best), APQ_STATUS_NO_OUTPUT);
    EXPECT(apq_write_u8(&session, input.bytes, count - 1), APQ_STATUS_LENGTH);
    EXPECT(apq_write_u8(&session, input.bytes, 0), APQ_STATUS_LENGTH);
    EXPECT(apq_write_u8(&session, NULL, count), APQ_STATUS_NULL);
    EXPECT(apq_write_u8(&session, input.bytes, SIZE_MAX), APQ_STATUS_RANGE);
    EXPECT(apq_write_u8(&session, arena, count), APQ_STATUS_OVERLAP);
    EXPECT(apq_write_f32(&session, (const float *)(const void *)(input.bytes + 1), 1), APQ_STATUS_MISALIGNED);
    EXPECT(apq_write_f32(&session, values, SIZE_MAX / 2), APQ_STATUS_RANGE);
    EXPECT(apq_write_packed(&session, input.bytes, info.input.tensor.packed_bytes + 1), APQ_STATUS_LENGTH);
    EXPECT(apq_session_info(&session, (apq_model_info *)(void *)arena), APQ_STATUS_OVERLAP);
    EXPECT(apq_session_info(&session, (apq_model_info *)(void *)&session), APQ_STATUS_OVERLAP);
    EXPECT(apq_session_info(&session, NULL), APQ_STATUS_NULL);
    EXPECT(apq_model_check(model.bytes, model.length, (apq_model_info *)(void *)model.bytes, &problem), APQ_STATUS_OVERLAP);
    EXPECT(apq_model_check(model.bytes, model.length, &info, (apq_problem *)(void *)model.bytes), APQ_STATUS_OVERLAP);
    EXPECT(apq_open(&other, model.bytes, model.length, arena, size, (apq_problem *)(void *)&other), APQ_STATUS_OVERLAP);
    EXPECT(apq_open(&other, model.bytes, model.length, arena, size, (apq_problem *)(void *)arena), APQ_STATUS_OVERLAP);
    EXPECT(apq_write_packed(&session, &session, info.input.tensor.packed_bytes), APQ_STATUS_OVERLAP);
    EXPECT(apq_input_place(&session, &place, (size_t *)(void *)&place), APQ_STATUS_OVERLAP);
    EXPECT(apq_input_place(&session, (uint8_t **)(void *)arena, &length), APQ_STATUS_OVERLAP);
    EXPECT(apq_run(&session), APQ_STATUS_NO_INPUT);
    EXPECT(apq_run_observed(&session, NULL, NULL), APQ_STATUS_NULL);
    EXPECT(apq_input_place(&session, NULL, &length), APQ_STATUS_NULL);
    EXPECT(apq_input_place(&session, &place, NULL), APQ_STATUS_NULL);

    OK(apq_write_u8(&session, input.bytes, count));
    OK(apq_run(&session));
    EXPECT(apq_run(&session), APQ_STATUS_NO_INPUT);
    EXPECT(apq_read_codes(&session, codes, outputs + 1), APQ_STATUS_LENGTH);
    EXPECT(apq_read_codes(&session, NULL, outputs), APQ_STATUS_NULL);
    EXPECT(apq_read_codes(&session, (int32_t *)(void *)((char *)codes + 2), outputs), APQ_STATUS_MISALIGNED);
    EXPECT(apq_read_f32(&session, values, outputs + 1), APQ_STATUS_LENGTH);
    EXPECT(apq_read_f32(&session, (float *)(void *)arena, outputs), APQ_STATUS_OVERLAP);
    EXPECT(apq_read_packed(&session, &session, info.output.tensor.packed_bytes), APQ_STATUS_OVERLAP);
    EXPECT(apq_read_packed(&session, codes, info.output.tensor.packed_bytes + 1), APQ_STATUS_LENGTH);
    EXPECT(apq_argmax(&session, NULL), APQ_STATUS_NULL);
    EXPECT(apq_argmax(&session, (size_t *)(void *)&session), APQ_STATUS_OVERLAP);
    OK(apq_read_codes(&session, codes, outputs));
    /* A copy at another address is no session. */
    memcpy(&other, &session, sizeof session);
    EXPECT(apq_argmax(&other, &best), APQ_STATUS_NOT_OPEN);
    OK(apq_write_u8(&session, input.bytes, count));
    EXPECT(apq_argmax(&session, &best), APQ_STATUS_NO_OUTPUT);
    /* Opened again without being closed: a new session. */
    OK(apq_open(&session, model.bytes, model.length, arena, size, NULL));
    EXPECT(apq_run(&session), APQ_STATUS_NO_INPUT);
    OK(apq_close(&session));
    EXPECT(apq_close(&session), APQ_STATUS_NOT_OPEN);
    free(shifted);
    free(values);
    free(codes);
    free(arena);
}

typedef struct {
    file_bytes model, input;
    unsigned char *output;
    size_t bytes;
} job;

static void *work(void *context) {
    job *mine = context;
    apq_session session;
    apq_model_info info;
    OK(apq_model_check(mine->model.bytes, mine->model.length, &info, NULL));
    void *arena = arena_of(info.arena_bytes);
    mine->bytes = info.output.tensor.packed_bytes;
    mine->output = malloc(mine->bytes);
    OK(apq_open(&session, mine->model.bytes, mine->model.length, arena, info.arena_bytes, NULL));
    for (int round = 0; round < 20; round++) {
        OK(apq_write_u8(&session, mine->input.bytes, mine->input.length));
        OK(apq_run(&session));
        OK(apq_read_packed(&session, mine->output, mine->bytes));
    }
    free(arena);
    return NULL;
}

/* Sessions of two threads share a model. */
static void threads(file_bytes model, file_bytes input) {
    job jobs[2] = {{model, input, NULL, 0}, {model, input, NULL, 0}};
    pthread_t running[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&running[i], NULL, work, &jobs[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(running[i], NULL) == 0);
    CHECK(memcmp(jobs[0].output, jobs[1].output, jobs[0].bytes) == 0);
    for (int i = 0; i < 2; i++) free(jobs[i].output);
}

/* What two threads share that should not. */
typedef struct {
    apq_session *session;
    file_bytes input;
    size_t done, refused;
} quarrel;

static void *disturb(void *context) {
    quarrel *mine = context;
    size_t place;
    int32_t codes[1];
    apq_model_info info;
    for (int round = 0; round < 300; round++) {
        apq_status ends[5] = {
            apq_write_u8(mine->session, mine->input.bytes, mine->input.length),
            apq_run(mine->session),
            apq_argmax(mine->session, &place),
            apq_read_codes(mine->session, codes, 0),
            apq_session_info(mine->session, &info),
        };
        for (int i = 0; i < 5; i++) {
            CHECK(ends[i] == APQ_STATUS_OK || ends[i] == APQ_STATUS_BUSY || ends[i] == APQ_STATUS_NO_INPUT ||
                  ends[i] == APQ_STATUS_NO_OUTPUT || ends[i] == APQ_STATUS_LENGTH);
            if (ends[i] == APQ_STATUS_OK) mine->done++;
            if (ends[i] == APQ_STATUS_BUSY) mine->refused++;
        }
    }
    return NULL;
}

/* Two threads with one session: each call is done or refused, and the session works afterwards. */
static void one_session(file_bytes model, file_bytes input) {
    apq_session session;
    apq_model_info info;
    OK(apq_model_check(model.bytes, model.length, &info, NULL));
    void *arena = arena_of(info.arena_bytes);
    OK(apq_open(&session, model.bytes, model.length, arena, info.arena_bytes, NULL));
    quarrel both[2] = {{&session, input, 0, 0}, {&session, input, 0, 0}};
    pthread_t running[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&running[i], NULL, disturb, &both[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(running[i], NULL) == 0);
    CHECK(both[0].done + both[1].done > 0);
    fprintf(stderr, "two threads, one session: %zu calls done, %zu refused\n", both[0].done + both[1].done, both[0].refused + both[1].refused);
    OK(apq_write_u8(&session, input.bytes, input.length));
    OK(apq_run(&session));
    OK(apq_close(&session));
    free(arena);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s MODEL.apq INPUT\n", arguments[0]);
        return 2;
    }
    CHECK(apq_abi_version() == APQ_ABI_VERSION);
    CHECK(strcmp(apq_status_text(12345), "unknown status") == 0 && strcmp(apq_status_text(APQ_STATUS_OK), "done") == 0);
    printf("version %s %u\n", apq_version(), (unsigned)apq_format_version());
    file_bytes model = read_file(arguments[1]), input = read_file(arguments[2]);
    use(model, input);
    misuse(model, input);
    damage(model);
    threads(model, input);
    one_session(model, input);
    free(model.bytes);
    free(input.bytes);
    return 0;
}
