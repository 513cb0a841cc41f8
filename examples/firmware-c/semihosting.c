#include "semihosting.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_READ = 0x06, SYS_GET_CMDLINE = 0x15, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, STOPPED_BY_EXIT = 0x20026 };

static int32_t call(int32_t operation, const void *parameter) {
    register int32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = parameter;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t length(const char *text) {
    uint32_t count = 0;
    while (text[count] != 0) count++;
    return count;
}

void semihosting_print(const char *text) { call(SYS_WRITE0, text); }

void semihosting_exit(int status) {
    const uint32_t block[2] = {STOPPED_BY_EXIT, (uint32_t)status};
    call(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

int semihosting_arguments(char *text, size_t size) {
    uint32_t block[2] = {(uint32_t)(uintptr_t)text, (uint32_t)size};
    return call(SYS_GET_CMDLINE, block) == 0;
}

int32_t semihosting_open(const char *path) {
    const uint32_t block[3] = {(uint32_t)(uintptr_t)path, OPEN_READ_BINARY, length(path)};
    return call(SYS_OPEN, block);
}

size_t semihosting_read(int32_t file, void *bytes, size_t size) {
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)(uintptr_t)bytes, (uint32_t)size};
    /* The call returns how many bytes are missing. */
    int32_t missing = call(SYS_READ, block);
    return missing < 0 || (size_t)missing > size ? 0 : size - (size_t)missing;
}
