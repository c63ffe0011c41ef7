/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Preloaded into a program with a userspace driver: its PCI functions are those of a card in another process.
 *
 * names.c     libc's functions that take a path: those of PCI devices and of UIO lead to the slots' folder
 * content.c   libc's functions that read and write what is open: configuration space is asked of the card
 * memory.c    mapped BARs get no access rights; the card gets the addresses of mapped hugepages, as an IOMMU's driver would
 * fault.c     an access to a BAR faults, and is asked of the card with all side effects
 * decode.c    which instruction that was
 * link.c      the sockets to the card's process; service.py is the other end
 *
 * DATAPLANE_SLOTS names the folder that slot.py fills: sys/..., dev/uioN, card/ADDRESS/{socket,registers}.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { SLOTS = 64, BARS = 6, TAILS = 64, ADDRESS = 16 };

/* What a file of a slot stands for: a BAR by its number, or one of these. */
enum { CONFIG = BARS, UIO, RESET, UNBIND, BIND, ACCEPTS, FIXED };

enum op { READ, WRITE, CONFIG_READ, CONFIG_WRITE, MAP, UNMAP, TAIL, ENTER, RESET_NOW, SET_DRIVER };

struct request {
    uint32_t op, bar;
    uint64_t offset; /* in the BAR or in configuration space; MAP: in the file that goes with it */
    uint64_t value;  /* MAP and UNMAP: the physical address; SET_DRIVER: whether there is one */
    uint64_t address;
    uint32_t size;
    uint32_t pid; /* of this process: inside it, memory is where it is */
};

struct slot {
    char address[ADDRESS], folder[128];
    int socket;         /* -1: not connected */
    int entered;        /* the card knows that this process drives it */
    uint8_t *registers; /* the register file, which tails are stored to */
    struct { uint32_t offset; uint32_t *at; } tails[TAILS]; /* NULL: not asked for yet */
};

struct file { dev_t dev; ino_t ino; struct slot *slot; int what; };

/* Part of a BAR in this process's memory. */
struct mapping { uint8_t *at; size_t size; struct slot *slot; uint32_t bar; uint64_t offset; int prot; };

/* libc's own function of that name. */
#define REAL(name)                                     \
    __extension__({                                    \
        static __typeof__(&name) real_;                \
        if (!real_)                                    \
            *(void **)&real_ = dlsym(RTLD_NEXT, #name); \
        real_;                                         \
    })

#define EXPORT __attribute__((visibility("default")))

/* link.c */
extern struct slot slots[SLOTS];
extern int slot_count;
const char *slots_root(void); /* NULL: this program has no slots */
void find_slots(void);        /* read the folder, once */
const struct file *find_file(int fd);
void add_file(int fd, struct slot *slot, int what);
uint64_t ask(struct slot *slot, struct request *request, int fd);
int connect_to(const char *path);
void enter(struct slot *slot);
sigset_t lock(void); /* one for all; signals wait, since their handlers may access a BAR */
void unlock(sigset_t before);
__attribute__((noreturn, format(printf, 1, 2))) void give_up(const char *format, ...);

/* names.c */
const char *here(const char *path, char room[PATH_MAX]); /* where it is: `path`, or in the slots' folder */
int in_root(const char *path);
int open_here(int folder, const char *path, int flags, mode_t mode);

/* memory.c */
const struct mapping *find_mapping(const uint8_t *at);
void tell_pages(struct slot *slot);

/* fault.c */
void catch_faults(void);

/* decode.c */
enum { READS = 1, WRITES = 2 };
enum kind { PLAIN, BIT, PUSH, POP, MOVS, STOS, LODS };

struct instruction {
    uint8_t access, width, kind, length;
    uint8_t vector, repeated, reg; /* reg: of a BIT instruction, the register with the bit's number; 0xFF: none */
    uint8_t copied;                /* bytes of `copy` */
    uint8_t copy[24];              /* the same instruction with its operand at a distance to be filled in: */
    uint8_t place, trailing;       /* where the distance or address is in `copy`, what comes behind it */
    uint8_t absolute;              /* an address of 8 bytes, not a distance of 4 */
};

int decode(const uint8_t *code, struct instruction *found); /* 0: none that is known */
