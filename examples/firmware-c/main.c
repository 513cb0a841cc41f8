/* Runs a model, linked as an array, on the samples of a file that the emulator or the debugger reads for it: raw bytes, one sample after the
 * other. Prints the packed codes of each output, and its class.
 */
#include "apq_runtime.h"
#include "model.h"
#include "semihosting.h"

static _Alignas(MODEL_ALIGNMENT) uint8_t arena[MODEL_ARENA_BYTES];
static apq_session session;
static uint8_t sample[MODEL_INPUT_ELEMENTS];
static uint8_t output[MODEL_OUTPUT_PACKED_BYTES];

static void print_number(size_t number) {
    char text[21], *place = text + sizeof text - 1;
    *place = 0;
    do {
        *--place = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    semihosting_print(place);
}

static void print_bytes(const uint8_t *bytes, size_t count) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        const char text[3] = {digits[bytes[i] >> 4], digits[bytes[i] & 15], 0};
        semihosting_print(text);
    }
}

/* Prints what went wrong. Returns whether nothing did. */
static int done(apq_status status, const char *what) {
    if (status == APQ_STATUS_OK) return 1;
    semihosting_print(what);
    semihosting_print(": ");
    semihosting_print(apq_status_text(status));
    semihosting_print("\n");
    return 0;
}

static void count_layers(void *context, apq_moment moment, const apq_layer *layer) {
    (void)layer;
    if (moment == APQ_MOMENT_AFTER) ++*(size_t *)context;
}

static int run_sample(size_t index) {
    size_t layers = 0, best = 0;
    if (!done(apq_write_u8(&session, sample, sizeof sample), "input")) return 0;
    if (!done(apq_run_observed(&session, count_layers, &layers), "run")) return 0;
    if (!done(apq_read_packed(&session, output, sizeof output), "output")) return 0;
    if (!done(apq_argmax(&session, &best), "class")) return 0;
    semihosting_print("sample ");
    print_number(index);
    semihosting_print(" layers ");
    print_number(layers);
    semihosting_print(" codes ");
    print_bytes(output, sizeof output);
    semihosting_print(" class ");
    print_number(best);
#ifdef MODEL_LABELS
    semihosting_print(" ");
    semihosting_print(model_labels[best]);
#endif
    semihosting_print("\n");
    return 1;
}

/* The last of the program's arguments. */
static const char *file_name(char *text, size_t size) {
    if (!semihosting_arguments(text, size)) return NULL;
    const char *last = NULL;
    for (char *place = text; *place != 0; place++) {
        if (*place == ' ') last = place + 1;
    }
    return last;
}

int main(void) {
    static char arguments[256];
    apq_problem problem;
    if (!done(apq_open(&session, model_model, sizeof model_model, arena, sizeof arena, &problem), "model")) return 1;
    const char *name = file_name(arguments, sizeof arguments);
    int32_t file = name == NULL ? -1 : semihosting_open(name);
    if (file < 0) {
        semihosting_print("there is no file of samples: name one as the program's argument\n");
        return 1;
    }
    size_t count = 0, bytes;
    while ((bytes = semihosting_read(file, sample, sizeof sample)) == sizeof sample) {
        if (!run_sample(count++)) return 1;
    }
    if (bytes != 0 || count == 0) {
        semihosting_print("the file of samples ends within a sample\n");
        return 1;
    }
    return 0;
}
