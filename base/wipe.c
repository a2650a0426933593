/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wipe.h"

#include <string.h>

/* Several times what SSL_write was seen to use. */
#define STACK_DEPTH 65536

__attribute__((noinline)) void wipe_stack(void)
{
    char area[STACK_DEPTH];
    explicit_bzero(area, sizeof area);
}

#if defined(__x86_64__)

/* vzeroall reaches 0 to 15 whole; 16 to 31 exist with AVX-512 alone. */
__attribute__((noinline, target("avx512f"))) static void wipe_upper(void)
{
#define ZERO(n) "vpxorq %%zmm" #n ",%%zmm" #n ",%%zmm" #n "\n\t"
    __asm__ volatile(ZERO(16) ZERO(17) ZERO(18) ZERO(19) ZERO(20) ZERO(21) ZERO(22) ZERO(23)
                         ZERO(24) ZERO(25) ZERO(26) ZERO(27) ZERO(28) ZERO(29) ZERO(30) ZERO(31)
                     :
                     :
                     : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                       "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
#undef ZERO
}

__attribute__((noinline, target("avx"))) static void wipe_avx(void)
{
    __asm__ volatile("vzeroall"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

__attribute__((noinline)) static void wipe_sse(void)
{
#define ZERO(n) "pxor %%xmm" #n ",%%xmm" #n "\n\t"
    __asm__ volatile(ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9)
                         ZERO(10) ZERO(11) ZERO(12) ZERO(13) ZERO(14) ZERO(15)
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#undef ZERO
}

void wipe_registers(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        wipe_upper();
    if (__builtin_cpu_supports("avx"))
        wipe_avx();
    else
        wipe_sse();
}

#elif defined(__aarch64__)

void wipe_registers(void)
{
#define ZERO(n) "movi v" #n ".2d, #0\n\t"
    __asm__ volatile(ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9)
                         ZERO(10) ZERO(11) ZERO(12) ZERO(13) ZERO(14) ZERO(15) ZERO(16) ZERO(17)
                             ZERO(18) ZERO(19) ZERO(20) ZERO(21) ZERO(22) ZERO(23) ZERO(24) ZERO(25)
                                 ZERO(26) ZERO(27) ZERO(28) ZERO(29) ZERO(30) ZERO(31)
                     :
                     :
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",
                       "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
                       "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
#undef ZERO
}

#else

void wipe_registers(void)
{
}

#endif
