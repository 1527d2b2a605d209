/* SPDX-License-Identifier: Apache-2.0 */
/* The handler makes system calls only and touches nothing but its stack and atomic counts. */
#include "switch/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((uintptr_t)2 << 20)

static struct {
	uintptr_t from, to;
} ours[GUEST_MEMORY_OURS_MAX];
static unsigned n_ours;
static uint64_t n_missing;
static uintptr_t page; /* 4096 bytes, or 16 or 64 KiB on some Arm kernels */

/* One line of /proc/self/maps, as far as it matters. */
struct mapping {
	uintptr_t from, to;
	bool is_shared;
};

/* Characters of a line as they come. */
struct scan {
	uintptr_t number;
	unsigned field; /* 0 from, 1 to, 2 flags, 3 the rest */
	unsigned at;	/* in the flags */
	struct mapping m;
};

/* Takes a character; true at the end of a line. */
static bool scan_take(struct scan *s, char c)
{
	if (c == '\n') {
		s->field = s->at = 0;
		s->number = 0;
		return true;
	}
	if (s->field < 2 && (c == '-' || c == ' ')) {
		*(s->field == 0 ? &s->m.from : &s->m.to) = s->number;
		s->field++;
		s->number = 0;
	} else if (s->field < 2) {
		s->number = s->number * 16 + (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	} else if (s->field == 2) {
		s->m.is_shared = s->at == 3 ? c == 's' : s->m.is_shared;
		s->field += s->at++ == 3;
	}
	return false;
}

/* The mapping that holds an address. No lock, no memory: a signal's handler may call it. */
static bool find_mapping(uintptr_t address, struct mapping *out)
{
	struct scan s = { 0 };
	char text[512];
	ssize_t n = 0;
	bool found = false;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && !found && (n = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < n && !found; i++) {
			found = scan_take(&s, text[i]) && s.m.from <= address && address < s.m.to;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	*out = s.m;
	return found;
}

static bool is_ours(uintptr_t address)
{
	for (unsigned i = 0; i < n_ours; i++) {
		if (ours[i].from <= address && address < ours[i].to) {
			return true;
		}
	}
	return false;
}

/* Zeros from the page, of this size, of an address to the end of its mapping. */
static bool replace(uintptr_t address, const struct mapping *m, uintptr_t size)
{
	uintptr_t from = address & ~(size - 1);

	return from >= m->from &&
	       mmap((void *)from, m->to - from, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	int error = errno;
	struct mapping m;

	(void)context;
	if (info->si_code == BUS_ADRERR && !is_ours(address) && find_mapping(address, &m) &&
	    m.is_shared && (replace(address, &m, page) || replace(address, &m, HUGE_PAGE))) {
		__atomic_fetch_add(&n_missing, 1, __ATOMIC_RELAXED);
		errno = error;
		return;
	}
	(void)signal(number, SIG_DFL); /* it comes again, for good */
}

bool guest_memory_begin(struct error *e)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };

	page = (uintptr_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) == 0 ||
	       error_set_sys(e, errno, "the handler of SIGBUS");
}

void guest_memory_is_ours(const void *address)
{
	struct mapping m;

	if (n_ours < GUEST_MEMORY_OURS_MAX && find_mapping((uintptr_t)address, &m)) {
		ours[n_ours].from = m.from;
		ours[n_ours++].to = m.to;
	}
}

uint64_t guest_memory_n_missing(void)
{
	return __atomic_load_n(&n_missing, __ATOMIC_RELAXED);
}
