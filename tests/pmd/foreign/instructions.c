/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Runs every case of the table that instruction_forms.py generates twice, with the operand in plain memory and in a BAR at
 * the same address. Registers, flags, a vector register and memory must be the same afterwards.
 *   instructions BAR RAM: what is mapped as a BAR, and a file with the bytes behind it
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { AREA = 4096, FILLED = 512, SEEDS = 2, REGS = 16, FLAGS = 0x8D5 };
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

struct machine {
    uint64_t regs[REGS], flags;
    uint8_t vector[32]; /* ymm1 where there is one */
};

/* delta: what the form of address adds to its base register; index: what is in the index registers */
struct one { void (*code)(void); const char *text; uint64_t delta, index; };
extern const struct one cases[];
extern const unsigned case_count;

uint8_t area[AREA] __attribute__((aligned(AREA)));
static uint8_t *const operand = area + 256; /* in the middle of what is filled */
uint64_t scratch[8];      /* where strings are moved to */

struct machine *harness_machine;
void (*harness_code)(void);
uint64_t harness_rax;
void harness(void);

#ifdef __AVX__
#define VECTOR_MOVE "vmovdqu"
#define VECTOR "ymm1"
#else
#define VECTOR_MOVE "movdqu"
#define VECTOR "xmm1"
#endif

__asm__(".text\n.globl harness\nharness:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; sub $8, %rsp\n"
        "  mov harness_machine(%rip), %rax\n"
        "  push 128(%rax); popfq\n"
        "  " VECTOR_MOVE " 136(%rax), %" VECTOR "\n"
        "  mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 40(%rax), %rbp; mov 48(%rax), %rsi\n"
        "  mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9; mov 80(%rax), %r10; mov 88(%rax), %r11\n"
        "  mov 96(%rax), %r12; mov 104(%rax), %r13; mov 112(%rax), %r14; mov 120(%rax), %r15; mov 0(%rax), %rax\n"
        "  call *harness_code(%rip)\n"
        "  mov %rax, harness_rax(%rip); mov harness_machine(%rip), %rax\n"
        "  mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rbp, 40(%rax); mov %rsi, 48(%rax)\n"
        "  mov %rdi, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax); mov %r11, 88(%rax)\n"
        "  mov %r12, 96(%rax); mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
        "  pushfq; pop 128(%rax)\n"
        "  " VECTOR_MOVE " %" VECTOR ", 136(%rax)\n"
        "  mov harness_rax(%rip), %rcx; mov %rcx, 0(%rax)\n"
        "  add $8, %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

struct result { struct machine machine; uint8_t memory[FILLED]; uint64_t scratch[8]; };

static uint8_t byte_of(unsigned seed, unsigned i) { return (uint8_t)((i * 37 + 11) ^ (i >> 3) * (seed * 89 + 5)); }

static void run(const struct one *one, unsigned seed, uint8_t *memory, struct result *to)
{
    struct machine machine = {.flags = seed ? 0x202 : 0x202 | FLAGS};
    for (unsigned i = 0; i < REGS; i++)
        machine.regs[i] = seed ? 0x0123456789ABCDEFull * (i + 3) : i * 0x1111 + 0x2A;
    for (unsigned i = 0; i < sizeof machine.vector; i++)
        machine.vector[i] = byte_of(seed + 3, i);
    machine.regs[RDX] = seed; /* so that a division does not overflow */
    uint64_t base = (uint64_t)operand - one->delta;
    machine.regs[RBX] = machine.regs[RBP] = machine.regs[R12] = machine.regs[R13] = base;
    machine.regs[RDI] = machine.regs[R14] = one->index;
    machine.regs[R15] = (uint64_t)operand;
    for (unsigned i = 0; i < FILLED; i++)
        memory[i] = byte_of(seed, i);
    memset(scratch, 0, sizeof scratch);
    harness_machine = &machine, harness_code = one->code;
    harness();
    machine.flags &= FLAGS;
    machine.regs[RSP] = 0;
    to->machine = machine;
    memcpy(to->memory, memory, FILLED);
    memcpy(to->scratch, scratch, sizeof scratch);
}

static void compare(const char *text, const struct result *want, const struct result *got)
{
    for (unsigned i = 0; i < REGS; i++)
        if (want->machine.regs[i] != got->machine.regs[i])
            printf("%s: register %u is %#lx, not %#lx\n", text, i, got->machine.regs[i], want->machine.regs[i]);
    if (want->machine.flags != got->machine.flags)
        printf("%s: flags are %#lx, not %#lx\n", text, got->machine.flags, want->machine.flags);
    if (memcmp(want->machine.vector, got->machine.vector, sizeof want->machine.vector))
        printf("%s: the vector register differs\n", text);
    for (unsigned i = 0; i < FILLED; i++)
        if (want->memory[i] != got->memory[i])
            printf("%s: byte %u of memory is %#x, not %#x\n", text, i, got->memory[i], want->memory[i]);
    if (memcmp(want->scratch, got->scratch, sizeof want->scratch))
        printf("%s: what was moved differs\n", text);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct result *results = calloc(case_count * SEEDS, sizeof *results), got;
    for (unsigned i = 0; i < case_count * SEEDS; i++)
        run(&cases[i / SEEDS], i % SEEDS, area, &results[i]);
    int ram_file = open(argv[2], O_RDWR), bar = open(argv[1], O_RDWR);
    uint8_t *ram = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, ram_file, 0);
    if (ram == MAP_FAILED || mmap(area, AREA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, bar, 0) != area)
        return 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < case_count * SEEDS; i++) {
        run(&cases[i / SEEDS], i % SEEDS, ram, &got);
        compare(cases[i / SEEDS].text, &results[i], &got);
    }
    printf("%u cases\n", case_count);
    return 0;
}
