/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An access to a mapped BAR. Data that the instruction reads comes from the card. The CPU runs a copy of the instruction
 * on these data, with the program's registers and flags. Data that it writes goes to the card.
 */
#include "trap.h"

#include <ucontext.h>

enum { CODES = 64, CODE = 64, STATUS_FLAGS = 0x8D5 /* OF SF ZF AF PF CF */, XSTATES = 0xE7 /* all but MPX */ };

/* ---- running a copy of an instruction ---- */

/* The registers that run_copy loads and stores; its assembly has the offsets. */
struct state {
    uint64_t regs[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8 to r15 */
    uint64_t flags;
    void *vectors;   /* the signal frame's XSAVE or FXSAVE area; NULL: the instruction has nothing to do with it */
    uint64_t states; /* which components XSAVE saves; 0: there is FXSAVE only */
    const void *code;
};
_Static_assert(offsetof(struct state, flags) == 128 && offsetof(struct state, vectors) == 136 &&
                   offsetof(struct state, states) == 144 && offsetof(struct state, code) == 152, "run_copy has these");

void run_copy(struct state *state) __attribute__((visibility("hidden")));
void run_copy_back(void) __attribute__((visibility("hidden"))); /* where a copy jumps to when it has been run */

__asm__(".local run_copy_at, run_copy_rdi\n"
        ".comm run_copy_at, 8, 8\n"
        ".comm run_copy_rdi, 8, 8\n"
        ".text\n"
        ".globl run_copy, run_copy_back\n"
        ".hidden run_copy, run_copy_back\n"
        ".type run_copy, @function\n"
        "run_copy:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
        "  mov 152(%rdi), %rax; mov %rax, run_copy_at(%rip)\n"
        "  mov 136(%rdi), %rcx; test %rcx, %rcx; jz 2f\n"
        "  mov 144(%rdi), %eax; xor %edx, %edx; test %eax, %eax; jz 1f\n"
        "  xrstor64 (%rcx); jmp 2f\n"
        "1: fxrstor64 (%rcx)\n"
        "2: push 128(%rdi); popfq\n"
        "  mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx; mov 40(%rdi), %rbp\n"
        "  mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
        "  mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15; mov 56(%rdi), %rdi\n"
        "  jmp *run_copy_at(%rip)\n"
        "run_copy_back:\n"
        "  mov %rdi, run_copy_rdi(%rip); mov (%rsp), %rdi\n"
        "  mov %rax, 0(%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi); mov %rbp, 40(%rdi)\n"
        "  mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi); mov %r11, 88(%rdi)\n"
        "  mov %r12, 96(%rdi); mov %r13, 104(%rdi); mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
        "  mov run_copy_rdi(%rip), %rax; mov %rax, 56(%rdi)\n"
        "  pushfq; pop 128(%rdi); cld\n"
        "  mov 136(%rdi), %rcx; test %rcx, %rcx; jz 4f\n"
        "  mov 144(%rdi), %eax; xor %edx, %edx; test %eax, %eax; jz 3f\n"
        "  xsave64 (%rcx); jmp 4f\n"
        "3: fxsave64 (%rcx)\n"
        "4: pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
        ".size run_copy, . - run_copy\n");

/* Copies by the address of the original; all have the same operand, behind them. */
static struct { const uint8_t *at; uint8_t original[16]; struct instruction found; } known[CODES];
static uint8_t *copies;
static uint8_t *operand; /* 64 bytes, as many as an instruction may read or write */

static void make_room(void)
{
    enum { SIZE = CODES * CODE };
    if (copies)
        return;
    copies = (uint8_t *)syscall(SYS_mmap, NULL, 2 * SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copies == MAP_FAILED)
        give_up("no memory that code may be written to (%s): this system's policy forbids it", strerror(errno));
    operand = copies + SIZE;
}

/* The instruction at `code`, decoded, and where its copy is. The lock is held. */
static const struct instruction *find_copy(const uint8_t *code, uint8_t **copy)
{
    size_t i = ((uintptr_t)code ^ (uintptr_t)code >> 6) % CODES;
    struct instruction *found = &known[i].found;
    *copy = copies + i * CODE;
    if (known[i].at == code && !memcmp(known[i].original, code, found->length))
        return found;
    known[i].at = NULL;
    if (!decode(code, found))
        return NULL;
    known[i].at = code;
    memcpy(known[i].original, code, found->length);
    memcpy(*copy, found->copy, found->copied);
    uint8_t *end = *copy + found->copied;
    if (found->absolute)
        memcpy(*copy + found->place, &operand, 8);
    else {
        int32_t distance = (int32_t)(operand - end);
        memcpy(*copy + found->place, &distance, 4);
    }
    void (*back)(void) = run_copy_back;
    static const uint8_t jump[6] = {0xFF, 0x25}; /* to the address that follows */
    memcpy(end, jump, sizeof jump);
    memcpy(end + sizeof jump, &back, sizeof back);
    return found;
}

static const int GREGS[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void run(const struct instruction *found, const uint8_t *copy, mcontext_t *machine)
{
    enum { MAGIC_AT = 464, FEATURES_AT = 472 }; /* what Linux says in an FXSAVE area's bytes for software */
    struct state state = {.flags = (uint64_t)machine->gregs[REG_EFL] & STATUS_FLAGS, .code = copy};
    for (int i = 0; i < 16; i++)
        state.regs[i] = (uint64_t)machine->gregs[GREGS[i]];
    if (found->vector) {
        uint32_t magic;
        state.vectors = machine->fpregs;
        memcpy(&magic, (char *)state.vectors + MAGIC_AT, sizeof magic);
        if (magic == 0x46505853)
            memcpy(&state.states, (char *)state.vectors + FEATURES_AT, sizeof state.states);
        state.states &= XSTATES;
    }
    uint64_t number = found->reg < 16 ? state.regs[found->reg] : 0;
    if (found->reg < 16) /* a bit's number past the operand has led to the dword that faulted */
        state.regs[found->reg] &= found->width * 8u - 1;
    run_copy(&state);
    if (found->reg < 16)
        state.regs[found->reg] = number;
    for (int i = 0; i < 16; i++)
        if (GREGS[i] != REG_RSP)
            machine->gregs[GREGS[i]] = (greg_t)state.regs[i];
    machine->gregs[REG_EFL] = (machine->gregs[REG_EFL] & ~(greg_t)STATUS_FLAGS) | ((greg_t)state.flags & STATUS_FLAGS);
}

/* ---- the card ---- */

/* The tail of a queue has no side effect: the card looks at it when it next runs. A store does, then, and saves two switches
 * between processes for each doorbell. NULL: it is no tail. */
static uint32_t *tail_at(struct slot *slot, uint32_t offset)
{
    if (!slot->registers || (offset & 0x3F) != 0x18)
        return NULL;
    for (int i = 0; i < TAILS; i++) {
        if (!slot->tails[i].at) {
            struct request request = {.op = TAIL, .offset = offset};
            uint64_t found = ask(slot, &request, -1); /* its offset in the register file plus one */
            if (!found)
                return NULL;
            slot->tails[i].at = (uint32_t *)(void *)(slot->registers + found - 1);
            slot->tails[i].offset = offset;
        }
        if (slot->tails[i].offset == offset)
            return slot->tails[i].at;
    }
    return NULL;
}

/* Pieces are of 8 bytes at most; service.py makes dwords of them. */
static uint32_t piece_of(size_t left)
{
    return left < 8 ? (uint32_t)left : 8;
}

static void load(const struct mapping *mapping, const uint8_t *at, uint8_t *to, size_t n)
{
    for (uint32_t size; n; n -= size, at += size, to += size) {
        struct request request = {.op = READ, .bar = mapping->bar, .offset = (uint64_t)(at - mapping->at) + mapping->offset,
                                  .size = size = piece_of(n)};
        uint64_t value = ask(mapping->slot, &request, -1);
        memcpy(to, &value, size);
    }
}

static void store(const struct mapping *mapping, const uint8_t *at, const uint8_t *from, size_t n, int plain)
{
    struct slot *slot = mapping->slot;
    for (uint32_t size; n; n -= size, at += size, from += size) {
        struct request request = {.op = WRITE, .bar = mapping->bar, .offset = (uint64_t)(at - mapping->at) + mapping->offset,
                                  .size = size = piece_of(n)};
        memcpy(&request.value, from, size);
        uint32_t *tail = plain && size == 4 && !mapping->bar ? tail_at(slot, (uint32_t)request.offset) : NULL;
        if (tail) {
            __atomic_store_n(tail, (uint32_t)request.value, __ATOMIC_RELEASE);
            continue;
        }
        memset(slot->tails, 0, sizeof slot->tails); /* queues may be set up again: those of a VF are not always the same */
        ask(slot, &request, -1);
    }
}

/* ---- instructions whose operand is not in their bytes ---- */

static void load_any(const uint8_t *at, uint8_t *to, size_t n)
{
    const struct mapping *mapping = find_mapping(at);
    if (mapping)
        load(mapping, at, to, n);
    else
        memcpy(to, at, n);
}

static void store_any(uint8_t *at, const uint8_t *from, size_t n)
{
    const struct mapping *mapping = find_mapping(at);
    if (mapping)
        store(mapping, at, from, n, 0);
    else
        memcpy(at, from, n);
}

/* One element; a repeated instruction faults again for the next. Returns whether it is over. */
static int move_string(const struct instruction *found, greg_t *regs)
{
    greg_t step = regs[REG_EFL] & 0x400 ? -(greg_t)found->width : found->width;
    uint8_t value[8];
    if (found->kind == STOS)
        memcpy(value, &regs[REG_RAX], found->width);
    else {
        load_any((const uint8_t *)regs[REG_RSI], value, found->width);
        regs[REG_RSI] += step;
    }
    if (found->kind == LODS) {
        if (found->width == 4)
            regs[REG_RAX] = 0;
        memcpy(&regs[REG_RAX], value, found->width);
    } else {
        store_any((uint8_t *)regs[REG_RDI], value, found->width);
        regs[REG_RDI] += step;
    }
    return !found->repeated || !--regs[REG_RCX];
}

static void move_stack(const struct mapping *mapping, const uint8_t *at, int push, greg_t *regs)
{
    if (push) {
        load(mapping, at, operand, 8);
        regs[REG_RSP] -= 8;
        memcpy((void *)regs[REG_RSP], operand, 8);
    } else {
        store(mapping, at, (const uint8_t *)regs[REG_RSP], 8, 0);
        regs[REG_RSP] += 8;
    }
}

/* ---- the signal ---- */

static struct sigaction before; /* what the program does about SIGSEGV */
static int catching;

static void access_bar(const struct mapping *mapping, const uint8_t *at, mcontext_t *machine)
{
    greg_t *regs = machine->gregs;
    const uint8_t *code = (const uint8_t *)regs[REG_RIP];
    uint8_t *copy;
    int over = 1;
    make_room();
    const struct instruction *found = find_copy(code, &copy);
    if (!found)
        give_up("%s: cannot decode the access to BAR%u at %#lx: %02x %02x %02x %02x %02x %02x %02x %02x", mapping->slot->folder,
                mapping->bar, (unsigned long)((uint64_t)(at - mapping->at) + mapping->offset), code[0], code[1], code[2], code[3],
                code[4], code[5], code[6], code[7]);
    if (found->kind == MOVS || found->kind == STOS || found->kind == LODS)
        over = move_string(found, regs);
    else if (found->kind == PUSH || found->kind == POP)
        move_stack(mapping, at, found->kind == PUSH, regs);
    else if (found->access) {
        if (found->access & READS)
            load(mapping, at, operand, found->width);
        run(found, copy, machine);
        if (found->access & WRITES)
            store(mapping, at, operand, found->width, found->access == WRITES);
    }
    if (over)
        regs[REG_RIP] += found->length;
}

/* Not ours: as if we were not here. */
static void pass_on(int number, siginfo_t *info, ucontext_t *context)
{
    struct sigaction theirs = before;
    sigset_t mask = context->uc_sigmask;
    if (!(theirs.sa_flags & SA_SIGINFO) && (theirs.sa_handler == SIG_DFL || theirs.sa_handler == SIG_IGN)) {
        REAL(sigaction)(SIGSEGV, &theirs, NULL); /* it happens again, and ends the program */
        return;
    }
    for (int each = 1; each < NSIG; each++)
        if (sigismember(&theirs.sa_mask, each) == 1)
            sigaddset(&mask, each);
    sigaddset(&mask, SIGSEGV);
    REAL(pthread_sigmask)(SIG_SETMASK, &mask, NULL);
    if (theirs.sa_flags & SA_SIGINFO)
        theirs.sa_sigaction(number, info, context);
    else
        theirs.sa_handler(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int error = errno;
    enum { WROTE = 2 }; /* in a page fault's error code */
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    const struct mapping *mapping = info->si_code > 0 ? find_mapping(info->si_addr) : NULL;
    if (!mapping || !(mapping->prot & (machine->gregs[REG_ERR] & WROTE ? PROT_WRITE : PROT_READ))) {
        pass_on(number, info, context);
        return;
    }
    sigset_t mask = lock();
    access_bar(mapping, info->si_addr, machine);
    unlock(mask);
    errno = error;
}

void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigset_t segv;
    sigfillset(&action.sa_mask);
    if (!__atomic_exchange_n(&catching, 1, __ATOMIC_ACQ_REL))
        REAL(sigaction)(SIGSEGV, &action, &before);
    sigemptyset(&segv);
    sigaddset(&segv, SIGSEGV);
    REAL(pthread_sigmask)(SIG_UNBLOCK, &segv, NULL);
}

/* ---- libc's names: a program that handles or blocks SIGSEGV gets its own faults, and none of ours ---- */

EXPORT int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old)
{
    if (number != SIGSEGV || !catching)
        return REAL(sigaction)(number, action, old);
    struct sigaction was = before;
    if (action)
        before = *action;
    if (old)
        *old = was;
    return 0;
}

EXPORT sighandler_t signal(int number, sighandler_t handler)
{
    struct sigaction was = before;
    if (number != SIGSEGV || !catching)
        return REAL(signal)(number, handler);
    before = (struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART};
    return was.sa_handler;
}

/* With SIGSEGV blocked a fault would end the program. */
static int mask_signals(int (*real)(int, const sigset_t *, sigset_t *), int how, const sigset_t *set, sigset_t *old)
{
    sigset_t without;
    if (set && how != SIG_UNBLOCK && slots_root()) {
        without = *set;
        sigdelset(&without, SIGSEGV);
        set = &without;
    }
    return real(how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
    return mask_signals(REAL(sigprocmask), how, set, old);
}

EXPORT int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
    return mask_signals(REAL(pthread_sigmask), how, set, old);
}
