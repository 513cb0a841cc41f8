// What all files begin with: functions are sections of their own, so that those that nothing calls are left out.

    .cpu cortex-m55

.macro apq_function name
    .section .text.apq_mve_\name, "ax", %progbits
    .global apq_mve_\name
    .type apq_mve_\name, %function
    .balign 4
    .thumb_func
apq_mve_\name:
.endm
