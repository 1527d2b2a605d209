/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof is a virtual processor that runs three instructions and leaves with the value they
 * computed. It runs in a child process: where it hangs or crashes only the child does.
 */
#include "host/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define CPUINFO_MAX (16 << 20) /* large machines list every thread */
#define PROOF_MS    3000
#define PROOF_VALUE 0x42
#define PAGE	    4096
#define NOBODY	    65534

/* What the child's exit status says. */
enum proof {
	PROOF_OK,
	PROOF_API,    /* /dev/kvm does not speak KVM's API */
	PROOF_CREATE, /* no VM, memory or processor can be made */
	PROOF_RUN,    /* the processor does not run */
	PROOF_WRONG,  /* it ran and did something else */
	PROOF_HANGS,
	PROOF_CRASHED,
};

static const char *const proof_texts[] = {
	[PROOF_OK] = "a virtual processor ran",
	[PROOF_API] = "/dev/kvm does not speak the API of KVM",
	[PROOF_CREATE] = "/dev/kvm makes no virtual machine",
	[PROOF_RUN] = "a virtual processor does not run",
	[PROOF_WRONG] = "a virtual processor computes wrongly",
	[PROOF_HANGS] = "a virtual processor hangs",
	[PROOF_CRASHED] = "trying a virtual processor crashes",
};

#if defined(__aarch64__)

#define CODE_AT	 0x40000000
#define PROOF_AT 0x09000000 /* no memory there: a store leaves the guest */

static const uint32_t code[] = {
	0xd2a12000, /* movz x0, #0x900, lsl #16 */
	0x52800841, /* movz w1, #0x42 */
	0xb9000001, /* str w1, [x0] */
};

static bool set_up(int vm, int vcpu)
{
	struct kvm_vcpu_init init;
	uint64_t pc = CODE_AT;
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		      KVM_REG_ARM_CORE_REG(regs.pc),
		.addr = (uint64_t)(uintptr_t)&pc,
	};
	return ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) == 0 &&
	       ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) == 0 &&
	       ioctl(vcpu, KVM_SET_ONE_REG, &reg) == 0;
}

static bool left_rightly(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == PROOF_AT &&
	       run->mmio.is_write && run->mmio.len == 4 && run->mmio.data[0] == PROOF_VALUE;
}

#elif defined(__x86_64__)

#define CODE_AT	 0x1000
#define PROOF_AT 0x10 /* an I/O port */

static const uint8_t code[] = {
	0xb0, PROOF_VALUE, /* mov $0x42, %al */
	0xe6, PROOF_AT,	   /* out %al, $0x10 */
	0xf4,		   /* hlt */
};

static bool set_up(int vm, int vcpu)
{
	(void)vm;
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = CODE_AT, .rflags = 2 };
	if (ioctl(vcpu, KVM_GET_SREGS, &s) != 0) {
		return false;
	}
	s.cs.base = 0;
	s.cs.selector = 0;
	return ioctl(vcpu, KVM_SET_SREGS, &s) == 0 && ioctl(vcpu, KVM_SET_REGS, &r) == 0;
}

static bool left_rightly(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.port == PROOF_AT && run->io.size == 1 &&
	       *((const uint8_t *)run + run->io.data_offset) == PROOF_VALUE;
}

#else
#error "only x86_64 and aarch64"
#endif

/* In the child: only system calls. */
static enum proof prove(int kvm)
{
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		return PROOF_API;
	}
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	/* cppcheck-suppress invalidFunctionArg ; no file */
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm < 0 || run_size < (int)sizeof(struct kvm_run) || memory == MAP_FAILED) {
		return PROOF_CREATE;
	}
	memcpy(memory, code, sizeof(code));
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE_AT,
		.memory_size = PAGE,
		.userspace_addr = (uint64_t)(uintptr_t)memory,
	};
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0) {
		return PROOF_CREATE;
	}
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || !set_up(vm, vcpu)) {
		return PROOF_CREATE;
	}
	struct kvm_run *run =
		mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED) {
		return PROOF_CREATE;
	}
	if (ioctl(vcpu, KVM_RUN, 0) != 0) {
		/* cppcheck-suppress memleak ; the process ends */
		return PROOF_RUN;
	}
	return left_rightly(run) ? PROOF_OK : PROOF_WRONG;
}

/* The device is open: nobody's rights will do. */
static void become_nobody(void)
{
	if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	    setresuid(NOBODY, NOBODY, NOBODY) != 0) {
		_exit(PROOF_CRASHED);
	}
}

static enum proof prove_in_child(int kvm)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		become_nobody();
		_exit((int)prove(kvm));
	}
	if (pid < 0) {
		return PROOF_CRASHED;
	}
	int watch = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = { .fd = watch, .events = POLLIN };
	bool hangs = watch >= 0 && poll(&ended, 1, PROOF_MS) == 0;
	if (hangs) {
		kill(pid, SIGKILL);
	}
	if (watch >= 0) {
		close(watch);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (hangs) {
		return PROOF_HANGS;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) > PROOF_WRONG) {
		return PROOF_CRASHED;
	}
	return (enum proof)WEXITSTATUS(status);
}

/* Whether the processor says that it has them. On Arm it does not say: only trying tells. */
static bool has_extensions(const char *root)
{
#if defined(__x86_64__)
	char *path = mem_printf("%s/proc/cpuinfo", root);
	struct buf b = BUF_INIT;
	bool has = false;
	if (file_read(path, CPUINFO_MAX, &b, NULL)) {
		const char *flags = strstr(b.data, "\nflags");
		size_t n = flags ? strcspn(flags + 1, "\n") + 1 : 0;
		char *line = mem_strndup(flags ? flags : "", n);
		has = strstr(line, " vmx ") || strstr(line, " svm ");
		size_t len = strlen(line);
		has = has || (len > 4 && (strcmp(line + len - 4, " vmx") == 0 ||
					  strcmp(line + len - 4, " svm") == 0));
		free(line);
	}
	buf_free(&b);
	free(path);
	return has;
#else
	(void)root;
	return true;
#endif
}

enum machine_arch accel_arch(void)
{
#if defined(__aarch64__)
	return MACHINE_AARCH64;
#else
	return MACHINE_X86_64;
#endif
}

void accel_probe(const char *root, struct accel *out)
{
	char *path = mem_printf("%s/dev/kvm", root);
	int kvm = open(path, O_RDWR | O_CLOEXEC);
	int sys = errno;
	enum proof proof = PROOF_CREATE;
	free(path);
	out->kind = MACHINE_TCG;
	if (!has_extensions(root)) {
		snprintf(out->why, sizeof(out->why),
			 "TCG: the processor shows neither vmx nor svm%s",
			 kvm >= 0 ? ", although /dev/kvm opens" : "");
	} else if (kvm < 0) {
		snprintf(out->why, sizeof(out->why), "TCG: /dev/kvm does not open: %s",
			 strerror(sys));
	} else {
		proof = prove_in_child(kvm);
		out->kind = proof == PROOF_OK ? MACHINE_KVM : MACHINE_TCG;
		snprintf(out->why, sizeof(out->why), "%s: %s", proof == PROOF_OK ? "KVM" : "TCG",
			 proof_texts[proof]);
	}
	if (kvm >= 0) {
		close(kvm);
	}
}
