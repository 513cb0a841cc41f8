// Codes of 2 and 4 bits to bytes, and back.

// extern "C" fn(to: *mut u8, count: usize, from: *const u8) -> i32
//
// A lane takes a byte and spreads its codes over its bytes.
    apq_function unpack_4
    push {r7, lr}
    movs r12, #0
    vmov.i8 q2, #15
    wlstp.16 lr, r1, 2f
1:
    vldrb.u16 q0, [r2], #8
    vshl.i16 q1, q0, #4
    vorr q0, q0, q1
    vand q0, q0, q2
    vaddva.u8 r12, q0
    vstrb.8 q0, [r0], #16
    letp lr, 1b
2:
    mov r0, r12
    pop {r7, pc}
    .size apq_mve_unpack_4, . - apq_mve_unpack_4

    apq_function unpack_2
    push {r7, lr}
    movs r12, #0
    vmov.i8 q2, #3
    wlstp.32 lr, r1, 2f
1:
    vldrb.u32 q0, [r2], #4
    vshl.i32 q1, q0, #6
    vorr q0, q0, q1
    vshl.i32 q1, q0, #12
    vorr q0, q0, q1
    vand q0, q0, q2
    vaddva.u8 r12, q0
    vstrb.8 q0, [r0], #16
    letp lr, 1b
2:
    mov r0, r12
    pop {r7, pc}
    .size apq_mve_unpack_2, . - apq_mve_unpack_2

// extern "C" fn(codes: *const u8, count: usize, to: *mut u8)
    apq_function pack_4
    push {r7, lr}
    wlstp.16 lr, r1, 2f
1:
    vldrb.u8 q0, [r0], #16
    vshr.u16 q1, q0, #4
    vorr q0, q0, q1
    vstrb.16 q0, [r2], #8
    letp lr, 1b
2:
    pop {r7, pc}
    .size apq_mve_pack_4, . - apq_mve_pack_4

    apq_function pack_2
    push {r7, lr}
    wlstp.32 lr, r1, 2f
1:
    vldrb.u8 q0, [r0], #16
    vshr.u32 q1, q0, #6
    vorr q0, q0, q1
    vshr.u32 q1, q0, #12
    vorr q0, q0, q1
    vstrb.32 q0, [r2], #4
    letp lr, 1b
2:
    pop {r7, pc}
    .size apq_mve_pack_2, . - apq_mve_pack_2
