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
#include "base/macro.h"
#include "base/mem.h"

#define CPUINFO_MAX (16 << 20) /* large machines list every thread */
#define PROOF_MS    3000
#define PROOF_VALUE 0x42
#define PAGE_MAX    65536
#define GIC_SHIFT   4 /* in the child's exit status, beside the proof */
#define NOBODY	    65534

/* What the child's exit status says. */
enum proof {
	PROOF_OK,
	PROOF_API,    /* /dev/kvm does not speak KVM's API */
	PROOF_CREATE, /* no VM, memory or processor can be made */
	PROOF_RUN,    /* the processor does not run */
	PROOF_WRONG,  /* it ran and did something else */
	PROOF_GIC,    /* Arm: no interrupt controller in the kernel, which QEMU needs */
	PROOF_HANGS,
	PROOF_CRASHED,
};

static const char *const proof_texts[] = {
	[PROOF_OK] = "a virtual processor ran",
	[PROOF_API] = "/dev/kvm does not speak the API of KVM",
	[PROOF_CREATE] = "/dev/kvm makes no virtual machine",
	[PROOF_RUN] = "a virtual processor does not run",
	[PROOF_WRONG] = "a virtual processor computes wrongly",
	[PROOF_GIC] = "/dev/kvm has no interrupt controller (GIC) for virtual machines",
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

/* Sizes of a guest's addresses differ: 40 bits unless the machine has fewer. */
static unsigned long vm_type(int kvm)
{
	int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	return bits > 0 && bits < 40 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned)bits) : 0;
}

static unsigned find_gic(int vm)
{
	static const struct {
		uint32_t type;
		unsigned version;
	} kinds[] = {
		{ KVM_DEV_TYPE_ARM_VGIC_V3, 3 },
		{ KVM_DEV_TYPE_ARM_VGIC_V2, 2 },
	};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct kvm_create_device d = { .type = kinds[i].type,
					       .flags = KVM_CREATE_DEVICE_TEST };
		if (ioctl(vm, KVM_CREATE_DEVICE, &d) == 0) {
			return kinds[i].version;
		}
	}
	return 0;
}

static enum proof prove_gic(int vm, unsigned *gic)
{
	*gic = find_gic(vm);
	return *gic ? PROOF_OK : PROOF_GIC;
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

static unsigned long vm_type(int kvm)
{
	(void)kvm;
	return 0;
}

static enum proof prove_gic(int vm, unsigned *gic)
{
	(void)vm;
	*gic = 0;
	return PROOF_OK;
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
static enum proof prove(int kvm, unsigned *gic)
{
	size_t page = (size_t)MIN(sysconf(_SC_PAGESIZE), PAGE_MAX);
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		return PROOF_API;
	}
	int vm = ioctl(kvm, KVM_CREATE_VM, vm_type(kvm));
	int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	/* cppcheck-suppress invalidFunctionArg ; no file */
	void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm < 0 || run_size < (int)sizeof(struct kvm_run) || memory == MAP_FAILED) {
		return PROOF_CREATE;
	}
	memcpy(memory, code, sizeof(code));
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE_AT,
		.memory_size = page,
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
	return left_rightly(run) ? prove_gic(vm, gic) : PROOF_WRONG;
}

/* The device is open: nobody's rights will do. */
static void become_nobody(void)
{
	if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	    setresuid(NOBODY, NOBODY, NOBODY) != 0) {
		_exit(PROOF_CRASHED);
	}
}

static enum proof prove_in_child(int kvm, unsigned *gic)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		become_nobody();
		unsigned version = 0;
		enum proof proof = prove(kvm, &version);
		_exit((int)((unsigned)proof | version << GIC_SHIFT));
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
	if (!WIFEXITED(status)) {
		return PROOF_CRASHED;
	}
	unsigned said = (unsigned)WEXITSTATUS(status), proof = said % (1u << GIC_SHIFT);
	*gic = said >> GIC_SHIFT;
	return proof <= PROOF_GIC ? (enum proof)proof : PROOF_CRASHED;
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
	out->gic = 0;
	if (!has_extensions(root)) {
		snprintf(out->why, sizeof(out->why),
			 "TCG: the processor shows neither vmx nor svm%s",
			 kvm >= 0 ? ", although /dev/kvm opens" : "");
	} else if (kvm < 0) {
		snprintf(out->why, sizeof(out->why), "TCG: /dev/kvm does not open: %s",
			 strerror(sys));
	} else {
		proof = prove_in_child(kvm, &out->gic);
		out->kind = proof == PROOF_OK ? MACHINE_KVM : MACHINE_TCG;
		size_t n = (size_t)snprintf(out->why, sizeof(out->why), "%s: %s",
					    proof == PROOF_OK ? "KVM" : "TCG", proof_texts[proof]);
		if (out->gic != 0) {
			snprintf(out->why + n, sizeof(out->why) - n, "; interrupts by GICv%u",
				 out->gic);
		}
	}
	if (kvm >= 0) {
		close(kvm);
	}
}
