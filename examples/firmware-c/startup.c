/* From reset to main: the vector table, the floating point unit, the variables. */
#include <stdint.h>

#include "semihosting.h"

int main(void);

extern uint32_t stack_top[], data_load[], data_begin[], data_end[], bss_begin[], bss_end[];

void reset(void);

static void fault(void) {
    semihosting_print("fault\n");
    semihosting_exit(1);
}

void reset(void) {
    /* Full access to coprocessors 10 and 11: registers of the floating point unit hold arguments. */
    volatile uint32_t *cpacr = (volatile uint32_t *)0xe000ed88;
    *cpacr |= 0xfu << 20;
    __asm volatile("dsb\n isb" ::: "memory");
    const uint32_t *from = data_load;
    for (uint32_t *to = data_begin; to < data_end; to++) *to = *from++;
    for (uint32_t *to = bss_begin; to < bss_end; to++) *to = 0;
    semihosting_exit(main());
}

typedef void (*handler)(void);

/* The stack's top and the exceptions of the core; no interrupt is turned on. */
__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)(uintptr_t)stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
};
