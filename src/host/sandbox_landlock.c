/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock, by the numbers of linux/landlock.h: the headers of the system that we are built on may
 * be older than the kernel that we run on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/sandbox_child.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#define CREATE_VERSION	  1U
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_SOCK   (UINT64_C(1) << 9)
#define FS_IOCTL_DEV   (UINT64_C(1) << 15)
#define FS_ABI_1       ((UINT64_C(1) << 13) - 1)
#define FS_REFER       (UINT64_C(1) << 13)
#define FS_TRUNCATE    (UINT64_C(1) << 14)
#define NET_TCP	       UINT64_C(3) /* bind, connect */
#define SCOPES	       UINT64_C(3) /* abstract sockets, signals */

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

int sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
	return abi > 0 ? (int)abi : 0;
}

static struct ruleset ruleset_of(int abi)
{
	return (struct ruleset){
		.fs = FS_ABI_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
		      (abi >= 5 ? FS_IOCTL_DEV : 0),
		.net = abi >= 4 ? NET_TCP : 0,
		.scoped = abi >= 6 ? SCOPES : 0,
	};
}

static uint64_t allowed_of(const struct sandbox_entry *x)
{
	switch (x->kind) {
	case SANDBOX_FILE:
		return FS_READ_FILE | FS_EXECUTE;
	case SANDBOX_TREE:
		return FS_READ_FILE | FS_READ_DIR | FS_EXECUTE;
	case SANDBOX_DEVICE:
		return FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV;
	case SANDBOX_SOCKETS:
		return FS_MAKE_SOCK | FS_REMOVE_FILE;
	case SANDBOX_FOLDER:
	case SANDBOX_LINK:
		break;
	}
	return 0; /* the way there is free */
}

static bool add_rule(int set, const struct ruleset *r, const struct sandbox_entry *x)
{
	struct path_beneath rule = { .allowed = allowed_of(x) & r->fs };
	if (!rule.allowed) {
		return true;
	}
	rule.parent = open(x->path, O_PATH | O_CLOEXEC);
	if (rule.parent < 0) {
		return false;
	}
	long rc = syscall(SYS_landlock_add_rule, set, RULE_PATH_BENEATH, &rule, 0);
	int sys = errno;
	close(rule.parent);
	errno = sys;
	return rc == 0;
}

bool sandbox_landlock_apply(const struct sandbox_view *v, const char **object)
{
	struct ruleset r = ruleset_of(sandbox_landlock_abi());
	*object = "rules";
	int set = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	if (set < 0) {
		return false;
	}
	for (size_t i = 0; i < v->entries.n; i++) {
		if (!add_rule(set, &r, &v->entries.items[i])) {
			*object = v->entries.items[i].path;
			return false;
		}
	}
	bool ok = syscall(SYS_landlock_restrict_self, set, 0) == 0;
	int sys = errno;
	close(set);
	errno = sys;
	return ok;
}
